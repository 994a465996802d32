// What the agent remembers across restarts: who it is, and the numbers that only rise. Written
// atomically; the TLS key is not here, it ends with the boot.
#pragma once

#include <optional>
#include <string>

#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct AgentState {
  std::string device_id;      // empty: not enrolled
  uint64_t epoch = 0;         // highest seen
  UnixTime last_signed_time;  // floor of trusted time
};

// LoadState: a missing file is a new device; kMalformed for anything else that does not parse.
// State that is damaged is not guessed at: the operator removes it and the device enrols again.
Result<AgentState> LoadState(FileSystem& files, const std::string& directory);
Result<Unit> SaveState(FileSystem& files, const std::string& directory, const AgentState& state);

}  // namespace sallyport::device

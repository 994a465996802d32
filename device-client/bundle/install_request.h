// How `sallyport-agent update install` and the running agent talk: two files in the state
// directory, each written whole or not at all. The agent does the work: it owns the TPM, the
// metadata, the slots and the record of the update, and one process at a time may.
#pragma once

#include <optional>
#include <string>

#include "device-client/agent/evidence.h"
#include "ota/metadata/usb_bundle.h"

namespace sallyport::device {

struct InstallRequest {
  std::string id;
  std::string folder;  // absolute
  std::string role;    // empty: whichever signed the bundle
};

// InstallAnswer is the last that is known of a request: refused (`error`), or taken and how far.
struct InstallAnswer {
  struct Refusal {
    Reason reason;
    std::string rule;
    std::string detail;
  };
  std::string id;
  std::optional<Refusal> error;
  std::string role;
  uint64_t serial = 0;
  std::string product;
  std::string version;
  ReleaseDigest release = ReleaseDigest::FromArray({});
  bool commits_locally = false;
  std::string state;  // StateName; empty before the installer has begun
  unsigned percent = 0;
  std::string gate;  // of the update report
  std::string detail;
};

// Loading: nullopt when there is none; kMalformed for what the other side did not write.
Result<std::optional<InstallRequest>> LoadRequest(FileSystem& files, const std::string& state);
Result<Unit> SaveRequest(FileSystem& files, const std::string& state,
                         const InstallRequest& request);
Result<Unit> RemoveRequest(FileSystem& files, const std::string& state);

Result<std::optional<InstallAnswer>> LoadAnswer(FileSystem& files, const std::string& state);
Result<Unit> SaveAnswer(FileSystem& files, const std::string& state, const InstallAnswer& answer);

}  // namespace sallyport::device

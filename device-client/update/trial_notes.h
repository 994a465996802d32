// What must be known after the reboot about an update and has no place in the update record: why it
// was given up, the log of the boot that failed, how often the agent began in its trial, how long
// updates took. Losing the file loses explanations, never safety.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/install/image_origins.h"
#include "pki/base/digest.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct TrialNote {
  std::optional<ReleaseDigest> release;
  std::string version;
  std::string gate;  // why it was given up; empty: it was not
  std::string detail;
  std::string log;             // of the boot that failed
  bool log_read = false;       // once: later boots have other previous logs
  bool fallback_good = false;  // the slot it went back to has proven itself since
  unsigned starts = 0;         // of the agent in this trial
  unsigned leaves = 0;         // reboots that were asked for to leave a slot that was given up
  std::string hook_due;        // after-commit or after-rollback, until it has ended
  UnixTime asked;              // for the reboot; 0: the time was not known
  std::vector<Duration> past;  // from that to the commit, oldest first
  ota::ImageOrigins origins;   // of the image
  bool operator==(const TrialNote&) const = default;
};

std::string WriteTrialNote(const TrialNote& note);
// ParseTrialNote: the rules of JsonCursor.
Result<TrialNote> ParseTrialNote(std::string_view json);

// TrialNotes keeps one note in a file. One thread at a time; borrows `files`.
class TrialNotes {
 public:
  TrialNotes(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  // Load returns an empty note for a missing file, and logs one that cannot be read.
  TrialNote Load();
  // Save logs what cannot be written.
  void Save(const TrialNote& note);

 private:
  FileSystem& files_;
  const std::string path_;
};

}  // namespace sallyport::device

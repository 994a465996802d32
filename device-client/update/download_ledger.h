// DownloadLedger: since when this device has been loading a release, over all its attempts and
// boots, so that somebody who keeps it waiting is seen (docs/updates.md, Transport).
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "ota/install/payload_source.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct DownloadStatus {
  std::string release;            // directory of its files; empty before the first download
  std::optional<UnixTime> since;  // absent until the device was sure of the time
  uint64_t received = 0;          // bytes since the agent started
  bool late = false;
};

struct DownloadLedgerParts {
  FileSystem& files;
  std::string path;   // of the file that remembers
  Duration deadline;  // for one release
  // now is nullopt while the time is unsure. Thread-safe.
  std::function<std::optional<UnixTime>()> now;
};

// DownloadLedger passes everything on to `source`, which it borrows. A late download goes on: to
// give it up would be what whoever slows it down wants. Its errors say how late it is.
// Thread-safe, for one release at a time.
class DownloadLedger final : public ota::PayloadSource {
 public:
  DownloadLedger(DownloadLedgerParts parts, ota::PayloadSource& source);

  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;
  DownloadStatus status() const;

 private:
  class Counting;
  void Begin(const std::string& release);
  // Lateness is how long past the deadline, zero or less when in time.
  std::optional<Duration> Lateness() const;

  const DownloadLedgerParts parts_;
  ota::PayloadSource& source_;
  mutable std::mutex mutex_;  // guards status_, said_late_
  DownloadStatus status_;
  bool said_late_ = false;
};

}  // namespace sallyport::device

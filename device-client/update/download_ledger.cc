#include "device-client/update/download_ledger.h"

#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kLedgerBytesMax = 4096;

std::string ReleaseOf(const ota::RemoteFile& file) { return ParentDirectory(file.path); }

// What does not parse is as good as absent: the file proves nothing, and a new count is safe.
Result<DownloadStatus> Load(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes text, ReadFile(files, path, kLedgerBytesMax));
  SP_TRY(const JsonValue json, ParseJson(AsText(text)));
  const JsonCursor cursor(json);
  DownloadStatus out;
  SP_TRY(out.release, cursor.GetString("release"));
  SP_TRY(const std::string_view since, cursor.GetString("since"));
  SP_TRY(out.since, ParseRfc3339(since));
  return out;
}

Result<Unit> Save(FileSystem& files, const std::string& path, const DownloadStatus& status) {
  return WriteFileAtomically(
      files, path,
      AsBytes(WriteJson(JsonValue::Object(
          {{"release", status.release}, {"since", FormatRfc3339(*status.since)}}))));
}

}  // namespace

class DownloadLedger::Counting final : public ota::ByteSink {
 public:
  Counting(DownloadLedger& ledger, ota::ByteSink& sink) : ledger_(ledger), sink_(sink) {}
  Result<Unit> Write(ByteView bytes) override {
    {
      const std::lock_guard lock(ledger_.mutex_);
      ledger_.status_.received += bytes.size();
    }
    return sink_.Write(bytes);
  }

 private:
  DownloadLedger& ledger_;
  ota::ByteSink& sink_;
};

DownloadLedger::DownloadLedger(DownloadLedgerParts parts, ota::PayloadSource& source)
    : parts_(std::move(parts)), source_(source) {
  auto held = Load(parts_.files, parts_.path);
  if (held) status_ = *std::move(held);
}

void DownloadLedger::Begin(const std::string& release) {
  const std::lock_guard lock(mutex_);
  if (status_.release != release) {
    status_ = {release, std::nullopt, 0, false};
    said_late_ = false;
  }
  if (status_.since) return;
  status_.since = parts_.now();
  if (!status_.since) return;
  const Result<Unit> saved = Save(parts_.files, parts_.path, status_);
  if (!saved)
    Log(LogLevel::kWarning, "download_not_remembered", {{"reason", saved.error().ToString()}});
}

std::optional<Duration> DownloadLedger::Lateness() const {
  const std::optional<UnixTime> now = parts_.now();
  if (!now || !status_.since) return std::nullopt;
  return Duration{(*now - *status_.since).ms - parts_.deadline.ms};
}

Result<Unit> DownloadLedger::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                                   ota::ByteSink& sink) {
  Begin(ReleaseOf(file));
  Counting counting(*this, sink);
  Result<Unit> got = source_.Fetch(file, offset, length, counting);
  const std::lock_guard lock(mutex_);
  const std::optional<Duration> late = Lateness();
  status_.late = late && late->ms > 0;
  if (!status_.late) return got;
  const std::string since = FormatRfc3339(*status_.since);
  if (!said_late_)
    Log(LogLevel::kWarning, "download_late", {{"release", status_.release}, {"since", since}});
  said_late_ = true;
  if (got) return got;
  return std::move(got).error().WithContext("late, loading since " + since);
}

DownloadStatus DownloadLedger::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace sallyport::device

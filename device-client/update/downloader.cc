#include "device-client/update/downloader.h"

#include <algorithm>

#include "ota/metadata/client.h"
#include "pki/base/log.h"
#include "pki/crypto/hash.h"

namespace sallyport::device {
namespace {

// What the reader says of bytes that are not the signed ones. Its other errors are its own trouble.
bool IsAboutContent(Reason reason) {
  return reason == Reason::kMismatch || reason == Reason::kMalformed ||
         reason == Reason::kTooLarge || reason == Reason::kUnsupported;
}

// Not the source's fault.
bool IsOurs(const Error& error) {
  return error.rule == "download.closed" || error.rule == "update.stopping";
}

Duration RestAfter(int streak) {
  Duration rest = kSourceRestMin;
  for (int i = 1; i < streak && rest < kSourceRestMax; ++i) rest.ms *= 2;
  return std::min(rest, kSourceRestMax);
}

}  // namespace

std::string TargetPath(const ota::RemoteFile& file) {
  return "targets/" + ota::ConsistentPath(file.path, HexEncode(file.sha256));
}

std::string_view SourceKindName(SourceKind kind) {
  switch (kind) {
    case SourceKind::kPeer: return "peer";
    case SourceKind::kMirror: return "mirror";
    case SourceKind::kServer: return "server";
  }
  std::abort();
}

// Attempt is one Fetch: how far it is, and who has brought it there.
struct Downloader::Attempt {
  const ota::RemoteFile& file;
  uint64_t at;
  const uint64_t end;
  ota::ByteSink& sink;
  std::optional<pki::Hasher> hash;    // of a whole file
  std::vector<bool> gave = {};        // by source
  std::vector<bool> spent = {};       // not to be asked again
  std::optional<Error> refused = {};  // by the sink
};

// Metered stands between a source and the reader: it keeps to the cap, times the source and counts.
class Downloader::Metered final : public ota::ByteSink {
 public:
  Metered(const DownloaderParts& parts, bool capped, Attempt& attempt)
      : parts_(parts), capped_(capped), attempt_(attempt) {}

  Result<Unit> Write(ByteView bytes) override {
    if (!window_began_) window_began_ = parts_.clock.Boot();  // connecting has limits of its own
    if (capped_) {
      SP_TRY(const Duration waited, parts_.pacer.Take(bytes.size()));
      window_began_->ms += waited.ms;
    }
    SP_TRY(Judge(bytes.size()));
    if (attempt_.hash) attempt_.hash->Update(bytes);
    auto written = attempt_.sink.Write(bytes);
    if (!written) {
      attempt_.refused = written.error();
      return written;
    }
    attempt_.at += bytes.size();
    taken_ += bytes.size();
    return Unit{};
  }
  uint64_t taken() const { return taken_; }

 private:
  Result<Unit> Judge(size_t more) {
    window_bytes_ += more;
    const Duration now = parts_.clock.Boot();
    const int64_t elapsed_ms = now.ms - window_began_->ms;
    if (elapsed_ms < kRateWindow.ms) return Unit{};
    const uint64_t rate = window_bytes_ * 1000 / static_cast<uint64_t>(elapsed_ms);
    window_began_ = now;
    window_bytes_ = 0;
    if (rate >= parts_.rate_min) return Unit{};
    return Error{Reason::kUnavailable, std::to_string(rate) + " bytes per second", "download.slow"};
  }

  const DownloaderParts& parts_;
  const bool capped_;
  Attempt& attempt_;
  std::optional<Duration> window_began_;  // boot clock, moved on by the time that the cap cost
  uint64_t window_bytes_ = 0;
  uint64_t taken_ = 0;
};

Downloader::Downloader(DownloaderParts parts) : parts_(std::move(parts)) {
  for (const DownloadSource& source : parts_.sources)
    standings_.push_back({{source.name, source.kind, 0, 0, 0, "", false}, 0, std::nullopt});
}

std::optional<size_t> Downloader::Next(const std::vector<bool>& spent) const {
  const std::lock_guard lock(mutex_);
  const Duration now = parts_.clock.Boot();
  for (size_t i = 0; i < standings_.size(); ++i) {
    const bool rests = standings_[i].rests_until && now < *standings_[i].rests_until;
    if (!spent[i] && !rests) return i;
  }
  return std::nullopt;
}

void Downloader::Served(size_t source, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Standing& standing = standings_[source];
  standing.status.bytes += bytes;
  standing.status.refusal.clear();
  standing.streak = 0;
  standing.rests_until.reset();
}

void Downloader::Failed(size_t source, uint64_t bytes, const Error& error) {
  const std::lock_guard lock(mutex_);
  Standing& standing = standings_[source];
  standing.status.bytes += bytes;
  ++standing.status.failures;
  standing.status.refusal = error.ToString();
  if (bytes >= kSourceProgressBytes) standing.streak = 0;
  ++standing.streak;
  if (standing.status.kind != SourceKind::kServer && bytes < kSourceProgressBytes)
    standing.rests_until = Duration{parts_.clock.Boot().ms + RestAfter(standing.streak).ms};
  Log(LogLevel::kInfo, "download_source_failed",
      {{"source", standing.status.name}, {"reason", standing.status.refusal}});
}

std::optional<Error> Downloader::Blame(const Attempt& attempt, const std::string& what) {
  std::string names;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < standings_.size(); ++i) {
    Standing& standing = standings_[i];
    if (!attempt.gave[i] || standing.status.kind == SourceKind::kServer) continue;
    ++standing.status.lies;
    standing.status.refusal = "download.corrupt: " + what;
    standing.rests_until = Duration{parts_.clock.Boot().ms + kSourceRestMax.ms};
    names += (names.empty() ? "" : ", ") + standing.status.name;
  }
  if (names.empty()) return std::nullopt;
  Log(LogLevel::kWarning, "download_source_lied",
      {{"source", names}, {"file", attempt.file.path}, {"reason", what}});
  return Error{Reason::kUnavailable, names + " sent wrong bytes: " + what, "download.corrupt"};
}

Result<Unit> Downloader::FetchFrom(size_t source, Attempt& attempt) {
  const DownloadSource& from = parts_.sources[source];
  Metered metered(parts_, from.kind != SourceKind::kPeer, attempt);
  const uint64_t length = attempt.end - attempt.at;
  Result<Unit> got =
      from.origin.Get({TargetPath(attempt.file), attempt.at, length, length}, metered);
  attempt.gave[source] = attempt.gave[source] || metered.taken() > 0;
  if (attempt.refused || (!got && IsOurs(got.error()))) return got;
  if (got) {
    Served(source, metered.taken());
  } else {
    Failed(source, metered.taken(), got.error());
    attempt.spent[source] = metered.taken() < kSourceProgressBytes;
  }
  return got;
}

Result<Unit> Downloader::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                               ota::ByteSink& sink) {
  Attempt attempt{file, offset, offset + length, sink, std::nullopt};
  attempt.gave.resize(parts_.sources.size());
  attempt.spent.resize(parts_.sources.size());
  const bool whole = offset == 0 && length == file.length;
  // The server's own word is for the reader to judge: no need to hash everything twice.
  if (whole && parts_.sources.size() > 1) attempt.hash.emplace(pki::HashAlgorithm::kSha256);
  Result<Unit> got = Error{Reason::kUnavailable, "every source rests", "download.no-source"};
  while (attempt.at < attempt.end) {
    const std::optional<size_t> source = Next(attempt.spent);
    if (!source) return got;
    got = FetchFrom(*source, attempt);
    if (attempt.refused && IsAboutContent(attempt.refused->reason))
      return Blame(attempt, attempt.refused->ToString()).value_or(*attempt.refused);
    if (attempt.refused || (!got && IsOurs(got.error()))) return got;
  }
  if (!attempt.hash || Equal(attempt.hash->Finish(), file.sha256.view())) return Unit{};
  if (auto blamed = Blame(attempt, "the digest of " + file.path)) return *std::move(blamed);
  return Unit{};
}

// The server first: it is a small question, and a wrong answer costs a download.
Result<uint64_t> Downloader::Size(const std::string& path) {
  Result<uint64_t> size = Error{Reason::kUnavailable, "there is no source", "download.no-source"};
  for (size_t i = parts_.sources.size(); !size && i > 0; --i)
    size = parts_.sources[i - 1].origin.Size(path);
  return size;
}

std::vector<SourceStatus> Downloader::status() const {
  const std::lock_guard lock(mutex_);
  const Duration now = parts_.clock.Boot();
  std::vector<SourceStatus> out;
  for (const Standing& standing : standings_) {
    out.push_back(standing.status);
    out.back().resting = standing.rests_until && now < *standing.rests_until;
  }
  return out;
}

}  // namespace sallyport::device

// Downloader: the files of a release from whoever has them: neighbours, mirrors, the server.
// Nothing is trusted from any of them: a whole file is judged by its digest here, a part of one by
// the reader, and who sent what turned out wrong is not asked again for a while (docs/updates.md,
// Transport).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device-client/update/bandwidth.h"
#include "device-client/update/content_origin.h"

namespace sallyport::device {

// A source that fails rests: a minute, twice as long each time in a row, at most an hour. One that
// lies rests the hour at once.
inline constexpr Duration kSourceRestMin = Minutes(1);
inline constexpr Duration kSourceRestMax = Hours(1);
// A source that broke off after so much is asked for the rest; after less, the next one is.
inline constexpr uint64_t kSourceProgressBytes = 1u << 20;
// The rate of a source is judged over that long.
inline constexpr Duration kRateWindow = Seconds(10);

enum class SourceKind : uint8_t {
  kPeer,  // on this site: the cap of the uplink does not apply
  kMirror,
  kServer,  // the last resort: it never rests
};
std::string_view SourceKindName(SourceKind kind);

struct DownloadSource {
  std::string name;
  SourceKind kind;
  const ContentOrigin& origin;
};

struct SourceStatus {
  std::string name;
  SourceKind kind;
  uint64_t bytes = 0;  // taken from it since the agent started
  uint64_t failures = 0;
  uint64_t lies = 0;    // it, or one that served the same file with it, sent wrong bytes
  std::string refusal;  // the last, empty when the last request was served
  bool resting = false;
};

struct DownloaderParts {
  std::vector<DownloadSource> sources;  // in the order of preference
  const Clock& clock;
  Pacer& pacer;
  uint64_t rate_min = 0;  // bytes per second, on average of kRateWindow
};

// Downloader borrows origins, clock and pacer. Thread-safe.
class Downloader final : public ota::PayloadSource {
 public:
  explicit Downloader(DownloaderParts parts);

  // Fetch goes on at the next source where one broke off. kUnavailable: download.corrupt, naming
  // the mirrors, when what came is not what was signed; it resumes where the reader is durable.
  // Otherwise the error of the last source that was asked, or of `sink`. What the server alone has
  // sent is passed on unjudged.
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;
  // Size is how long the file of a name is, as the server says, or whoever else answers. A claim.
  Result<uint64_t> Size(const std::string& path);
  std::vector<SourceStatus> status() const;

 private:
  class Metered;
  struct Standing {
    SourceStatus status;
    int streak = 0;  // failures in a row
    std::optional<Duration> rests_until;
  };
  struct Attempt;

  // Next is the first source that neither rests nor is `spent`; nothing when there is none.
  std::optional<size_t> Next(const std::vector<bool>& spent) const;
  Result<Unit> FetchFrom(size_t source, Attempt& attempt);
  void Served(size_t source, uint64_t bytes);
  void Failed(size_t source, uint64_t bytes, const Error& error);
  // Blame returns nothing when nobody but the server has sent anything.
  std::optional<Error> Blame(const Attempt& attempt, const std::string& what);

  const DownloaderParts parts_;
  mutable std::mutex mutex_;  // guards standings_
  std::vector<Standing> standings_;
};

// TargetPath is where a target lies in the repository, under its consistent-snapshot name.
std::string TargetPath(const ota::RemoteFile& file);

}  // namespace sallyport::device

#include "device-client/downloads.h"

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

using Clients = std::vector<std::unique_ptr<const MirrorClient>>;

Clients PeersOf(const DownloadSettings& settings) {
  Clients out;
  for (const std::string& peer : settings.peers)
    out.push_back(std::make_unique<const MirrorClient>(
        MirrorEndpoint{"http://" + peer + "/image", "", "", kMirrorStallSecondsMax}));
  return out;
}

Clients MirrorsOf(const DownloadSettings& settings) {
  Clients out;
  for (const MirrorSettings& mirror : settings.mirrors)
    out.push_back(std::make_unique<const MirrorClient>(
        MirrorEndpoint{mirror.url, mirror.ca_file, settings.proxy, kMirrorStallSecondsMax,
                       settings.proxy_ca_file}));
  return out;
}

JsonValue SourcesJson(const std::vector<SourceStatus>& sources) {
  std::vector<JsonValue> out;
  for (const SourceStatus& source : sources)
    out.push_back(JsonValue::Object({{"name", source.name},
                                     {"kind", SourceKindName(source.kind)},
                                     {"bytes", source.bytes},
                                     {"failures", source.failures},
                                     {"lies", source.lies},
                                     {"refusal", source.refusal},
                                     {"resting", source.resting}}));
  return JsonValue::Array(std::move(out));
}

JsonValue CacheJson(const SiteCacheStatus& cache, const std::vector<SourceStatus>& sources) {
  return JsonValue::Object({{"files", cache.files},
                            {"bytes", cache.bytes},
                            {"fetched", cache.fetched},
                            {"served", cache.served},
                            {"refusal", cache.refusal},
                            {"sources", SourcesJson(sources)}});
}

std::optional<UnixTime> SureTime(const TrustedTime::Reading& reading) {
  return reading.sure ? std::optional(reading.now) : std::nullopt;
}

}  // namespace

Downloads::Downloads(DownloadParts parts, const DownloadSettings& settings)
    : parts_(std::move(parts)),
      settings_(settings),
      bandwidth_(settings.bandwidth),
      pacer_(parts_.clock, [this] { return LimitNow(); }),
      peers_(PeersOf(settings)),
      mirrors_(MirrorsOf(settings)),
      direct_(PartsWith({})),
      cache_(OpenCache()),
      cached_(cache_ ? std::make_unique<const SiteCacheOrigin>(*cache_) : nullptr),
      cache_server_(ServeCache()),
      downloader_(PartsWith(Nearest())),
      ledger_({parts_.files, parts_.state + "/download.json", settings.deadline,
               [this] { return SureTime(parts_.reading()); }},
              downloader_) {}

Downloads::~Downloads() { Stop(); }

void Downloads::Stop() {
  pacer_.Stop();
  if (cache_) cache_->Stop();
}

uint64_t Downloads::LimitNow() const {
  const TrustedTime::Reading reading = parts_.reading();
  const uint64_t limit =
      reading.sure ? bandwidth_.At(MinuteOfDay(reading.now)) : bandwidth_.Strictest();
  return limit == 0 && parts_.overdue && parts_.overdue() ? bandwidth_.LowestOpen() : limit;
}

std::vector<DownloadSource> Downloads::Nearest() const {
  std::vector<DownloadSource> out;
  if (cached_) out.push_back({"site cache", SourceKind::kPeer, *cached_});
  for (size_t i = 0; i < peers_.size(); ++i)
    out.push_back({settings_.peers[i], SourceKind::kPeer, *peers_[i]});
  return out;
}

DownloaderParts Downloads::PartsWith(std::vector<DownloadSource> nearest) {
  for (size_t i = 0; i < mirrors_.size(); ++i)
    nearest.push_back({settings_.mirrors[i].url, SourceKind::kMirror, *mirrors_[i]});
  nearest.push_back({"server", SourceKind::kServer, parts_.server});
  return {std::move(nearest), parts_.clock, pacer_, settings_.rate_min};
}

std::unique_ptr<SiteCache> Downloads::OpenCache() {
  const SiteCacheSettings& cache = settings_.site_cache;
  if (cache.directory.empty()) return nullptr;
  auto started = SiteCache::Start({cache.directory, cache.size_max}, parts_.files, direct_);
  if (started) return *std::move(started);
  Log(LogLevel::kError, "site_cache_not_opened", {{"reason", started.error().ToString()}});
  return nullptr;
}

std::unique_ptr<SiteCacheServer> Downloads::ServeCache() {
  if (!cache_) return nullptr;
  auto started = SiteCacheServer::Start(settings_.site_cache.listen, *cache_);
  if (started) return *std::move(started);
  Log(LogLevel::kError, "site_cache_not_served", {{"reason", started.error().ToString()}});
  return nullptr;
}

JsonValue Downloads::ToJson() const {
  const DownloadStatus status = ledger_.status();
  std::vector<JsonMember> members{{"release", status.release},
                                  {"received", status.received},
                                  {"late", status.late},
                                  {"sources", SourcesJson(downloader_.status())}};
  if (status.since) members.push_back({"since", FormatRfc3339(*status.since)});
  if (cache_) members.push_back({"site_cache", CacheJson(cache_->status(), direct_.status())});
  return JsonValue::Object(std::move(members));
}

}  // namespace sallyport::device

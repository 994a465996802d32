// Downloads: everything that loads a release, put together as the configuration names it.
#pragma once

#include <memory>
#include <vector>

#include "device-client/agent/trusted_time.h"
#include "device-client/download_config.h"
#include "device-client/update/content_client.h"
#include "device-client/update/download_ledger.h"
#include "device-client/update/mirror_client.h"
#include "device-client/update/site_cache_server.h"
#include "pki/base/json.h"

namespace sallyport::device {

struct DownloadParts {
  FileSystem& files;
  const Clock& clock;
  const ContentOrigin& server;
  std::string state;  // the agent's directory
  // reading is trusted time. Thread-safe.
  std::function<TrustedTime::Reading()> reading;
  // overdue: the release to be loaded is past its security deadline. Thread-safe; null: never.
  std::function<bool()> overdue = {};
};

// Downloads borrows its parts. A site cache that cannot be opened is logged and done without: it
// must not keep the device from anything. Thread-safe.
class Downloads {
 public:
  Downloads(DownloadParts parts, const DownloadSettings& settings);
  ~Downloads();
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;

  // Stop ends every download; nothing is loaded after it.
  void Stop();
  ota::PayloadSource& source() { return ledger_; }
  // ToJson:
  // {"release","since","received","late","sources":[{"name","kind","bytes","failures","lies",
  // "refusal","resting"}],"site_cache":{"files","bytes","fetched","served","refusal","sources"}};
  // `since` and `site_cache` are absent when there is none.
  JsonValue ToJson() const;

 private:
  uint64_t LimitNow() const;
  DownloaderParts PartsWith(std::vector<DownloadSource> nearest);
  std::vector<DownloadSource> Nearest() const;
  std::unique_ptr<SiteCache> OpenCache();
  std::unique_ptr<SiteCacheServer> ServeCache();

  const DownloadParts parts_;
  const DownloadSettings settings_;
  const BandwidthPlan bandwidth_;
  Pacer pacer_;
  // Borrowed by the downloaders.
  const std::vector<std::unique_ptr<const MirrorClient>> peers_;
  const std::vector<std::unique_ptr<const MirrorClient>> mirrors_;
  Downloader direct_;  // past the cache, and for it
  const std::unique_ptr<SiteCache> cache_;
  const std::unique_ptr<const SiteCacheOrigin> cached_;
  const std::unique_ptr<SiteCacheServer> cache_server_;
  Downloader downloader_;
  DownloadLedger ledger_;
};

}  // namespace sallyport::device

// The part of the agent's configuration that says from where updates are loaded, how fast, and what
// is kept for the neighbours.
#pragma once

#include <string>
#include <vector>

#include "device-client/update/bandwidth.h"
#include "policies/language/config_reader.h"

namespace sallyport::device {

struct MirrorSettings {
  std::string url;
  std::string ca_file;
};

struct SiteCacheSettings {
  std::string directory;  // empty: this agent caches nothing
  std::string listen;
  uint64_t size_max = 0;  // bytes
};

struct DownloadSettings {
  std::vector<MirrorSettings> mirrors;
  std::vector<std::string> peers;  // local host:port of outbound flows
  std::string proxy;
  std::string proxy_ca_file;
  uint64_t rate_min = 1'000;  // bytes per second
  std::vector<BandwidthSpan> bandwidth;
  std::string time_zone;
  policy::Position time_zone_at = {};  // where the configuration names it
  Duration deadline = Days(7);
  SiteCacheSettings site_cache;
};

// The keys below `update`, and those of the maps in them.
const std::vector<policy::ConfigKey<DownloadSettings>>& DownloadKeys();
std::string DescribeDownloadMaps();

// CheckDownload reports settings that contradict each other; `at` is where `update` stands.
void CheckDownload(const DownloadSettings& settings, policy::Position at,
                   policy::Diagnostics& findings);

}  // namespace sallyport::device

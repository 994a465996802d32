#include "device-client/download_config.h"

namespace sallyport::device {
namespace {

using policy::Code;
using policy::ConfigKey;
using policy::ConfigText;
using policy::Diagnostics;
using policy::YamlNode;

// A cache below this holds no image; a segment of one has 8 MiB.
constexpr uint64_t kCacheBytesMin = 64'000'000;

bool IsPlainUrl(std::string_view text, std::string_view scheme) {
  return text.starts_with(scheme) && text.size() > scheme.size() &&
         text.find_first_of(" \t?#\\\"") == std::string_view::npos;
}

void ReadMirrorUrl(MirrorSettings& out, const YamlNode& node, Diagnostics& findings) {
  if (!IsPlainUrl(node.text, "https://") || node.text.find('@') != std::string::npos)
    return findings.Add(Code::kType, node.at, "expected https://host[:port][/path]");
  out.url = node.text;
}

const std::vector<ConfigKey<MirrorSettings>>& MirrorKeys() {
  static const std::vector<ConfigKey<MirrorSettings>> keys{
      {"url", "https URL that stands for `/image/` of the content listener", ReadMirrorUrl, true},
      {"ca_file",
       "PEM file of the authorities that its certificate may lead to (default: the "
       "system's)",
       ConfigText(&MirrorSettings::ca_file)}};
  return keys;
}

auto ReadTime(int BandwidthSpan::* member) {
  return [member](BandwidthSpan& out, const YamlNode& node, Diagnostics& findings) {
    const Result<int> minute = ParseTimeOfDay(node.text);
    if (!minute) return findings.Add(Code::kType, node.at, minute.error().detail);
    out.*member = *minute;
  };
}

void ReadLimit(BandwidthSpan& out, const YamlNode& node, Diagnostics& findings) {
  if (node.text == "0" || node.text == "unlimited") {
    out.limit = node.text == "0" ? 0 : kUnlimitedRate;
    return;
  }
  const Result<uint64_t> rate = ParseByteRate(node.text);
  if (!rate || *rate < kRateLimitMin)
    return findings.Add(Code::kRange, node.at,
                        "expected 0, unlimited, or a rate of at least 16KB/s such as 10MB/s");
  out.limit = *rate;
}

const std::vector<ConfigKey<BandwidthSpan>>& BandwidthKeys() {
  static const std::vector<ConfigKey<BandwidthSpan>> keys{
      {"from", "time of day at which it begins, HH:MM", ReadTime(&BandwidthSpan::from), true},
      {"to", "time of day at which it ends, the next day when that is not later",
       ReadTime(&BandwidthSpan::to), true},
      {"limit", "10MB/s, at least 16KB/s; 0: no downloads; unlimited", ReadLimit, true}};
  return keys;
}

void ReadSize(SiteCacheSettings& out, const YamlNode& node, Diagnostics& findings) {
  const Result<uint64_t> size = ParseByteCount(node.text);
  if (!size || *size < kCacheBytesMin)
    return findings.Add(Code::kRange, node.at, "expected a size of at least 64MB such as 4GB");
  out.size_max = *size;
}

const std::vector<ConfigKey<SiteCacheSettings>>& SiteCacheKeys() {
  static const std::vector<ConfigKey<SiteCacheSettings>> keys{
      {"directory", "where the files are kept", ConfigText(&SiteCacheSettings::directory), true},
      {"size_max", "how much of them, at least 64MB; the least recently used go first", ReadSize,
       true},
      {"listen", "loopback host:port to name as the backend of an inbound service",
       policy::ConfigAddress(&SiteCacheSettings::listen), true}};
  return keys;
}

template <typename T>
auto ReadList(std::vector<T> DownloadSettings::* member, const std::vector<ConfigKey<T>>& keys) {
  return [member, &keys](DownloadSettings& out, const YamlNode& node, Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kList)
      return findings.Add(Code::kType, node.at, "expected a list");
    for (const YamlNode& item : node.items)
      ReadConfigMap((out.*member).emplace_back(), item, keys, findings);
  };
}

void ReadPeers(DownloadSettings& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kList)
    return findings.Add(Code::kType, node.at, "expected a list of host:port");
  for (const YamlNode& item : node.items)
    policy::ReadConfigAddress(out.peers.emplace_back(), item, findings);
}

void ReadProxy(DownloadSettings& out, const YamlNode& node, Diagnostics& findings) {
  if (!IsPlainUrl(node.text, "http://") && !IsPlainUrl(node.text, "https://"))
    return findings.Add(Code::kType, node.at, "expected http[s]://[user:password@]host:port");
  out.proxy = node.text;
}

void ReadRateMin(DownloadSettings& out, const YamlNode& node, Diagnostics& findings) {
  const Result<uint64_t> rate = ParseByteRate(node.text);
  if (!rate) return findings.Add(Code::kType, node.at, rate.error().detail);
  if (*rate > kRateLimitMin)
    return findings.Add(Code::kRange, node.at, "expected at most 16KB/s, the lowest limit");
  out.rate_min = *rate;
}

// A name of the zone database, never a path out of it.
void ReadTimeZone(DownloadSettings& out, const YamlNode& node, Diagnostics& findings) {
  const bool plain = !node.text.empty() && node.text.front() != '/' &&
                     node.text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
                         "VWXYZ0123456789/_+-") == std::string::npos;
  if (!plain) return findings.Add(Code::kType, node.at, "expected a zone such as Europe/Berlin");
  out.time_zone = node.text;
  out.time_zone_at = node.at;
}

}  // namespace

const std::vector<ConfigKey<DownloadSettings>>& DownloadKeys() {
  static const auto site_cache = [](DownloadSettings& out, const YamlNode& node,
                                    Diagnostics& findings) {
    ReadConfigMap(out.site_cache, node, SiteCacheKeys(), findings);
  };
  static const std::vector<ConfigKey<DownloadSettings>> keys{
      {"mirrors", "HTTPS servers with the same files, asked in this order before the server",
       ReadList(&DownloadSettings::mirrors, MirrorKeys())},
      {"peers", "local host:port of outbound flows to site caches, asked before mirrors",
       ReadPeers},
      {"proxy", "http[s]://host:port through which mirrors and the content listener are reached",
       ReadProxy},
      {"proxy_ca_file",
       "PEM file of the authorities that an https proxy's certificate may lead to (default: the "
       "system's)",
       ConfigText(&DownloadSettings::proxy_ca_file)},
      {"minimum_rate", "average below which a source is given up for the next (default 1KB/s)",
       ReadRateMin},
      {"bandwidth",
       "caps by time of day; where spans overlap, and while the time is unsure, the "
       "lowest holds; neighbours on the site are not capped",
       ReadList(&DownloadSettings::bandwidth, BandwidthKeys())},
      {"time_zone", "zone of those times, Europe/Berlin (default: the system's)", ReadTimeZone},
      {"download_deadline", "after so long the download of a release is reported late (default 7d)",
       policy::ConfigDuration(&DownloadSettings::deadline, Minutes(1), Days(365))},
      {"site_cache", "keep what was downloaded, for neighbours on the site", site_cache}};
  return keys;
}

std::string DescribeDownloadMaps() {
  return DescribeConfigKeys("update.mirrors[].", MirrorKeys()) +
         DescribeConfigKeys("update.bandwidth[].", BandwidthKeys()) +
         DescribeConfigKeys("update.site_cache.", SiteCacheKeys());
}

void CheckDownload(const DownloadSettings& settings, policy::Position at, Diagnostics& findings) {
  if (!settings.proxy_ca_file.empty() && !settings.proxy.starts_with("https://"))
    findings.Add(Code::kRange, at, "proxy_ca_file is for a proxy that is reached by https");
  const SiteCacheSettings& cache = settings.site_cache;
  if (cache.directory.empty()) return;
  // Two caches that ask each other would wait for each other.
  if (!settings.peers.empty())
    findings.Add(Code::kRange, at, "an agent with a site_cache has no peers");
  const std::string_view host = std::string_view(cache.listen).substr(0, cache.listen.rfind(':'));
  if (host != "127.0.0.1" && host != "[::1]" && !host.empty())
    findings.Add(Code::kRange, at,
                 "site_cache.listen: expected 127.0.0.1 or [::1]; the proxy "
                 "offers it to neighbours");
}

}  // namespace sallyport::device

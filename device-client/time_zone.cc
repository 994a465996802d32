#include "device-client/time_zone.h"

#include <cstdlib>
#include <ctime>

namespace sallyport::device {
namespace {

constexpr const char* kZones = "/usr/share/zoneinfo/";
constexpr uint64_t kZoneFileMax = 64 << 10;

}  // namespace

Result<Unit> UseTimeZone(FileSystem& files, const DownloadSettings& settings,
                         const std::string& config_file) {
  if (settings.time_zone.empty()) return Unit{};
  const Result<Bytes> known = ReadFile(files, kZones + settings.time_zone, kZoneFileMax);
  if (!known || !AsText(*known).starts_with("TZif")) {
    policy::Diagnostics findings(config_file);
    findings.Add(policy::Code::kRange, settings.time_zone_at,
                 "this system knows no time zone " + settings.time_zone);
    return policy::ConfigError(findings);
  }
  ::setenv("TZ", settings.time_zone.c_str(), 1);
  ::tzset();
  return Unit{};
}

}  // namespace sallyport::device

#include "policies/language/zone_files.h"

#include <algorithm>

namespace sallyport::policy {
namespace {

// The largest file of the 2025 database is below 4 KiB.
constexpr uint64_t kZoneFileSizeMax = 64 << 10;
constexpr size_t kZoneNameSizeMax = 64;

bool IsZoneName(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  };
  return !name.empty() && name.size() <= kZoneNameSizeMax && name.front() != '/' &&
         name.back() != '/' && std::ranges::all_of(name, allowed);
}

Result<ZoneRule> ReadZone(FileSystem& files, const std::string& directory, std::string_view name) {
  if (!IsZoneName(name))
    return Error{Reason::kNotFound, "not the name of a time zone", "zone.unknown"};
  auto file = ReadFile(files, directory + "/" + std::string(name), kZoneFileSizeMax);
  if (!file) return Error{Reason::kNotFound, "not in " + directory, "zone.unknown"};
  return ZoneRule::FromTzif(*file);
}

}  // namespace

ZoneLookup ZoneFiles(FileSystem& files, std::string directory) {
  return [&files, directory = std::move(directory)](std::string_view name) {
    return ReadZone(files, directory, name);
  };
}

}  // namespace sallyport::policy

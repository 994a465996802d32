// The system's time zone database as a ZoneLookup: the only part of policies/ that reads files.
#pragma once

#include <string>

#include "pki/base/file_system.h"
#include "policies/language/zone_rule.h"

namespace sallyport::policy {

inline constexpr const char* kSystemZoneDirectory = "/usr/share/zoneinfo";

// ZoneFiles looks zones up below `directory`; borrows `files`. A name that is not of the form
// Area/Location is kNotFound, so that no path leaves the directory.
ZoneLookup ZoneFiles(FileSystem& files, std::string directory = kSystemZoneDirectory);

}  // namespace sallyport::policy

// The time zone of this process, in which `update.bandwidth` is read.
#pragma once

#include "device-client/download_config.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

// UseTimeZone sets the zone of this process as `update.time_zone` says, before there is any thread,
// which is when it is safe. kMalformed, config, with file, line and column for a zone that this
// system does not know.
Result<Unit> UseTimeZone(FileSystem& files, const DownloadSettings& settings,
                         const std::string& config_file);

}  // namespace sallyport::device

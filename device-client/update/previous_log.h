// The end of the log of the boot before this one, as it may travel: printable, without lines that
// look like they hold a secret, and short.
#pragma once

#include <string>
#include <string_view>

#include "device-client/update/command.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

// The server keeps as much.
inline constexpr size_t kLogTailMax = 4096;

// SafeLogTail takes away control characters and invalid UTF-8, withholds each line that names a
// password, secret, token, credential, key block or Authorization header, and keeps the end. Pure.
std::string SafeLogTail(std::string_view log);

// SystemdRuns: this machine was started by systemd.
bool SystemdRuns(FileSystem& files);

// PreviousLog reads `source` (update_settings.h). What cannot be read is said in brackets in its
// place.
std::string PreviousLog(FileSystem& files, CommandRunner& runner, const std::string& source);

}  // namespace sallyport::device

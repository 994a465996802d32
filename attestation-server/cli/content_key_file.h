// The file of a content key: 64 hex digits and a line feed, readable for its owner alone.
#pragma once

#include <string>

#include "pki/base/file_system.h"
#include "pki/base/random.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::server {

// ReadContentKey: kNotFound; kMalformed, content-key.file.
Result<pki::ContentKey> ReadContentKey(FileSystem& files, const std::string& path);
// ReadOrMakeContentKey makes a key where there is no file, durably, before it is used.
Result<pki::ContentKey> ReadOrMakeContentKey(FileSystem& files, const std::string& path,
                                             Random& random);

}  // namespace sallyport::server

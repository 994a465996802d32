// Reads the vectors under tests/vectors/attest.
#pragma once

#include <gtest/gtest.h>

#include "pki/base/file_system.h"

namespace sallyport::pki {

inline Bytes AttestVector(std::string_view name) {
  PosixFileSystem files;
  std::string path(SALLYPORT_SOURCE_DIR "/tests/vectors/attest/");
  path.append(name);
  auto bytes = ReadFile(files, path, 64 << 10);
  EXPECT_TRUE(bytes.has_value()) << path;
  return bytes ? *bytes : Bytes();
}

}  // namespace sallyport::pki

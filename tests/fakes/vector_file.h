// Reading of files below tests/vectors.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "pki/base/bytes.h"

namespace sallyport {

// VectorFile aborts when the file is missing: a test without its vector proves nothing.
inline Bytes VectorFile(const std::string& name) {
  const std::string path = SALLYPORT_SOURCE_DIR "/tests/vectors/" + name;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "no vector %s\n", path.c_str());
    std::abort();
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string VectorText(const std::string& name) { return ToString(VectorFile(name)); }

}  // namespace sallyport

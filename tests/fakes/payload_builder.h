// Images and packed payloads for tests of the payload format, the installer and the update driver.
#pragma once

#include <string>

#include "ota/payload/pack.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport {

// TestImage is `size` bytes: compressible text of `seed`, with a hole of zeros in the second
// quarter.
inline Bytes TestImage(size_t size, uint32_t seed) {
  Bytes out(size);
  uint32_t state = seed;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    if (i < size / 4 || i >= size / 2) out[i] = static_cast<uint8_t>('a' + ((state >> 24) & 0x0f));
  }
  return out;
}

// Noise is incompressible.
inline Bytes Noise(size_t size, uint32_t seed) {
  Bytes out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return out;
}

struct PackedImage {
  ota::SegmentTable table;
  Bytes payload;
};

// PackForTest aborts when packing fails.
inline PackedImage PackForTest(const Bytes& image, uint64_t segment_size) {
  MemoryFileSystem files;
  auto in = *files.Open("image", OpenMode::kCreate);
  SP_CHECK(in->WriteAt(0, image).has_value());
  auto out = *files.Open("payload", OpenMode::kCreate);
  auto table = ota::PackImage(*in, *out, {.segment_size = segment_size, .level = 3});
  SP_CHECK(table.has_value());
  auto payload = ReadFile(files, "payload", uint64_t{1} << 30);
  SP_CHECK(payload.has_value());
  return {*std::move(table), *std::move(payload)};
}

}  // namespace sallyport

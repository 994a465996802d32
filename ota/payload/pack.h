// Packing an image into a payload and its segment table, on the machine that builds a release.
#pragma once

#include <functional>

#include "ota/payload/segment_table.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

struct PackOptions {
  uint64_t segment_size =
      4u << 20;    // larger compresses little better and costs the device twice its size
  int level = 15;  // above, zstd spends much time for one percent
  unsigned threads = 2;
};

// `done` and `total` are bytes of the image.
using PackProgress = std::function<void(uint64_t done, uint64_t total)>;

// PackImage reads `image` once and writes the payload from its start. The first segment always
// carries data, so that a payload is never empty. Deterministic for one version of zstd,
// whatever the number of threads. kInvalidArgument with payload.empty-image or payload.level; the
// rules of SegmentTable::Make; I/O errors. Memory: two segments and a compressor (60 MiB) per
// thread.
Result<SegmentTable> PackImage(File& image, File& payload, const PackOptions& options = {},
                               const PackProgress& progress = {});

}  // namespace sallyport::ota

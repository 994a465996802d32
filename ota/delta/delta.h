// Making a delta: the payload of a new image for devices whose running slot holds a known old one.
// Runs where releases are made; devices only decode (ota/payload).
#pragma once

#include "ota/payload/pack.h"
#include "ota/payload/segment_table.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

struct DeltaOptions {
  uint64_t segment_size = 4u << 20;  // that of PackImage, so that a device can mix both per segment
  unsigned threads = 2;
};

// MakeDelta reads `from` and `to` and writes the payload from its start. Deterministic for one
// version of the compressors, whatever the number of threads. Every segment was decoded once more
// and compared before it returns. kInvalidArgument with payload.empty-image,
// payload.segment-size; the rules of SegmentTable::Make; I/O errors. Memory: 24 bytes per block of
// `from`, 8 per block of `to`, five per changed byte, at most 3 GiB for those.
Result<SegmentTable> MakeDelta(File& from, File& to, File& payload,
                               const DeltaOptions& options = {}, const PackProgress& progress = {});

}  // namespace sallyport::ota

// Content-defined chunks: where an image is cut depends on the bytes around the cut alone, so that
// two images cut their common parts alike wherever they lie (FastCDC, Xia 2016). Pure.
#pragma once

#include "pki/base/bytes.h"

namespace sallyport::ota {

// Smaller chunks are found again more often and cost an entry and a request each.
inline constexpr size_t kChunkMin = 16 * 1024;
inline constexpr size_t kChunkAverage = 64 * 1024;
inline constexpr size_t kChunkMax = 256 * 1024;

// ChunkLength is the length of the chunk at the start of `bytes`, which must hold kChunkMax bytes
// or all that is left. The format of chunk indexes fixes it: it never changes.
size_t ChunkLength(ByteView bytes);

}  // namespace sallyport::ota

// One LZMA2 stream with a dictionary of fixed size, so that decoding costs the same memory whatever
// the stream says.
#pragma once

#include <memory>
#include <span>

#include "pki/base/bytes.h"

namespace sallyport::ota {

// Larger dictionaries gain less than 1 % on the streams of a patch, which repeat themselves nearby.
inline constexpr uint32_t kLzmaDictionary = 1u << 20;

// LzmaCompress is deterministic for one version of liblzma.
Result<Bytes> LzmaCompress(ByteView plain);

// LzmaReader decompresses on demand. Borrows `data`; one thread at a time. About kLzmaDictionary
// of memory.
class LzmaReader {
 public:
  explicit LzmaReader(ByteView data);
  LzmaReader(const LzmaReader&) = delete;
  LzmaReader& operator=(const LzmaReader&) = delete;
  ~LzmaReader();

  // Read fills all of `out`; kMalformed, payload.patch-stream, when the stream is corrupt or ends
  // before.
  Result<Unit> Read(std::span<uint8_t> out);
  // End: kMalformed, payload.patch-stream, unless the stream and its data end exactly here.
  Result<Unit> End();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::ota

#include "ota/payload/codec.h"

#include <zstd.h>

#include <algorithm>

#include "ota/payload/patch.h"

namespace sallyport::ota {
namespace {

static_assert(kSegmentSizeMax == uint64_t{1} << 23);
constexpr int kWindowLog = 23;  // a window as large as the largest segment
static_assert(kSegmentInputMax == uint64_t{1} << 24);
constexpr int kSourceWindowLog = 25;  // and as the largest source before it
constexpr int kAnyLevel = 1;          // decoding does not depend on it

// RFC 8878, 3.1.1.1.1: with Single_Segment_Flag the window is the content and nothing else is
// allocated.
constexpr size_t kDescriptorAt = 4;
constexpr uint8_t kSingleSegmentFlag = 1u << 5;

Error BadFrame(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "payload.zstd-frame"};
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdCodec final : public SegmentCodec {
 public:
  explicit ZstdCodec(int level) : level_(level) {}
  using SegmentCodec::Decode;
  using SegmentCodec::Encode;

  Result<Unit> Decode(ByteView data, ByteView source, std::span<uint8_t> out) override {
    SP_TRY(CheckFrame(data, out.size()));
    if (!decoder_) decoder_.reset(ZSTD_createDCtx());
    if (!decoder_) return Error{Reason::kInternal, "no zstd context"};
    if (!source.empty() &&
        ZSTD_isError(ZSTD_DCtx_refPrefix(decoder_.get(), source.data(), source.size())) != 0)
      return Error{Reason::kInternal, "zstd refuses the source"};
    const size_t size =
        ZSTD_decompressDCtx(decoder_.get(), out.data(), out.size(), data.data(), data.size());
    if (ZSTD_isError(size) != 0 || size != out.size())
      return Error{Reason::kMalformed, "zstd data is corrupt", "payload.zstd-data"};
    return Unit{};
  }

  Result<Bytes> Encode(ByteView segment, ByteView source) override {
    if (!encoder_) encoder_.reset(ZSTD_createCCtx());
    if (!encoder_) return Error{Reason::kInternal, "no zstd context"};
    for (const auto& [parameter, value] :
         {std::pair{ZSTD_c_compressionLevel, level_},
          std::pair{ZSTD_c_windowLog, source.empty() ? kWindowLog : kSourceWindowLog},
          std::pair{ZSTD_c_checksumFlag, 0}})
      if (ZSTD_isError(ZSTD_CCtx_setParameter(encoder_.get(), parameter, value)) != 0)
        return Error{Reason::kInternal, "zstd refuses a parameter"};
    if (!source.empty() &&
        ZSTD_isError(ZSTD_CCtx_refPrefix(encoder_.get(), source.data(), source.size())) != 0)
      return Error{Reason::kInternal, "zstd refuses the source"};
    Bytes out(ZSTD_compressBound(segment.size()));
    const size_t size =
        ZSTD_compress2(encoder_.get(), out.data(), out.size(), segment.data(), segment.size());
    if (ZSTD_isError(size) != 0) return Error{Reason::kInternal, "zstd does not compress"};
    out.resize(size);
    return out;
  }

 private:
  static Result<Unit> CheckFrame(ByteView data, size_t content_size) {
    if (ZSTD_getFrameContentSize(data.data(), data.size()) != content_size)
      return BadFrame("the frame does not state the segment's size");
    if ((data[kDescriptorAt] & kSingleSegmentFlag) == 0)
      return BadFrame("the frame asks for a window of its own");
    if (ZSTD_findFrameCompressedSize(data.data(), data.size()) != data.size())
      return BadFrame("the data is not exactly one frame");
    return Unit{};
  }

  const int level_;
  std::unique_ptr<ZSTD_CCtx, FreeContext> encoder_;
  std::unique_ptr<ZSTD_DCtx, FreeContext> decoder_;
};

class ZeroCodec final : public SegmentCodec {
 public:
  Result<Unit> Decode(ByteView data, ByteView /*source*/, std::span<uint8_t> out) override {
    if (!data.empty())
      return Error{Reason::kMalformed, "a zero segment has data", "payload.zero-data"};
    std::ranges::fill(out, uint8_t{0});
    return Unit{};
  }
  Result<Bytes> Encode(ByteView segment, ByteView /*source*/) override {
    if (std::ranges::any_of(segment, [](uint8_t byte) { return byte != 0; }))
      return Error{Reason::kUnsupported, "the segment is not zeros"};
    return Bytes();
  }
};

Result<Unit> DecodeCopy(ByteView data, ByteView source, std::span<uint8_t> out) {
  if (!data.empty())
    return Error{Reason::kMalformed, "a copied segment has data", "payload.copy-data"};
  if (source.size() < out.size())
    return Error{Reason::kMalformed, "too little to copy", "payload.source-size"};
  std::ranges::copy(source.first(out.size()), out.begin());
  return Unit{};
}

}  // namespace

std::unique_ptr<SegmentCodec> MakeZstdCodec(int level) {
  return std::make_unique<ZstdCodec>(level);
}
std::unique_ptr<SegmentCodec> MakeZeroCodec() { return std::make_unique<ZeroCodec>(); }

CodecSet::CodecSet() : zstd_(MakeZstdCodec(kAnyLevel)), zero_(MakeZeroCodec()) {}

Result<Unit> CodecSet::Decode(CodecId codec, ByteView data, ByteView source,
                              std::span<uint8_t> out) {
  switch (codec) {
    case CodecId::kZstd:
    case CodecId::kZstdRef: return zstd_->Decode(data, source, out);
    case CodecId::kZero: return zero_->Decode(data, out);
    case CodecId::kCopy: return DecodeCopy(data, source, out);
    case CodecId::kPatch: return DecodePatch(data, source, out);
  }
  std::abort();
}

}  // namespace sallyport::ota

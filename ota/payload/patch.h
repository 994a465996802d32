// The patch codec: a segment as pieces of its source, most of them with small corrections, and new
// bytes. A program that was built again differs from the old one in addresses all over, so that
// "old byte + correction" leaves a stream of zeros and a few repeated values, which compresses well
// (Percival 2003, "Naive differences of executable code"). Pure.
//
// Layout: u8 kind (1 plain, 2 with references of x86-64 code predicted, 3 of AArch64), u32le size
// of the instruction stream, u32le size of the corrections, then three LZMA2 streams: instructions,
// corrections, new bytes. An instruction is varint (length << 2 | kind); copies and adds are
// followed by a zigzag varint, how far their place in the source lies behind the end of the last
// one's. With kinds 2 and 3 the references of an added piece are predicted
// (ota/payload/references.h) before the corrections are added. A device that does not know a kind
// refuses the segment, which then comes from the full payload.
#pragma once

#include <vector>

#include "pki/base/bytes.h"

namespace sallyport::ota {

// 4 MiB once parsed.
inline constexpr size_t kPatchOpsMax = 1u << 18;

struct PatchOp {
  enum class Kind : uint8_t {
    kCopy,  // bytes of the source
    kAdd,   // bytes of the source, each plus a correction
    kNew,   // new bytes
    kZero,
  };
  Kind kind;
  uint32_t length;      // at least 1
  uint32_t source = 0;  // where a copy or add begins
  bool operator==(const PatchOp&) const = default;
};

// EncodePatch writes `segment`, which `ops` must describe completely, in the kind that makes it
// smallest. kInvalidArgument, payload.patch-ops, when they do not or are too many.
Result<Bytes> EncodePatch(const std::vector<PatchOp>& ops, ByteView source, ByteView segment);

// DecodePatch fills exactly `out` or fails: kMalformed with payload.patch-kind,
// payload.patch-ops (too many, or they do not add up to the segment), payload.patch-source (outside
// the source), payload.patch-stream. Memory: 4 MiB of instructions and three dictionaries.
Result<Unit> DecodePatch(ByteView data, ByteView source, std::span<uint8_t> out);

}  // namespace sallyport::ota

#include "ota/delta/segment_encoder.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

constexpr int kLevel = 15;  // as PackImage
// Smaller gaps between two ranges are read along: a range costs its place in the index, a block
// only time.
constexpr uint64_t kGapMax = 16;
// A patch below this part of its segment is hardly beaten by zstd.
constexpr uint64_t kGoodPatch = 8;

bool ReadsOld(const OldOp& op) { return op.kind == Kind::kCopy || op.kind == Kind::kAdd; }
uint64_t FirstBlock(const OldOp& op) { return op.offset / kSourceBlock; }
uint64_t EndBlock(const OldOp& op) { return (op.offset + op.length - 1) / kSourceBlock + 1; }

// Use is a range and how many bytes of the segment come from it.
struct Use {
  SourceRange range;
  uint64_t bytes;
};

std::vector<Use> UsesOf(std::vector<OldOp> ops, uint64_t gap) {
  std::erase_if(ops, [](const OldOp& op) { return !ReadsOld(op); });
  std::ranges::sort(ops, {}, &OldOp::offset);
  std::vector<Use> uses;
  for (const OldOp& op : ops) {
    const uint64_t end = uses.empty() ? 0 : uses.back().range.block + uses.back().range.count;
    if (uses.empty() || FirstBlock(op) > end + gap) {
      uses.push_back({{FirstBlock(op), EndBlock(op) - FirstBlock(op)}, op.length});
      continue;
    }
    Use& last = uses.back();
    last.range.count = std::max(end, EndBlock(op)) - last.range.block;
    last.bytes += op.length;
  }
  return uses;
}

uint64_t SizeOf(const std::vector<Use>& uses) {
  uint64_t blocks = 0;
  for (const Use& use : uses) blocks += use.range.count;
  return blocks * kSourceBlock;
}

// KeepBestUses drops the ranges that give least per block until a device can hold the rest.
void KeepBestUses(std::vector<Use>& uses, uint64_t size_max) {
  std::ranges::stable_sort(uses, [](const Use& a, const Use& b) {
    return a.bytes * b.range.count > b.bytes * a.range.count;
  });
  uint64_t size = 0;
  std::erase_if(uses, [&](const Use& use) {
    const uint64_t more = use.range.count * kSourceBlock;
    if (more > size_max - size) return true;
    size += more;
    return false;
  });
  std::ranges::sort(uses, {}, [](const Use& use) { return use.range.block; });
}

std::vector<SourceRange> ChooseRanges(const std::vector<OldOp>& ops, uint64_t size_max) {
  std::vector<Use> uses = UsesOf(ops, kGapMax);
  if (SizeOf(uses) > size_max) uses = UsesOf(ops, 0);
  if (SizeOf(uses) > size_max) KeepBestUses(uses, size_max);
  std::vector<SourceRange> ranges;
  ranges.reserve(uses.size());
  for (const Use& use : uses) ranges.push_back(use.range);
  return ranges;
}

// Placement turns offsets of the old image into places in the source of one segment.
class Placement {
 public:
  explicit Placement(const std::vector<SourceRange>& ranges) {
    uint64_t at = 0;
    for (const SourceRange& range : ranges) {
      places_.push_back({range, at});
      at += range.count * kSourceBlock;
    }
  }
  std::optional<uint32_t> Find(const OldOp& op) const {
    const auto above = std::ranges::upper_bound(places_, FirstBlock(op), {},
                                                [](const Place& p) { return p.range.block; });
    if (above == places_.begin()) return std::nullopt;
    const Place& place = *(above - 1);
    if (EndBlock(op) > place.range.block + place.range.count) return std::nullopt;
    return static_cast<uint32_t>(place.at + op.offset - place.range.block * kSourceBlock);
  }

 private:
  struct Place {
    SourceRange range;
    uint64_t at;
  };
  std::vector<Place> places_;
};

std::vector<PatchOp> Place(const std::vector<OldOp>& ops, const Placement& placement) {
  std::vector<PatchOp> out;
  for (const OldOp& op : ops) {
    const auto length = static_cast<uint32_t>(op.length);
    const auto place = ReadsOld(op) ? placement.Find(op) : std::nullopt;
    if (place)
      out.push_back({op.kind, length, *place});
    else if (op.kind == Kind::kZero)
      out.push_back({op.kind, length});
    else
      out.push_back({Kind::kNew, length});
  }
  return out;
}

// IsCopy: the ranges one after the other are the segment.
bool IsCopy(const std::vector<OldOp>& ops) {
  uint64_t end = 0;
  for (const OldOp& op : ops) {
    if (op.kind != Kind::kCopy || op.offset < end || op.offset % kSourceBlock != 0 ||
        op.length % kSourceBlock != 0)
      return false;
    end = op.offset + op.length;
  }
  return true;
}

bool IsZero(const std::vector<OldOp>& ops) {
  return std::ranges::all_of(ops, [](const OldOp& op) { return op.kind == Kind::kZero; });
}

Result<Bytes> ReadRanges(SourceReader& old, const std::vector<SourceRange>& ranges) {
  Bytes out;
  for (const SourceRange& range : ranges) {
    const size_t at = out.size();
    out.resize(at + static_cast<size_t>(range.count * kSourceBlock));
    SP_TRY(old.ReadAt(range.block * kSourceBlock, std::span(out).subspan(at)));
  }
  return out;
}

}  // namespace

SegmentEncoder::SegmentEncoder(SourceReader& old) : old_(old), zstd_(MakeZstdCodec(kLevel)) {}

Result<EncodedSegment> SegmentEncoder::Encode(ByteView segment, std::vector<OldOp> ops,
                                              bool needs_data) {
  const uint64_t size_max = kSegmentInputMax - EncodedSizeMax(segment.size());
  if (!needs_data && IsZero(ops)) return EncodedSegment{CodecId::kZero, {}, {}};
  const bool copy = !needs_data && IsCopy(ops);
  std::vector<SourceRange> ranges;
  if (copy)
    for (const Use& use : UsesOf(ops, 0)) ranges.push_back(use.range);
  else
    ranges = ChooseRanges(ops, size_max);
  SP_TRY(EncodedSegment out, Smallest(segment, ops, ranges, !copy));
  SP_TRY(const Bytes source, ReadRanges(old_, ranges));
  Bytes check(segment.size());
  SP_TRY(codecs_.Decode(out.codec, out.data, out.source ? ByteView(source) : ByteView(), check));
  if (!Equal(check, segment)) return Error{Reason::kInternal, "a segment does not decode"};
  return out;
}

Result<EncodedSegment> SegmentEncoder::Smallest(ByteView segment, const std::vector<OldOp>& ops,
                                                const std::vector<SourceRange>& ranges,
                                                bool needs_data) {
  SP_TRY(const Bytes source, ReadRanges(old_, ranges));
  const SegmentSource from{ranges, pki::Sha256(source)};
  if (!needs_data) return EncodedSegment{CodecId::kCopy, {}, from};
  std::optional<EncodedSegment> best;
  const auto offer = [&](CodecId codec, Bytes data) {
    if (data.size() > EncodedSizeMax(segment.size())) return;
    if (best && best->data.size() <= data.size()) return;
    best = EncodedSegment{codec, std::move(data),
                          ReadsSource(codec) ? std::optional(from) : std::nullopt};
  };
  const std::vector<PatchOp> placed = Place(ops, Placement(ranges));
  std::optional<Bytes> patch;
  if (!ranges.empty() && placed.size() <= kPatchOpsMax) {
    SP_TRY(patch, EncodePatch(placed, source, segment));
  }
  if (!patch || patch->size() * kGoodPatch >= segment.size()) {
    SP_TRY(Bytes plain, zstd_->Encode(segment));
    offer(CodecId::kZstd, std::move(plain));
    if (!ranges.empty()) {
      SP_TRY(Bytes with_source, zstd_->Encode(segment, source));
      offer(CodecId::kZstdRef, std::move(with_source));
    }
  }
  if (patch) offer(CodecId::kPatch, *std::move(patch));
  if (!best) return Error{Reason::kInternal, "no codec fits a segment"};
  return *std::move(best);
}

}  // namespace sallyport::ota

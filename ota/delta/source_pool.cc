#include "ota/delta/source_pool.h"

#include <divsufsort.h>

#include <algorithm>

#include "ota/payload/segment_table.h"

namespace sallyport::ota {
namespace {

constexpr size_t kHeadSize = 3;
constexpr size_t kHeads = size_t{1} << 24;
constexpr size_t kNeedleMax = 64 * 1024;

size_t HeadOf(const uint8_t* text) {
  return static_cast<size_t>(text[0]) << 16 | static_cast<size_t>(text[1]) << 8 | text[2];
}

size_t CommonStart(ByteView a, ByteView b) {
  const size_t size = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(size), b.begin()).first -
      a.begin());
}

}  // namespace

Result<SourcePool> SourcePool::Load(File& image, std::vector<BlockRun> runs) {
  SourcePool pool;
  for (const BlockRun& run : runs) {
    const size_t at = pool.text_.size();
    if (run.count > (kPoolSizeMax - at) / kSourceBlock)
      return Error{Reason::kTooLarge, "too much changed for one pool", "delta.pool"};
    pool.text_.resize(at + static_cast<size_t>(run.count * kSourceBlock));
    SP_TRY(const size_t size,
           image.ReadAt(run.block * kSourceBlock, std::span(pool.text_).subspan(at)));
    if (at + size != pool.text_.size())
      return Error{Reason::kUnavailable, "the old image became shorter"};
    pool.runs_.push_back({run.block, run.count, at});
  }
  SP_TRY(pool.Sort());
  return pool;
}

Result<Unit> SourcePool::Sort() {
  suffixes_.resize(text_.size());
  if (!text_.empty() &&
      divsufsort(text_.data(), suffixes_.data(), static_cast<int32_t>(text_.size())) != 0)
    return Error{Reason::kInternal, "the suffixes cannot be sorted"};
  IndexHeads();
  return Unit{};
}

// The last two suffixes are too short to have a head; they stand where they stand and match little.
void SourcePool::IndexHeads() {
  heads_.assign(kHeads + 1, -1);
  heads_[kHeads] = static_cast<int32_t>(suffixes_.size());
  for (size_t i = suffixes_.size(); i-- > 0;) {
    const size_t at = static_cast<size_t>(suffixes_[i]);
    if (at + kHeadSize <= text_.size()) heads_[HeadOf(&text_[at])] = static_cast<int32_t>(i);
  }
  for (size_t head = kHeads; head-- > 0;)
    if (heads_[head] < 0) heads_[head] = heads_[head + 1];
}

SourcePool::Match SourcePool::Longest(ByteView needle) const {
  if (needle.size() < kHeadSize) return {0, 0};
  needle = needle.first(std::min(needle.size(), kNeedleMax));
  const auto suffix = [&](int32_t at) { return ByteView(text_).subspan(static_cast<size_t>(at)); };
  const size_t head = HeadOf(needle.data());
  const auto begin = suffixes_.begin() + heads_[head];
  const auto end = suffixes_.begin() + heads_[head + 1];
  if (begin == end) return {0, 0};
  const auto above = std::lower_bound(begin, end, needle, [&](int32_t at, ByteView wanted) {
    const ByteView text = suffix(at);
    const size_t size = std::min(text.size(), wanted.size());
    const int order = std::memcmp(text.data(), wanted.data(), size);
    return order < 0 || (order == 0 && text.size() < wanted.size());
  });
  Match best{0, 0};
  for (auto at = above == begin ? above : above - 1; at != end && at <= above; ++at) {
    const size_t length = CommonStart(suffix(*at), needle);
    if (length > best.length) best = {static_cast<size_t>(*at), length};
  }
  return best;
}

std::optional<size_t> SourcePool::PositionOf(uint64_t block) const {
  const auto above = std::ranges::upper_bound(runs_, block, {}, &Run::block);
  if (above == runs_.begin()) return std::nullopt;
  const Run& run = *(above - 1);
  if (block - run.block >= run.count) return std::nullopt;
  return run.position + static_cast<size_t>((block - run.block) * kSourceBlock);
}

SourcePool::Piece SourcePool::At(size_t position) const {
  const Run& run = *(std::ranges::upper_bound(runs_, position, {}, &Run::position) - 1);
  const size_t into = position - run.position;
  return {run.block * kSourceBlock + into, static_cast<size_t>(run.count * kSourceBlock) - into};
}

}  // namespace sallyport::ota

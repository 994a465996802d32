#include "ota/delta/difference.h"

#include <algorithm>

namespace sallyport::ota {
namespace {

// A new alignment must explain this many bytes more than the current one: about what its
// instruction costs.
constexpr ptrdiff_t kBetter = 8;
constexpr ptrdiff_t kObvious = 32;  // so many equal bytes need no search

class Differ {
 public:
  Differ(ByteView fresh, const SourcePool& pool, std::vector<OldOp>& ops)
      : fresh_(fresh),
        pool_(pool),
        ops_(ops),
        size_(static_cast<ptrdiff_t>(fresh.size())),
        old_size_(static_cast<ptrdiff_t>(pool.text().size())) {}

  void Run(std::optional<size_t> hint) {
    // Without a hint nothing is aligned: the first match decides.
    shift_ = hint ? static_cast<ptrdiff_t>(*hint) : old_size_;
    while (at_ < size_) {
      FindAlignment();
      if (length_ == explained_ && at_ < size_) continue;
      Close();
    }
  }

 private:
  // Equal compares under an alignment; outside the pool nothing is equal.
  bool Equal(ptrdiff_t at, ptrdiff_t shift) const {
    const ptrdiff_t old = at + shift;
    return old >= 0 && old < old_size_ && Old(old) == Fresh(at);
  }
  uint8_t Fresh(ptrdiff_t at) const { return fresh_[static_cast<size_t>(at)]; }
  uint8_t Old(ptrdiff_t at) const { return pool_.text()[static_cast<size_t>(at)]; }

  // EqualRun counts equal bytes from `at` under the current alignment.
  ptrdiff_t EqualRun(ptrdiff_t at) const {
    ptrdiff_t run = 0;
    while (at + run < size_ && Equal(at + run, shift_)) ++run;
    return run;
  }

  // FindAlignment goes on to the next place that another part of the pool explains clearly better,
  // or that the current one explains as well as any.
  void FindAlignment() {
    explained_ = 0;
    at_ += length_;
    length_ = 0;
    for (ptrdiff_t counted = at_; at_ < size_; ++at_) {
      if (counted <= at_) {
        const ptrdiff_t run = EqualRun(at_);
        if (run >= kObvious) {
          length_ = explained_ = run;
          return;
        }
      }
      Search();
      for (; counted < at_ + length_; ++counted) explained_ += Equal(counted, shift_) ? 1 : 0;
      if ((length_ == explained_ && length_ != 0) || length_ > explained_ + kBetter) return;
      if (Equal(at_, shift_)) --explained_;
    }
  }

  void Search() {
    const SourcePool::Match match = pool_.Longest(fresh_.subspan(static_cast<size_t>(at_)));
    length_ = static_cast<ptrdiff_t>(match.length);
    found_ = static_cast<ptrdiff_t>(match.position);
  }

  // Close writes what lies between the last match and this one: the old alignment as far as it
  // pays, bytes of their own, and the new alignment from as early as it pays.
  void Close() {
    ptrdiff_t forward = ExtendForward();
    ptrdiff_t backward = at_ < size_ ? ExtendBackward() : 0;
    const ptrdiff_t overlap = begin_ + forward - (at_ - backward);
    if (overlap > 0) {
      const ptrdiff_t kept = SplitOverlap(begin_ + forward - overlap, overlap);
      forward += kept - overlap;
      backward -= kept;
    }
    Add(begin_ + shift_, forward);
    New(at_ - backward - (begin_ + forward));
    begin_ = at_ - backward;
    shift_ = found_ - at_;
  }

  ptrdiff_t ExtendForward() const {
    ptrdiff_t equal = 0;
    ptrdiff_t best = 0;
    ptrdiff_t length = 0;
    for (ptrdiff_t i = 0; begin_ + i < at_ && begin_ + i + shift_ < old_size_;) {
      equal += Equal(begin_ + i, shift_) ? 1 : 0;
      ++i;
      if (equal * 2 - i > best) {
        best = equal * 2 - i;
        length = i;
      }
    }
    return length;
  }

  ptrdiff_t ExtendBackward() const {
    ptrdiff_t equal = 0;
    ptrdiff_t best = 0;
    ptrdiff_t length = 0;
    for (ptrdiff_t i = 1; at_ - i >= begin_ && found_ - i >= 0; ++i) {
      equal += Fresh(at_ - i) == Old(found_ - i) ? 1 : 0;
      if (equal * 2 - i > best) {
        best = equal * 2 - i;
        length = i;
      }
    }
    return length;
  }

  // SplitOverlap says how many of the bytes that both alignments explain stay with the old one.
  ptrdiff_t SplitOverlap(ptrdiff_t from, ptrdiff_t overlap) const {
    ptrdiff_t lead = 0;
    ptrdiff_t best = 0;
    ptrdiff_t kept = 0;
    for (ptrdiff_t i = 0; i < overlap; ++i) {
      lead += (Equal(from + i, shift_) ? 1 : 0) - (Equal(from + i, found_ - at_) ? 1 : 0);
      if (lead > best) {
        best = lead;
        kept = i + 1;
      }
    }
    return kept;
  }

  // What follows each other in the pool may lie apart in the image.
  void Add(ptrdiff_t position, ptrdiff_t length) {
    while (length > 0) {
      const SourcePool::Piece piece = pool_.At(static_cast<size_t>(position));
      const ptrdiff_t size = std::min(length, static_cast<ptrdiff_t>(piece.length));
      ops_.push_back({PatchOp::Kind::kAdd, static_cast<uint64_t>(size), piece.offset});
      position += size;
      length -= size;
    }
  }
  void New(ptrdiff_t length) {
    if (length > 0) ops_.push_back({PatchOp::Kind::kNew, static_cast<uint64_t>(length)});
  }

  const ByteView fresh_;
  const SourcePool& pool_;
  std::vector<OldOp>& ops_;
  const ptrdiff_t size_;
  const ptrdiff_t old_size_;
  ptrdiff_t begin_ = 0;      // everything before is written
  ptrdiff_t shift_ = 0;      // the current alignment: pool position minus position in fresh_
  ptrdiff_t at_ = 0;         // where the match stands
  ptrdiff_t length_ = 0;     // of the match
  ptrdiff_t found_ = 0;      // where the match lies in the pool
  ptrdiff_t explained_ = 0;  // bytes of the match that the current alignment has right
};

}  // namespace

void AppendDifference(ByteView fresh, const SourcePool& pool, std::optional<size_t> hint,
                      std::vector<OldOp>& ops) {
  Differ(fresh, pool, ops).Run(hint);
}

}  // namespace sallyport::ota

#include "ota/payload/aarch64_references.h"

#include <array>

namespace sallyport::ota {
namespace {

constexpr int64_t kInstruction = 4;
constexpr int64_t kPage = 4096;
// A compiler uses a page at once; later the register holds something else.
constexpr size_t kPageUseMax = 8 * kInstruction;
// Conditional branches stay in their function; what seems to go further is nearly always data.
constexpr int64_t kBranchMax = 16 * 1024;

constexpr unsigned kOffsetShift = 10;  // the twelve bits of an offset
constexpr uint32_t kOffsetMask = 0xfff;

uint32_t ReadWord(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 |
         static_cast<uint32_t>(at[2]) << 16 | static_cast<uint32_t>(at[3]) << 24;
}

void WriteWord(uint8_t* at, uint32_t word) {
  for (unsigned i = 0; i < kInstruction; ++i) at[i] = static_cast<uint8_t>(word >> (8 * i));
}

// Field is a signed number in an instruction.
struct Field {
  unsigned shift;
  unsigned bits;
  constexpr uint32_t mask() const { return ((uint32_t{1} << bits) - 1) << shift; }
  int64_t Get(uint32_t word) const {
    return static_cast<int64_t>(uint64_t{word} << (64 - shift - bits)) >> (64 - bits);
  }
  uint32_t Set(uint32_t word, int64_t value) const {
    return (word & ~mask()) | (static_cast<uint32_t>(value) << shift & mask());
  }
};
constexpr Field kImmediate26{0, 26};
constexpr Field kImmediate19{5, 19};
constexpr Field kImmediate14{5, 14};

bool IsJump(uint32_t word) { return (word & 0x7c000000) == 0x14000000; }  // B, BL
bool IsPage(uint32_t word) { return (word & 0x9f000000) == 0x90000000; }  // ADRP
bool IsAdd(uint32_t word) { return (word & 0xffc00000) == 0x91000000; }   // ADD, 64 bits, no shift

// ConditionalBranch is the distance of B.cond, CBZ and CBNZ, or of TBZ and TBNZ.
std::optional<Field> ConditionalBranch(uint32_t word) {
  if ((word & 0xff000010) == 0x54000000 || (word & 0x7e000000) == 0x34000000) return kImmediate19;
  if ((word & 0x7e000000) == 0x36000000) return kImmediate14;
  return std::nullopt;
}

// OffsetScale says by how many bits the twelve-bit offset of an ADD, or of a load or store with an
// unsigned offset, is scaled; nullopt for other instructions.
std::optional<unsigned> OffsetScale(uint32_t word) {
  if (IsAdd(word)) return 0;
  if ((word & 0x3b000000) != 0x39000000) return std::nullopt;
  const unsigned size = word >> 30;
  const bool vector128 = size == 0 && (word & 0x04800000) == 0x04800000;
  return vector128 ? 4 : size;
}

unsigned Destination(uint32_t word) { return word & 31; }
unsigned Base(uint32_t word) { return word >> 5 & 31; }

// The page of an ADRP is a signed number of 21 bits, the lower two of them apart.
int64_t PagesAhead(uint32_t word) {
  return kImmediate19.Get(word) * 4 + static_cast<int64_t>(word >> 29 & 3);
}
uint32_t WithPagesAhead(uint32_t word, int64_t pages) {
  word = kImmediate19.Set(word, pages >> 2);
  return (word & ~(uint32_t{3} << 29)) | (static_cast<uint32_t>(pages) & 3) << 29;
}

int64_t PageOf(int64_t place) { return place & ~(kPage - 1); }

class Walk {
 public:
  Walk(std::span<uint8_t> piece, int64_t source, int64_t segment, const Landings& landings)
      : piece_(piece), source_(source), segment_(segment), landings_(landings) {}

  void Run() {
    const size_t first = static_cast<size_t>(-source_ & (kInstruction - 1));
    for (size_t at = first; at + kInstruction <= piece_.size(); at += kInstruction) Look(at);
  }

 private:
  // PageUse is an ADRP whose register is waiting for its offsets.
  struct PageUse {
    size_t at;
    int64_t page;  // in the source
    bool moved;
  };

  void Look(size_t at) {
    const uint32_t word = ReadWord(&piece_[at]);
    if (IsJump(word)) return MoveBranch(at, word, kImmediate26);
    if (IsPage(word)) {
      const int64_t page = PageOf(source_ + static_cast<int64_t>(at)) + PagesAhead(word) * kPage;
      pages_[Destination(word)] = PageUse{at, page, false};
      return;
    }
    if (const auto scale = OffsetScale(word)) return MoveOffset(at, word, *scale);
    const auto branch = ConditionalBranch(word);
    if (branch && std::abs(branch->Get(word) * kInstruction) <= kBranchMax)
      MoveBranch(at, word, *branch);
  }

  void MoveBranch(size_t at, uint32_t word, Field field) {
    const auto place = static_cast<int64_t>(at);
    const auto target = landings_.Find(source_ + place + field.Get(word) * kInstruction);
    if (!target) return;
    const int64_t distance = *target - (segment_ + place);
    if (distance % kInstruction == 0)
      WriteWord(&piece_[at], field.Set(word, distance / kInstruction));
  }

  void MoveOffset(size_t at, uint32_t word, unsigned scale) {
    std::optional<PageUse>& use = pages_[Base(word)];
    if (!use || at - use->at > kPageUseMax) return;
    const int64_t offset = static_cast<int64_t>(word >> kOffsetShift & kOffsetMask) << scale;
    if (const auto target = landings_.Find(use->page + offset))
      MoveTarget(at, *target, scale, *use);
    if (Destination(word) == Base(word)) use.reset();
  }

  void MoveTarget(size_t at, int64_t target, unsigned scale, PageUse& use) {
    const auto offset = static_cast<uint32_t>(target & (kPage - 1));
    if ((offset & ((1u << scale) - 1)) != 0) return;
    const uint32_t word = ReadWord(&piece_[at]) & ~(kOffsetMask << kOffsetShift);
    WriteWord(&piece_[at], word | offset >> scale << kOffsetShift);
    if (use.moved) return;
    use.moved = true;
    const int64_t from = PageOf(segment_ + static_cast<int64_t>(use.at));
    WriteWord(&piece_[use.at],
              WithPagesAhead(ReadWord(&piece_[use.at]), (PageOf(target) - from) / kPage));
  }

  const std::span<uint8_t> piece_;
  const int64_t source_;
  const int64_t segment_;
  const Landings& landings_;
  std::array<std::optional<PageUse>, 32> pages_;  // by register
};

}  // namespace

void PredictAarch64(std::span<uint8_t> piece, int64_t source, int64_t segment,
                    const Landings& landings) {
  if ((segment - source) % kInstruction == 0) Walk(piece, source, segment, landings).Run();
}

}  // namespace sallyport::ota

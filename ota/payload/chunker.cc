#include "ota/payload/chunker.h"

#include <array>

namespace sallyport::ota {
namespace {

// One random number per byte value: SplitMix64 from seed 0.
constexpr std::array<uint64_t, 256> kGear = [] {
  std::array<uint64_t, 256> gear{};
  uint64_t state = 0;
  for (uint64_t& value : gear) {
    uint64_t mixed = state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    value = mixed ^ (mixed >> 31);
  }
  return gear;
}();

// The top bits of the hash depend on the last 64 bytes. Before the average a cut is four times as
// rare as one in kChunkAverage, behind it four times as frequent.
constexpr uint64_t TopBits(unsigned count) { return ~uint64_t{0} << (64 - count); }
static_assert(kChunkAverage == 1u << 16);
constexpr uint64_t kRareMask = TopBits(18);
constexpr uint64_t kFrequentMask = TopBits(14);

}  // namespace

size_t ChunkLength(ByteView bytes) {
  const size_t end = std::min(bytes.size(), kChunkMax);
  uint64_t hash = 0;
  for (size_t at = kChunkMin; at < end; ++at) {
    hash = (hash << 1) + kGear[bytes[at]];
    const uint64_t mask = at < kChunkAverage ? kRareMask : kFrequentMask;
    if ((hash & mask) == 0) return at + 1;
  }
  return end;
}

}  // namespace sallyport::ota

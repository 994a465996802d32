#include "ota/payload/chunker.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

std::vector<size_t> Cuts(ByteView bytes) {
  std::vector<size_t> out;
  for (size_t at = 0; at < bytes.size(); at += ChunkLength(bytes.subspan(at))) out.push_back(at);
  return out;
}

TEST(ChunkLength, StaysBetweenItsLimitsAndNearItsAverage) {
  const Bytes image = Noise(16 << 20, 1);
  const std::vector<size_t> cuts = Cuts(image);

  for (size_t i = 1; i < cuts.size(); ++i) {
    EXPECT_GT(cuts[i] - cuts[i - 1], kChunkMin);
    EXPECT_LE(cuts[i] - cuts[i - 1], kChunkMax);
  }
  const size_t average = image.size() / cuts.size();
  EXPECT_GT(average, kChunkAverage * 3 / 4);
  EXPECT_LT(average, kChunkAverage * 3 / 2);
}

TEST(ChunkLength, CutsCommonContentAlikeWhereverItLies) {
  const Bytes content = Noise(4 << 20, 2);
  Bytes moved = Noise(12'345, 3);
  Append(moved, content);
  std::set<size_t> before;
  for (const size_t cut : Cuts(content)) before.insert(cut + 12'345);
  size_t common = 0;
  const std::vector<size_t> after = Cuts(moved);
  for (const size_t cut : after) common += before.count(cut);

  EXPECT_GT(common, after.size() * 8 / 10);
}

TEST(ChunkLength, TakesWhatIsLeft) {
  EXPECT_EQ(ChunkLength(Bytes(1)), 1u);
  EXPECT_EQ(ChunkLength(Bytes(kChunkMin)), kChunkMin);
  EXPECT_EQ(ChunkLength(Bytes(3 * kChunkMax)), kChunkMax) << "zeros have no cut";
}

// The cuts are part of the format: a device must find what an older version of this code packed.
TEST(ChunkLength, NeverChanges) {
  EXPECT_EQ(Cuts(Noise(512 * 1024, 7)),
            (std::vector<size_t>{0, 67460, 136347, 228342, 309522, 405408, 481678}));
}

}  // namespace
}  // namespace sallyport::ota

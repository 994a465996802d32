#include "ota/delta/source_pool.h"

#include "ota/payload/segment_table.h"
#include "tests/unit/ota/delta/delta_fixture.h"

namespace sallyport::ota {
namespace {

const Bytes kImage = Noise(8 * kSourceBlock, 1);

Result<SourcePool> Load(std::vector<BlockRun> runs) {
  MemoryFileSystem files;
  return SourcePool::Load(*FileOf(files, "image", kImage), std::move(runs));
}

TEST(SourcePool, FindsTheLongestMatchAnywhere) {
  const SourcePool pool = *Load({{1, 2}, {5, 1}});
  for (const size_t at : {size_t{0}, size_t{5000}, size_t{9000}, pool.text().size() - 3}) {
    Bytes needle =
        ToBytes(pool.text().subspan(at).first(std::min<size_t>(200, pool.text().size() - at)));
    const size_t length = needle.size();
    needle.push_back(
        static_cast<uint8_t>(at + length < pool.text().size() ? pool.text()[at + length] + 1 : 0));
    const SourcePool::Match match = pool.Longest(needle);
    EXPECT_EQ(match.position, at);
    EXPECT_EQ(match.length, length);
  }
}

TEST(SourcePool, FindsNothingInAnEmptyPoolOrForAShortNeedle) {
  const SourcePool empty = *Load({});
  EXPECT_EQ(empty.Longest(kImage).length, 0u);
  EXPECT_EQ(empty.PositionOf(0), std::nullopt);
  EXPECT_EQ(Load({{0, 1}})->Longest(ByteView(kImage).first(2)).length, 0u);
}

TEST(SourcePool, KnowsWhereItsRunsComeFrom) {
  const SourcePool pool = *Load({{1, 2}, {5, 1}});
  EXPECT_EQ(pool.PositionOf(0), std::nullopt);
  EXPECT_EQ(pool.PositionOf(2), kSourceBlock);
  EXPECT_EQ(pool.PositionOf(3), std::nullopt);
  EXPECT_EQ(pool.PositionOf(5), 2 * kSourceBlock);
  EXPECT_EQ(pool.At(100).offset, kSourceBlock + 100);
  EXPECT_EQ(pool.At(100).length, 2 * kSourceBlock - 100);
  EXPECT_EQ(pool.At(2 * kSourceBlock).offset, 5 * kSourceBlock);
}

TEST(SourcePool, RefusesMoreThanMemoryAllows) {
  EXPECT_EQ(Load({{0, kPoolSizeMax / kSourceBlock + 1}}).error().rule, "delta.pool");
  EXPECT_EQ(Load({{0, UINT64_MAX}}).error().rule, "delta.pool");
}

TEST(SourcePool, RefusesRunsBehindTheImage) {
  EXPECT_EQ(Load({{7, 2}}).error().reason, Reason::kUnavailable);
}

}  // namespace
}  // namespace sallyport::ota

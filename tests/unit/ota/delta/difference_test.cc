#include "ota/delta/difference.h"

#include "ota/payload/segment_table.h"
#include "tests/unit/ota/delta/delta_fixture.h"

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

const Bytes kImage = Noise(8 * kSourceBlock, 1);

class DifferenceTest : public ::testing::Test {
 protected:
  DifferenceTest() : pool_(*SourcePool::Load(*FileOf(files_, "image", kImage), {{1, 3}, {6, 2}})) {}
  // Describe also checks that the operations add up and stay within the image.
  std::vector<OldOp> Describe(const Bytes& fresh, std::optional<size_t> hint = {}) {
    std::vector<OldOp> ops;
    AppendDifference(fresh, pool_, hint, ops);
    uint64_t length = 0;
    for (const OldOp& op : ops) {
      EXPECT_GT(op.length, 0u);
      EXPECT_TRUE(op.kind == Kind::kNew || op.offset + op.length <= kImage.size());
      length += op.length;
    }
    EXPECT_EQ(length, fresh.size());
    return ops;
  }
  MemoryFileSystem files_;
  SourcePool pool_;
};

TEST_F(DifferenceTest, DescribesAMovedPieceAsOneAdd) {
  const auto ops = Describe(Bytes(kImage.begin() + 5000, kImage.begin() + 9000));
  ASSERT_EQ(ops.size(), 1u);
  EXPECT_EQ(ops[0].kind, Kind::kAdd);
  EXPECT_EQ(ops[0].offset, 5000u);
}

TEST_F(DifferenceTest, KeepsOneAlignmentAcrossScatteredChanges) {
  Bytes fresh(kImage.begin() + 5000, kImage.begin() + 9000);
  for (size_t i = 100; i < fresh.size(); i += 50) fresh[i] ^= 0x10;
  EXPECT_EQ(Describe(fresh).size(), 1u);
}

TEST_F(DifferenceTest, SplitsWhatLiesApartInTheImage) {
  Bytes fresh(kImage.begin() + 4 * kSourceBlock - 2000, kImage.begin() + 4 * kSourceBlock);
  fresh.insert(fresh.end(), kImage.begin() + 6 * kSourceBlock,
               kImage.begin() + 6 * kSourceBlock + 2000);
  const auto ops = Describe(fresh);
  ASSERT_EQ(ops.size(), 2u);
  EXPECT_EQ(ops[1].offset, 6 * kSourceBlock);
}

TEST_F(DifferenceTest, WritesOutWhatIsNowhere) {
  const auto ops = Describe(Noise(5000, 99));
  ASSERT_EQ(ops.size(), 1u);
  EXPECT_EQ(ops[0].kind, Kind::kNew);
  EXPECT_TRUE(Describe({}).empty());
}

TEST_F(DifferenceTest, FollowsTheHintWhenTwoPlacesWouldDo) {
  const Bytes fresh(kImage.begin() + 5000, kImage.begin() + 5040);
  EXPECT_EQ(Describe(fresh, 5000 - kSourceBlock)[0].offset, 5000u);
}

TEST_F(DifferenceTest, AddsUpForAnyMixture) {
  for (uint32_t seed = 1; seed < 60; ++seed) {
    Bytes fresh;
    const Bytes dice = Noise(40, seed);
    for (size_t i = 0; i + 4 < dice.size(); i += 4) {
      const size_t at = dice[i] * 120u;
      const size_t length = dice[i + 1] * 8u;
      if (dice[i + 2] % 3 == 0)
        Append(fresh, Noise(length, seed * 31 + dice[i + 3]));
      else
        Append(fresh, ByteView(kImage).subspan(at, std::min(length, kImage.size() - at)));
    }
    Describe(fresh, seed % 2 == 0 ? std::optional<size_t>(seed * 100) : std::nullopt);
  }
}

}  // namespace
}  // namespace sallyport::ota

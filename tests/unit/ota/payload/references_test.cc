#include "ota/payload/references.h"

#include <gtest/gtest.h>

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

// The source 0..999 comes to 0, 1000..1999 to 1100.
const Landings kLandings({{Kind::kCopy, 1000, 0}, {Kind::kNew, 100}, {Kind::kAdd, 1000, 1000}});

Bytes Predicted(Bytes piece, int64_t source, int64_t segment) {
  PredictReferences(Machine::kX86, piece, source, segment, kLandings);
  return piece;
}

TEST(Landings, KnowWhereEveryPieceWent) {
  EXPECT_EQ(kLandings.Find(0), 0);
  EXPECT_EQ(kLandings.Find(999), 999);
  EXPECT_EQ(kLandings.Find(1000), 1100);
  EXPECT_EQ(kLandings.Find(1999), 2099);
  EXPECT_EQ(kLandings.Find(2000), std::nullopt);
  EXPECT_EQ(kLandings.Find(-1), std::nullopt);
  EXPECT_EQ(Landings({}).Find(0), std::nullopt);
}

TEST(PredictReferences, FollowsCallsJumpsBranchesAndData) {
  // At 500, to 1500: 995 or 994 ahead; there it is 1600.
  EXPECT_EQ(Predicted({0xe8, 0xe3, 3, 0, 0, 0x90}, 500, 500), (Bytes{0xe8, 0x47, 4, 0, 0, 0x90}));
  EXPECT_EQ(Predicted({0xe9, 0xe3, 3, 0, 0, 0x90}, 500, 500), (Bytes{0xe9, 0x47, 4, 0, 0, 0x90}));
  EXPECT_EQ(Predicted({0x0f, 0x84, 0xe2, 3, 0, 0}, 500, 500), (Bytes{0x0f, 0x84, 0x46, 4, 0, 0}));
  EXPECT_EQ(Predicted({0x8d, 0x3d, 0xe2, 3, 0, 0}, 500, 500), (Bytes{0x8d, 0x3d, 0x46, 4, 0, 0}));
}

TEST(PredictReferences, FollowsReferencesBackwards) {
  // At 1500, which comes to 1600: 1005 back to 500.
  EXPECT_EQ(Predicted({0xe8, 0x13, 0xfc, 0xff, 0xff, 0x90}, 1500, 1600),
            (Bytes{0xe8, 0xaf, 0xfb, 0xff, 0xff, 0x90}));
}

TEST(PredictReferences, LeavesAloneWhatItDoesNotKnow) {
  for (const Bytes& piece :
       {Bytes{0xe8, 0xff, 0xff, 0, 0, 0x90}, Bytes{0xe8, 0, 0, 0, 0x80, 0x90},
        Bytes{0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, Bytes{0xe8, 0xe3, 3, 0, 0}, Bytes{}})
    EXPECT_EQ(Predicted(piece, 500, 500), piece);
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/delta/block_index.h"

#include "pki/crypto/hash.h"
#include "tests/unit/ota/delta/delta_fixture.h"

namespace sallyport::ota {
namespace {

class BlockIndexTest : public ::testing::Test {
 protected:
  BlockIndexTest() {
    image_ = Noise(3 * kSourceBlock, 1);
    Append(image_, ByteView(image_).first(kSourceBlock));
    Append(image_, Noise(100, 2));
  }
  BlockIndex Build() {
    MemoryFileSystem files;
    return *BlockIndex::Build(*FileOf(files, "image", image_));
  }
  ByteView Block(size_t number) const {
    return ByteView(image_).subspan(number * kSourceBlock, kSourceBlock);
  }
  Bytes image_;
};

TEST_F(BlockIndexTest, FindsTheFirstBlockOrTheWantedOne) {
  const BlockIndex index = Build();
  EXPECT_EQ(index.Find(DigestOfBlock(Block(0)), 9), 0u);
  EXPECT_EQ(index.Find(DigestOfBlock(Block(0)), 3), 3u);
  EXPECT_EQ(index.Find(DigestOfBlock(Block(2)), 3), 2u);
  EXPECT_EQ(index.Find(DigestOfBlock(Noise(kSourceBlock, 9)), 0), std::nullopt);
}

TEST_F(BlockIndexTest, CountsWholeBlocksAndHashesEverything) {
  const BlockIndex index = Build();
  EXPECT_EQ(index.size(), 4u);
  EXPECT_EQ(index.image().length, image_.size());
  EXPECT_EQ(index.image().sha256, pki::Sha256(image_));
}

}  // namespace
}  // namespace sallyport::ota

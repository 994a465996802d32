#include "ota/payload/image_format.h"

#include "tests/fakes/vector_file.h"

namespace sallyport::ota {
namespace {

ImageFacts Probe(const std::string& name) { return ProbeImage(VectorFile("images/" + name)); }

TEST(ProbeImage, ReadsErofs) {
  const ImageFacts facts = Probe("erofs.head");

  EXPECT_EQ(facts.format, ImageFormat::kErofs);
  EXPECT_EQ(facts.block_size, 4096u);
  EXPECT_EQ(facts.length, 16384u);
  EXPECT_FALSE(facts.compressed);
  EXPECT_EQ(facts.identity, "00000000000040008000000000000001");
  EXPECT_TRUE(Probe("erofs-lz4.head").compressed);
}

TEST(ProbeImage, ReadsSquashfs) {
  const ImageFacts facts = Probe("squashfs.head");

  EXPECT_EQ(facts.format, ImageFormat::kSquashfs);
  EXPECT_EQ(facts.block_size, 131072u);
  EXPECT_TRUE(facts.compressed);
  EXPECT_FALSE(Probe("squashfs-plain.head").compressed);
}

TEST(ProbeImage, ReadsExt) {
  const ImageFacts facts = Probe("ext4-1024.head");

  EXPECT_EQ(facts.format, ImageFormat::kExt);
  EXPECT_EQ(facts.block_size, 1024u);
  EXPECT_EQ(facts.length, 8u << 20);
  EXPECT_EQ(facts.identity, "0000000000004000800000000000000100000000000040008000000000000001");
  EXPECT_EQ(Probe("ext4-4096.head").block_size, 4096u);
}

TEST(ProbeImage, KnowsWhatIsNoSlotImage) {
  const auto with = [](size_t at, std::string_view magic) {
    Bytes head(kImageHeadSize);
    std::ranges::copy(AsBytes(magic), head.begin() + static_cast<ptrdiff_t>(at));
    return ProbeImage(head).format;
  };

  EXPECT_EQ(with(0, "\x1f\x8b"), ImageFormat::kCompressed);
  EXPECT_EQ(with(0, std::string_view("\xfd\x37zXZ\0", 6)), ImageFormat::kCompressed);
  EXPECT_EQ(with(0, "\x28\xb5\x2f\xfd"), ImageFormat::kCompressed);
  EXPECT_EQ(with(257, "ustar"), ImageFormat::kCompressed);
  EXPECT_EQ(with(512, "EFI PART"), ImageFormat::kPartitions);
  EXPECT_EQ(with(510, "\x55\xaa"), ImageFormat::kPartitions);
  EXPECT_EQ(with(0, "hello"), ImageFormat::kUnknown);
}

TEST(ProbeImage, TakesAnyBytes) {
  for (const char* name : {"erofs.head", "squashfs.head", "ext4-1024.head"}) {
    const Bytes head = VectorFile(std::string("images/") + name);
    for (size_t size = 0; size < head.size(); ++size)
      EXPECT_NE(ProbeImage(ByteView(head).first(size)).format, ImageFormat::kErofs) << size;
    Bytes damaged = head;
    for (size_t i = 0; i < damaged.size(); ++i) {
      damaged[i] ^= 0xff;
      static_cast<void>(ProbeImage(damaged));
      damaged[i] ^= 0xff;
    }
  }
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/measure/verity.h"

#include <gtest/gtest.h>

namespace sallyport::ota {
namespace {

using namespace std::string_literals;

Bytes Superblock(const std::string& algorithm = "sha256", uint32_t type = 1, uint32_t block = 4096,
                 uint64_t data_blocks = 5, uint16_t salt_size = 2, uint32_t version = 1) {
  ByteWriter out;
  out.Raw(AsBytes("verity\0\0"s)).LittleU32(version).LittleU32(type).Raw(Bytes(16, 0xaa));
  std::string name = algorithm;
  name.resize(32);
  out.Raw(AsBytes(name)).LittleU32(block).LittleU32(4096).LittleU64(data_blocks);
  out.LittleU16(salt_size).Raw(Bytes(6)).Raw(Bytes{1, 2}).Raw(Bytes(254));
  Bytes bytes = std::move(out).Take();
  bytes.resize(kVerityBlockSize);
  return bytes;
}

std::string RuleOf(ByteView block) {
  const auto parsed = ParseVeritySuperblock(block);
  if (!parsed) return std::string(parsed.error().name());
  return *parsed ? "found" : "none";
}

TEST(VeritySuperblock, IsReadOrIsNone) {
  const auto parsed = ParseVeritySuperblock(Superblock());
  ASSERT_TRUE(parsed && *parsed);
  EXPECT_EQ((*parsed)->data_blocks, 5u);
  EXPECT_EQ((*parsed)->salt, (Bytes{1, 2}));
  EXPECT_EQ(RuleOf(Bytes(4096)), "none");
  EXPECT_EQ(RuleOf({}), "none");
}

TEST(VeritySuperblock, RefusesOtherFormatsAndBrokenOnes) {
  EXPECT_EQ(RuleOf(Superblock("sha512")), "verity.format");
  EXPECT_EQ(RuleOf(Superblock("sha256", 0)), "verity.format");
  EXPECT_EQ(RuleOf(Superblock("sha256", 1, 1024)), "verity.format");
  EXPECT_EQ(RuleOf(Superblock("sha256", 1, 4096, 5, 2, 2)), "verity.format");
  EXPECT_EQ(RuleOf(Superblock("sha256", 1, 4096, 0)), "verity.superblock");
  EXPECT_EQ(RuleOf(Superblock("sha256", 1, 4096, UINT64_MAX)), "verity.superblock");
  EXPECT_EQ(RuleOf(Superblock("sha256", 1, 4096, 5, 257)), "verity.superblock");
  EXPECT_EQ(RuleOf(Superblock("sha256\0x"s)), "verity.superblock");
  EXPECT_EQ(RuleOf(Superblock(std::string(32, 'x'))), "verity.superblock");
  const Bytes whole = Superblock();
  constexpr size_t kUsed = 8 + 4 + 4 + 16 + 32 + 4 + 4 + 8 + 2 + 6 + 256;
  for (size_t size = 8; size < kUsed; ++size)
    EXPECT_NE(RuleOf(ByteView(whole).first(size)), "found") << size;
}

TEST(VerityHasher, GivesOneRootHoweverTheDataArrive) {
  Bytes data(300 * kVerityBlockSize);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 31 + (i >> 12));
  std::optional<Sha256Digest> root;
  for (const size_t piece : {data.size(), kVerityBlockSize, size_t{1000}, size_t{5000}}) {
    VerityHasher hasher({1, 2, 3});
    for (size_t at = 0; at < data.size(); at += piece)
      hasher.Update(ByteView(data).subspan(at, std::min(piece, data.size() - at)));
    const Sha256Digest found = hasher.Root();
    EXPECT_EQ(root.value_or(found), found) << piece;
    root = found;
  }
}

TEST(VerityTree, KnowsItsSize) {
  using Levels = std::vector<uint64_t>;
  EXPECT_EQ(VerityTreeBlocks(1), Levels{});
  EXPECT_EQ(VerityTreeBlocks(2), Levels{1});
  EXPECT_EQ(VerityTreeBlocks(128), Levels{1});
  EXPECT_EQ(VerityTreeBlocks(129), (Levels{2, 1}));
  EXPECT_EQ(VerityTreeBlocks(128 * 128 + 1), (Levels{129, 2, 1}));
  const Sha256Digest any = Sha256Digest::FromArray({});
  EXPECT_EQ(VerityEnd({any, {}, 129 * 4096, 200 * 4096}), 204u * 4096);
  EXPECT_EQ(VerityEnd({any, {}, UINT64_MAX - 4095, 4096}), std::nullopt);
  EXPECT_EQ(VerityEnd({any, {}, 4096, UINT64_MAX - 4095}), std::nullopt);
}

}  // namespace
}  // namespace sallyport::ota

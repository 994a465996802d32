#include "ota/payload/image_lint.h"

#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/payload_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::ota {
namespace {

constexpr size_t kBlock = 4096;

// Text compresses, so that only the rule under test speaks.
Bytes Text(size_t size, uint32_t seed) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) {
    seed = seed * 1664525 + 1013904223;
    out[i] = static_cast<uint8_t>('a' + (seed >> 29));
  }
  return out;
}

// An image that `head` says to be 16384 bytes of EROFS, with content behind it.
Bytes Erofs(size_t size = 64 * kBlock) {
  Bytes image = VectorFile("images/erofs.head");
  Append(image, Text(size - image.size(), 7));
  return image;
}

class ImageLintTest : public ::testing::Test {
 protected:
  File& Put(const std::string& name, ByteView content) {
    auto file = files_.Open(name, OpenMode::kCreate);
    EXPECT_TRUE((*file)->WriteAt(0, content).has_value());
    opened_.push_back(*std::move(file));
    return *opened_.back();
  }
  std::vector<std::string> Rules(const LintInputs& inputs) {
    const LintReport report = *LintImage(inputs);
    std::vector<std::string> rules;
    for (const LintFinding& finding : report.findings) {
      rules.emplace_back(finding.rule);
      EXPECT_FALSE(finding.detail.empty());
      EXPECT_FALSE(finding.advice.empty());
    }
    return rules;
  }
  std::vector<std::string> Rules(ByteView image) { return Rules({Put("image", image)}); }

  using Names = std::vector<std::string>;
  MemoryFileSystem files_;
  std::vector<std::unique_ptr<File>> opened_;
};

TEST_F(ImageLintTest, FindsNothingInAGoodImage) {
  const Bytes image = Erofs();
  const LintReport report = *LintImage({.image = Put("image", image),
                                        .again = &Put("again", image),
                                        .from = &Put("from", image),
                                        .slot_size = image.size(),
                                        .uki_size = 1 << 20,
                                        .esp_size = 3 << 20});

  EXPECT_TRUE(report.findings.empty());
  EXPECT_FALSE(report.Refuses());
  EXPECT_EQ(report.length, image.size());
  EXPECT_EQ(report.changed, 0u);
}

TEST_F(ImageLintTest, RefusesWhatIsNoFileSystemOfOneSlot) {
  EXPECT_EQ(Rules(Bytes()), (Names{"image.unknown-format", "image.empty"}));
  Bytes gzip = Text(2 * kBlock, 1);
  gzip[0] = 0x1f;
  gzip[1] = 0x8b;
  EXPECT_EQ(Rules(gzip), Names{"image.format"});
  EXPECT_TRUE(LintImage({Put("image", gzip)})->Refuses());
}

TEST_F(ImageLintTest, WarnsOfAnUnknownFormat) {
  EXPECT_EQ(Rules(Text(2 * kBlock, 1)), Names{"image.unknown-format"});
  EXPECT_FALSE(LintImage({Put("image", Text(2 * kBlock, 1))})->Refuses());
}

TEST_F(ImageLintTest, RefusesSmallBlocks) {
  Bytes image = VectorFile("images/ext4-1024.head");
  image.resize(8 << 20);
  EXPECT_EQ(Rules(image), Names{"image.block-size"});
}

TEST_F(ImageLintTest, WarnsOfAnOddLength) {
  Bytes image = Erofs();
  image.push_back('x');
  EXPECT_EQ(Rules(image), Names{"image.alignment"});
}

TEST_F(ImageLintTest, RefusesAShortenedImage) {
  Bytes image = Erofs();
  image.resize(3 * kBlock);
  EXPECT_EQ(Rules(image), Names{"image.truncated"});
}

TEST_F(ImageLintTest, WarnsOfACompressedFileSystem) {
  Bytes image = VectorFile("images/erofs-lz4.head");
  image.resize(16 * kBlock, 'x');
  EXPECT_EQ(Rules(image), Names{"image.compressed-fs"});
}

TEST_F(ImageLintTest, WarnsOfCompressedContent) {
  Bytes image = Erofs(64 * kBlock);
  Bytes noise(64 * kBlock);
  uint32_t state = 1;
  for (uint8_t& byte : noise)
    byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  Append(image, noise);
  EXPECT_EQ(Rules(image), Names{"image.compressed-content"});
}

TEST_F(ImageLintTest, ComparesTwoBuilds) {
  const Bytes image = Erofs();
  Bytes other = image;
  other[50 * kBlock] ^= 1;
  EXPECT_EQ(Rules({.image = Put("image", image), .again = &Put("again", other)}),
            Names{"image.not-reproducible"});
  other = image;
  other.push_back(0);
  EXPECT_EQ(Rules({.image = Put("image", image), .again = &Put("again", other)}),
            Names{"image.not-reproducible"});
  other.resize(image.size() - kBlock);
  EXPECT_EQ(Rules({.image = Put("image", image), .again = &Put("again", other)}),
            Names{"image.not-reproducible"});
}

TEST_F(ImageLintTest, CountsWhatChanged) {
  const Bytes old = Erofs();
  Bytes image = old;
  std::ranges::copy(Text(2 * kBlock, 99), image.begin() + 20 * kBlock);
  std::swap_ranges(image.begin() + 4 * kBlock, image.begin() + 5 * kBlock,
                   image.begin() + 9 * kBlock);
  const LintReport report = *LintImage({.image = Put("image", image), .from = &Put("from", old)});

  EXPECT_EQ(report.changed, 2 * kBlock);
  EXPECT_TRUE(report.findings.empty());
}

TEST_F(ImageLintTest, WarnsWhenContentMovedBetweenBlocks) {
  const Bytes old = Erofs();
  Bytes image = old;
  image.insert(image.begin() + 10 * kBlock, 100, 'x');
  image.resize(old.size());
  EXPECT_EQ(Rules({.image = Put("image", image), .from = &Put("from", old)}),
            Names{"image.layout"});
}

TEST_F(ImageLintTest, DoesNotTakeRepeatedBytesForMovedContent) {
  const Bytes old = Erofs();
  Bytes image = old;
  for (size_t at = 10 * kBlock; at + 2 * kBlock <= image.size(); at += 2 * kBlock)
    std::fill_n(image.begin() + static_cast<ptrdiff_t>(at), kBlock + kBlock / 2, uint8_t{0});
  EXPECT_EQ(Rules({.image = Put("image", image), .from = &Put("from", old)}), Names{});
}

TEST_F(ImageLintTest, WarnsOfAnotherFormatOrIdentity) {
  const Bytes image = Erofs();
  Bytes ext = VectorFile("images/ext4-4096.head");
  Append(ext, ByteView(image).subspan(ext.size()));
  EXPECT_EQ(Rules({.image = Put("image", image), .from = &Put("from", ext)}),
            Names{"image.format-change"});
  Bytes other = image;
  other[1024 + 48] ^= 1;  // UUID
  EXPECT_EQ(Rules({.image = Put("image", image), .from = &Put("from", other)}),
            Names{"image.identity"});
}

TEST_F(ImageLintTest, RefusesWhatDoesNotFit) {
  const Bytes image = Erofs();
  EXPECT_EQ(Rules({.image = Put("image", image), .slot_size = image.size() - 1}),
            Names{"slot.size"});
  EXPECT_EQ(
      Rules({.image = Put("image", image), .uki_size = 1 << 20, .esp_size = (2 << 20) + 65535}),
      Names{"esp.space"});
  EXPECT_EQ(
      Rules({.image = Put("image", image), .uki_size = 1 << 20, .esp_size = (2 << 20) + 65536}),
      Names{});
}

TEST(LintRules, AreDocumented) {
  PosixFileSystem files;
  const Bytes page = *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/updates.md", 1 << 20);
  EXPECT_NE(ToString(page).find(DescribeLintRules()), std::string::npos) << DescribeLintRules();
}

}  // namespace
}  // namespace sallyport::ota

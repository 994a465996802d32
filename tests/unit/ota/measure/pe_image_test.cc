#include "ota/measure/pe_image.h"

#include "tests/fakes/pe_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::ota {
namespace {

constexpr size_t kPeAt = 0x80;
constexpr size_t kOptionalAt = kPeAt + 24;
constexpr size_t kTableAt = kOptionalAt + 240;

std::string_view RuleOf(const Bytes& file) {
  const auto image = PeImage::Parse(file);
  return image ? "accepted" : image.error().rule;
}

Bytes Good() { return BuildPe({{".text", Bytes(600, 1)}, {".data", Bytes(10, 2)}}); }

Bytes With32(Bytes file, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) file[at + i] = static_cast<uint8_t>(value >> (8 * i));
  return file;
}

TEST(PeImageParse, ReadsSectionsInTableOrder) {
  const Bytes file = Good();

  const auto image = PeImage::Parse(file);

  ASSERT_TRUE(image) << image.error().ToString();
  ASSERT_EQ(image->sections().size(), 2u);
  EXPECT_EQ(image->sections()[1].name, ".data");
  EXPECT_EQ(image->sections()[1].virtual_size, 10u);
  EXPECT_EQ(image->Find(".text")->raw.size(), 1024u);
  EXPECT_EQ(image->Find(".missing"), nullptr);
}

TEST(PeImageParse, RefusesEveryTruncation) {
  const Bytes file = AppendCertificates(Good(), 16);
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(PeImage::Parse(ByteView(file).first(size))) << size;
}

TEST(PeImageParse, NeverReadsOutsideWhateverTheHeadersSay) {
  const Bytes file = AppendCertificates(Good(), 16);
  for (size_t at = 0; at + 4 <= kTableAt + 80; ++at)
    for (const uint32_t value : {0u, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xfffffff0u})
      static_cast<void>(PeImage::Parse(With32(file, at, value)).has_value());
}

TEST(PeImageParse, RefusesAnotherKindOfFile) {
  EXPECT_EQ(RuleOf(Bytes(4096, 0)), "pe.magic");
  Bytes no_signature = Good();
  no_signature[kPeAt] = 'N';
  EXPECT_EQ(RuleOf(no_signature), "pe.magic");
  Bytes rom_image = Good();
  rom_image[kOptionalAt] = 0x07;
  EXPECT_EQ(RuleOf(rom_image), "pe.magic");
  EXPECT_EQ(RuleOf({}), "pe.truncated");
}

TEST(PeImageParse, RefusesDirectoriesThatDoNotFitTheOptionalHeader) {
  EXPECT_EQ(RuleOf(With32(Good(), kOptionalAt + 108, 17)), "pe.optional-header");
  Bytes small = Good();
  small[kPeAt + 20] = 111;
  EXPECT_EQ(RuleOf(small), "pe.optional-header");
}

TEST(PeImageParse, RefusesHeadersThatDoNotEncloseTheSectionTable) {
  EXPECT_EQ(RuleOf(With32(Good(), kOptionalAt + 60, kTableAt + 79)), "pe.headers-size");
  EXPECT_EQ(RuleOf(With32(Good(), kOptionalAt + 60, 0x00ffffff)), "pe.headers-size");
}

TEST(PeImageParse, RefusesSectionsOutsideTheFile) {
  EXPECT_EQ(RuleOf(With32(Good(), kTableAt + 20, 0xfffffe00)), "pe.section-range");
  EXPECT_EQ(RuleOf(With32(Good(), kTableAt + 40 + 16, 513)), "pe.section-range");
}

TEST(PeImageParse, RefusesSectionsThatShareBytes) {
  EXPECT_EQ(RuleOf(With32(Good(), kTableAt + 40 + 20, 1024 + 512)), "pe.section-overlap");
  EXPECT_EQ(RuleOf(With32(Good(), kTableAt + 20, 512)), "pe.section-overlap");
}

TEST(PeImageParse, RefusesTooManySections) {
  Bytes file = Good();
  file[kPeAt + 6] = kPeSectionsMax + 1;
  EXPECT_EQ(RuleOf(file), "pe.section-count");
}

TEST(PeImageParse, RefusesCertificatesThatAreNotTheEndOfTheFile) {
  Bytes trailing = AppendCertificates(Good(), 16);
  trailing.push_back(0);
  EXPECT_EQ(RuleOf(trailing), "pe.certificate-table");
  const Bytes inside = With32(AppendCertificates(Good(), 16), kOptionalAt + 112 + 32, 1024);
  EXPECT_EQ(RuleOf(inside), "pe.certificate-table");
}

TEST(PeImageParse, RefusesAFileAboveTheLimitWithoutTouchingIt) {
  const uint8_t one = 'M';
  const auto image = PeImage::Parse(ByteView(&one, static_cast<size_t>(kPeFileSizeMax) + 1));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().rule, "pe.file-size");
}

TEST(PeImageFind, SaysNothingAboutANameThatOccursTwice) {
  const Bytes file = BuildPe({{".twice", Bytes(1, 1)}, {".twice", Bytes(1, 2)}});
  EXPECT_EQ(PeImage::Parse(file)->Find(".twice"), nullptr);
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/measure/authenticode.h"

#include "pki/crypto/hash.h"
#include "tests/fakes/pe_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::ota {
namespace {

std::string Digest(const Bytes& file) {
  const auto image = PeImage::Parse(file);
  if (!image) return ToString(AsBytes(image.error().rule));
  return HexEncode(AuthenticodeSha256(*image));
}

// The expected values are those of go-efilib's own test suite.
TEST(AuthenticodeSha256, AgreesOnASignedShim) {
  EXPECT_EQ(Digest(VectorFile("uefi/mockshim.efi.signed")),
            "1d91795a82b24a61c5b5f4b5843062fd10fc42e2d403c5a65f811014df231c9f");
}

TEST(AuthenticodeSha256, AgreesOnAnUnsignedImageWithASymbolTableOfOddLength) {
  const Bytes file = VectorFile("uefi/mock.efi");

  ASSERT_NE(file.size() % 8, 0u);
  EXPECT_EQ(Digest(file), "d74047a878cab6614ffc3569e6aff636470773c8b73dfb4288c54742e6c85945");
}

TEST(AuthenticodeSha256, IsTheSameWithAndWithoutCertificates) {
  const Bytes file = BuildPe({{".text", ToBytes("code")}});

  EXPECT_EQ(Digest(AppendCertificates(file, 64)), Digest(file));
}

TEST(AuthenticodeSha256, CountsThePaddingInFrontOfCertificates) {
  Bytes odd = BuildPe({{".text", ToBytes("code")}});
  odd.push_back(1);

  EXPECT_NE(Digest(AppendCertificates(odd, 64)), Digest(odd));
}

TEST(AuthenticodeSha256, IgnoresTheChecksumOnly) {
  const Bytes file = BuildPe({{".text", ToBytes("code")}, {".data", Bytes(700, 7)}});
  const std::string whole = Digest(file);
  const size_t checksum = 0x80 + 24 + 64;

  for (size_t i = 1024; i < file.size(); ++i) {
    Bytes changed = file;
    changed[i] ^= 0x40;
    EXPECT_NE(Digest(changed), whole) << i;
  }
  Bytes changed = file;
  changed[checksum] ^= 0xff;
  EXPECT_EQ(Digest(changed), whole);
}

TEST(AuthenticodeSha256, DoesNotDependOnTheOrderOfTheSectionTable) {
  const Bytes file = BuildPe({{".a", Bytes(512, 1)}, {".b", Bytes(512, 2)}});
  const size_t table = 0x80 + 24 + 240;
  Bytes swapped = file;
  std::swap_ranges(swapped.begin() + table, swapped.begin() + table + 40,
                   swapped.begin() + table + 40);
  pki::Hasher expected(pki::HashAlgorithm::kSha256);
  const ByteView view = swapped;
  expected.Update(view.first(0x80 + 24 + 64)).Update(view.subspan(0x80 + 24 + 68, 112 + 32 - 68));
  expected.Update(view.subspan(0x80 + 24 + 112 + 40));

  EXPECT_EQ(Digest(swapped), HexEncode(expected.Finish()));
}

}  // namespace
}  // namespace sallyport::ota

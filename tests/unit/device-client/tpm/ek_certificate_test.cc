#include "device-client/tpm/ek_certificate.h"

#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

// A SEQUENCE with `content` bytes, the long length form.
Bytes Sequence(uint16_t content) {
  ByteWriter writer;
  writer.U8(0x30).U8(0x82).BigU16(content).Raw(Bytes(content, 7));
  return std::move(writer).Take();
}

TEST(EkCertificate, DropsThePaddingOfVendors) {
  for (const uint8_t padding : Bytes{0x00, 0xFF}) {
    Bytes nv = Sequence(600);
    nv.resize(1024, padding);

    EXPECT_EQ(*TakeCertificate(nv), Sequence(600));
  }
}

TEST(EkCertificate, SkipsAStoredCertificateHeader) {
  ByteWriter nv;
  nv.BigU16(0x1001).U8(0).BigU16(604).Raw(Sequence(600));

  EXPECT_EQ(*TakeCertificate(nv.bytes()), Sequence(600));
}

TEST(EkCertificate, RefusesWhatIsNoCertificate) {
  EXPECT_EQ(TakeCertificate(Bytes(600, 0xFF)).error().name(), "ek-certificate.der");
  EXPECT_EQ(TakeCertificate({}).error().name(), "ek-certificate.der");
  EXPECT_EQ(TakeCertificate(Bytes{0x30, 0x80, 0, 0, 0}).error().name(), "ek-certificate.der");
}

TEST(EkCertificate, RefusesEveryTruncation) {
  const Bytes whole = Sequence(300);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(TakeCertificate(ByteView(whole).first(size)).has_value()) << size;
}

TEST(EkCertificate, RefusesMoreThanTheLimit) {
  EXPECT_EQ(TakeCertificate(Sequence(kEkCertificateBytesMax)).error().reason, Reason::kTooLarge);
}

TEST(EkCertificate, CutsAChainAtItsCertificates) {
  Bytes nv = Sequence(300);
  Append(nv, Sequence(200));
  nv.resize(nv.size() + 9, 0);

  EXPECT_EQ(*TakeCertificates(nv), (std::vector<Bytes>{Sequence(300), Sequence(200)}));
  EXPECT_TRUE(TakeCertificates({})->empty());
  nv.resize(400);
  EXPECT_FALSE(TakeCertificates(nv).has_value());
}

}  // namespace
}  // namespace sallyport::device

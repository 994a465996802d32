#include "pki/x509/der_deviation.h"

#include <gtest/gtest.h>

#include "pki/x509/der.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

std::string Of(const Bytes& der) { return FindDerDeviation(der).value_or("none"); }
Bytes Sequence(std::initializer_list<ByteView> parts) { return der::Encode(der::kSequence, parts); }

TEST(FindDerDeviation, FindsNoneInStrictCertificates) {
  const FakeTpmVendor vendor;
  EXPECT_EQ(Of(vendor.root_der()), "none");
  EXPECT_EQ(Of(vendor.EkCertificate(SoftEk().public_key())), "none");
}

TEST(FindDerDeviation, NamesTheSetOfARealCertificateThatIsNotSorted) {
  EXPECT_EQ(Of(VectorFile("ek/keylime__nuvoton_ecdsa_sha256_der.der")),
            "a SET whose members are not sorted at byte 37");
}

TEST(FindDerDeviation, NamesEachKind) {
  constexpr uint8_t kTrue1[] = {0x01, 0x01, 0x01};
  constexpr uint8_t kPadded[] = {0x02, 0x02, 0x00, 0x01};
  constexpr uint8_t kBits[] = {0x03, 0x02, 0x01, 0x81};
  constexpr uint8_t kTime[] = {0x17, 0x0B, '2', '0', '0', '1', '0', '1', '0', '0', '0', '0', 'Z'};
  constexpr uint8_t kLength[] = {0x04, 0x81, 0x01, 0x00};
  constexpr uint8_t kSet[] = {0x31, 0x06, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01};
  EXPECT_EQ(Of(Sequence({kTrue1})), "a BOOLEAN of BER at byte 2");
  EXPECT_EQ(Of(Sequence({kPadded})), "an INTEGER with padding at byte 2");
  EXPECT_EQ(Of(Sequence({kBits})), "unused bits that are not zero at byte 2");
  EXPECT_EQ(Of(Sequence({kTime})), "a time that is not in its one form at byte 2");
  EXPECT_EQ(Of(Sequence({kSet})), "a SET whose members are not sorted at byte 2");
  EXPECT_EQ(Of(Sequence({kLength})), "der: length is not minimal at byte 2");
}

TEST(FindDerDeviation, LooksIntoExtensions) {
  constexpr uint8_t kOid[] = {0x06, 0x03, 0x55, 0x1D, 0x13};
  constexpr uint8_t kFalse[] = {0x01, 0x01, 0x00};
  constexpr uint8_t kPaddedInside[] = {0x04, 0x06, 0x30, 0x04, 0x02, 0x02, 0x00, 0x01};
  constexpr uint8_t kPlain[] = {0x04, 0x02, 0x30, 0x00};
  EXPECT_EQ(Of(Sequence({kOid, kPlain})), "none");
  EXPECT_EQ(Of(Sequence({kOid, kFalse, kPlain})), "an encoded default at byte 0");
  EXPECT_EQ(Of(Sequence({kOid, kPaddedInside})), "an INTEGER with padding at byte 11");
  constexpr uint8_t kOctets[] = {0x04, 0x03, 'S', 'N', '1'};
  EXPECT_EQ(Of(Sequence({kOid, kOctets})), "none");
}

TEST(FindDerDeviation, EndsOnDeepNestingAndGarbage) {
  Bytes deep;
  for (int i = 0; i < 100; ++i) deep = Sequence({deep});
  EXPECT_NE(Of(deep).find("nesting"), std::string::npos);
  EXPECT_NE(Of({}), "none");
  EXPECT_NE(Of({0x30, 0x00, 0x00}), "none");
}

}  // namespace
}  // namespace sallyport::pki

#include "pki/x509/der.h"

namespace sallyport::pki::der {
namespace {

Reader Read(const Bytes& bytes) { return Reader(bytes, "test.der"); }
std::string_view AnyRule(const Bytes& bytes) { return Read(bytes).Any().error().rule; }

TEST(DerReader, RefusesWhatDerDoesNotAllow) {
  EXPECT_EQ(AnyRule({}), "test.der");
  EXPECT_EQ(AnyRule({0x30}), "test.der");
  EXPECT_EQ(AnyRule({0x30, 0x80, 0x00, 0x00}), "test.der") << "indefinite length";
  EXPECT_EQ(AnyRule({0x04, 0x81, 0x01, 0x00}), "test.der") << "long form of a short length";
  EXPECT_EQ(AnyRule({0x04, 0x82, 0x00, 0x80}), "test.der") << "leading zero of a length";
  EXPECT_EQ(AnyRule({0x04, 0x84, 0x00, 0x00, 0x00, 0x01, 0x00}), "test.der") << "oversized length";
  EXPECT_EQ(AnyRule({0x1F, 0x81, 0x01, 0x00}), "test.der") << "high tag number";
  EXPECT_EQ(AnyRule({0x04, 0x02, 0x00}), "test.der") << "content cut";
}

TEST(DerReader, ReadsLongLengthsAtTheirBounds) {
  for (const size_t size : {0u, 0x7Fu, 0x80u, 0xFFu, 0x100u, 0xFFFFu, 0x10000u}) {
    const Bytes encoded = Encode(kOctetString, {Bytes(size, 7)});
    EXPECT_EQ(Read(encoded).Content(kOctetString)->size(), size);
  }
}

TEST(DerReader, RefusesNumbersThatAreNegativePaddedOrTooLong) {
  EXPECT_EQ(*Read({0x02, 0x01, 0x7F}).Unsigned(kInteger), 0x7Fu);
  EXPECT_EQ(*Read({0x02, 0x02, 0x00, 0x80}).Unsigned(kInteger), 0x80u);
  EXPECT_FALSE(Read({0x02, 0x00}).Unsigned(kInteger));
  EXPECT_FALSE(Read({0x02, 0x01, 0x80}).Unsigned(kInteger));
  EXPECT_FALSE(Read({0x02, 0x02, 0x00, 0x7F}).Unsigned(kInteger));
  EXPECT_FALSE(Read({0x02, 0x09, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0}).Unsigned(kInteger));
}

TEST(DerReader, RefusesBooleansThatAreNeitherAllOnesNorZero) {
  EXPECT_TRUE(Read({0x01, 0x01, 0xFF}).Boolean()->value);
  EXPECT_FALSE(Read({0x01, 0x01, 0x01}).Boolean());
  EXPECT_FALSE(Read({0x01, 0x00}).Boolean());
}

TEST(DerReader, RefusesUnusedBits) {
  EXPECT_FALSE(Read({0x03, 0x02, 0x01, 0x80}).BitString());
  EXPECT_FALSE(Read({0x03, 0x00}).BitString());
}

TEST(DerTime, ReadsBackAsWritten) {
  for (const char* const text :
       {"1950-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2049-12-31T23:59:59Z",
        "2050-01-01T00:00:00Z", "2028-02-29T12:34:56Z", "9999-12-31T23:59:59Z"}) {
    const UnixTime time = *ParseRfc3339(text);
    EXPECT_EQ(*Read(EncodeTime(time)).Time(), time) << text;
  }
}

TEST(DerTime, RefusesImpossibleDatesAndTheWrongForm) {
  const auto utc = [](std::string_view text) { return Encode(kUtcTime, {AsBytes(text)}); };
  const auto general = [](std::string_view text) {
    return Encode(kGeneralizedTime, {AsBytes(text)});
  };
  EXPECT_TRUE(Read(utc("280229123456Z")).Time());
  for (const std::string_view bad :
       {"270229123456Z", "281301000000Z", "280101240000Z", "280101006000Z", "280101000060Z",
        "2801010000Z", "280101000000+", "28010100000aZ", ""})
    EXPECT_FALSE(Read(utc(bad)).Time()) << bad;
  EXPECT_TRUE(Read(general("20500101000000Z")).Time());
  EXPECT_FALSE(Read(general("20490101000000Z")).Time()) << "UTCTime until 2049";
  EXPECT_FALSE(Read(general("20500101000000.5Z")).Time());
}

}  // namespace
}  // namespace sallyport::pki::der

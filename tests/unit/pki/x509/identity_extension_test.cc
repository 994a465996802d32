#include "pki/x509/identity_extension.h"

#include "pki/x509/der.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

IdentityExtension Example() {
  FakeRandom random;
  return {UnixTime::FromSeconds(1'800'000'000),
          Tier::kAttested,
          3,
          1ULL << 40,
          random.Next<BootId>(),
          random.Next<ReleaseDigest>(),
          KeyProtection::kTpmPolicy};
}

TEST(IdentityExtension, ReadsBackAsWritten) {
  EXPECT_EQ(*ParseIdentityExtension(EncodeIdentityExtension(Example())), Example());
}

TEST(IdentityExtension, WritesAnUnknownReleaseAsZeros) {
  IdentityExtension extension = Example();
  extension.release_digest.reset();
  const Bytes bytes = EncodeIdentityExtension(extension);

  EXPECT_NE(std::search_n(bytes.begin(), bytes.end(), 32, uint8_t{0}), bytes.end());
  EXPECT_EQ(*ParseIdentityExtension(bytes), extension);
}

TEST(IdentityExtension, HasTheBytesOfTheProtocol) {
  IdentityExtension extension = Example();
  extension.boot_id = BootId::FromArray({1});
  extension.release_digest.reset();

  EXPECT_EQ(HexEncode(EncodeIdentityExtension(extension)),
            "305e"
            "020101"
            "02046b49d200"
            "0a0102"
            "020103"
            "0206010000000000"
            "042001" +
                std::string(62, '0') + "0420" + std::string(64, '0') + "0a0102");
}

TEST(IdentityExtension, IsRefusedInAnotherVersion) {
  Bytes bytes = EncodeIdentityExtension(Example());
  bytes[4] = 2;

  EXPECT_EQ(ParseIdentityExtension(bytes).error().reason, Reason::kUnsupported);
  EXPECT_EQ(ParseIdentityExtension(bytes).error().rule, "extension.version");
}

TEST(IdentityExtension, IsRefusedWhenCutExtendedOrOutOfRange) {
  const Bytes bytes = EncodeIdentityExtension(Example());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ParseIdentityExtension(ByteView(bytes).first(size))) << size;
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(ParseIdentityExtension(longer));
  Bytes tier = bytes;
  tier[13] = 4;
  EXPECT_EQ(ParseIdentityExtension(tier).error().rule, "extension.malformed");
  Bytes protection = bytes;
  protection.back() = 3;
  EXPECT_EQ(ParseIdentityExtension(protection).error().rule, "extension.malformed");
}

TEST(IdentityExtension, HasTheObjectIdentifierItNames) {
  EXPECT_EQ(HexEncode(ByteView(kIdentityExtensionOid)), "6983d483ecdeca95fa8df7bff09f83a7f0bbb63c");
}

TEST(Tier, IsOrderedAndNamed) {
  EXPECT_LT(Tier::kNone, Tier::kEnrolled);
  EXPECT_LT(Tier::kEnrolled, Tier::kAttested);
  EXPECT_LT(Tier::kAttested, Tier::kMeasured);
  EXPECT_EQ(*ParseTier(TierName(Tier::kMeasured)), Tier::kMeasured);
  EXPECT_EQ(ParseTier("gold").error().reason, Reason::kMalformed);
  EXPECT_EQ(KeyProtectionName(KeyProtection::kTpmNullHierarchy), "tpm-null-hierarchy");
}

}  // namespace
}  // namespace sallyport::pki

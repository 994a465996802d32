#include "ota/measure/capsule.h"

#include "tests/fakes/capsule_builder.h"

namespace sallyport::ota {
namespace {

std::string RuleOf(ByteView capsule) {
  const auto found = CapsuleFirmwareClass(capsule);
  return found ? *found : std::string(found.error().rule);
}

TEST(CapsuleFirmwareClass, ReadsTheClassOfTheOnlyPayload) {
  EXPECT_EQ(RuleOf(BuildCapsule(ToBytes("firmware"))), kTestFirmwareClass);
  EXPECT_EQ(RuleOf(BuildCapsule(ToBytes("firmware"), 2)), kTestFirmwareClass);
}

TEST(CapsuleFirmwareClass, RefusesEveryTruncationAndTrailingBytes) {
  Bytes capsule = BuildCapsule(ToBytes("firmware"));
  for (size_t size = 0; size < capsule.size(); ++size)
    EXPECT_EQ(RuleOf(ByteView(capsule).first(size)), "capsule.header") << size;
  capsule.push_back(0);
  EXPECT_EQ(RuleOf(capsule), "capsule.header");
}

TEST(CapsuleFirmwareClass, RefusesOtherCapsules) {
  EXPECT_EQ(RuleOf(BuildCapsule(ToBytes("firmware"), 0, 0)), "capsule.header");
  EXPECT_EQ(RuleOf(BuildCapsule(ToBytes("firmware"), 0, 2)), "capsule.header");
  Bytes other = BuildCapsule(ToBytes("firmware"));
  other[0] ^= 1;
  EXPECT_EQ(RuleOf(other), "capsule.header");
}

TEST(CapsuleFirmwareClass, StaysInsideWhateverTheHeadersSay) {
  const Bytes capsule = BuildCapsule(ToBytes("firmware"));
  for (size_t i = 0; i < capsule.size(); ++i)
    for (const uint8_t value : Bytes{0x00, 0x7f, 0x80, 0xff}) {
      Bytes damaged = capsule;
      damaged[i] = value;
      const std::string found = RuleOf(damaged);
      EXPECT_TRUE(found == "capsule.header" || IsFirmwareClass(found)) << i;
    }
}

TEST(IsFirmwareClass, TakesOneSpelling) {
  EXPECT_TRUE(IsFirmwareClass(kTestFirmwareClass));
  for (const char* bad :
       {"", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff0", "../12233-4455-6677-8899-aabbccddeeff"})
    EXPECT_FALSE(IsFirmwareClass(bad)) << bad;
}

}  // namespace
}  // namespace sallyport::ota

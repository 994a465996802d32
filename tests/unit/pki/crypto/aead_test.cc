#include "pki/crypto/aead.h"

#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

class Aead : public ::testing::Test {
 protected:
  FakeRandom random;
  AeadKey key = AeadKey::Generate(random);
  Bytes box = AeadSeal(key, AsBytes("plain"), AsBytes("context"), random);
};

TEST_F(Aead, OpensWhatItSealed) {
  const auto plain = AeadOpen(key, box, AsBytes("context"));

  ASSERT_TRUE(plain) << plain.error().ToString();
  EXPECT_EQ(AsText(plain->view()), "plain");
}

TEST_F(Aead, OpensIntoOrdinaryMemoryUnderTheSameRules) {
  EXPECT_EQ(AsText(AeadOpenPlain(key, box, AsBytes("context")).value()), "plain");
  EXPECT_EQ(AeadOpenPlain(key, box, AsBytes("other")).error().rule, "aead.forged");
  EXPECT_EQ(AeadOpenPlain(key, ByteView(box).first(kAeadOverhead - 1), {}).error().reason,
            Reason::kMalformed);
}

TEST_F(Aead, SealsTheEmptyText) {
  const Bytes empty = AeadSeal(key, {}, {}, random);

  EXPECT_EQ(empty.size(), kAeadOverhead);
  EXPECT_TRUE(AeadOpen(key, empty, {}));
}

TEST_F(Aead, NeverSealsTheSameWayTwice) {
  EXPECT_NE(AeadSeal(key, AsBytes("plain"), AsBytes("context"), random), box);
}

TEST_F(Aead, RefusesEveryFlippedBit) {
  for (size_t bit = 0; bit < box.size() * 8; ++bit) {
    Bytes bad = box;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(AeadOpen(key, bad, AsBytes("context")).error().rule, "aead.forged") << bit;
  }
}

TEST_F(Aead, RefusesTruncationAtEveryByte) {
  for (size_t size = 0; size < box.size(); ++size)
    EXPECT_FALSE(AeadOpen(key, ByteView(box).first(size), AsBytes("context"))) << size;
  EXPECT_EQ(AeadOpen(key, ByteView(box).first(kAeadOverhead - 1), {}).error().reason,
            Reason::kMalformed);
}

TEST_F(Aead, RefusesAnotherContextOrKey) {
  EXPECT_EQ(AeadOpen(key, box, AsBytes("other")).error().reason, Reason::kBadSignature);
  EXPECT_EQ(AeadOpen(AeadKey::Generate(random), box, AsBytes("context")).error().reason,
            Reason::kBadSignature);
}

}  // namespace
}  // namespace sallyport::pki

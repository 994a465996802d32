#include "pki/crypto/content_seal.h"

#include <set>

#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

class ContentSealTest : public ::testing::Test {
 protected:
  std::string_view Open(const ContentSeal& seal, Bytes box, std::string_view context) {
    const auto opened = seal.OpenInPlace(box, AsBytes(context));
    if (!opened) return opened.error().rule.empty() ? "malformed" : opened.error().rule;
    text_ = ToString(*opened);
    return "opened";
  }

  FakeRandom random_;
  ContentKey key_ = ContentKey::Generate(random_);
  ContentSeal seal_{key_};
  Bytes box_ = seal_.Seal(AsBytes("a segment"), AsBytes("context"));
  std::string text_;
};

TEST_F(ContentSealTest, OpensInPlaceWhatItSealed) {
  EXPECT_EQ(box_.size(), 9 + kAeadOverhead);
  EXPECT_EQ(Open(seal_, box_, "context"), "opened");
  EXPECT_EQ(text_, "a segment");
  EXPECT_EQ(Open(seal_, seal_.Seal({}, {}), ""), "opened");
}

TEST_F(ContentSealTest, SealsTheSameBytesTwiceTheSameWay) {
  EXPECT_EQ(ContentSeal(key_).Seal(AsBytes("a segment"), AsBytes("context")), box_);
}

TEST_F(ContentSealTest, TakesAnotherNonceForAnotherTextContextOrKey) {
  const auto nonce = [](const Bytes& box) { return Bytes(box.begin(), box.begin() + 24); };
  const ContentSeal other(ContentKey::Generate(random_));
  std::set<Bytes> nonces = {nonce(box_),
                            nonce(seal_.Seal(AsBytes("a segmens"), AsBytes("context"))),
                            nonce(seal_.Seal(AsBytes("a segment"), AsBytes("contexs"))),
                            nonce(seal_.Seal(AsBytes("ta segment"), AsBytes("contex"))),
                            nonce(other.Seal(AsBytes("a segment"), AsBytes("context")))};
  EXPECT_EQ(nonces.size(), 5u);
}

TEST_F(ContentSealTest, RefusesEveryFlippedBitAndLeavesNoText) {
  for (size_t bit = 0; bit < box_.size() * 8; ++bit) {
    Bytes bad = box_;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto opened = seal_.OpenInPlace(bad, AsBytes("context"));
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().rule, "aead.forged");
    EXPECT_EQ(AsText(bad).find("segment"), std::string_view::npos);
  }
}

TEST_F(ContentSealTest, RefusesTruncationAtEveryByte) {
  for (size_t size = 0; size < box_.size(); ++size)
    EXPECT_EQ(
        Open(seal_, Bytes(box_.begin(), box_.begin() + static_cast<ptrdiff_t>(size)), "context"),
        size < kAeadOverhead ? "malformed" : "aead.forged")
        << size;
}

TEST_F(ContentSealTest, RefusesAnotherContextOrKey) {
  EXPECT_EQ(Open(seal_, box_, "contexT"), "aead.forged");
  EXPECT_EQ(Open(seal_, box_, ""), "aead.forged");
  EXPECT_EQ(Open(ContentSeal(ContentKey::Generate(random_)), box_, "context"), "aead.forged");
}

TEST_F(ContentSealTest, NamesEachKeyWithoutShowingIt) {
  const ContentKey other = ContentKey::Generate(random_);
  EXPECT_EQ(ContentSeal(key_).id(), seal_.id());
  EXPECT_NE(ContentSeal(other).id(), seal_.id());
  EXPECT_FALSE(key_.Matches(seal_.id().view()));
}

}  // namespace
}  // namespace sallyport::pki

#include "pki/crypto/key_wrap.h"

#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

KdfSalt Salt(uint64_t seed) { return FakeRandom(seed).Next<KdfSalt>(); }

MasterKey Derive(std::string_view passphrase, uint64_t salt) {
  return *MasterKey::Derive(*UnlockSecret::FromPassphrase(passphrase), Salt(salt), kKdfForTests);
}

TEST(MasterKey, GivesTheSameSubkeyForTheSamePassphraseSaltAndLabel) {
  EXPECT_TRUE(Derive("correct horse", 1)
                  .Subkey("a")
                  .Matches(Derive("correct horse", 1).Subkey("a").view()));
}

TEST(MasterKey, GivesAnotherSubkeyForAnotherPassphraseSaltOrLabel) {
  const AeadKey key = Derive("correct horse", 1).Subkey("a");

  EXPECT_FALSE(key.Matches(Derive("correct horsf", 1).Subkey("a").view()));
  EXPECT_FALSE(key.Matches(Derive("correct horse", 2).Subkey("a").view()));
  EXPECT_FALSE(key.Matches(Derive("correct horse", 1).Subkey("b").view()));
}

TEST(MasterKey, GivesAnotherSubkeyForOtherCosts) {
  const UnlockSecret unlock = *UnlockSecret::FromPassphrase("correct horse");
  const MasterKey costly = *MasterKey::Derive(unlock, Salt(1), {2, 16384});

  EXPECT_FALSE(costly.Subkey("a").Matches(Derive("correct horse", 1).Subkey("a").view()));
}

TEST(MasterKey, RefusesCostsOutOfRange) {
  const UnlockSecret unlock = *UnlockSecret::FromPassphrase("correct horse");

  for (const KdfParams params :
       {KdfParams{0, 8192}, KdfParams{1, 8191}, KdfParams{65, 8192}, KdfParams{1, 1ULL << 40}})
    EXPECT_EQ(MasterKey::Derive(unlock, Salt(1), params).error().reason, Reason::kInvalidArgument);
}

TEST(UnlockSecret, RefusesAnEmptyPassphraseAndAShortKeyFile) {
  EXPECT_EQ(UnlockSecret::FromPassphrase("").error().reason, Reason::kInvalidArgument);
  EXPECT_EQ(UnlockSecret::FromKeyFile(Bytes(kKeyFileBytesMin - 1)).error().reason,
            Reason::kInvalidArgument);
  EXPECT_TRUE(UnlockSecret::FromKeyFile(Bytes(kKeyFileBytesMin)));
}

}  // namespace
}  // namespace sallyport::pki

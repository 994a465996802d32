#include "pki/ca/issuer_store.h"

#include "tests/fakes/memory_file_system.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

const std::string kDirectory = "/keys";

class IssuerStoreTest : public ::testing::Test {
 protected:
  World world;
  MemoryFileSystem files;
  UnlockSecret unlock = *UnlockSecret::FromPassphrase("correct horse");
  IssuerStore store = *IssuerStore::Create(files, kDirectory, unlock, kKdfForTests, world.random);
  const IssuerKey& issuer = world.hierarchy.device_issuer;

  Bytes Read(const std::string& name) { return *ReadFile(files, kDirectory + "/" + name, 1 << 16); }
  void Write(const std::string& name, const Bytes& bytes) {
    ASSERT_TRUE(WriteFileAtomically(files, kDirectory + "/" + name, bytes));
  }
};

TEST_F(IssuerStoreTest, GivesBackWhatItWasGivenAfterAReopen) {
  ASSERT_TRUE(store.PutIssuer("device-issuer", issuer, world.random));
  const auto reopened = IssuerStore::Open(files, kDirectory, unlock);
  ASSERT_TRUE(reopened) << reopened.error().ToString();

  const auto back = reopened->GetIssuer("device-issuer");

  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->certificate.der, issuer.certificate.der);
  EXPECT_EQ(back->key.public_key().spki(), issuer.key.public_key().spki());
}

TEST_F(IssuerStoreTest, KeepsEd25519Keys) {
  const PrivateKey key = *PrivateKey::Generate(KeyType::kEd25519);
  ASSERT_TRUE(store.PutKey("signed-time", key, world.random));

  EXPECT_EQ(store.GetKey("signed-time")->public_key().spki(), key.public_key().spki());
}

TEST_F(IssuerStoreTest, OpensWithAKeyFile) {
  const UnlockSecret key_file = *UnlockSecret::FromKeyFile(Bytes(32, 9));
  ASSERT_TRUE(IssuerStore::Create(files, "/other", key_file, kKdfForTests, world.random));

  EXPECT_TRUE(IssuerStore::Open(files, "/other", key_file));
}

TEST_F(IssuerStoreTest, RefusesTheWrongPassphrase) {
  const auto wrong =
      IssuerStore::Open(files, kDirectory, *UnlockSecret::FromPassphrase("correct horsf"));

  EXPECT_EQ(wrong.error().rule, "store.unlock");
  EXPECT_EQ(wrong.error().reason, Reason::kBadSignature);
}

TEST_F(IssuerStoreTest, WritesNoKeyInTheClear) {
  ASSERT_TRUE(store.PutIssuer("device-issuer", issuer, world.random));

  EXPECT_EQ(ToString(Read("device-issuer.key")).find("PRIVATE KEY"), std::string::npos);
}

TEST_F(IssuerStoreTest, RefusesAKeyFileWithABitChangedOrOfAnotherName) {
  ASSERT_TRUE(store.PutKey("a", issuer.key, world.random));
  const Bytes sealed = Read("a.key");
  Write("b.key", sealed);
  EXPECT_EQ(store.GetKey("b").error().rule, "store.forged");
  for (size_t byte = 0; byte < sealed.size(); byte += 7) {
    Bytes bad = sealed;
    bad[byte] ^= 1;
    Write("a.key", bad);
    EXPECT_EQ(store.GetKey("a").error().rule, "store.forged") << byte;
  }
}

TEST_F(IssuerStoreTest, RefusesACertificateOfAnotherKey) {
  ASSERT_TRUE(store.PutIssuer("a", issuer, world.random));
  Write("a.pem", ToBytes(world.hierarchy.server_issuer.certificate.ToPem()));

  EXPECT_EQ(store.GetIssuer("a").error().rule, "store.issuer");
}

TEST_F(IssuerStoreTest, RefusesToBeMadeTwiceAndToOpenWhereThereIsNone) {
  EXPECT_EQ(IssuerStore::Create(files, kDirectory, unlock, kKdfForTests, world.random).error().rule,
            "store.exists");
  EXPECT_EQ(IssuerStore::Open(files, "/nowhere", unlock).error().reason, Reason::kNotFound);
  EXPECT_EQ(store.GetKey("nothing").error().reason, Reason::kNotFound);
}

TEST_F(IssuerStoreTest, RefusesNamesThatLeaveItsDirectory) {
  for (const std::string_view name : {"", "../a", "a/b", "A", "-a", "a.b"})
    EXPECT_EQ(store.GetKey(name).error().rule, "store.name") << name;
  EXPECT_EQ(store.PutKey(std::string(65, 'a'), issuer.key, world.random).error().rule,
            "store.name");
}

TEST_F(IssuerStoreTest, RefusesAHeaderOfAnotherVersionAndADamagedOne) {
  std::string text = ToString(Read("store.json"));
  Write("store.json", ToBytes(text.substr(0, text.size() - 1)));
  EXPECT_EQ(IssuerStore::Open(files, kDirectory, unlock).error().reason, Reason::kMalformed);
  text.replace(text.find("/v1"), 3, "/v2");
  Write("store.json", ToBytes(text));
  EXPECT_EQ(IssuerStore::Open(files, kDirectory, unlock).error().rule, "store.version");
}

TEST_F(IssuerStoreTest, HoldsTheOldOrTheNewKeyAfterAPowerCutAtAnyPoint) {
  const PrivateKey next = *PrivateKey::Generate(KeyType::kP256);
  ASSERT_TRUE(store.PutKey("a", issuer.key, world.random));
  for (uint64_t operations = 0; operations < 12; ++operations) {
    files.CutPowerAfter(operations);
    const bool done = store.PutKey("a", next, world.random).has_value();
    files.Restart();

    const auto key = store.GetKey("a");
    ASSERT_TRUE(key) << key.error().ToString();
    if (done) {
      EXPECT_EQ(key->public_key().spki(), next.public_key().spki());
    }
  }
}

}  // namespace
}  // namespace sallyport::pki

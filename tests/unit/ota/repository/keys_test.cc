#include "ota/repository/keys.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

KeyFileOptions Sealed(pki::KeyType type = pki::KeyType::kEd25519) {
  return {.type = type, .passphrase = "secret", .kdf = pki::kKdfForTests};
}

TEST(KeyFiles, RoundTripUnderTheirPassphrase) {
  for (const auto type : {pki::KeyType::kEd25519, pki::KeyType::kP256}) {
    MemoryFileSystem files;
    const auto made = CreateKeyFile(files, "/k/a.pem", Sealed(type));
    ASSERT_TRUE(made);
    const auto read = LoadSigner(files, "/k/a.pem", "secret");
    ASSERT_TRUE(read) << read.error().ToString();
    EXPECT_EQ(read->id, made->id);
    EXPECT_EQ(LoadPublicKey(files, "/k/a.pem.pub")->spki(), made->key.public_key().spki());
    for (const char* const wrong : {"wrong", "", "secret "})
      EXPECT_EQ(LoadSigner(files, "/k/a.pem", wrong).error().name(), "key.passphrase") << wrong;
  }
}

TEST(KeyFiles, HoldNoPrivateKeyInTheOpenUnderAPassphrase) {
  MemoryFileSystem files;
  ASSERT_TRUE(CreateKeyFile(files, "/k/a.pem", Sealed()));
  const std::string text = ToString(ReadFile(files, "/k/a.pem", 1 << 20).value());
  EXPECT_EQ(text.find("PRIVATE KEY"), std::string::npos);
}

TEST(KeyFiles, AreNeverOverwrittenAndMustExist) {
  MemoryFileSystem files;
  ASSERT_TRUE(CreateKeyFile(files, "/k/a.pem", {}));
  EXPECT_EQ(CreateKeyFile(files, "/k/a.pem", {}).error().name(), "key.exists");
  EXPECT_EQ(LoadSigner(files, "/k/b.pem", "").error().reason, Reason::kNotFound);
}

TEST(KeyFiles, AreEd25519OrP256Only) {
  MemoryFileSystem files;
  EXPECT_EQ(CreateKeyFile(files, "/k/a.pem", {.type = pki::KeyType::kRsa}).error().name(),
            "key.type");
}

TEST(KeyFiles, TakesATokensUriForWhatItIs) {
  MemoryFileSystem files;
  EXPECT_EQ(LoadSigner(files, "pkcs11:object=a?pin-value=1234", "").error().name(),
            "key.pkcs11-uri");
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/repository/keys.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

TEST(KeyFiles, RoundTripUnderTheirPassphrase) {
  MemoryFileSystem files;
  const auto key = CreateKeyFile(files, "/k/a.pem", "secret");
  ASSERT_TRUE(key);
  EXPECT_EQ(LoadSigner(files, "/k/a.pem", "secret")->id, KeyId(*key));
  EXPECT_EQ(LoadPublicKey(files, "/k/a.pem.pub")->spki(), key->spki());
  EXPECT_EQ(LoadSigner(files, "/k/a.pem", "wrong").error().reason, Reason::kBadSignature);
}

TEST(KeyFiles, AreNeverOverwrittenAndMustExist) {
  MemoryFileSystem files;
  ASSERT_TRUE(CreateKeyFile(files, "/k/a.pem", ""));
  EXPECT_EQ(CreateKeyFile(files, "/k/a.pem", "").error().name(), "key.exists");
  EXPECT_EQ(LoadSigner(files, "/k/b.pem", "").error().reason, Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport::ota

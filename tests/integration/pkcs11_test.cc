// Keys in a PKCS#11 token sign updates; the token is SoftHSM's.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ota/repository/keys.h"
#include "pki/crypto/pkcs11_key.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport {
namespace {

constexpr std::string_view kModule = "?module-path=/usr/lib/softhsm/libsofthsm2.so";

void Shell(const std::string& command) {
  ASSERT_EQ(std::system((command + " > /dev/null 2>&1").c_str()), 0) << command;
}

// Tokens: `good` with a P-256 and an RSA key, `mixed` with an Ed25519 key as well, `locked` with a
// P-256 key.
class Pkcs11Test : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::filesystem::temp_directory_path() / "sallyport-pkcs11-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    std::filesystem::create_directory(directory_ + "/tokens");
    std::ofstream(directory_ + "/softhsm2.conf")
        << "directories.tokendir = " << directory_ << "/tokens\nobjectstore.backend = file\n";
    setenv("SOFTHSM2_CONF", (directory_ + "/softhsm2.conf").c_str(), 1);
    for (const char* const token : {"good", "mixed", "locked"}) {
      Shell("softhsm2-util --init-token --free --pin 1234 --so-pin 5678 --label " +
            std::string(token));
      MakeKey(token, "EC:prime256v1", "p256", "01");
    }
    MakeKey("good", "rsa:2048", "rsa", "02");
    MakeKey("mixed", "EC:edwards25519", "ed25519", "03");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory_); }
  static void MakeKey(const std::string& token, const std::string& type, const std::string& label,
                      const std::string& id) {
    Shell(
        "pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --login --pin 1234 --keypairgen"
        " --token-label " +
        token + " --key-type " + type + " --label " + label + " --id " + id);
  }
  static std::string Uri(const std::string& token, const std::string& label) {
    return "pkcs11:token=" + token + ";object=" + label + std::string(kModule);
  }
  static inline std::string directory_;
};

TEST_F(Pkcs11Test, P256AndRsaKeysOfATokenSign) {
  MemoryFileSystem files;
  for (const auto& [label, type] :
       {std::pair{"p256", pki::KeyType::kP256}, {"rsa", pki::KeyType::kRsa}}) {
    const auto signer = ota::LoadSigner(files, Uri("good", label), "1234");
    ASSERT_TRUE(signer) << signer.error().ToString();
    const pki::PublicKey& key = signer->key.public_key();
    EXPECT_EQ(key.type(), type);
    const auto signature = signer->key.Sign(AsBytes("payload"));
    ASSERT_TRUE(signature) << signature.error().ToString();
    const auto outside = pki::PublicKey::FromSpki(key.spki());
    EXPECT_TRUE(outside->Verify(AsBytes("payload"), *signature));
    EXPECT_FALSE(outside->Verify(AsBytes("payloae"), *signature));
  }
}

TEST_F(Pkcs11Test, AnUnknownNameIsRefused) {
  EXPECT_EQ(pki::OpenPkcs11Key(Uri("good", "absent"), "1234").error().name(), "key.pkcs11");
}

TEST_F(Pkcs11Test, OneEd25519KeyMakesTheTokenUnusableAndTheErrorSaysSo) {
  const auto key = pki::OpenPkcs11Key(Uri("mixed", "p256"), "1234");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().name(), "key.pkcs11");
  EXPECT_NE(key.error().detail.find("Ed25519"), std::string::npos);
}

TEST_F(Pkcs11Test, AnotherModuleInTheSameRunIsRefused) {
  ASSERT_TRUE(pki::OpenPkcs11Key(Uri("good", "p256"), "1234"));
  EXPECT_EQ(pki::OpenPkcs11Key("pkcs11:object=p256?module-path=/x.so", "1234").error().name(),
            "key.pkcs11-uri");
}

TEST_F(Pkcs11Test, AWrongPinIsRefused) {
  EXPECT_EQ(pki::OpenPkcs11Key(Uri("locked", "p256"), "4321").error().name(), "key.pkcs11");
}

}  // namespace
}  // namespace sallyport

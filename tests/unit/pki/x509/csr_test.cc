#include "pki/x509/csr.h"

#include <openssl/bio.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {
namespace {

Bytes Request(const PrivateKey& key) {
  return *MakeCsr(key.public_key().spki(),
                  [&](ByteView to_be_signed) { return key.Sign(to_be_signed); });
}

// OpenSslRequest is what a foreign tool makes: a subject name and an attribute.
Bytes OpenSslRequest(const PrivateKey& key, const EVP_MD* digest) {
  const X509ReqPtr request{X509_REQ_new()};
  auto* const native = static_cast<EVP_PKEY*>(key.native());
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("cam-1"), -1, -1, 0);
  X509_REQ_add1_attr_by_NID(request.get(), NID_pkcs9_challengePassword, MBSTRING_ASC,
                            reinterpret_cast<const unsigned char*>("x"), 1);
  X509_REQ_set_pubkey(request.get(), native);
  X509_REQ_sign(request.get(), native, digest);
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

class Csr : public ::testing::Test {
 protected:
  PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  Bytes request = Request(key);
};

TEST_F(Csr, GivesTheKeyOfItsMaker) {
  const auto read = ParseCsr(request);

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->key.spki(), key.public_key().spki());
}

TEST_F(Csr, IsAcceptedByOpenSsl) {
  const unsigned char* at = request.data();
  const X509ReqPtr native{d2i_X509_REQ(nullptr, &at, static_cast<long>(request.size()))};

  ASSERT_NE(native, nullptr);
  EXPECT_EQ(X509_REQ_verify(native.get(), X509_REQ_get0_pubkey(native.get())), 1);
}

TEST_F(Csr, OfOpenSslIsAcceptedWithItsNameAndAttributesIgnored) {
  const auto read = ParseCsr(OpenSslRequest(key, EVP_sha256()));

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->key.spki(), key.public_key().spki());
}

TEST_F(Csr, IsRefusedWhenCutOrWithAnyBitFlipped) {
  for (size_t size = 0; size < request.size(); ++size)
    EXPECT_FALSE(ParseCsr(ByteView(request).first(size))) << size;
  for (size_t bit = 0; bit < request.size() * 8; ++bit) {
    Bytes bad = request;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(ParseCsr(bad)) << bit;
  }
}

TEST_F(Csr, SignedByAnotherKeyIsRefused) {
  const PrivateKey other = *PrivateKey::Generate(KeyType::kP256);
  const auto forged =
      MakeCsr(key.public_key().spki(), [&](ByteView bytes) { return other.Sign(bytes); });

  EXPECT_EQ(ParseCsr(*forged).error().rule, "csr.signature");
  EXPECT_EQ(ParseCsr(*forged).error().reason, Reason::kBadSignature);
}

TEST_F(Csr, WithAnotherKeyTypeOrDigestIsRefused) {
  const PrivateKey p384 = *PrivateKey::Generate(KeyType::kP384);

  EXPECT_EQ(ParseCsr(Request(p384)).error().rule, "csr.algorithm");
  EXPECT_EQ(ParseCsr(OpenSslRequest(key, EVP_sha384())).error().rule, "csr.algorithm");
}

TEST_F(Csr, OfTooManyBytesIsRefused) {
  EXPECT_EQ(ParseCsr(Bytes(kCsrBytesMax + 1)).error().reason, Reason::kTooLarge);
}

TEST(MakeCsr, PassesOnTheErrorOfItsSigner) {
  const auto failing = [](ByteView) -> Result<Bytes> { return Error{Reason::kUnavailable, "tpm"}; };

  EXPECT_EQ(MakeCsr({}, failing).error().reason, Reason::kUnavailable);
}

}  // namespace
}  // namespace sallyport::pki

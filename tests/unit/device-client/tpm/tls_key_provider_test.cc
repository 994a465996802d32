#include "device-client/tpm/tls_key_provider.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <atomic>
#include <thread>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::device {
namespace {

using SslCtxPtr = pki::Owned<SSL_CTX, SSL_CTX_free>;
using SslPtr = pki::Owned<SSL, SSL_free>;

// A software key stands for the TPM: it signs digests and counts how often.
class SoftwareKey {
 public:
  SoftwareKey() : key_(*pki::PrivateKey::Generate(pki::KeyType::kP256)) {}
  const pki::PublicKey& public_key() const { return key_.public_key(); }
  EVP_PKEY* native() const { return static_cast<EVP_PKEY*>(key_.native()); }
  DigestSigner Signer() {
    return [this](const Sha256Digest& digest) -> Result<Bytes> {
      ++signatures_;
      if (broken_) return Error{Reason::kUnavailable, "the TPM is gone"};
      const pki::EvpPkeyCtx context{EVP_PKEY_CTX_new(native(), nullptr)};
      Bytes out(72);
      size_t size = out.size();
      SP_CHECK(EVP_PKEY_sign_init(context.get()) == 1);
      SP_CHECK(EVP_PKEY_sign(context.get(), out.data(), &size, digest.view().data(),
                             digest.view().size()) == 1);
      out.resize(size);
      return out;
    };
  }
  int signatures() const { return signatures_; }
  void Break() { broken_ = true; }

 private:
  pki::PrivateKey key_;
  std::atomic<int> signatures_ = 0;
  bool broken_ = false;
};

pki::EvpPkey Load(const TlsKeyReference& reference) {
  return pki::EvpPkey(static_cast<EVP_PKEY*>(*reference.NewNativeKey()));
}

Bytes SignMessage(EVP_PKEY* key) {
  const pki::EvpMdCtx context{EVP_MD_CTX_new()};
  const Bytes message = ToBytes("message");
  Bytes out(72);
  size_t size = out.size();
  EXPECT_EQ(EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key, nullptr),
            1);
  EXPECT_EQ(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()), 1);
  out.resize(size);
  return out;
}
bool Verifies(const SoftwareKey& key, ByteView signature) {
  return key.public_key().Verify(AsBytes("message"), signature).has_value();
}

pki::X509Ptr SelfSigned(const SoftwareKey& key) {
  pki::X509Ptr certificate{X509_new()};
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 600);
  X509_set_pubkey(certificate.get(), key.native());
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("device"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  EXPECT_GT(X509_sign(certificate.get(), key.native(), EVP_sha256()), 0);
  return certificate;
}

SslCtxPtr Context(EVP_PKEY* key, X509* certificate) {
  SslCtxPtr context{SSL_CTX_new(TLS_method())};
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key), 1);
  EXPECT_EQ(SSL_CTX_check_private_key(context.get()), 1);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), certificate);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

// Runs a handshake over memory; true when both ends are done.
bool Handshake(SSL_CTX* client_context, SSL_CTX* server_context) {
  const SslPtr client{SSL_new(client_context)};
  const SslPtr server{SSL_new(server_context)};
  BIO* client_bio = nullptr;
  BIO* server_bio = nullptr;
  SP_CHECK(BIO_new_bio_pair(&client_bio, 0, &server_bio, 0) == 1);
  SSL_set_bio(client.get(), client_bio, client_bio);
  SSL_set_bio(server.get(), server_bio, server_bio);
  SSL_set_connect_state(client.get());
  SSL_set_accept_state(server.get());
  for (int i = 0; i < 10; ++i) {
    SSL_do_handshake(client.get());
    SSL_do_handshake(server.get());
  }
  return SSL_is_init_finished(client.get()) && SSL_is_init_finished(server.get()) &&
         SSL_version(server.get()) == TLS1_3_VERSION;
}

TEST(TlsKeyProvider, SignsThroughTheCallback) {
  SoftwareKey software;
  const auto reference = *TlsKeyReference::Register(software.public_key(), software.Signer());

  const Bytes signature = SignMessage(Load(*reference).get());

  EXPECT_TRUE(Verifies(software, signature));
  EXPECT_EQ(software.signatures(), 1);
}

TEST(TlsKeyProvider, CarriesMutualTls13OnBothEnds) {
  SoftwareKey software;
  const auto reference = *TlsKeyReference::Register(software.public_key(), software.Signer());
  const pki::EvpPkey key = Load(*reference);
  const pki::X509Ptr certificate = SelfSigned(software);
  const SslCtxPtr context = Context(key.get(), certificate.get());

  EXPECT_TRUE(Handshake(context.get(), context.get()));
  EXPECT_EQ(software.signatures(), 2);
}

TEST(TlsKeyProvider, FailsTheHandshakeWhenTheTpmFails) {
  SoftwareKey software;
  const auto reference = *TlsKeyReference::Register(software.public_key(), software.Signer());
  const pki::EvpPkey key = Load(*reference);
  const pki::X509Ptr certificate = SelfSigned(software);
  const SslCtxPtr context = Context(key.get(), certificate.get());
  software.Break();

  EXPECT_FALSE(Handshake(context.get(), context.get()));
}

TEST(TlsKeyProvider, DoesNotMatchTheCertificateOfAnotherKey) {
  SoftwareKey one, other;
  const auto reference = *TlsKeyReference::Register(one.public_key(), one.Signer());
  const pki::EvpPkey key = Load(*reference);
  const pki::X509Ptr certificate = SelfSigned(other);
  const SslCtxPtr context{SSL_CTX_new(TLS_method())};

  ASSERT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  EXPECT_NE(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
}

TEST(TlsKeyProvider, KeepsSoftwareKeysWithTheDefaultProvider) {
  ASSERT_TRUE(InstallTlsKeyProvider().has_value());

  const auto key = pki::PrivateKey::Generate(pki::KeyType::kP256);

  const Bytes signature = *key->Sign(AsBytes("message"));
  EXPECT_TRUE(key->public_key().Verify(AsBytes("message"), signature).has_value());
}

TEST(TlsKeyProvider, SeparatesSeveralKeysOfOneProcess) {
  SoftwareKey one, other;
  const auto first = *TlsKeyReference::Register(one.public_key(), one.Signer());
  const auto second = *TlsKeyReference::Register(other.public_key(), other.Signer());
  EXPECT_NE(first->pem(), second->pem());

  EXPECT_TRUE(Verifies(other, SignMessage(Load(*second).get())));
  EXPECT_EQ(one.signatures(), 0);
  EXPECT_EQ(other.signatures(), 1);
}

TEST(TlsKeyProvider, ForgetsAReferenceButKeepsWhatWasLoaded) {
  SoftwareKey software;
  auto reference = *TlsKeyReference::Register(software.public_key(), software.Signer());
  const std::string pem = reference->pem();
  const pki::EvpPkey key = Load(*reference);

  reference.reset();

  const pki::BioPtr bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  EXPECT_EQ(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), nullptr);
  EXPECT_TRUE(Verifies(software, SignMessage(key.get())));
}

TEST(TlsKeyProvider, SignsFromManyThreads) {
  SoftwareKey software;
  const auto reference = *TlsKeyReference::Register(software.public_key(), software.Signer());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back(
        [&] { EXPECT_TRUE(Verifies(software, SignMessage(Load(*reference).get()))); });
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(software.signatures(), 8);
}

TEST(TlsKeyReference, RefusesOtherKeyTypes) {
  const auto key = pki::PrivateKey::Generate(pki::KeyType::kP384);

  const auto reference = TlsKeyReference::Register(key->public_key(), {});

  EXPECT_EQ(reference.error().name(), "tls-key.type");
}

}  // namespace
}  // namespace sallyport::device

// FakeTpmVendor makes EK certificates under its own root, good ones and wrong ones; SoftEk is an
// endorsement key in software that opens credentials as a TPM would (TPM 2.0 Part 1, 24).
#pragma once

#include <optional>
#include <string>

#include "pki/crypto/signature.h"

namespace sallyport {

// EkCertificateOptions: what to break.
struct EkCertificateOptions {
  std::string key_usage = "critical,keyAgreement";
  std::string extended_key_usage = "2.23.133.8.1";  // empty: none
  bool is_ca = false;
  bool tpm_name = true;   // the directoryName with manufacturer, model, version
  int64_t not_after = 0;  // Unix seconds; 0: 9999-12-31
};

class FakeTpmVendor {
 public:
  FakeTpmVendor();
  const Bytes& root_der() const { return root_der_; }
  const Bytes& intermediate_der() const { return intermediate_der_; }
  // The certificate is issued by the intermediate.
  Bytes EkCertificate(const pki::PublicKey& ek, const EkCertificateOptions& options = {}) const;

 private:
  pki::PrivateKey root_key_;
  pki::PrivateKey intermediate_key_;
  Bytes root_der_;
  Bytes intermediate_der_;
};

class SoftEk {
 public:
  SoftEk() : key_(pki::PrivateKey::Generate(pki::KeyType::kP256).value()) {}
  const pki::PublicKey& public_key() const { return key_.public_key(); }
  // Activate returns the secret, or nothing when the credential is not for this EK and
  // `object_name`.
  std::optional<Bytes> Activate(ByteView credential_blob, ByteView encrypted_secret,
                                ByteView object_name) const;

 private:
  pki::PrivateKey key_;
};

}  // namespace sallyport

// FakeTpmVendor makes EK certificates under its own root, good ones and wrong ones; SoftEk is an
// endorsement key in software that opens credentials as a TPM would (TPM 2.0 Part 1, 24).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pki/crypto/signature.h"

namespace sallyport {

// EkCertificateOptions: what to break.
struct EkCertificateOptions {
  std::string key_usage = "critical,keyAgreement";
  std::string extended_key_usage = "2.23.133.8.1";  // empty: none
  bool is_ca = false;
  bool tpm_name = true;  // the directoryName with manufacturer, model, version
  std::string manufacturer = "id:53414C4C";
  std::string model = "FakeTPM";
  std::string version = "id:00010002";
  std::string hardware_serial = {};      // hardwareModuleName
  std::string subject_serial = {};       // serialNumber of the subject
  std::string policies = {};             // certificatePolicies, as OpenSSL writes them
  std::string second_manufacturer = {};  // in a second directoryName
  bool critical_san = true;
  std::string subject = {};
  std::string critical_extension = {};  // OID of one that nobody knows
  std::string crl_point = {};           // cRLDistributionPoints, a URI
  bool usage_twice = false;
  bool version_1 = false;
  long serial = 0;  // 0: the next one
  bool sha1 = false;
  int64_t not_before = 1'500'000'000;  // Unix seconds
  int64_t not_after = 0;               // Unix seconds; 0: 9999-12-31
};

// CrlOptions: what to break.
struct CrlOptions {
  std::vector<long> revoked = {};
  int64_t this_update = 1'600'000'000;
  int64_t next_update = 1'900'000'000;  // 0: none
  std::string critical_extension = {};  // OID of one that nobody knows
  std::string entry_extension = {};     // the same, of every entry
  std::string point = {};               // issuingDistributionPoint, as OpenSSL writes it
  bool delta = false;
  bool by_root = false;       // of the root, about issuers
  bool by_other_key = false;  // claims the issuer, signed with the root's key
  bool sha1 = false;
};

struct FakeCaOptions {
  std::string key_usage = "critical,keyCertSign,cRLSign";
  std::string constraints = "critical,CA:TRUE";
  int64_t not_after = 0;  // Unix seconds; 0: 9999-12-31
  unsigned rsa_bits = 0;  // 0: P-256
};

// FakeCaCertificate is a self-signed certificate of a CA of its own.
Bytes FakeCaCertificate(const std::string& name, const FakeCaOptions& options = {});

class FakeTpmVendor {
 public:
  // `issuer` says what is wrong with the intermediate.
  explicit FakeTpmVendor(const FakeCaOptions& issuer = {});
  const Bytes& root_der() const { return root_der_; }
  const Bytes& intermediate_der() const { return intermediate_der_; }
  // Crl is DER, of the intermediate unless the options say otherwise.
  Bytes Crl(const CrlOptions& options = {}) const;
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

// VendorCa: a TPM manufacturer of the test world, its endorsement key certificates and its factory
// (TCG EK Credential Profile for TPM 2.0, 2.5, section 3).
#pragma once

#include <string>
#include <vector>

#include "pki/base/file_system.h"
#include "pki/base/random.h"
#include "pki/base/time.h"
#include "pki/crypto/signature.h"
#include "tests/node/esys_tpm.h"
#include "tests/node/swtpm.h"

namespace sallyport::node {

inline constexpr uint32_t kEkCertificateRsa2048Index = 0x01c00002;
inline constexpr uint32_t kEkCertificateP256Index = 0x01c0000a;

// VendorCa holds a root and an intermediate (P-256) that issues EK certificates. Thread-safe.
class VendorCa {
 public:
  static Result<VendorCa> Make(UnixTime now, Random& random);
  // Save writes root.pem, intermediate.pem (what operators import) and intermediate.key (PKCS#8, in
  // the clear: this vendor vouches for nothing outside tests). The root's key is never kept. Load
  // reads them again.
  Result<Unit> Save(FileSystem& files, const std::string& dir) const;
  static Result<VendorCa> Load(FileSystem& files, const std::string& dir);

  const Bytes& root() const { return root_; }                  // DER
  const Bytes& intermediate() const { return intermediate_; }  // DER
  // IssueEk certifies an endorsement key: empty subject, critical SAN with the TPM's maker, model
  // and version, without expiry, as the software TPM's own tool does.
  Result<Bytes> IssueEk(EkKind kind, ByteView spki, UnixTime now, Random& random) const;
  // IssueIak certifies the attestation key of the machine with that serial number (the maker's CA).
  Result<Bytes> IssueIak(ByteView spki, std::string_view machine, UnixTime now,
                         Random& random) const;

 private:
  VendorCa(Bytes root, Bytes intermediate, pki::PrivateKey key)
      : root_(std::move(root)), intermediate_(std::move(intermediate)), key_(std::move(key)) {}
  Bytes root_;
  Bytes intermediate_;
  pki::PrivateKey key_;
};

// EndorsementKey is what a manufacturer's shipping list says about one key.
struct EndorsementKey {
  EkKind kind;
  Sha256Digest spki_sha256;
  Bytes certificate;  // DER, as in NV
};

// Manufacture gives a new TPM its one PCR bank (SHA-256) and certificates for both endorsement
// keys, then leaves it freshly powered on.
Result<std::vector<EndorsementKey>> Manufacture(SwTpm& tpm, const VendorCa& vendor, UnixTime now,
                                                Random& random);

}  // namespace sallyport::node

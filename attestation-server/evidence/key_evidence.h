// Proof that a TLS key lives in the TPM of an AK (attestation of keys: TPM2_CertifyCreation,
// TPM2_Certify). Pure; thread-safe.
#pragma once

#include "attestation-server/evidence/quote.h"
#include "pki/base/digest.h"

namespace sallyport::server {

enum class KeyCertification : uint8_t {
  kCreation,  // TPM2_CertifyCreation: made now, for this challenge
  kCertify,   // TPM2_Certify: an existing key of this boot, at renewal
};

// ProvenTlsKey is a key whose Name an AK signed; only CheckKey makes one.
class ProvenTlsKey {
 public:
  const Bytes& name() const { return name_; }
  const pki::PublicArea& area() const { return area_; }
  // spki is the DER SubjectPublicKeyInfo, equal to the one in the request for a certificate.
  const Bytes& spki() const { return spki_; }
  // in_null_hierarchy: a primary key that the TPM destroys at reset.
  bool in_null_hierarchy() const { return null_hierarchy_; }
  bool policy_bound() const { return !area_.auth_policy.empty(); }

 private:
  friend class KeyChecker;
  ProvenTlsKey(Bytes name, pki::PublicArea area, Bytes spki, bool null_hierarchy)
      : name_(std::move(name)),
        area_(std::move(area)),
        spki_(std::move(spki)),
        null_hierarchy_(null_hierarchy) {}
  Bytes name_;
  pki::PublicArea area_;
  Bytes spki_;
  bool null_hierarchy_;
};

// KeyInput borrows.
struct KeyInput {
  KeyCertification certification = KeyCertification::kCreation;
  ByteView tls_public;     // TPMT_PUBLIC
  ByteView creation_data;  // TPMS_CREATION_DATA; kCreation only
  ByteView attest;
  ByteView signature;
  ByteView csr_spki;  // of a request whose own signature was verified
};

struct KeyExpectation {
  ByteView qualifying_data;  // KeyQualifyingData(T)
  ByteView nonce;            // must be the creation's outsideInfo; kCreation only
  AkParent ak_parent = AkParent::kEndorsement;
};

// KeyRules are the rules of CheckKey for one kind, in the order in which they run:
//   key.public (the area parses), tls.* (pki::CheckTlsKey), key.csr (same key as in the request),
//   key.size key.scheme key.signature key.magic key.type key.structure key.qualified-signer
//   key.extra-data, key.name (the attested Name is that of the area), kCreation only:
//   key.creation-hash, key.outside-info
std::span<const std::string_view> KeyRules(KeyCertification certification);

// CheckKey decides KeyRules in `checks` (which must hold them). Nothing when one of them failed.
std::optional<ProvenTlsKey> CheckKey(const AttestationKey& ak, const KeyInput& input,
                                     const KeyExpectation& expected, CheckList& checks);

}  // namespace sallyport::server

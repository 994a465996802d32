// Attestation results for other relying parties: an EAR-style JWS (draft-ietf-rats-ear) with an
// AR4SI trustworthiness vector (draft-ietf-rats-ar4si), signed with ES256 by the verdict key.
// docs/verifier.md, "Attestation results". Pure; thread-safe.
#pragma once

#include <map>
#include <string>

#include "pki/base/json.h"
#include "pki/base/time.h"
#include "pki/crypto/signature.h"

namespace sallyport::pki {

// TrustTier of a claim: 2 to 31 affirming, 32 to 95 warning, 96 to 127 contraindicated; else none.
enum class TrustTier : uint8_t { kNone, kAffirming, kWarning, kContraindicated };
TrustTier TierOf(int8_t claim);
std::string_view TrustTierName(TrustTier tier);

struct AttestationResult {
  std::string subject;   // SPIFFE id of the device
  std::string verifier;  // SPIFFE id of the server
  UnixTime issued_at;
  UnixTime expires;
  std::map<std::string, int8_t> trust_vector;  // "instance-identity" to its claim; absent: none
  std::string policy_id;                       // what it was appraised by; empty: nothing
  JsonValue details;                           // of ours, under "sallyport"

  // Status is the worst tier of the vector.
  TrustTier Status() const;
};

JsonValue ClaimsOf(const AttestationResult& result);

// VerdictSigner signs attestation results, and nothing else.
class VerdictSigner {
 public:
  // kUnsupported ("verdict.key") unless the key is P-256.
  static Result<VerdictSigner> Make(PrivateKey key);
  // SignVerdict returns the JWS in compact form: typ "ear+jwt", alg ES256, kid.
  Result<std::string> SignVerdict(const AttestationResult& result) const;
  // Jwks is the key as a JWK set; kid is its RFC 7638 thumbprint.
  JsonValue Jwks() const;

 private:
  VerdictSigner(PrivateKey key, Bytes x, Bytes y);
  PrivateKey key_;
  std::string x_, y_, kid_;  // base64url
};

}  // namespace sallyport::pki

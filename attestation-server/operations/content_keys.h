// The keys of sealed releases: taken from an operator, kept sealed under the key-encryption key,
// and given to each device that is assigned such a release, wrapped so that only its TPM opens them
// (docs/updates.md, "Confidentiality"). A key is in no log, no answer and no audit entry.
#pragma once

#include "attestation-server/enrolment/rate_limit.h"
#include "attestation-server/operations/operator.h"
#include "pki/base/json.h"
#include "pki/crypto/content_seal.h"
#include "pki/tpm/make_credential.h"

namespace sallyport::server {

// A device asks once per release and start of an installation; retries back off. More is a loop.
inline constexpr BucketRate kContentKeyRate{1.0 / 60, 5};

struct ContentKeyRequest {
  ReleaseDigest release;
  Bytes ek_public;  // TPMT_PUBLIC: the device's word, held against the hash of its enrolment
};

struct WrappedContentKey {
  pki::ContentKeyId id;
  pki::MadeCredential credential;
};

// ContentKeyOperations: thread-safe.
class ContentKeyOperations {
 public:
  // `seal_key` is a subkey of the key-encryption key.
  ContentKeyOperations(OperationParts parts, pki::AeadKey seal_key);

  // Add takes the key of a release that is published here. kMalformed content-key.size; kNotFound
  // content-key.no-release. Answers {"key_id","releases"}.
  Result<JsonValue> Add(const Operator& caller, ByteView key, UnixTime now);

  // Deliver wraps the key of the release that `device_id` is assigned now. kRateLimited
  // content-key.rate; kNotFound lease.unknown; the rules of CheckLive; kPolicyDenied
  // content-key.not-assigned (another release, none, one that failed there, or a withdrawn one);
  // kInvalidArgument content-key.not-sealed; kMismatch content-key.ek (another endorsement key than
  // it enrolled with), ek.key-match; kNotFound content-key.missing (no operator gave it yet);
  // kBadSignature content-key.forged (the store was changed). Every delivery is in the audit before
  // it is answered.
  Result<WrappedContentKey> Deliver(const std::string& device_id, const ContentKeyRequest& request,
                                    UnixTime now);

 private:
  struct Order;
  Result<Order> Decide(const std::string& device_id, const ContentKeyRequest& request,
                       UnixTime now);
  Result<WrappedContentKey> Wrap(const Order& order) const;

  OperationParts parts_;
  const pki::AeadKey seal_key_;
  RateLimiter rate_;
};

// ContentKeyOf is the key that a published release.json asks for; none when it is not sealed.
Result<std::optional<pki::ContentKeyId>> ContentKeyOf(std::string_view release_json);

}  // namespace sallyport::server

// The transcript T that binds one enrolment, renewal or re-attestation together (docs/protocol.md
// "Transcript"): device and server compute it each from what they hold, and every proof covers it.
// Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pki/base/digest.h"
#include "pki/crypto/hash.h"

namespace sallyport::pki {

enum class Purpose : uint8_t { kEnrol, kRenew, kReattest };
constexpr std::string_view PurposeName(Purpose purpose) {
  switch (purpose) {
    case Purpose::kEnrol: return "enrol";
    case Purpose::kRenew: return "renew";
    case Purpose::kReattest: return "reattest";
  }
  std::abort();
}

enum class BootSlot : uint8_t { kUnknown, kA, kB };
constexpr std::string_view BootSlotName(BootSlot slot) {
  switch (slot) {
    case BootSlot::kUnknown: return "";
    case BootSlot::kA: return "A";
    case BootSlot::kB: return "B";
  }
  std::abort();
}

inline constexpr uint32_t kProtocolVersion = 1;

// TranscriptFields in the order in which they are hashed. `ak_name` and `tls_key_name` are TPM
// Names (algorithm id and digest); `event_log_hash` is over the raw log. Boot slot and release are
// the device's claims.
struct TranscriptFields {
  Purpose purpose;
  uint32_t protocol_version = kProtocolVersion;
  std::string trust_domain;
  Sha256Digest server_leaf_hash;
  TicketId ticket_id;
  Nonce nonce;
  std::string device_id;
  Sha256Digest ek_spki_hash;
  Bytes ak_name;
  Bytes tls_key_name;
  Sha256Digest csr_hash;
  Sha256Digest event_log_hash;
  BootSlot boot_slot = BootSlot::kUnknown;
  std::optional<ReleaseDigest> running_release;
  uint64_t highest_epoch = 0;
};

using Transcript = FixedBytes<struct TranscriptTag, 32>;

Transcript ComputeTranscript(const TranscriptFields& fields);

// QuoteExtraData is the qualifyingData of TPM2_Quote: SHA-256("sallyport/quote/v1\0" || T).
Sha256Digest QuoteExtraData(const Transcript& transcript);
// KeyQualifyingData is that of TPM2_CertifyCreation and TPM2_Certify of the TLS key:
// SHA-256("sallyport/key/v1\0" || T).
Sha256Digest KeyQualifyingData(const Transcript& transcript);
// FloorsQualifyingData is that of TPM2_NV_Certify of the rollback floors:
// SHA-256("sallyport/floors/v1\0" || T).
Sha256Digest FloorsQualifyingData(const Transcript& transcript);
// ActivationProof shows that the TPM of the EK opened the credential that holds `secret` (32
// bytes): HMAC-SHA256(secret, "sallyport/activate/v1\0" || T). Compare with ConstantTimeEqual.
Sha256Digest ActivationProof(ByteView secret, const Transcript& transcript);

// IakQualifyingData is what an IAK certifies the AK with: SHA-256 over `sallyport/iak/v1\0`, the
// trust domain, the AK's Name and the EK's public area, each with its size in 32 bits. It needs no
// nonce: that two keys are in one TPM does not change, and the AK answers the challenge.
Sha256Digest IakQualifyingData(std::string_view trust_domain, ByteView ak_name, ByteView ek_public);

}  // namespace sallyport::pki

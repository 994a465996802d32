// What goes into the protocol of architecture 6.2-6.6 and what comes out of it, free of gRPC. Sizes
// are checked by the flow, not by whoever fills these.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "attestation-server/evidence/key_evidence.h"
#include "attestation-server/store/vocabulary.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/tpm/floor_indices.h"
#include "pki/tpm/transcript.h"
#include "pki/x509/identity_extension.h"

namespace sallyport::server {

// Channel is what the service knows of the connection.
struct Channel {
  std::string source;  // the peer's address without its port: key of the rate limits
  // Leaves the listener presents or presented a moment ago (a reload between two calls); newest
  // first.
  std::vector<Sha256Digest> server_leaf_hashes;
};

// IakClaim: a machine of a known serial number, by its maker's word; stands in for an EK chain.
struct IakClaim {
  std::vector<Bytes> chain;  // DER, IAK certificate first
  Bytes iak_public;          // TPMT_PUBLIC
  Bytes attest;              // TPMS_ATTEST of TPM2_Certify of the AK; empty when the IAK is the AK
  Bytes signature;           // TPMT_SIGNATURE by the IAK
};

struct BeginInput {
  uint32_t protocol_version = 0;
  pki::Purpose purpose = pki::Purpose::kEnrol;  // kEnrol or kReattest
  std::vector<Bytes> ek_certificates;           // DER, leaf first; enrol only
  Bytes ek_public;                              // TPMT_PUBLIC; enrol only
  Bytes ak_public;                              // TPMT_PUBLIC
  std::optional<IakClaim> iak = {};             // enrol only, instead of ek_certificates
};

struct PcrRequest {
  std::string bank;
  std::vector<uint32_t> pcrs;
};

// BankAuditRequest asks for one quote over all `banks` (TPM algorithm ids) in one selection.
struct BankAuditRequest {
  std::vector<uint16_t> banks;
  std::vector<uint32_t> pcrs;
};

struct IssuedChallenge {
  Bytes ticket;
  TicketId ticket_id = TicketId::FromArray({});
  Nonce nonce = Nonce::FromArray({});
  std::vector<PcrRequest> pcr_requests;
  std::optional<BankAuditRequest> bank_audit;  // of a new boot
  std::string device_id;
  Sha256Digest ek_spki_hash = Sha256Digest::FromArray({});
  Duration expires_in;
  Bytes credential_blob;                   // TPM2B_ID_OBJECT contents, enrol only
  Bytes encrypted_secret;                  // TPM2B_ENCRYPTED_SECRET contents, enrol only
  std::optional<uint64_t> ima_first = {};  // the measurement list is wanted from this entry on
};

struct ReceivedQuote {
  Bytes attest;     // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
  std::map<uint32_t, Bytes> pcr_values;
};

// ReceivedIma is part of a measurement list: whole entries from number `first` on.
struct ReceivedIma {
  uint64_t first = 0;
  Bytes list;
};

// ReceivedFloor is one certified NV index.
struct ReceivedFloor {
  Bytes attest;     // TPMS_ATTEST
  Bytes signature;  // TPMT_SIGNATURE
};

struct ReceivedEvidence {
  uint32_t protocol_version = 0;
  std::vector<ReceivedQuote> quotes;  // the policy's bank, then the bank audit of a new boot
  Bytes event_log;                    // empty: the log named by event_log_hash
  std::optional<Sha256Digest> event_log_hash;
  Bytes tls_public;  // TPMT_PUBLIC
  KeyCertification key_certification = KeyCertification::kCreation;
  Bytes creation_data;  // TPMS_CREATION_DATA, kCreation only
  Bytes key_attest;     // TPMS_ATTEST
  Bytes key_signature;  // TPMT_SIGNATURE by the AK
  Bytes csr;
  std::string boot_slot;  // "A", "B" or empty
  std::optional<ReleaseDigest> release_digest;
  uint64_t epoch_held = 0;
  std::optional<Sha256Digest> activation_proof;  // enrol only
  std::string token;                             // enrol only
  std::string advertise;
  Bytes null_name;         // as the device's kernel shows it; these three are empty: not offered
  Bytes null_name_attest;  // TPMS_ATTEST of TPM2_Certify
  Bytes null_name_signature;
  std::optional<ReceivedIma> ima = {};
  // The rollback floors, base first: TPM2_NV_Certify by the AK. Empty: not shown.
  std::vector<ReceivedFloor> floors = {};
};

struct ProveInput {
  Bytes ticket;
  ReceivedEvidence evidence;
};

struct Admitted {
  std::string device_id;
  std::vector<Bytes> chain;  // DER, leaf first, then its issuer; empty when pending
  bool pending = false;      // enrolled, waits for an operator
  UnixTime renew_after;
  UnixTime not_after;
  uint64_t epoch = 0;
  Posture posture = Posture::kUnknown;
  pki::Tier tier = pki::Tier::kNone;
  // The highest floors that this device's TPM ever certified here; of a renewal never.
  std::optional<pki::FloorCounts> recorded_floors = {};
};

// Refusal is what the caller may be told, and no more. Until its AK is verified that is
// `reference_id` alone; the audit has the rule under that id.
struct Refusal {
  std::string reference_id;  // 32 hex digits
  std::string rule;          // empty: not for this caller
  std::string detail;
  std::vector<std::string> events;  // the device's own events that did not match
  Duration retry_after;             // above zero: too many, come back
  bool unavailable = false;         // ours, not theirs: full disk, queue full; try again
};

template <typename T>
using Answer = std::variant<T, Refusal>;

}  // namespace sallyport::server

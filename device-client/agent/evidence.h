// What travels between the agent and the server, as the agent's own types (docs/protocol.md). No
// proto here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ota/install/image_origins.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/tpm/transcript.h"

namespace sallyport::device {

struct PcrRequest {
  std::string bank;
  std::vector<unsigned> pcrs;
};

// BankAuditRequest asks for one quote over all `banks` (TPM algorithm ids) in one selection.
struct BankAuditRequest {
  std::vector<uint16_t> banks;
  std::vector<unsigned> pcrs;
};

struct Challenge {
  Bytes ticket;  // opaque
  TicketId ticket_id = TicketId::FromArray({});
  Nonce nonce = Nonce::FromArray({});
  std::vector<PcrRequest> pcr_requests;
  std::string device_id;
  Sha256Digest ek_spki_hash = Sha256Digest::FromArray({});
  std::optional<BankAuditRequest> bank_audit;  // of a new boot
  std::optional<uint64_t> ima_first;           // the measurement list is wanted from this entry on
};

struct Quote {
  Bytes attest;
  Bytes signature;
  std::map<unsigned, Bytes> pcr_values;
};

// ImaPart is part of the kernel's measurement list: whole entries from number `first` on.
struct ImaPart {
  uint64_t first = 0;
  Bytes entries;
};

// CertifiedIndex is an NV index as the AK certified it.
struct CertifiedIndex {
  Bytes attest;
  Bytes signature;
};

enum class KeyCertification : uint8_t { kCreation, kCertify };

struct Evidence {
  std::vector<Quote> quotes;  // the policy's bank, then the bank audit of a new boot
  Bytes event_log;            // empty: the server has judged this log in this boot
  Sha256Digest event_log_hash = Sha256Digest::FromArray({});
  Bytes tls_public;
  KeyCertification certification = KeyCertification::kCreation;
  Bytes creation_data;
  Bytes key_attest;
  Bytes key_signature;
  Bytes csr;
  pki::BootSlot boot_slot = pki::BootSlot::kUnknown;
  std::optional<ReleaseDigest> running_release;
  uint64_t epoch_held = 0;
  Bytes activation_proof;
  std::string token;
  std::string advertise;
  Bytes null_name;  // as the kernel shows it; these three are empty when it shows none
  Bytes null_name_attest;
  Bytes null_name_signature;
  std::optional<ImaPart> ima;
  std::vector<CertifiedIndex> floors;  // base first; empty: this TPM holds none
};

struct IssuedCertificate {
  std::vector<Bytes> chain;  // DER, leaf first
  UnixTime renew_after;
  UnixTime not_after;
  uint64_t epoch = 0;
  std::string posture;
  std::string tier;
};

struct UpdateReport {
  std::string state;
  std::optional<ReleaseDigest> release;
  std::string slot;
  std::string gate;
  std::string detail;
  std::string log_tail;  // of the boot that failed
  unsigned percent = 0;
  ota::ImageOrigins origins;  // of the image in `slot`; empty when it is not known
  // This device's business only:
  std::optional<UnixTime> install_by = {};  // of `release`
  bool degraded = false;                    // whatever `release` and `state` are
};

}  // namespace sallyport::device

// Devices: who they are, what they last proved, and what they hold (architecture 8 and 11).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "attestation-server/store/vocabulary.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/x509/identity_extension.h"

namespace sallyport::server {

// Placement is where an operator put a device; it comes from the token or the EK list.
struct Placement {
  std::string site;
  std::string device_class;
  std::vector<std::string> tags;  // sorted, without duplicates
  auto operator<=>(const Placement&) const = default;
};

// TpmIdentity never changes but by `device replace-tpm`.
struct TpmIdentity {
  Sha256Digest ek_spki_hash = Sha256Digest::FromArray({});
  std::string ek_manufacturer;
  std::string ek_model;
  std::string ek_version;
  bool vendor_chain = false;  // the EK certificate leads to a vendor's root, not to a test root
  Bytes ak_public;            // TPMT_PUBLIC
  Bytes ak_name;
  std::string profile;  // that it came in by: what is asked of its TPM
  TpmKind kind = TpmKind::kUnknown;
};

struct Provenance {
  ProvenanceKind kind = ProvenanceKind::kOperator;
  std::string id;       // token id; empty for the others
  std::string address;  // of the device's first proof, or the operator's name
};

// BootRecord is the boot that the last verdict was about.
struct BootRecord {
  BootId id = BootId::FromArray({});
  uint64_t generation = 0;  // rises when a count falls (TPM2_Clear)
  uint32_t reset_count = 0;
  uint32_t restart_count = 0;
  uint64_t clock_ms = 0;
  bool clock_safe = false;
  std::string firmware_version;  // 16 hex digits
  Sha256Digest log_hash = Sha256Digest::FromArray({});
};

// KeySlot is one TLS key with its newest certificate.
struct KeySlot {
  Bytes tls_name;
  std::string serial;  // hex
  UnixTime not_after;
};

struct DeviceRecord {
  std::string id;
  std::string name;  // unique, for people
  std::string trust_domain;
  Placement placement;
  TpmIdentity tpm;
  Provenance provenance;
  DeviceState state = DeviceState::kPending;
  Causes causes;
  pki::Tier tier = pki::Tier::kNone;
  Posture posture = Posture::kUnknown;  // as judged; PostureAt says what it is worth now
  std::string reason;                   // rule of the last refusal; empty when passing
  std::optional<BootRecord> boot;
  std::optional<BootId>
      failed_boot;  // the boot that last failed; a pass must come from another one
  std::optional<KeySlot> current_key;
  std::optional<KeySlot> next_key;  // issued, not yet seen in use
  pki::KeyProtection key_protection = pki::KeyProtection::kSoftware;
  UnixTime attested_at;
  UnixTime valid_until;
  UnixTime renew_after;
  UnixTime last_seen;
  uint64_t epoch = 0;  // min_epoch(device): certificates of an earlier epoch are dead
  uint64_t incarnation = 0;
  uint64_t manifest_version = 0;
  uint64_t policy_version = 0;
  uint64_t issuer_epoch = 0;
  std::optional<Sha256Digest> reference_set;  // the one the last passing verdict matched
  std::optional<Sha256Digest> evidence_hash;  // blob: the newest evidence that was kept
  std::optional<ReleaseDigest> running_release;
  std::string running_slot;
  std::string endpoint;                               // host:port of its proxy, a hint
  NullNameState null_name = NullNameState::kUnknown;  // of the last boot that passed
  UnixTime created_at;
  uint64_t revision = 0;  // rises with each write; compare-and-set
};

// PostureAt computes freshness when it is read: a pass that has run out is `expired`.
Posture PostureAt(const DeviceRecord& device, UnixTime now);

// Devices borrows a connection: the writer's inside a transaction, or a snapshot's.
class Devices {
 public:
  explicit Devices(Connection& connection) : connection_(connection) {}
  // kAlreadyExists when id, name, EK or AK belongs to another record.
  Result<Unit> Insert(const DeviceRecord& device);
  // Update writes all but id, name, trust domain, TPM identity and provenance; kConflict
  // ("device.changed") unless the stored revision is `device.revision`. The stored revision rises
  // by one.
  Result<Unit> Update(const DeviceRecord& device);
  Result<std::optional<DeviceRecord>> Find(std::string_view id);
  Result<std::optional<DeviceRecord>> FindByName(std::string_view name);
  Result<std::optional<DeviceRecord>> FindByAk(ByteView ak_name);
  Result<std::optional<DeviceRecord>> FindByEk(const Sha256Digest& ek_spki_hash);
  // List is in order of name, after `after`.
  Result<std::vector<DeviceRecord>> List(std::string_view after, int64_t limit);

 private:
  Connection& connection_;
};

// Touch records contact without raising the revision: hints must not disturb compare-and-set.
Result<Unit> TouchDevice(Connection& connection, std::string_view id, UnixTime last_seen,
                         uint64_t manifest_version);
// PromoteKey makes `next` current once the device has presented its certificate.
Result<Unit> PromoteKey(Connection& connection, std::string_view id, std::string_view serial);

// LeaseRow is what authorisation reads for each message.
struct LeaseRow {
  DeviceState state = DeviceState::kPending;
  Posture posture = Posture::kUnknown;
  UnixTime valid_until;
  UnixTime renew_after;
  uint64_t epoch = 0;
  uint64_t incarnation = 0;
  uint64_t manifest_version = 0;
  std::string serial_current;  // empty when there is none
  std::string serial_next;
};
Result<std::optional<LeaseRow>> ReadLease(Connection& connection, std::string_view id);

// CheckLive says whether a device's lease holds at `now`: rules lease.state, lease.posture,
// lease.expired.
Result<Unit> CheckLive(const LeaseRow& lease, UnixTime now);
// CheckLease says whether a certificate of `incarnation` and `epoch` is worth anything at `now`:
// those of CheckLive, and lease.epoch when everything of its time was revoked.
Result<Unit> CheckLease(const LeaseRow& lease, uint64_t incarnation, uint64_t epoch, UnixTime now);

}  // namespace sallyport::server

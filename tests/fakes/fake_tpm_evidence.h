// FakeTpmDevice answers challenges as a device with a TPM does, with keys in software; and it lies
// on demand.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "attestation-server/enrolment/messages.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/ima_list_builder.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/soft_tpm_key.h"

namespace sallyport {

// BootLog is the log of a device whose firmware started `image` with Secure Boot on.
EventLogBuilder BootLog(std::string_view image,
                        const std::vector<server::Bank>& banks = {server::Bank::kSha256});
// ReferenceJson is a reference/v1 file that a boot of `image` passes: PCR 0 by value, 4 and 7 by
// events.
std::string ReferenceJson(std::string_view image, std::string device_class,
                          pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256);

// FakeTpmSpec: what kind of TPM it is.
struct FakeTpmSpec {
  uint32_t ak_attributes = kAkAttributes;
  SoftKeyKind ak = {};
  std::vector<server::Bank> banks = {server::Bank::kSha256};  // that are on and extended
  // On, and never extended: what firmware with the fault of CVE-2021-42299 leaves behind.
  std::vector<server::Bank> forgotten_banks = {};
  uint64_t firmware = 7;
};

// ProofOptions: what to say, and what to get wrong.
struct ProofOptions {
  std::string token = {};
  bool send_log = true;     // false: name the log by its hash
  bool mention_log = true;  // false: send neither log nor hash
  Bytes other_log = {};     // sent instead of the true one
  std::string slot = "A";
  std::optional<ReleaseDigest> release = {};
  uint64_t epoch_held = 0;
  std::string advertise = "192.0.2.7:15008";
  bool certify_again = false;       // TPM2_Certify of the key of this boot
  std::optional<Nonce> nonce = {};  // another than the challenge's
  bool key_in_null_hierarchy = true;
  uint32_t tls_attributes = kTlsAttributes;
  bool audit_banks = true;  // false: answer with the policy's quote alone
  bool reset_before_audit = false;
  bool null_name = false;        // the kernel shows one
  bool other_null_name = false;  // than the TPM has now
  bool send_ima = true;          // a device with a measurement list sends what is asked for
  bool send_floors = true;       // false: a device that has them does not say so
  std::optional<server::ReceivedIma> other_ima = {};  // sent instead, asked for or not
};

class FakeTpmDevice {
 public:
  explicit FakeTpmDevice(const FakeTpmVendor& vendor, const FakeTpmSpec& spec = {});

  // Boot is a TPM reset and a boot of `image`; the TLS key of the last boot is gone.
  void Boot(std::string_view image);
  // Clear is TPM2_Clear: the counts go to zero.
  void Clear() { reset_count_ = restart_count_ = 0; }

  // Floors: the counters as they stand, once the device has any.
  struct Floors {
    pki::FloorCounts base;
    pki::FloorCounts counts;
  };
  std::optional<Floors> floors;

  // MeasureFiles is a kernel with IMA: the list of this boot, with its boot_aggregate.
  server::ImaListBuilder& MeasureFiles();
  server::ImaListBuilder& ima() { return *ima_; }

  server::BeginInput Begin(pki::Purpose purpose) const;
  // Prove answers `challenge` over a channel whose server showed `server_leaf`.
  server::ProveInput Prove(pki::Purpose purpose, const server::IssuedChallenge& challenge,
                           const Sha256Digest& server_leaf, const ProofOptions& options = {});

  const SoftEk& ek() const { return ek_; }
  const SoftTpmKey& ak() const { return ak_; }
  const SoftTpmKey& tls_key() const { return *tls_key_; }
  const Bytes& event_log() const { return log_; }
  // StopClock makes the next quote show the time of the last one.
  void StopClock() { clock_ms_ -= kTick; }
  // ForgetBank switches a bank on that firmware does not extend.
  void ForgetBank(server::Bank bank) { spec_.forgotten_banks.push_back(bank); }
  // LoseClock is what an unorderly shutdown does: the clock is `ms` behind, and unsafe.
  void LoseClock(uint64_t ms) {
    clock_ms_ -= ms;
    clock_safe_ = false;
  }

 private:
  static constexpr uint64_t kTick = 10;
  AttestFields Attest(pki::tpm::AttestType type, const Sha256Digest& qualifying) const;
  void Quote(const Sha256Digest& extra_data, const server::PcrRequest& request,
             server::ReceivedEvidence& out);
  void AuditBanks(const Sha256Digest& extra_data, const server::BankAuditRequest& request,
                  server::ReceivedEvidence& out);
  void CertifyNullName(const Sha256Digest& extra_data, bool other, server::ReceivedEvidence& out);
  void CertifyFloors(const Sha256Digest& qualifying, server::ReceivedEvidence& out) const;
  void SendIma(uint64_t first, const ProofOptions& options, server::ReceivedEvidence& out) const;
  void CertifyKey(const Sha256Digest& qualifying, const Nonce& nonce, const ProofOptions& options,
                  server::ReceivedEvidence& out);

  FakeTpmSpec spec_;
  const SoftEk ek_;
  const SoftTpmKey ak_;
  std::vector<Bytes> ek_certificates_;
  std::unique_ptr<SoftTpmKey> tls_key_;
  Bytes log_;
  std::optional<server::ImaListBuilder> ima_;
  uint64_t clock_ms_ = 1000;
  bool clock_safe_ = true;
  uint32_t reset_count_ = 0;
  uint32_t restart_count_ = 0;
};

}  // namespace sallyport

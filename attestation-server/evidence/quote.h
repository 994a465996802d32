// Verification of TPM quotes, rule by rule (TPM 2.0 Part 3, 18.4). Pure; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "attestation-server/evidence/check.h"
#include "attestation-server/evidence/replay.h"
#include "pki/tpm/attest.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/signature.h"

namespace sallyport::server {

// AkParent: `kEndorsement` is a primary key of the endorsement hierarchy, whose Qualified Name is
// known.
enum class AkParent : uint8_t { kEndorsement, kAny };

// AttestationKey is a decoded AK. Cheap to copy; a shell may keep it, decoding costs a third of a
// verification.
class AttestationKey {
 public:
  // FromArea: errors of PublicArea::ToPublicKey. Says nothing about attributes: see CheckAk.
  static Result<AttestationKey> FromArea(const pki::PublicArea& area);
  // FromPublicKey knows neither attributes nor Name nor scheme; their rules stay not run.
  static AttestationKey FromPublicKey(const pki::PublicKey& key);

  const pki::PublicKey& key() const { return key_; }
  const std::optional<pki::PublicArea>& area() const { return area_; }
  // name is computed from the area; empty without one.
  const Bytes& name() const { return name_; }

 private:
  explicit AttestationKey(pki::PublicKey key) : key_(std::move(key)) {}
  friend void CheckAk(const AttestationKey&, const std::optional<Bytes>&, CheckList&);
  pki::PublicKey key_;
  std::optional<pki::PublicArea> area_;
  std::vector<pki::KeyRuleResult> rules_;  // of the area, judged once
  Bytes name_;
};

// The rules of CheckAk: those of pki::CheckAttestationKey ("ak.restricted", ...) and then ak.name:
// the Name is the one frozen at enrolment, when one is given.
std::span<const std::string_view> AkRules();
void CheckAk(const AttestationKey& ak, const std::optional<Bytes>& frozen_name, CheckList& checks);

// CheckAttestSignature is what every TPMS_ATTEST goes through first: sizes, scheme, signature over
// the raw bytes, then magic and type, then structure. Rules, under `prefix` ("quote", "key"): size,
// scheme, signature, magic, type, structure (of the TPMT_SIGNATURE too, which is read first).
struct AttestRules {
  std::string_view size, scheme, signature, magic, type, structure;
};
struct SignedAttest {
  pki::Attest attest;
  pki::HashAlgorithm hash;  // of the signing scheme
};
std::optional<SignedAttest> CheckAttestSignature(const AttestationKey& ak, ByteView attest,
                                                 ByteView signature, pki::tpm::AttestType type,
                                                 const AttestRules& rules, CheckList& checks);
// CheckSigner decides `rule`: the attestation names `ak` under its parent. True unless it failed.
bool CheckSigner(const AttestationKey& ak, AkParent parent, const pki::Attest& attest,
                 std::string_view rule, CheckList& checks);

// ClockRecord is what the server keeps of a device's last accepted quote.
struct ClockRecord {
  pki::ClockInfo clock;
  uint64_t generation = 0;  // the server's count of TPM2_Clear, see BootRelation::kCleared
};
enum class BootRelation : uint8_t {
  kFirstSeen,
  kSameBoot,
  kNewBoot,  // a counter rose: reset, restart or resume
  kCleared,  // a counter fell: the TPM was cleared; the generation rises
};
struct ClockJudgement {
  BootRelation relation;
  uint64_t generation;
};
// JudgeClock returns kReplayed when the clock did not advance within a boot or turned unsafe within
// it, and when it went back across boots a second time before the TPM called it safe again: one
// unorderly shutdown is tolerated, not one after the other.
Result<ClockJudgement> JudgeClock(const pki::ClockInfo& now,
                                  const std::optional<ClockRecord>& last);

struct PcrValue {
  uint32_t pcr;
  PcrDigest value;
};

// AuthenticatedPcrs are PCR values covered by a quote that passed every rule; only CheckQuote makes
// them.
class AuthenticatedPcrs {
 public:
  Bank bank() const { return bank_; }
  bool selected(uint32_t pcr) const { return pcr < kPcrCount && values_[pcr].has_value(); }
  // value is nullopt for a PCR outside the quoted selection.
  const std::optional<PcrDigest>& value(uint32_t pcr) const { return values_.at(pcr); }

 private:
  friend class QuoteChecker;
  explicit AuthenticatedPcrs(Bank bank) : bank_(bank) {}
  Bank bank_;
  std::array<std::optional<PcrDigest>, kPcrCount> values_;
};

struct AuthenticatedQuote {
  AuthenticatedPcrs pcrs;
  pki::ClockInfo clock;
  ClockJudgement boot;
  uint64_t firmware_version;
};

// QuoteInput borrows. PCR values are the device's claim, or those of a replayed log, or absent.
struct QuoteInput {
  ByteView attest;
  ByteView signature;
  const std::vector<PcrValue>* values = nullptr;
  const ReplayedBank* replay = nullptr;
};

struct QuoteExpectation {
  ByteView extra_data;  // exact
  pki::HashAlgorithm bank;
  uint32_t pcr_mask = 0;  // bit n is PCR n
  AkParent ak_parent = AkParent::kEndorsement;
  std::optional<ClockRecord> last;
  uint64_t firmware_floor = 0;
};

// Rules of CheckQuote, in the order in which they run:
//   quote.size quote.scheme quote.signature quote.magic quote.type quote.structure
//   quote.qualified-signer  signed by this AK under the stated parent
//   quote.extra-data        exactly the expected bytes
//   quote.selection         exactly one bank, the requested one, exactly the requested PCRs
//   quote.values            one value of the bank's size for each quoted PCR and no other
//   quote.digest            the values hash to the quoted digest (with the hash of the signing
//   scheme) quote.clock             see JudgeClock quote.firmware          TPM firmware not below
//   the floor
std::span<const std::string_view> QuoteRules();

// CheckQuote decides the rules above in `checks` (which must hold them). Returns nothing when one
// of them failed, or when there were no values to authenticate.
std::optional<AuthenticatedQuote> CheckQuote(const AttestationKey& ak, const QuoteInput& input,
                                             const QuoteExpectation& expected, CheckList& checks);

}  // namespace sallyport::server

#include "attestation-server/enrolment/decision.h"

#include <algorithm>
#include <array>

#include "attestation-server/enrolment/identity_states.h"
#include "pki/tpm/attest.h"

namespace sallyport::server {

namespace {

// A device without a name of its own gets one that people can tell apart and type.
constexpr size_t kDerivedNameCharacters = 12;
// Renewal falls due at half of the life, spread by a tenth of it: a herd does not come at once.
constexpr double kRenewAt = 0.5;
constexpr double kRenewSpread = 0.05;

Error Denied(std::string detail, std::string_view rule) {
  return Error{Reason::kPolicyDenied, std::move(detail), rule};
}

std::string_view CauseRule(QuarantineCause cause) {
  switch (cause) {
    case QuarantineCause::kPosture: return "quarantine.posture";
    case QuarantineCause::kOperator: return "quarantine.operator";
    case QuarantineCause::kClone: return "quarantine.clone";
    case QuarantineCause::kTpmChanged: return "quarantine.tpm-changed";
    case QuarantineCause::kRestore: return "quarantine.restore";
  }
  std::abort();
}

bool Holds(const std::optional<KeySlot>& slot, const Bytes& tls_name) {
  return slot.has_value() && slot->tls_name == tls_name;
}

std::string FirmwareText(uint64_t version) {
  return HexEncode(std::move(ByteWriter().BigU64(version)).Take());
}

std::optional<ClockRecord> LastClock(const DeviceRecord& device) {
  if (!device.boot.has_value()) return std::nullopt;
  const BootRecord& boot = *device.boot;
  return ClockRecord{{boot.clock_ms, boot.reset_count, boot.restart_count, boot.clock_safe},
                     boot.generation};
}

Result<pki::KeyProtection> ProtectionOf(const ProvenTlsKey& key, const ClassTimes& times) {
  if (key.in_null_hierarchy()) return pki::KeyProtection::kTpmNullHierarchy;
  if (times.key_may_outlive_boot && key.policy_bound()) return pki::KeyProtection::kTpmPolicy;
  return Denied("the class asks for a key of the null hierarchy", "key.outlives-boot");
}

// ClearQuarantine drops the cause `posture` when the pass is of another boot than the failure.
Result<Unit> ClearQuarantine(DeviceRecord& device, const BootId& passed_boot) {
  if (device.state != DeviceState::kQuarantined) return Unit{};
  if (device.causes.contains(QuarantineCause::kPosture) && device.failed_boot == passed_boot)
    return Denied("a failed boot is cleared by another boot", "quarantine.same-boot");
  device.causes.erase(QuarantineCause::kPosture);
  if (!device.causes.empty()) return Denied("operators decide", CauseRule(*device.causes.begin()));
  device.state = *NextIdentity(device.state, IdentityEvent::kCleared);
  return Unit{};
}

}  // namespace

DeviceRecord NewDevice(const FlowConfig& config, const Case& proof, const AdmissionGround& ground,
                       const std::string& source, UnixTime now) {
  const auto profile = config.profiles.find(ground.profile);
  SP_CHECK(profile != config.profiles.end());  // Prover::TpmTermsOf
  DeviceRecord device;
  device.id = proof.ticket.device_id;
  device.name =
      ground.device_name.empty() ? device.id.substr(0, kDerivedNameCharacters) : ground.device_name;
  device.trust_domain = config.trust_domain.name();
  device.placement = ground.placement;
  device.tpm = {proof.ticket.ek_spki_hash,
                proof.ticket.ek_manufacturer,
                proof.ticket.ek_model,
                proof.ticket.ek_version,
                profile->second.vendor,
                proof.ticket.ak_public,
                proof.ak->name(),
                ground.profile,
                profile->second.tpm.kind.value_or(KindOfTpm(proof.ticket.ek_manufacturer))};
  device.provenance = {ground.kind, ground.token_id, source};
  device.state = ground.pending ? DeviceState::kPending : DeviceState::kEnrolled;
  device.epoch = 1;
  device.incarnation = config.incarnation;
  device.created_at = now;
  return device;
}

Result<Unit> CheckStanding(const DeviceRecord& device, const Case& proof, uint64_t incarnation) {
  if (device.state == DeviceState::kRetired) return Denied(device.name, "device.retired");
  if (device.tpm.ak_name != proof.ak->name())
    return Error{Reason::kMismatch, "the attestation key is frozen", "ak.changed"};
  if (device.incarnation == incarnation && proof.evidence->epoch_held > device.epoch)
    return Error{Reason::kRollback, "the device has seen a later epoch", "epoch.ahead"};
  const bool creation = proof.evidence->key_certification == KeyCertification::kCreation;
  if (proof.ticket.purpose != pki::Purpose::kRenew) {
    if (!creation) return Denied("a new key is asked for", "key.certification");
    return Unit{};
  }
  if (device.state != DeviceState::kActive)
    return Denied("device is " + std::string(TextOf(device.state)), "device.not-active");
  if (creation)
    return Denied("a renewal certifies the key of the boot again", "renew.certification");
  return Unit{};
}

bool MayDisclose(const Verdict& verdict) {
  return verdict.ak_verified && verdict.checks.Of("quote.extra-data") == CheckResult::kPass;
}

bool IsPostureFailure(const Case& proof, const Verdict& verdict) {
  if (!MayDisclose(verdict) || proof.log_unknown()) return false;
  for (const std::string_view rule : {"quote.qualified-signer", "quote.selection", "quote.clock"})
    if (verdict.checks.Of(rule) != CheckResult::kPass) return false;
  constexpr std::array kPostureRules{
      std::string_view("log."),           std::string_view("pcr."),
      std::string_view("ima."),           std::string_view("reference.match"),
      std::string_view("quote.digest"),   std::string_view("quote.values"),
      std::string_view("quote.firmware"), std::string_view("bank.log"),
      std::string_view("bank.replay"),    std::string_view("null-name.kernel"),
      std::string_view("secure-boot.")};
  const Check* const failure = verdict.checks.FirstFailure();
  // These two say nothing of the device: what was kept of its list, and what nobody has imported.
  if (failure != nullptr &&
      (failure->rule == "ima.continuation" || failure->rule == "ima.reference"))
    return false;
  return failure != nullptr && std::ranges::any_of(kPostureRules, [&](std::string_view prefix) {
           return failure->rule.starts_with(prefix);
         });
}

std::optional<BootRecord> JudgedBoot(const DeviceRecord& device, const Case& proof,
                                     const Verdict& verdict) {
  if (!MayDisclose(verdict)) return std::nullopt;  // the bytes below are signed from here on
  const auto attest = pki::ParseAttest(proof.evidence->quotes.front().attest);
  if (!attest.has_value()) return std::nullopt;
  const auto judged = JudgeClock(attest->clock, LastClock(device));
  if (!judged.has_value()) return std::nullopt;
  return BootRecord{
      ComputeBootId(proof.ak->name(), judged->generation, attest->clock, proof.log_hash),
      judged->generation,
      attest->clock.reset_count,
      attest->clock.restart_count,
      attest->clock.clock_ms,
      attest->clock.safe,
      FirmwareText(attest->firmware_version),
      proof.log_hash};
}

Result<DeviceRecord> ApplyPass(DeviceRecord device, const Case& proof, const Verdict& verdict,
                               const PassTerms& terms) {
  const std::optional<BootRecord> boot = JudgedBoot(device, proof, verdict);
  SP_CHECK(verdict.passing() && verdict.key.has_value() && verdict.quote.has_value() &&
           boot.has_value());
  if (proof.ticket.purpose == pki::Purpose::kRenew) {
    if (verdict.quote->boot.relation != BootRelation::kSameBoot ||
        device.boot->log_hash != proof.log_hash)
      return Denied("a new boot attests anew", "renew.new-boot");
    if (!Holds(device.current_key, verdict.key->name()) &&
        !Holds(device.next_key, verdict.key->name()))
      return Error{Reason::kMismatch, "not the key of this boot", "renew.key"};
  }
  const std::optional<ReleaseDigest> shown =
      terms.matched == nullptr ? std::nullopt : terms.matched->release;
  const std::optional<ReleaseDigest>& claimed = proof.evidence->release_digest;
  if (shown.has_value() && claimed.has_value() && shown != claimed)
    return Error{Reason::kMismatch, "the log shows another release", "claim.release"};
  SP_TRY(device.key_protection, ProtectionOf(*verdict.key, terms.times));
  SP_TRY(ClearQuarantine(device, boot->id));
  device.state = *NextIdentity(device.state, IdentityEvent::kPassed);
  const bool capped =
      !device.tpm.vendor_chain || device.key_protection != pki::KeyProtection::kTpmNullHierarchy;
  device.tier = capped ? std::min(verdict.tier, pki::Tier::kAttested) : verdict.tier;
  device.posture = Posture::kPassing;
  device.reason.clear();
  device.boot = boot;
  device.failed_boot.reset();
  device.attested_at = verdict.attested_at;
  device.valid_until = verdict.valid_until;
  const auto life = static_cast<double>((verdict.valid_until - verdict.attested_at).ms);
  device.renew_after =
      verdict.attested_at +
      Milliseconds(static_cast<int64_t>(life * (kRenewAt + kRenewSpread * terms.jitter)));
  device.last_seen = terms.now;
  if (device.incarnation < terms.incarnation) device.incarnation = terms.incarnation;
  device.reference_set = terms.matched == nullptr ? std::nullopt : std::optional(terms.matched->id);
  device.running_release = shown;
  device.running_slot = proof.evidence->boot_slot;
  if (proof.ticket.purpose != pki::Purpose::kRenew) device.null_name = verdict.null_name;
  if (!proof.evidence->advertise.empty()) device.endpoint = proof.evidence->advertise;
  return device;
}

DeviceRecord ApplyFailure(DeviceRecord device, const Case& proof, const Verdict& verdict,
                          uint64_t incarnation, UnixTime now) {
  const std::optional<BootRecord> boot = JudgedBoot(device, proof, verdict);
  if (device.posture != Posture::kFailing) ++device.epoch;
  if (device.incarnation < incarnation) device.incarnation = incarnation;
  device.state = *NextIdentity(device.state, IdentityEvent::kFailed);
  if (device.state == DeviceState::kQuarantined) device.causes.insert(QuarantineCause::kPosture);
  device.posture = Posture::kFailing;
  device.tier = pki::Tier::kNone;
  device.reason = verdict.rule();
  if (boot.has_value()) {
    device.boot = boot;
    device.failed_boot = boot->id;
  }
  device.attested_at = verdict.attested_at;
  device.valid_until = verdict.attested_at;
  device.last_seen = now;
  return device;
}

}  // namespace sallyport::server

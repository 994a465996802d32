#include "attestation-server/enrolment/prover.h"

#include "attestation-server/enrolment/evidence_document.h"
#include "attestation-server/enrolment/limits.h"
#include "attestation-server/enrolment/tokens.h"
#include "attestation-server/evidence/observe.h"
#include "attestation-server/store/tokens.h"
#include "pki/base/log.h"
#include "pki/ca/hierarchy.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {

namespace {

// SerialSource hands the signer the serial that the committed row names.
class SerialSource final : public Random {
 public:
  explicit SerialSource(const Bytes& serial) : serial_(serial) {}
  void Fill(std::span<uint8_t> out) override {
    SP_CHECK(out.size() == serial_.size());
    std::ranges::copy(serial_, out.begin());
  }

 private:
  const Bytes& serial_;
};

constexpr size_t kSerialBytes = 16;

Bytes DrawSerial(Random& random) {
  Bytes serial(kSerialBytes);
  do {
    random.Fill(serial);
  } while (serial.front() == 0);  // one DER encoding, of full length
  return serial;
}

// HashOfVerdict is empty for a verdict whose evidence was not kept: nobody can judge it again.
std::string HashOfVerdict(const VerdictRow& verdict) {
  return verdict.evidence_hash.has_value()
             ? HexEncode(pki::Sha256(AsBytes(WriteJson(VerdictJson(verdict)))))
             : "";
}

JsonValue AuditRecord(const Case& proof, const DeviceRecord& device, const VerdictRow& verdict,
                      const std::optional<CertificateRow>& certificate) {
  return JsonValue::Object(
      {{"at", FormatRfc3339(verdict.judged_at)},
       {"device", device.id},
       {"name", device.name},
       {"purpose", verdict.purpose},
       {"verdict", verdict.id},
       {"rule", verdict.rule},
       {"state", TextOf(device.state)},
       {"posture", TextOf(device.posture)},
       {"tier", pki::TierName(device.tier)},
       {"epoch", device.epoch},
       {"serial", certificate.has_value() ? certificate->serial : ""},
       {"evidence", HexEncode(proof.evidence_hash)},
       {"event_log", HexEncode(proof.log_hash)},
       {"document", verdict.evidence_hash.has_value() ? HexEncode(*verdict.evidence_hash) : ""},
       {"verdict_sha256", HashOfVerdict(verdict)},
       {"provenance", TextOf(device.provenance.kind)},
       {"token", device.provenance.id}});
}

void SayFloors(const DeviceRecord& device, const FloorsRow& floors) {
  Log(LogLevel::kError, "device_floors",
      {{"device", device.name},
       {"finding", floors.finding},
       {"since", FormatRfc3339(floors.finding_since)},
       {"text", ExplainFloors(floors.finding)}});
}

}  // namespace

Prover::Prover(const FlowConfig& config, const FlowParts& parts, TicketSealer& sealer,
               Refusals& refusals, ImaStarts& ima_starts,
               std::shared_ptr<const pki::DeviceLeafSigner> signer)
    : config_(config),
      parts_(parts),
      sealer_(sealer),
      refusals_(refusals),
      ima_starts_(ima_starts),
      intake_(parts.blobs, config.trust_domain.name()),
      references_(kReferenceCacheMax),
      signer_(std::move(signer)) {
  for (const uint32_t pcr : config.pcrs) pcr_mask_ |= 1u << pcr;
}

void Prover::ReplaceSigner(std::shared_ptr<const pki::DeviceLeafSigner> signer) {
  const std::lock_guard lock(signer_mutex_);
  signer_ = std::move(signer);
}

std::shared_ptr<const pki::DeviceLeafSigner> Prover::signer() {
  const std::lock_guard lock(signer_mutex_);
  return signer_;
}

Answer<Admitted> Prover::Prove(std::initializer_list<pki::Purpose> accepted,
                               std::string_view device_id, const Channel& channel,
                               const ProveInput& input, UnixTime now) {
  RefusalCase about{.purpose = std::string(pki::PurposeName(*accepted.begin())),
                    .source = channel.source,
                    .device_id = std::string(device_id)};
  Result<Admitted> admitted = Open(accepted, device_id, channel, input, now, about);
  if (!admitted.has_value()) return refusals_.Make(admitted.error(), std::move(about), now);
  return std::move(admitted).value();
}

Result<Admitted> Prover::Open(std::initializer_list<pki::Purpose> accepted,
                              std::string_view device_id, const Channel& channel,
                              const ProveInput& input, UnixTime now, RefusalCase& about) {
  SP_TRY(CheckSizes(input));
  SP_TRY(Ticket ticket, sealer_.Open(input.ticket, accepted, now));
  about.purpose = pki::PurposeName(ticket.purpose);
  about.device_id = ticket.device_id;
  if (!device_id.empty() && ticket.device_id != device_id)
    return Error{Reason::kMismatch, "ticket of another device", "ticket.other-device"};
  if (input.evidence.ima && !ticket.ima)
    return Error{Reason::kInvalidArgument, "no measurement list was asked for", "ima.unasked"};
  const Sha256Digest evidence_hash = EvidenceHash(input);
  const TicketId ticket_id = ticket.id;
  if (std::optional<Admitted> kept = answers_.Find(ticket_id, evidence_hash, now))
    return *std::move(kept);
  SP_TRY(const Case proof, intake_.Open(std::move(ticket), channel, input, evidence_hash));
  for (int attempt = 1;; ++attempt) {
    Result<Admitted> admitted = Attempt(proof, channel.source, now, about);
    if (admitted.has_value()) {
      answers_.Keep(ticket_id, evidence_hash, *admitted, now);
      return admitted;
    }
    if (admitted.error().reason != Reason::kConflict || attempt == kJudgeAttemptsMax)
      return admitted;
  }
}

Result<AdmissionGround> Prover::Ground(Connection& connection, const Case& proof, UnixTime now) {
  const std::optional<Sha256Digest>& serial = proof.ticket.serial_listing;
  SP_TRY(const auto listed, EkList(connection).Find(serial.value_or(proof.ticket.ek_spki_hash)));
  std::optional<TokenRecord> token;
  // A machine without an EK chain comes in by its serial number alone.
  const bool token_sent = !proof.evidence->token.empty() && !serial.has_value();
  if (token_sent && !listed.has_value()) {
    SP_TRY(const Sha256Digest hash, HashToken(proof.evidence->token));
    SP_TRY(token, Tokens(connection).FindBySecret(hash));
  }
  SP_TRY(AdmissionGround ground,
         DecideAdmission(listed, token, token_sent, proof.ticket.ek_spki_hash, now));
  if (std::ranges::find(proof.ticket.profiles, ground.profile) == proof.ticket.profiles.end())
    return Error{Reason::kPolicyDenied, "the EK chain is not of profile '" + ground.profile + "'",
                 "admission.profile"};
  if (!ground.device_name.empty()) {
    SP_TRY(const auto named, Devices(connection).FindByName(ground.device_name));
    if (named.has_value())
      return Error{Reason::kAlreadyExists, ground.device_name, "admission.name-taken"};
  }
  return ground;
}

Result<Prover::Standing> Prover::Read(const Case& proof, UnixTime now) {
  Standing out;
  out.signer = signer();
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  Connection& connection = snapshot.connection();
  SP_TRY(const auto spent, FindSpentTicket(connection, proof.ticket.id));
  if (spent.has_value()) return Error{Reason::kReplayed, "ticket was used before", "ticket.spent"};
  SP_TRY(out.epochs, ReadEpochs(connection));
  SP_TRY(out.device, Devices(connection).Find(proof.ticket.device_id));
  if (out.device.has_value()) {
    SP_TRY(CheckStanding(*out.device, proof, config_.incarnation));
    out.device_class = out.device->placement.device_class;
  } else {
    if (proof.ticket.purpose != pki::Purpose::kEnrol)
      return Error{Reason::kNotFound, "no such device", "device.unknown"};
    if (proof.evidence->key_certification != KeyCertification::kCreation)
      return Error{Reason::kPolicyDenied, "a new key is asked for", "key.certification"};
    SP_TRY(out.ground, Ground(connection, proof, now));
    out.device_class = out.ground->placement.device_class;
  }
  SP_TRY(const auto rows,
         References(connection).ForDevice(proof.ticket.device_id, out.device_class));
  SP_TRY(out.references, references_.Open(rows, proof.ticket.bank));
  return out;
}

Result<const TpmTerms*> Prover::TpmTermsOf(const Case& proof, const Standing& standing) const {
  const std::string& name =
      standing.device.has_value() ? standing.device->tpm.profile : standing.ground->profile;
  const auto profile = config_.profiles.find(name);
  if (profile == config_.profiles.end())
    return Error{Reason::kPolicyDenied, "profile '" + name + "' is not configured",
                 "profile.unknown"};
  // A ticket that several profiles could use asked for the bank of the first.
  if (profile->second.tpm.bank != proof.ticket.bank)
    return Error{Reason::kPolicyDenied, "profile '" + name + "' asks for another bank",
                 "admission.bank"};
  return &profile->second.tpm;
}

JudgeTerms Prover::TermsOf(const Case& proof, const Standing& standing, const TpmTerms& tpm,
                           const ClassTimes& times) const {
  JudgeTerms terms;
  terms.pcr_mask = pcr_mask_;
  if (proof.ticket.ima.has_value()) {
    terms.pcr_mask |= kImaPcrMask;
    // At enrolment the class is known too late: what was quoted for another's sake is not judged.
    terms.pcrs_elsewhere = times.ima ? 1u << kImaPcr : kImaPcrMask & ~pcr_mask_;
    if (times.ima) terms.ima = proof.ticket.ima;
  }
  terms.firmware_floor = tpm.firmware_floor;
  if (proof.ticket.purpose != pki::Purpose::kRenew)
    terms.new_boot = NewBootContext{{tpm.banks, pcr_mask_ & kAuditPcrs}, tpm.require_null_name};
  terms.reference_epoch = standing.epochs.reference;
  terms.evidence_lifetime = times.evidence_lifetime;
  if (!standing.device.has_value()) return terms;
  terms.frozen_ak_name = standing.device->tpm.ak_name;
  if (const auto& boot = standing.device->boot)
    terms.last =
        ClockRecord{{boot->clock_ms, boot->reset_count, boot->restart_count, boot->clock_safe},
                    boot->generation};
  return terms;
}

Result<Admitted> Prover::Attempt(const Case& proof, const std::string& source, UnixTime now,
                                 RefusalCase& about) {
  SP_TRY(Standing standing, Read(proof, now));
  const auto times = config_.classes.find(standing.device_class);
  if (times == config_.classes.end())
    return Error{Reason::kPolicyDenied, "class '" + standing.device_class + "' is not configured",
                 "class.unknown"};
  if (times->second.ima && !proof.ticket.ima)
    return Error{Reason::kPolicyDenied, "the challenge is older than what the class asks for",
                 "ima.not-asked"};
  SP_TRY(const TpmTerms* const tpm, TpmTermsOf(proof, standing));
  standing.terms = TermsOf(proof, standing, *tpm, times->second);
  const Verdict verdict = JudgeCase(proof, standing.terms, standing.references.candidates);
  about.ak_verified = MayDisclose(verdict);
  about.events.clear();
  for (const EventDifference& difference : verdict.diff)
    about.events.push_back(OwnEvent(difference));
  DeviceRecord device = standing.device.has_value()
                            ? *standing.device
                            : NewDevice(config_, proof, *standing.ground, source, now);
  if (verdict.passing())
    return Admit(proof, standing, verdict, times->second, std::move(device), now);
  return Fail(proof, standing, verdict, std::move(device), now, about);
}

Result<Admitted> Prover::Admit(const Case& proof, const Standing& standing, const Verdict& verdict,
                               const ClassTimes& times, DeviceRecord device, UnixTime now) {
  std::array<uint8_t, 2> drawn;
  parts_.random.Fill(drawn);
  const double jitter = (drawn[0] << 8 | drawn[1]) / 32767.5 - 1;
  Plan plan;
  SP_TRY(plan.device, ApplyPass(std::move(device), proof, verdict,
                                {times, standing.references.Matched(verdict.matched_label),
                                 config_.incarnation, jitter, now}));
  plan.insert = !standing.device.has_value();
  if (standing.ground.has_value()) plan.token_id = standing.ground->token_id;
  plan.device.issuer_epoch = standing.epochs.issuer;
  plan.verdict = MakeVerdictRow(proof, standing, verdict, refusals_.NewReferenceId(), now);
  plan.shown_floors = verdict.floors;
  plan.audit_event =
      plan.device.state == DeviceState::kPending ? "device-pending" : "certificate-issued";
  if (plan.device.state == DeviceState::kActive) PlanCertificate(standing, verdict, plan, now);
  if (proof.ticket.purpose != pki::Purpose::kRenew) SP_TRY(KeepEvidence(proof, standing, plan));
  SP_TRY(Commit(proof, standing, plan, now));
  if (plan.floors && !plan.floors->finding.empty()) SayFloors(plan.device, *plan.floors);
  if (verdict.ima_end.has_value())
    ima_starts_.Put(plan.device.id, std::make_shared<const ImaStart>(*verdict.ima_end));
  SP_TRY(Admitted admitted, Sign(standing, verdict, plan));
  if (!admitted.pending) parts_.events.OnAdmitted(plan.device);
  return admitted;
}

Error Prover::Fail(const Case& proof, const Standing& standing, const Verdict& verdict,
                   DeviceRecord device, UnixTime now, RefusalCase& about) {
  const Check* const failure = verdict.checks.FirstFailure();
  Error refusal{Reason::kPolicyDenied,
                failure != nullptr ? failure->detail : "not everything was shown", verdict.rule()};
  if (proof.log_unknown() && about.ak_verified) return *proof.log_refusal;
  Learn(proof, standing, verdict, now);
  // Whatever was wrong, the next list is a whole one.
  if (proof.ticket.ima.has_value()) ima_starts_.Erase(proof.ticket.device_id);
  // A device that never came in leaves nothing but the audit entry: no record, no spent token.
  if (!standing.device.has_value() || !IsPostureFailure(proof, verdict)) return refusal;
  about.reference_id = refusals_.NewReferenceId();
  Plan plan;
  plan.device = ApplyFailure(std::move(device), proof, verdict, config_.incarnation, now);
  plan.verdict = MakeVerdictRow(proof, standing, verdict, about.reference_id, now);
  plan.audit_event = "device-failed";
  for (const EventDifference& difference : verdict.diff)
    if (!difference.got.empty()) plan.observed.push_back({difference.pcr, difference.got});
  if (Result<Unit> kept = KeepEvidence(proof, standing, plan); !kept.has_value())
    return std::move(kept).error();
  if (Result<Unit> done = Commit(proof, standing, plan, now); !done.has_value())
    return std::move(done).error();
  about.audited = true;
  parts_.events.OnRevoked(plan.device.id, plan.device.epoch);
  return refusal;
}

void Prover::Learn(const Case& proof, const Standing& standing, const Verdict& verdict,
                   UnixTime now) {
  if (proof.log == nullptr || !LacksReferenceOnly(verdict)) return;
  if (const Result<Unit> captured = CaptureBoot(proof, standing, verdict, now); !captured)
    Log(LogLevel::kInfo, "not_learned",
        {{"device", proof.ticket.device_id}, {"reason", captured.error().ToString()}});
}

Result<Unit> Prover::CaptureBoot(const Case& proof, const Standing& standing,
                                 const Verdict& verdict, UnixTime now) {
  {
    SP_TRY(Snapshot snapshot, parts_.database.Read());
    SP_TRY(const auto window, FindWindow(snapshot.connection(), standing.device_class));
    if (!window || now >= window->closes_at) return Unit{};
  }
  SP_TRY(const Expectation seen,
         Observe(nullptr, verdict.quote->pcrs, *proof.log, standing.references.candidates,
                 standing.terms.pcrs_elsewhere));
  ReferenceRow row;
  row.device_class = standing.device_class;
  row.state = ReferenceState::kLearning;
  row.json = WriteReferenceFile(
      {.device_class = row.device_class, .bank = proof.ticket.bank, .expectation = seen});
  row.id = pki::Sha256(AsBytes(row.json));
  row.created_at = now;
  return parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(const Flag captured, Capture(transaction.connection(), row, proof.ticket.device_id));
    if (!captured.value) return Unit{};
    SP_TRY(transaction.Audit("reference.learned",
                             JsonValue::Object({{"id", HexEncode(row.id)},
                                                {"class", row.device_class},
                                                {"device", proof.ticket.device_id}})));
    return Unit{};
  });
}

VerdictRow Prover::MakeVerdictRow(const Case& proof, const Standing& standing,
                                  const Verdict& verdict, std::string id, UnixTime now) const {
  VerdictRow row = RowOf(proof, verdict, standing.references);
  row.id = std::move(id);
  row.reference_epoch = standing.epochs.reference;
  row.policy_epoch = standing.epochs.policy;
  row.issuer_epoch = standing.epochs.issuer;
  row.judged_at = now;
  return row;
}

// Evidence of a boot, and of every failure, is kept before the commit that names it, and so is a
// log that could not be read; a renewal within the boot leaves the hash of its bytes in the audit
// only.
Result<Unit> Prover::KeepEvidence(const Case& proof, const Standing& standing, Plan& plan) {
  const ByteView log =
      proof.log != nullptr ? proof.log->bytes() : ByteView(proof.evidence->event_log);
  if (!log.empty()) SP_TRY(parts_.blobs.Put(log));
  const std::string document = WriteEvidenceDocument(proof, config_.trust_domain.name(),
                                                     standing.terms, standing.references.rows);
  SP_TRY(const Sha256Digest hash, parts_.blobs.Put(AsBytes(document)));
  plan.device.evidence_hash = plan.verdict.evidence_hash = hash;
  return Unit{};
}

void Prover::PlanCertificate(const Standing& standing, const Verdict& verdict, Plan& plan,
                             UnixTime now) {
  const pki::IssuerCertificate& issuer = standing.signer->issuer();
  CertificateRow row;
  const Bytes serial = DrawSerial(parts_.random);
  row.serial = HexEncode(serial);
  row.device_id = plan.device.id;
  row.issuer_key_id = HexEncode(issuer.key_id);
  row.issuer_epoch = standing.epochs.issuer;
  row.epoch = plan.device.epoch;
  row.incarnation = plan.device.incarnation;
  row.tls_name = verdict.key->name();
  row.spki_hash = pki::Sha256(verdict.key->spki());
  row.not_before =
      std::max(UnixTime::FromSeconds((now - pki::kBackdate).seconds()), issuer.not_before);
  row.not_after =
      std::min(UnixTime::FromSeconds(plan.device.valid_until.seconds()), issuer.not_after);
  row.attested_at = verdict.attested_at;
  row.boot_id = plan.device.boot->id;
  plan.device.next_key = KeySlot{row.tls_name, row.serial, row.not_after};
  plan.certificate = std::move(row);
}

// CommitFloors sets what a new boot shows of its floors beside what was recorded.
Result<std::optional<FloorsRow>> Prover::CommitFloors(Transaction& transaction, const Case& proof,
                                                      const Plan& plan, UnixTime now) {
  if (proof.ticket.purpose == pki::Purpose::kRenew || !plan.verdict.passed)
    return std::optional<FloorsRow>();
  SP_TRY(const auto recorded, FindFloors(transaction.connection(), plan.device.id));
  std::optional<FloorsRow> row =
      UpdateFloors(plan.device.id, recorded, plan.shown_floors, plan.device.boot->generation, now);
  if (!row) return row;
  SP_TRY(PutFloors(transaction.connection(), *row));
  if (row->finding != (recorded ? recorded->finding : ""))
    SP_TRY(transaction.Audit("device-floors", JsonValue::Object({{"at", FormatRfc3339(now)},
                                                                 {"device", plan.device.id},
                                                                 {"name", plan.device.name},
                                                                 {"finding", row->finding}})));
  return row;
}

Result<Unit> Prover::Commit(const Case& proof, const Standing& standing, Plan& plan, UnixTime now) {
  const JsonValue record = AuditRecord(proof, plan.device, plan.verdict, plan.certificate);
  Result<Unit> done = parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    Connection& connection = transaction.connection();
    SP_TRY(SpendTicket(connection, proof.ticket.id, plan.device.id, plan.verdict.purpose, now));
    SP_TRY(const JudgedEpochs epochs, ReadEpochs(connection));
    if (epochs != standing.epochs)
      return Error{Reason::kConflict, "judged under values that are no longer in force",
                   "judged.stale"};
    if (!plan.token_id.empty()) SP_TRY(Tokens(connection).Spend(plan.token_id, now));
    SP_TRY(plan.insert ? Devices(connection).Insert(plan.device)
                       : Devices(connection).Update(plan.device));
    SP_TRY(InsertVerdict(connection, plan.verdict));
    for (const Observed& observed : plan.observed)
      SP_TRY(RecordObserved(connection, plan.device.id, observed, now));
    if (plan.certificate.has_value()) SP_TRY(InsertCertificate(connection, *plan.certificate));
    SP_TRY(plan.floors, CommitFloors(transaction, proof, plan, now));
    SP_TRY(transaction.Audit(plan.audit_event, record));
    return Unit{};
  });
  // Another proof of the same TPM, or of the same name, came first: look again.
  if (!done.has_value() && plan.insert && done.error().reason == Reason::kAlreadyExists)
    return Error{Reason::kConflict, done.error().detail, "device.changed"};
  return done;
}

Result<Admitted> Prover::Sign(const Standing& standing, const Verdict& verdict, const Plan& plan) {
  Admitted out;
  out.device_id = plan.device.id;
  out.epoch = plan.device.epoch;
  out.posture = plan.device.posture;
  out.tier = plan.device.tier;
  out.pending = !plan.certificate.has_value();
  if (plan.floors) out.recorded_floors = plan.floors->highest;
  if (out.pending) return out;
  const CertificateRow& row = *plan.certificate;
  SP_TRY(const pki::DeviceId device, pki::DeviceId::Parse(plan.device.id));
  SP_TRY(const Bytes serial, HexDecode(row.serial));
  SerialSource serials(serial);
  const pki::IdentityExtension extension{.attested_at = row.attested_at,
                                         .tier = plan.device.tier,
                                         .incarnation = row.incarnation,
                                         .epoch = row.epoch,
                                         .boot_id = row.boot_id,
                                         .release_digest = plan.device.running_release,
                                         .key_protection = plan.device.key_protection};
  SP_TRY(const pki::IssuedLeaf leaf,
         standing.signer->SignDeviceLeaf(device, verdict.key->spki(), extension, row.not_before,
                                         row.not_after, serials));
  if (leaf.serial != serial || leaf.not_after != row.not_after)
    return Error{Reason::kInternal, "the signer made another certificate than was committed",
                 "signer.mismatch"};
  out.chain = {leaf.der, standing.signer->issuer().der};
  out.not_after = leaf.not_after;
  out.renew_after = plan.device.renew_after;
  return out;
}

}  // namespace sallyport::server

#include "tests/fakes/fake_tpm_evidence.h"

#include "attestation-server/evidence/replay.h"
#include "attestation-server/reference/reference_file.h"
#include "pki/tpm/make_credential.h"
#include "pki/tpm/transcript.h"
#include "pki/x509/csr.h"

namespace sallyport {

namespace {

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;

pki::BootSlot SlotOf(std::string_view text) {
  return text == "A"   ? pki::BootSlot::kA
         : text == "B" ? pki::BootSlot::kB
                       : pki::BootSlot::kUnknown;
}

Bytes CreationDataBytes(const Nonce& nonce, uint32_t hierarchy) {
  const Bytes handle = std::move(ByteWriter().BigU32(hierarchy)).Take();
  ByteWriter out;
  pki::WritePcrSelection(out, {});
  out.Sized16(pki::Sha256({}).view()).U8(1).BigU16(pki::tpm::kAlgNull);
  return std::move(out.Sized16(handle).Sized16(handle).Sized16(nonce.view())).Take();
}

}  // namespace

EventLogBuilder BootLog(std::string_view image, const std::vector<server::Bank>& banks) {
  using server::EventType;
  EventLogBuilder log(banks);
  log.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 1")).SecureBootVariables().Separator(7);
  log.Action(4, "Calling EFI Application from Boot Option")
      .Separators()
      .Authority()
      .Application(image);
  return log;
}

std::string ReferenceJson(std::string_view image, std::string device_class,
                          pki::HashAlgorithm bank) {
  const server::ReplayedLog log =
      server::ReplayedLog::Make(BootLog(image, {server::BankOf(bank)}).bytes(), bank).value();
  server::ReferenceFile file{
      std::move(device_class), bank, {.label = "", .pcrs = {}, .secure_boot = std::nullopt}};
  for (const uint32_t pcr : {4u, 7u}) {
    server::PcrEventsExpected events;
    for (const server::Event* const event : log.grammar(pcr).judged)
      events.push_back({event->type, server::PcrDigest::Of(event->digest(server::BankOf(bank))),
                        std::string(image)});
    file.expectation.pcrs.emplace(pcr, std::move(events));
  }
  file.expectation.pcrs.emplace(0, log.pcrs().value(0));
  return server::WriteReferenceFile(file);
}

FakeTpmDevice::FakeTpmDevice(const FakeTpmVendor& vendor, const FakeTpmSpec& spec)
    : spec_(spec),
      ak_(spec.ak_attributes, spec.ak),
      ek_certificates_{vendor.EkCertificate(ek_.public_key()), vendor.intermediate_der()} {
  Boot("uki 1");
}

void FakeTpmDevice::Boot(std::string_view image) {
  ++reset_count_;
  tls_key_.reset();
  ima_.reset();
  log_ = BootLog(image, spec_.banks).bytes();
}

server::ImaListBuilder& FakeTpmDevice::MeasureFiles() {
  const server::ReplayedLog log = server::ReplayedLog::Make(log_, kSha256).value();
  std::vector<Bytes> pcrs;
  for (uint32_t pcr = 0; pcr < server::kImaPcr; ++pcr)
    pcrs.push_back(ToBytes(log.pcrs().value(pcr).view()));
  return ima_.emplace().BootAggregate(pcrs);
}

void FakeTpmDevice::SendIma(uint64_t first, const ProofOptions& options,
                            server::ReceivedEvidence& out) const {
  if (!ima_ || !options.send_ima) return;
  const auto added = pki::AfterEntries(ima_->list(), first).value();
  out.ima =
      added ? server::ReceivedIma{first, ToBytes(*added)} : server::ReceivedIma{0, ima_->list()};
}

server::BeginInput FakeTpmDevice::Begin(pki::Purpose purpose) const {
  server::BeginInput out;
  out.protocol_version = pki::kProtocolVersion;
  out.purpose = purpose;
  out.ak_public = ak_.area().Marshal();
  if (purpose != pki::Purpose::kEnrol) return out;
  out.ek_certificates = ek_certificates_;
  out.ek_public = pki::EkPublicFromKey(ek_.public_key()).value().Marshal();
  return out;
}

AttestFields FakeTpmDevice::Attest(pki::tpm::AttestType type,
                                   const Sha256Digest& qualifying) const {
  AttestFields fields;
  fields.type = static_cast<uint16_t>(type);
  fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
  fields.extra_data = ToBytes(qualifying.view());
  fields.clock = {clock_ms_, reset_count_, restart_count_, clock_safe_};
  fields.firmware = spec_.firmware;
  return fields;
}

void FakeTpmDevice::Quote(const Sha256Digest& extra_data, const server::PcrRequest& request,
                          server::ReceivedEvidence& out) {
  const server::Bank bank = server::BankFromName(request.bank).value();
  const server::EventLog log = server::ParseEventLog(log_).value();
  const server::ReplayedBank values = server::Replay(log, bank);
  pki::Hasher digest(spec_.ak.hash);
  uint32_t mask = 0;
  std::map<uint32_t, Bytes> sent;
  for (const uint32_t pcr : request.pcrs) {
    mask |= 1u << pcr;
    const bool measured = ima_ && pcr == server::kImaPcr;
    const server::PcrDigest value = measured ? ima_->pcr() : values.value(pcr);
    digest.Update(value.view());
    if (ima_) sent.emplace(pcr, ToBytes(value.view()));
  }
  AttestFields fields = Attest(pki::tpm::AttestType::kQuote, extra_data);
  fields.body = QuoteBodyBytes({{static_cast<uint16_t>(bank), mask}}, digest.Finish());
  const Bytes attest = fields.Write();
  out.quotes.push_back({attest, ak_.Sign(attest), std::move(sent)});
  clock_ms_ += kTick;
}

void FakeTpmDevice::AuditBanks(const Sha256Digest& extra_data,
                               const server::BankAuditRequest& request,
                               server::ReceivedEvidence& out) {
  const server::EventLog log = server::ParseEventLog(log_).value();
  uint32_t mask = 0;
  for (const uint32_t pcr : request.pcrs) mask |= 1u << pcr;
  pki::PcrSelection selection;
  pki::Hasher digest(spec_.ak.hash);
  for (const uint16_t id : request.banks) {
    const auto bank = static_cast<server::Bank>(id);
    const bool extended = std::ranges::count(spec_.banks, bank) > 0;
    const bool live = extended || std::ranges::count(spec_.forgotten_banks, bank) > 0;
    selection.push_back({id, live ? mask : 0});
    if (!live) continue;
    const server::ReplayedBank values =
        extended ? server::Replay(log, bank) : server::ReplayedBank(bank, 0);
    for (const uint32_t pcr : request.pcrs) digest.Update(values.value(pcr).view());
  }
  AttestFields fields = Attest(pki::tpm::AttestType::kQuote, extra_data);
  fields.body = QuoteBodyBytes(selection, digest.Finish());
  const Bytes attest = fields.Write();
  out.quotes.push_back({attest, ak_.Sign(attest), {}});
}

void FakeTpmDevice::CertifyNullName(const Sha256Digest& extra_data, bool other,
                                    server::ReceivedEvidence& out) {
  const SoftTpmKey null_key(kTlsAttributes);
  AttestFields fields = Attest(pki::tpm::AttestType::kCertify, extra_data);
  fields.body = TwoSized(null_key.name(), null_key.qualified_name(pki::tpm::kNullHierarchy));
  out.null_name = other ? SoftTpmKey(kTlsAttributes).name() : null_key.name();
  out.null_name_attest = fields.Write();
  out.null_name_signature = ak_.Sign(out.null_name_attest);
}

void FakeTpmDevice::CertifyFloors(const Sha256Digest& qualifying,
                                  server::ReceivedEvidence& out) const {
  const auto certify = [&](const Bytes& name, const Bytes& contents) {
    AttestFields fields = Attest(pki::tpm::AttestType::kNv, qualifying);
    fields.body = NvBodyBytes(name, contents);
    const Bytes attest = fields.Write();
    out.floors.push_back({attest, ak_.Sign(attest)});
  };
  certify(pki::FloorBaseIndexName(), pki::FloorCountBytes(floors->base));
  for (size_t i = 0; i < pki::kFloorCounters; ++i)
    certify(pki::FloorCounterIndexName(static_cast<pki::FloorCounter>(i)),
            ByteWriter().BigU64(floors->counts[i]).bytes());
}

void FakeTpmDevice::CertifyKey(const Sha256Digest& qualifying, const Nonce& nonce,
                               const ProofOptions& options, server::ReceivedEvidence& out) {
  const uint32_t hierarchy =
      options.key_in_null_hierarchy ? pki::tpm::kNullHierarchy : pki::tpm::kOwner;
  if (options.certify_again) {
    AttestFields fields = Attest(pki::tpm::AttestType::kCertify, qualifying);
    fields.body = TwoSized(tls_key_->name(), tls_key_->qualified_name(hierarchy));
    out.key_certification = server::KeyCertification::kCertify;
    out.key_attest = fields.Write();
  } else {
    out.creation_data = CreationDataBytes(nonce, hierarchy);
    AttestFields fields = Attest(pki::tpm::AttestType::kCreation, qualifying);
    fields.body = TwoSized(tls_key_->name(), pki::CreationHash(kSha256, out.creation_data));
    out.key_certification = server::KeyCertification::kCreation;
    out.key_attest = fields.Write();
  }
  out.key_signature = ak_.Sign(out.key_attest);
}

server::ProveInput FakeTpmDevice::Prove(pki::Purpose purpose,
                                        const server::IssuedChallenge& challenge,
                                        const Sha256Digest& server_leaf,
                                        const ProofOptions& options) {
  if (!options.certify_again) tls_key_ = std::make_unique<SoftTpmKey>(options.tls_attributes);
  const Nonce nonce = options.nonce.value_or(challenge.nonce);
  server::ProveInput out;
  out.ticket = challenge.ticket;
  server::ReceivedEvidence& e = out.evidence;
  e.protocol_version = pki::kProtocolVersion;
  const Bytes& sent = options.other_log.empty() ? log_ : options.other_log;
  if (options.mention_log && options.send_log) e.event_log = sent;
  if (options.mention_log && !options.send_log) e.event_log_hash = pki::Sha256(sent);
  e.tls_public = tls_key_->area().Marshal();
  e.csr = pki::MakeCsr(tls_key_->key().public_key().spki(), [&](ByteView bytes) {
            return tls_key_->key().Sign(bytes);
          }).value();
  e.boot_slot = options.slot;
  e.release_digest = options.release;
  e.epoch_held = options.epoch_held;
  e.token = options.token;
  e.advertise = options.advertise;
  const pki::Transcript transcript = pki::ComputeTranscript(
      {.purpose = purpose,
       .trust_domain = "edge.example",
       .server_leaf_hash = server_leaf,
       .ticket_id = challenge.ticket_id,
       .nonce = nonce,
       .device_id = challenge.device_id,
       .ek_spki_hash = challenge.ek_spki_hash,
       .ak_name = ak_.name(),
       .tls_key_name = tls_key_->name(),
       .csr_hash = pki::Sha256(e.csr),
       .event_log_hash = options.mention_log ? pki::Sha256(sent) : pki::Sha256({}),
       .boot_slot = SlotOf(options.slot),
       .running_release = options.release,
       .highest_epoch = options.epoch_held});
  const Sha256Digest extra_data = pki::QuoteExtraData(transcript);
  Quote(extra_data, challenge.pcr_requests.front(), e);
  if (options.reset_before_audit) ++reset_count_;
  if (challenge.bank_audit && options.audit_banks) AuditBanks(extra_data, *challenge.bank_audit, e);
  if (options.null_name || options.other_null_name)
    CertifyNullName(extra_data, options.other_null_name, e);
  CertifyKey(pki::KeyQualifyingData(transcript), nonce, options, e);
  if (floors && options.send_floors && !options.certify_again)
    CertifyFloors(pki::FloorsQualifyingData(transcript), e);
  if (challenge.ima_first) SendIma(*challenge.ima_first, options, e);
  if (options.other_ima) e.ima = options.other_ima;
  if (purpose != pki::Purpose::kEnrol) return out;
  const auto secret =
      ek_.Activate(challenge.credential_blob, challenge.encrypted_secret, ak_.name());
  if (secret.has_value()) e.activation_proof = pki::ActivationProof(*secret, transcript);
  return out;
}

}  // namespace sallyport

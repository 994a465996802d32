#include "attestation-server/service/wire.h"

namespace sallyport::server {
namespace {

Error Unsupported(std::string_view rule, std::string detail) {
  return Error{Reason::kUnsupported, std::move(detail), rule};
}

template <typename Fixed>
Result<std::optional<Fixed>> Optional(const std::string& bytes) {
  if (bytes.empty()) return std::optional<Fixed>();
  const Result<Fixed> fixed = Fixed::FromView(AsBytes(bytes));
  if (!fixed) return Error{fixed.error().reason, fixed.error().detail, "wire.size"};
  return std::optional<Fixed>(*fixed);
}

Result<KeyCertification> CertificationOf(api::KeyCertification wire) {
  if (wire == api::KEY_CERTIFICATION_CREATION) return KeyCertification::kCreation;
  if (wire == api::KEY_CERTIFICATION_CERTIFY) return KeyCertification::kCertify;
  return Unsupported("wire.enum", "key certification is unspecified");
}

}  // namespace

Result<BeginInput> FromWire(const api::BeginRequest& wire) {
  BeginInput input;
  input.protocol_version = wire.protocol_version();
  if (wire.purpose() == api::PURPOSE_ENROL)
    input.purpose = pki::Purpose::kEnrol;
  else if (wire.purpose() == api::PURPOSE_REATTEST)
    input.purpose = pki::Purpose::kReattest;
  else
    return Unsupported("wire.enum", "purpose is unspecified");
  for (const std::string& certificate : wire.ek_certificates())
    input.ek_certificates.push_back(ToBytes(certificate));
  input.ek_public = ToBytes(wire.ek_public());
  input.ak_public = ToBytes(wire.ak_public());
  if (wire.idevid_chain_size() > 0) {
    IakClaim& claim = input.iak.emplace();
    for (const std::string& certificate : wire.idevid_chain())
      claim.chain.push_back(ToBytes(certificate));
    claim.iak_public = ToBytes(wire.iak_public());
    claim.attest = ToBytes(wire.iak_attest());
    claim.signature = ToBytes(wire.iak_signature());
  }
  return input;
}

Result<ProveInput> FromWire(const std::string& ticket, const api::Evidence& wire) {
  if (wire.idevid_chain_size() > 0)
    return Unsupported("wire.reserved-field", "evidence of a kind that this server does not judge");
  ProveInput input;
  input.ticket = ToBytes(ticket);
  ReceivedEvidence& out = input.evidence;
  out.protocol_version = wire.protocol_version();
  for (const api::Quote& quote : wire.quotes()) {
    ReceivedQuote& to = out.quotes.emplace_back(
        ReceivedQuote{ToBytes(quote.attest()), ToBytes(quote.signature()), {}});
    for (const auto& [pcr, value] : quote.pcr_values()) to.pcr_values.emplace(pcr, ToBytes(value));
  }
  out.event_log = ToBytes(wire.event_log());
  SP_TRY(out.event_log_hash, Optional<Sha256Digest>(wire.event_log_sha256()));
  out.tls_public = ToBytes(wire.tls_public());
  SP_TRY(out.key_certification, CertificationOf(wire.key_certification()));
  out.creation_data = ToBytes(wire.creation_data());
  out.key_attest = ToBytes(wire.key_attest());
  out.key_signature = ToBytes(wire.key_signature());
  out.csr = ToBytes(wire.csr());
  out.boot_slot = wire.boot_slot();
  SP_TRY(out.release_digest, Optional<ReleaseDigest>(wire.release_digest()));
  out.epoch_held = wire.epoch_held();
  SP_TRY(out.activation_proof, Optional<Sha256Digest>(wire.activation_proof()));
  out.token = wire.token();
  out.advertise = wire.advertise();
  out.null_name = ToBytes(wire.null_name());
  out.null_name_attest = ToBytes(wire.null_name_attest());
  out.null_name_signature = ToBytes(wire.null_name_signature());
  if (wire.has_ima_delta())
    out.ima = ReceivedIma{wire.ima_delta().first_entry(), ToBytes(wire.ima_delta().entries())};
  for (const api::CertifiedIndex& floor : wire.floors())
    out.floors.push_back({ToBytes(floor.attest()), ToBytes(floor.signature())});
  return input;
}

void ToWire(const IssuedChallenge& challenge, api::Challenge* wire) {
  wire->set_ticket(ToString(challenge.ticket));
  wire->set_ticket_id(ToString(challenge.ticket_id.view()));
  wire->set_nonce(ToString(challenge.nonce.view()));
  for (const PcrRequest& request : challenge.pcr_requests) {
    api::PcrRequest* const out = wire->add_pcr_requests();
    out->set_bank(request.bank);
    for (const uint32_t pcr : request.pcrs) out->add_pcrs(pcr);
  }
  if (challenge.bank_audit.has_value()) {
    api::BankAudit* const audit = wire->mutable_bank_audit();
    for (const uint16_t bank : challenge.bank_audit->banks) audit->add_banks(bank);
    for (const uint32_t pcr : challenge.bank_audit->pcrs) audit->add_pcrs(pcr);
  }
  wire->set_device_id(challenge.device_id);
  wire->set_ek_spki_sha256(ToString(challenge.ek_spki_hash.view()));
  wire->set_expires_in_ms(static_cast<uint64_t>(challenge.expires_in.ms));
  if (challenge.ima_first) wire->mutable_ima()->set_first_entry(*challenge.ima_first);
}

void ToWire(const Admitted& admitted, api::Certificate* wire) {
  for (const Bytes& der : admitted.chain) wire->add_chain(ToString(der));
  wire->set_renew_after_ms(admitted.renew_after.ms);
  wire->set_not_after_ms(admitted.not_after.ms);
  wire->set_epoch(admitted.epoch);
  wire->set_posture(std::string(TextOf(admitted.posture)));
  wire->set_tier(std::string(pki::TierName(admitted.tier)));
}

void ToWire(const Refusal& refusal, api::Refusal* wire) {
  wire->set_reference_id(refusal.reference_id);
  wire->set_rule(refusal.rule);
  wire->set_detail(refusal.detail);
  for (const std::string& event : refusal.events) wire->add_events(event);
  wire->set_retry_after_ms(static_cast<uint64_t>(refusal.retry_after.ms));
}

grpc::Status RefusalStatus(const Refusal& refusal) {
  api::Refusal wire;
  ToWire(refusal, &wire);
  const grpc::StatusCode code = refusal.unavailable          ? grpc::StatusCode::UNAVAILABLE
                                : refusal.retry_after.ms > 0 ? grpc::StatusCode::RESOURCE_EXHAUSTED
                                                             : grpc::StatusCode::PERMISSION_DENIED;
  return {code, "not-admitted", wire.SerializeAsString()};
}

}  // namespace sallyport::server

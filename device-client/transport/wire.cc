#include "device-client/transport/wire.h"

namespace sallyport::device {
namespace {

constexpr int kChainMax = 4;  // leaf, issuer, and room for an overlap

}  // namespace

Result<Challenge> FromWire(const api::Challenge& wire) {
  SP_TRY(const TicketId ticket_id, TicketId::FromView(AsBytes(wire.ticket_id())));
  SP_TRY(const Nonce nonce, Nonce::FromView(AsBytes(wire.nonce())));
  SP_TRY(const Sha256Digest ek_spki_hash, Sha256Digest::FromView(AsBytes(wire.ek_spki_sha256())));
  if (wire.ticket().empty() || wire.pcr_requests().empty())
    return Error{Reason::kMalformed, "challenge without ticket or pcr selection",
                 "challenge.incomplete"};
  Challenge out{ToBytes(wire.ticket()), ticket_id,    nonce,        {},
                wire.device_id(),       ek_spki_hash, std::nullopt, std::nullopt};
  for (const api::PcrRequest& request : wire.pcr_requests())
    out.pcr_requests.push_back({request.bank(), {request.pcrs().begin(), request.pcrs().end()}});
  if (wire.has_bank_audit()) {
    const api::BankAudit& audit = wire.bank_audit();
    out.bank_audit = {{audit.banks().begin(), audit.banks().end()},
                      {audit.pcrs().begin(), audit.pcrs().end()}};
  }
  if (wire.has_ima()) out.ima_first = wire.ima().first_entry();
  return out;
}

Result<IssuedCertificate> FromWire(const api::Certificate& wire) {
  if (wire.chain().empty() || wire.chain_size() > kChainMax)
    return Error{Reason::kMalformed, "certificate chain of an unexpected length",
                 "certificate.chain"};
  IssuedCertificate out{{},           {wire.renew_after_ms()}, {wire.not_after_ms()},
                        wire.epoch(), wire.posture(),          wire.tier()};
  for (const std::string& der : wire.chain()) out.chain.push_back(ToBytes(der));
  return out;
}

ota::DeviceManifest FromWire(const api::DeviceManifest& wire) {
  ota::DeviceManifest out{{},
                          ToBytes(wire.timestamp()),
                          ToBytes(wire.snapshot()),
                          ToBytes(wire.targets()),
                          ToBytes(wire.slice())};
  for (const std::string& root : wire.root_chain()) out.root_chain.push_back(ToBytes(root));
  return out;
}

void ToWire(const Evidence& evidence, api::Evidence* wire) {
  wire->set_protocol_version(pki::kProtocolVersion);
  for (const Quote& quote : evidence.quotes) {
    api::Quote* const out = wire->add_quotes();
    out->set_attest(ToString(quote.attest));
    out->set_signature(ToString(quote.signature));
    for (const auto& [pcr, value] : quote.pcr_values)
      (*out->mutable_pcr_values())[pcr] = ToString(value);
  }
  wire->set_event_log(ToString(evidence.event_log));
  wire->set_event_log_sha256(ToString(evidence.event_log_hash.view()));
  wire->set_tls_public(ToString(evidence.tls_public));
  wire->set_key_certification(evidence.certification == KeyCertification::kCreation
                                  ? api::KEY_CERTIFICATION_CREATION
                                  : api::KEY_CERTIFICATION_CERTIFY);
  wire->set_creation_data(ToString(evidence.creation_data));
  wire->set_key_attest(ToString(evidence.key_attest));
  wire->set_key_signature(ToString(evidence.key_signature));
  wire->set_csr(ToString(evidence.csr));
  wire->set_boot_slot(std::string(pki::BootSlotName(evidence.boot_slot)));
  if (evidence.running_release)
    wire->set_release_digest(ToString(evidence.running_release->view()));
  wire->set_epoch_held(evidence.epoch_held);
  wire->set_activation_proof(ToString(evidence.activation_proof));
  wire->set_token(evidence.token);
  wire->set_advertise(evidence.advertise);
  wire->set_null_name(ToString(evidence.null_name));
  wire->set_null_name_attest(ToString(evidence.null_name_attest));
  wire->set_null_name_signature(ToString(evidence.null_name_signature));
  for (const CertifiedIndex& floor : evidence.floors) {
    api::CertifiedIndex* const out = wire->add_floors();
    out->set_attest(ToString(floor.attest));
    out->set_signature(ToString(floor.signature));
  }
  if (evidence.ima) {
    wire->mutable_ima_delta()->set_first_entry(evidence.ima->first);
    wire->mutable_ima_delta()->set_entries(ToString(evidence.ima->entries));
  }
}

void ToWire(const UpdateReport& report, api::UpdateReport* wire) {
  wire->set_state(report.state);
  if (report.release) wire->set_release_digest(ToString(report.release->view()));
  wire->set_slot(report.slot);
  wire->set_gate(report.gate);
  wire->set_detail(report.detail);
  wire->set_percent(report.percent);
  wire->set_log_tail(report.log_tail);
  if (report.origins.empty()) return;
  const auto put = [&](ota::Origin origin, api::OriginCount* count) {
    count->set_segments(report.origins[origin].segments);
    count->set_bytes(report.origins[origin].bytes);
  };
  api::ImageOrigins* const origins = wire->mutable_origins();
  put(ota::Origin::kDelta, origins->mutable_delta());
  put(ota::Origin::kCopy, origins->mutable_copy());
  put(ota::Origin::kChunks, origins->mutable_chunks());
  put(ota::Origin::kFull, origins->mutable_full());
}

}  // namespace sallyport::device

#include "attestation-server/enrolment/intake.h"

#include <algorithm>

#include "attestation-server/enrolment/limits.h"
#include "attestation-server/evidence/event_log.h"
#include "pki/crypto/hash.h"
#include "pki/crypto/secret.h"
#include "pki/tpm/creation_data.h"
#include "pki/tpm/name.h"
#include "pki/x509/csr.h"

namespace sallyport::server {

namespace {

Result<Unit> Fits(size_t size, size_t size_max, std::string_view what) {
  if (size > size_max) return Error{Reason::kTooLarge, std::string(what), "evidence.size"};
  return Unit{};
}

bool IsHostAndPort(std::string_view text) {
  return text.size() <= kAdvertiseMax &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") ==
             std::string_view::npos;
}

Result<pki::BootSlot> ParseSlot(std::string_view text) {
  for (const pki::BootSlot slot : {pki::BootSlot::kUnknown, pki::BootSlot::kA, pki::BootSlot::kB})
    if (text == pki::BootSlotName(slot)) return slot;
  return Error{Reason::kMalformed, "a slot is A, B or empty", "evidence.slot"};
}

Result<std::vector<PcrValue>> ReadValues(const std::map<uint32_t, Bytes>& received,
                                         pki::HashAlgorithm bank) {
  std::vector<PcrValue> out;
  for (const auto& [pcr, value] : received) {
    if (pcr >= kPcrCount || value.size() != pki::DigestSize(bank))
      return Error{Reason::kMalformed, "pcr " + std::to_string(pcr), "evidence.pcr-values"};
    out.push_back({pcr, PcrDigest::Of(value)});
  }
  return out;
}

// QuotedExtraData is read from bytes that nothing has verified yet: only to choose among our own
// leaves.
Bytes QuotedExtraData(const ReceivedEvidence& evidence) {
  if (evidence.quotes.empty()) return {};
  const auto attest = pki::ParseAttest(evidence.quotes.front().attest);
  return attest.has_value() ? attest->extra_data : Bytes();
}

}  // namespace

Result<Unit> CheckSizes(const ProveInput& input) {
  const ReceivedEvidence& e = input.evidence;
  if (e.protocol_version != pki::kProtocolVersion)
    return Error{Reason::kUnsupported, "protocol version", "protocol.version"};
  if (e.quotes.size() > kQuotesMax)
    return Error{Reason::kTooLarge, "more quotes than were asked for", "evidence.quotes"};
  if (e.quotes.empty()) return Error{Reason::kMalformed, "no quote", "evidence.quotes"};
  SP_TRY(Fits(input.ticket.size(), kTicketBytesMax, "ticket"));
  for (const ReceivedQuote& quote : e.quotes) {
    SP_TRY(Fits(quote.attest.size(), pki::kAttestBytesMax, "quote"));
    SP_TRY(Fits(quote.signature.size(), pki::kTpmSignatureBytesMax, "quote signature"));
    SP_TRY(Fits(quote.pcr_values.size(), kPcrCount, "pcr values"));
  }
  SP_TRY(Fits(e.null_name.size(), pki::kNameBytesMax, "null name"));
  SP_TRY(Fits(e.null_name_attest.size(), pki::kAttestBytesMax, "null name attestation"));
  SP_TRY(Fits(e.null_name_signature.size(), pki::kTpmSignatureBytesMax, "null name signature"));
  SP_TRY(Fits(e.event_log.size(), kLogBytesMax, "event log"));
  SP_TRY(Fits(e.tls_public.size(), pki::kPublicAreaBytesMax, "tls key"));
  SP_TRY(Fits(e.creation_data.size(), pki::kCreationDataBytesMax, "creation data"));
  SP_TRY(Fits(e.key_attest.size(), pki::kAttestBytesMax, "key attestation"));
  SP_TRY(Fits(e.key_signature.size(), pki::kTpmSignatureBytesMax, "key signature"));
  SP_TRY(Fits(e.csr.size(), pki::kCsrBytesMax, "csr"));
  if (e.ima) SP_TRY(Fits(e.ima->list.size(), pki::kMeasurementListBytesMax, "measurement list"));
  SP_TRY(Fits(e.floors.size(), pki::kFloorCounters + 1, "floors"));
  for (const ReceivedFloor& floor : e.floors) {
    SP_TRY(Fits(floor.attest.size(), pki::kAttestBytesMax, "floor"));
    SP_TRY(Fits(floor.signature.size(), pki::kTpmSignatureBytesMax, "floor signature"));
  }
  if (!IsHostAndPort(e.advertise))
    return Error{Reason::kMalformed, "not host:port", "evidence.advertise"};
  return Unit{};
}

Sha256Digest EvidenceHash(const ProveInput& input) {
  const ReceivedEvidence& e = input.evidence;
  ByteWriter out;
  out.Sized32(input.ticket).BigU32(e.protocol_version);
  for (const ReceivedQuote& quote : e.quotes) {
    out.Sized32(quote.attest)
        .Sized32(quote.signature)
        .BigU32(static_cast<uint32_t>(quote.pcr_values.size()));
    for (const auto& [pcr, value] : quote.pcr_values) out.BigU32(pcr).Sized32(value);
  }
  const Sha256Digest log = pki::Sha256(e.event_log);
  out.Raw(log.view());
  for (const ByteView field :
       {e.event_log_hash.has_value() ? e.event_log_hash->view() : ByteView(),
        ByteView(e.tls_public), ByteView(e.creation_data), ByteView(e.key_attest),
        ByteView(e.key_signature), ByteView(e.csr), AsBytes(e.boot_slot),
        e.release_digest.has_value() ? e.release_digest->view() : ByteView(),
        e.activation_proof.has_value() ? e.activation_proof->view() : ByteView(), AsBytes(e.token),
        AsBytes(e.advertise), ByteView(e.null_name), ByteView(e.null_name_attest),
        ByteView(e.null_name_signature)})
    out.Sized32(field);
  out.U8(static_cast<uint8_t>(e.key_certification)).BigU64(e.epoch_held);
  for (const ReceivedFloor& floor : e.floors) out.Sized32(floor.attest).Sized32(floor.signature);
  if (e.ima) out.BigU64(e.ima->first).Raw(pki::Sha256(e.ima->list).view());
  return pki::Sha256(out.bytes());
}

Result<Unit> ReadClaims(Case& out) {
  const ReceivedEvidence& e = *out.evidence;
  SP_TRY(out.values, ReadValues(e.quotes.front().pcr_values, out.ticket.bank));
  SP_TRY(const pki::CertificateRequest request, pki::ParseCsr(e.csr));
  out.csr_spki = request.key.spki();
  return Unit{};
}

void ReadLog(Case& out, Bytes log) {
  Result<ReplayedLog> replayed = ReplayedLog::Make(std::move(log), out.ticket.bank);
  if (!replayed.has_value()) {
    out.log_refusal = replayed.error();
    return;
  }
  out.log = std::make_shared<const ReplayedLog>(std::move(replayed).value());
}

Result<pki::TranscriptFields> TranscriptOf(const Case& proof, std::string_view trust_domain) {
  const ReceivedEvidence& e = *proof.evidence;
  SP_TRY(const pki::PublicArea tls_area, pki::ParsePublicArea(e.tls_public));
  SP_TRY(const pki::BootSlot slot, ParseSlot(e.boot_slot));
  return pki::TranscriptFields{.purpose = proof.ticket.purpose,
                               .trust_domain = std::string(trust_domain),
                               .server_leaf_hash = Sha256Digest::FromArray({}),
                               .ticket_id = proof.ticket.id,
                               .nonce = proof.ticket.nonce,
                               .device_id = proof.ticket.device_id,
                               .ek_spki_hash = proof.ticket.ek_spki_hash,
                               .ak_name = proof.ak->name(),
                               .tls_key_name = pki::ObjectName(tls_area),
                               .csr_hash = pki::Sha256(e.csr),
                               .event_log_hash = proof.log_hash,
                               .boot_slot = slot,
                               .running_release = e.release_digest,
                               .highest_epoch = e.epoch_held};
}

Intake::Intake(EvidenceBlobs& blobs, std::string trust_domain)
    : blobs_(blobs),
      trust_domain_(std::move(trust_domain)),
      logs_(kLogCacheMax),
      keys_(kAkCacheMax) {}

Result<Unit> Intake::HashLog(Case& out) {
  const ReceivedEvidence& e = *out.evidence;
  const bool sent = !e.event_log.empty();
  out.log_hash =
      sent || !e.event_log_hash.has_value() ? pki::Sha256(e.event_log) : *e.event_log_hash;
  if (sent && e.event_log_hash.has_value() && *e.event_log_hash != out.log_hash)
    return Error{Reason::kMismatch, "the log is not the one it is said to be", "evidence.log-hash"};
  return Unit{};
}

// FetchLog leaves `log` empty when none came (the judge refuses: log.present) or with the reason.
void Intake::FetchLog(Case& out) {
  const ReceivedEvidence& e = *out.evidence;
  if (e.event_log.empty() && !e.event_log_hash.has_value()) return;
  out.log = logs_.Find(out.log_hash);
  if (out.log != nullptr && out.log->bank() == BankOf(out.ticket.bank)) return;
  out.log = nullptr;
  Result<Bytes> bytes = e.event_log.empty() ? blobs_.Get(out.log_hash) : Result<Bytes>(e.event_log);
  if (!bytes.has_value()) {
    out.log_refusal = Error{Reason::kNotFound, "send the event log again", "log.unknown"};
    return;
  }
  ReadLog(out, std::move(bytes).value());
  if (out.log != nullptr) logs_.Put(out.log_hash, out.log);
}

Result<Unit> Intake::Bind(Case& out, const Channel& channel) {
  const ReceivedEvidence& e = *out.evidence;
  const Bytes quoted = QuotedExtraData(e);
  SP_TRY(pki::TranscriptFields fields, TranscriptOf(out, trust_domain_));
  std::optional<pki::Transcript> bound;
  for (const Sha256Digest& leaf : channel.server_leaf_hashes) {
    fields.server_leaf_hash = leaf;
    const pki::Transcript transcript = pki::ComputeTranscript(fields);
    const bool answered = Equal(pki::QuoteExtraData(transcript).view(), quoted);
    if (answered || !bound.has_value()) {
      bound = transcript;
      out.server_leaf_hash = leaf;
    }
    if (answered) break;
  }
  if (!bound.has_value())
    return Error{Reason::kInternal, "no server leaf is known", "channel.leaf"};
  out.quote_extra_data = pki::QuoteExtraData(*bound);
  out.key_qualifying_data = pki::KeyQualifyingData(*bound);
  out.floors_qualifying_data = pki::FloorsQualifyingData(*bound);
  if (out.ticket.purpose != pki::Purpose::kEnrol) return Unit{};
  const Sha256Digest expected = pki::ActivationProof(out.ticket.secret, *bound);
  pki::WipeBytes(out.ticket.secret);
  if (!e.activation_proof.has_value() ||
      !pki::ConstantTimeEqual(e.activation_proof->view(), expected.view()))
    return Error{Reason::kBadSignature, "the credential was not activated for this proof",
                 "activation.proof"};
  return Unit{};
}

Result<Case> Intake::Open(Ticket ticket, const Channel& channel, const ProveInput& input,
                          const Sha256Digest& evidence_hash) {
  if (ticket.purpose == pki::Purpose::kRenew &&
      (input.evidence.quotes.size() > 1 || !input.evidence.null_name_attest.empty()))
    return Error{Reason::kInvalidArgument, "a renewal has one quote", "evidence.quotes"};
  if (ticket.purpose == pki::Purpose::kRenew && !input.evidence.floors.empty())
    return Error{Reason::kInvalidArgument, "a renewal shows no floors", "evidence.floors"};
  Case out;
  out.ticket = std::move(ticket);
  out.evidence = &input.evidence;
  out.evidence_hash = evidence_hash;
  const std::string ak_bytes(AsText(out.ticket.ak_public));
  out.ak = keys_.Find(ak_bytes);
  if (out.ak == nullptr) {
    SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(out.ticket.ak_public));
    SP_TRY(AttestationKey ak, AttestationKey::FromArea(area));
    out.ak = std::make_shared<const AttestationKey>(std::move(ak));
    keys_.Put(ak_bytes, out.ak);
  }
  SP_TRY(HashLog(out));
  SP_TRY(Bind(out, channel));
  SP_TRY(ReadClaims(out));
  FetchLog(out);
  return out;
}

}  // namespace sallyport::server

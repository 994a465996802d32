#include "attestation-server/enrolment/evidence_document.h"

#include <charconv>

#include "attestation-server/store/limits.h"
#include "pki/base/json.h"
#include "pki/crypto/hash.h"
#include "pki/tpm/measurement_list.h"
#include "pki/tpm/public_area.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kFormat = "evidence/v2";
// Hex doubles what CheckSizes let in, base64 adds a third to a measurement list; the log is not in
// the document.
constexpr JsonLimits kDocumentLimits{.size_max = 8 << 20, .depth_max = 4};
// Whatever is taken in can be stored, and read again.
static_assert(kDocumentLimits.size_max == kEvidenceBlobMax &&
              kEvidenceBlobMax > pki::kMeasurementListBytesMax / 3 * 4 + (size_t{1} << 20));
constexpr int64_t kLifetimeMsMax = int64_t{366} * 24 * 3600 * 1000;

// A TPM's counts are its own to choose: they do not always fit a JSON integer.
std::string Count(uint64_t value) { return std::to_string(value); }

Result<uint64_t> ReadCount(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::string_view text, json.GetString(key));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || std::to_string(value) != text)
    return json.Refuse(std::string(key) + " is no count", "evidence.document");
  return value;
}

Result<Bytes> ReadHex(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::string_view text, json.GetString(key));
  Result<Bytes> bytes = HexDecode(text);
  if (!bytes) return json.Refuse(std::string(key) + " is no hex", "evidence.document");
  return bytes;
}

template <typename Fixed>
Result<Unit> ReadFixed(const JsonCursor& json, std::string_view key, Fixed& out) {
  SP_TRY(const Bytes bytes, ReadHex(json, key));
  const Result<Fixed> fixed = Fixed::FromView(bytes);
  if (!fixed) return json.Refuse(std::string(key) + " has another size", "evidence.document");
  out = *fixed;
  return Unit{};
}

template <typename Fixed>
Result<Unit> ReadOptional(const JsonCursor& json, std::string_view key, std::optional<Fixed>& out) {
  SP_TRY(const std::string_view text, json.GetString(key));
  if (text.empty()) return Unit{};
  out.emplace(Fixed::FromArray({}));
  return ReadFixed(json, key, *out);
}

template <typename Fixed>
std::string HexOrEmpty(const std::optional<Fixed>& value) {
  return value ? HexEncode(*value) : "";
}

JsonValue ClockJson(const std::optional<ClockRecord>& last) {
  if (!last) return JsonValue();
  return JsonValue::Object({{"clock_ms", Count(last->clock.clock_ms)},
                            {"reset_count", last->clock.reset_count},
                            {"restart_count", last->clock.restart_count},
                            {"safe", last->clock.safe},
                            {"generation", Count(last->generation)}});
}

Result<std::optional<ClockRecord>> ReadClock(const JsonCursor& json) {
  if (json.value().kind() == JsonValue::Kind::kNull) return std::optional<ClockRecord>();
  SP_TRY(json.OnlyKeys({"clock_ms", "reset_count", "restart_count", "safe", "generation"}));
  SP_TRY(const uint64_t clock_ms, ReadCount(json, "clock_ms"));
  SP_TRY(const int64_t resets, json.GetInteger("reset_count", 0, UINT32_MAX));
  SP_TRY(const int64_t restarts, json.GetInteger("restart_count", 0, UINT32_MAX));
  SP_TRY(const JsonCursor::Flag safe, json.GetBool("safe"));
  SP_TRY(const uint64_t generation, ReadCount(json, "generation"));
  return std::optional(ClockRecord{
      {clock_ms, static_cast<uint32_t>(resets), static_cast<uint32_t>(restarts), safe.value},
      generation});
}

JsonValue ReferencesJson(const std::vector<OpenReference>& references) {
  std::vector<JsonValue> out;
  for (const OpenReference& reference : references)
    out.push_back(
        JsonValue::Object({{"id", HexEncode(reference.id)},
                           {"class", reference.device_class},
                           {"release", HexOrEmpty(reference.release)},
                           {"role", reference.role ? ReferenceRoleName(*reference.role) : ""}}));
  return JsonValue::Array(std::move(out));
}

Result<std::vector<OpenReference>> ReadReferences(const JsonCursor& json) {
  SP_TRY(const std::vector<JsonCursor> elements, json.Elements());
  std::vector<OpenReference> out;
  for (const JsonCursor& element : elements) {
    SP_TRY(element.OnlyKeys({"id", "class", "release", "role"}));
    OpenReference reference;
    SP_TRY(ReadFixed(element, "id", reference.id));
    SP_TRY(reference.device_class, element.GetString("class"));
    SP_TRY(ReadOptional(element, "release", reference.release));
    SP_TRY(const std::string_view role, element.GetString("role"));
    if (!role.empty()) {
      SP_TRY(reference.role, ParseWord<ReferenceRole>(role));
    }
    out.push_back(std::move(reference));
  }
  return out;
}

JsonValue NewBootJson(const std::optional<NewBootContext>& terms) {
  if (!terms) return JsonValue();
  std::vector<JsonValue> banks;
  for (const uint16_t bank : terms->bank_audit.banks) banks.push_back(uint64_t{bank});
  return JsonValue::Object({{"banks", JsonValue::Array(std::move(banks))},
                            {"pcr_mask", terms->bank_audit.pcr_mask},
                            {"require_null_name", terms->require_null_name}});
}

Result<std::optional<NewBootContext>> ReadNewBoot(const JsonCursor& json) {
  if (json.value().kind() == JsonValue::Kind::kNull) return std::optional<NewBootContext>();
  SP_TRY(json.OnlyKeys({"banks", "pcr_mask", "require_null_name"}));
  NewBootContext out;
  SP_TRY(const int64_t mask, json.GetInteger("pcr_mask", 0, UINT32_MAX));
  out.bank_audit.pcr_mask = static_cast<uint32_t>(mask);
  SP_TRY(const std::vector<JsonCursor> banks, json.GetElements("banks"));
  for (const JsonCursor& each : banks) {
    SP_TRY(const int64_t bank, each.Integer(0, UINT16_MAX));
    out.bank_audit.banks.push_back(static_cast<uint16_t>(bank));
  }
  SP_TRY(const JsonCursor::Flag required, json.GetBool("require_null_name"));
  out.require_null_name = required.value;
  return std::optional(std::move(out));
}

JsonValue ImaStartJson(const std::optional<ImaStart>& start) {
  if (!start) return JsonValue();
  return JsonValue::Object({{"entries", Count(start->entries)},
                            {"aggregate", HexEncode(start->aggregate.view())},
                            {"boot_id", HexOrEmpty(start->boot_id)},
                            {"references", HexEncode(start->references)}});
}

Result<std::optional<ImaStart>> ReadImaStart(const JsonCursor& json) {
  if (json.value().kind() == JsonValue::Kind::kNull) return std::optional<ImaStart>();
  SP_TRY(json.OnlyKeys({"entries", "aggregate", "boot_id", "references"}));
  ImaStart start;
  SP_TRY(start.entries, ReadCount(json, "entries"));
  SP_TRY(const Bytes aggregate, ReadHex(json, "aggregate"));
  if (aggregate.size() > kLogDigestBytesMax)
    return json.Refuse("aggregate is no digest", "evidence.document");
  start.aggregate = PcrDigest::Of(aggregate);
  SP_TRY(ReadOptional(json, "boot_id", start.boot_id));
  SP_TRY(ReadFixed(json, "references", start.references));
  return std::optional(start);
}

JsonValue ImaJson(const std::optional<ReceivedIma>& ima) {
  if (!ima) return JsonValue();
  return JsonValue::Object({{"first", Count(ima->first)}, {"list", Base64Encode(ima->list)}});
}

Result<std::optional<ReceivedIma>> ReadIma(const JsonCursor& json) {
  if (json.value().kind() == JsonValue::Kind::kNull) return std::optional<ReceivedIma>();
  SP_TRY(json.OnlyKeys({"first", "list"}));
  ReceivedIma ima;
  SP_TRY(ima.first, ReadCount(json, "first"));
  SP_TRY(const std::string_view text, json.GetString("list"));
  Result<Bytes> list = Base64Decode(text);
  if (!list) return json.Refuse("list is no base64", "evidence.document");
  ima.list = *std::move(list);
  return std::optional(std::move(ima));
}

JsonValue FloorsJson(const std::vector<ReceivedFloor>& floors) {
  std::vector<JsonValue> out;
  for (const ReceivedFloor& floor : floors)
    out.push_back(JsonValue::Object(
        {{"attest", HexEncode(floor.attest)}, {"signature", HexEncode(floor.signature)}}));
  return JsonValue::Array(std::move(out));
}

// Documents of before the floors were certified have none.
Result<std::vector<ReceivedFloor>> ReadFloors(const JsonCursor& json) {
  std::vector<ReceivedFloor> out;
  const std::optional<JsonCursor> floors = json.Find("floors");
  if (!floors) return out;
  SP_TRY(const std::vector<JsonCursor> elements, floors->Elements());
  for (const JsonCursor& element : elements) {
    SP_TRY(element.OnlyKeys({"attest", "signature"}));
    ReceivedFloor floor;
    SP_TRY(floor.attest, ReadHex(element, "attest"));
    SP_TRY(floor.signature, ReadHex(element, "signature"));
    out.push_back(std::move(floor));
  }
  return out;
}

JsonValue TermsJson(const JudgeTerms& terms) {
  return JsonValue::Object(
      {{"pcr_mask", terms.pcr_mask},
       {"firmware_floor", Count(terms.firmware_floor)},
       {"new_boot", NewBootJson(terms.new_boot)},
       {"frozen_ak_name", terms.frozen_ak_name ? HexEncode(*terms.frozen_ak_name) : ""},
       {"last_clock", ClockJson(terms.last)},
       {"reference_epoch", terms.reference_epoch},
       {"evidence_lifetime_ms", terms.evidence_lifetime.ms},
       {"ima", ImaStartJson(terms.ima)},
       {"pcrs_elsewhere", terms.pcrs_elsewhere}});
}

Result<JudgeTerms> ReadTerms(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"pcr_mask", "firmware_floor", "new_boot", "frozen_ak_name", "last_clock",
                        "reference_epoch", "evidence_lifetime_ms", "ima", "pcrs_elsewhere"}));
  JudgeTerms terms;
  SP_TRY(const int64_t mask, json.GetInteger("pcr_mask", 0, UINT32_MAX));
  terms.pcr_mask = static_cast<uint32_t>(mask);
  SP_TRY(terms.firmware_floor, ReadCount(json, "firmware_floor"));
  SP_TRY(const JsonCursor new_boot, json.Member("new_boot"));
  SP_TRY(terms.new_boot, ReadNewBoot(new_boot));
  SP_TRY(Bytes ak_name, ReadHex(json, "frozen_ak_name"));
  if (!ak_name.empty()) terms.frozen_ak_name = std::move(ak_name);
  SP_TRY(const JsonCursor clock, json.Member("last_clock"));
  SP_TRY(terms.last, ReadClock(clock));
  SP_TRY(const int64_t epoch, json.GetInteger("reference_epoch", 0));
  terms.reference_epoch = static_cast<uint64_t>(epoch);
  SP_TRY(const int64_t lifetime, json.GetInteger("evidence_lifetime_ms", 0, kLifetimeMsMax));
  terms.evidence_lifetime = Milliseconds(lifetime);
  SP_TRY(const JsonCursor ima, json.Member("ima"));
  SP_TRY(terms.ima, ReadImaStart(ima));
  SP_TRY(const int64_t elsewhere, json.GetInteger("pcrs_elsewhere", 0, UINT32_MAX));
  terms.pcrs_elsewhere = static_cast<uint32_t>(elsewhere);
  return terms;
}

JsonValue QuoteJson(const ReceivedQuote& quote) {
  std::vector<JsonMember> values;
  for (const auto& [pcr, value] : quote.pcr_values)
    values.push_back({std::to_string(pcr), HexEncode(value)});
  return JsonValue::Object({{"attest", HexEncode(quote.attest)},
                            {"signature", HexEncode(quote.signature)},
                            {"pcr_values", JsonValue::Object(std::move(values))}});
}

Result<ReceivedQuote> ReadQuote(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"attest", "signature", "pcr_values"}));
  ReceivedQuote quote;
  SP_TRY(quote.attest, ReadHex(json, "attest"));
  SP_TRY(quote.signature, ReadHex(json, "signature"));
  SP_TRY(const JsonCursor values, json.Member("pcr_values"));
  SP_TRY(const auto entries, values.Entries());
  for (const auto& [key, cursor] : entries) {
    uint32_t pcr = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), pcr);
    if (error != std::errc() || end != key.data() + key.size())
      return cursor.Refuse("no pcr", "evidence.document");
    SP_TRY(quote.pcr_values[pcr], ReadHex(values, key));
  }
  return quote;
}

Result<Unit> ReadTicket(const JsonCursor& json, Ticket& ticket) {
  SP_TRY(const std::string_view purpose, json.GetString("purpose"));
  bool known = false;
  for (const pki::Purpose each :
       {pki::Purpose::kEnrol, pki::Purpose::kRenew, pki::Purpose::kReattest})
    if (purpose == pki::PurposeName(each)) {
      ticket.purpose = each;
      known = true;
    }
  if (!known) return json.Refuse("unknown purpose", "evidence.document");
  SP_TRY(ReadFixed(json, "ticket_id", ticket.id));
  SP_TRY(ReadFixed(json, "nonce", ticket.nonce));
  SP_TRY(const int64_t made_at, json.GetInteger("made_at_ms", 0));
  ticket.made_at = UnixTime{made_at};
  SP_TRY(ticket.device_id, json.GetString("device"));
  SP_TRY(const int64_t bank, json.GetInteger("bank", 0, UINT16_MAX));
  SP_TRY(ticket.bank, pki::HashFromTpm(static_cast<uint16_t>(bank)));
  SP_TRY(ReadFixed(json, "ek_spki_sha256", ticket.ek_spki_hash));
  SP_TRY(ticket.ak_public, ReadHex(json, "ak_public"));
  return Unit{};
}

Result<Unit> ReadEvidence(const JsonCursor& json, ReceivedEvidence& e) {
  e.protocol_version = pki::kProtocolVersion;
  SP_TRY(const std::vector<JsonCursor> quotes, json.GetElements("quotes"));
  for (const JsonCursor& element : quotes) {
    SP_TRY(ReceivedQuote quote, ReadQuote(element));
    e.quotes.push_back(std::move(quote));
  }
  if (e.quotes.empty()) return json.Refuse("no quote", "evidence.document");
  SP_TRY(const std::string_view certification, json.GetString("key_certification"));
  if (certification != "creation" && certification != "certify")
    return json.Refuse("unknown key certification", "evidence.document");
  e.key_certification =
      certification == "creation" ? KeyCertification::kCreation : KeyCertification::kCertify;
  SP_TRY(e.tls_public, ReadHex(json, "tls_public"));
  SP_TRY(e.creation_data, ReadHex(json, "creation_data"));
  SP_TRY(e.key_attest, ReadHex(json, "key_attest"));
  SP_TRY(e.key_signature, ReadHex(json, "key_signature"));
  SP_TRY(e.csr, ReadHex(json, "csr"));
  SP_TRY(e.boot_slot, json.GetString("boot_slot"));
  SP_TRY(ReadOptional(json, "release_digest", e.release_digest));
  SP_TRY(e.epoch_held, ReadCount(json, "epoch_held"));
  SP_TRY(e.null_name, ReadHex(json, "null_name"));
  SP_TRY(e.null_name_attest, ReadHex(json, "null_name_attest"));
  SP_TRY(e.null_name_signature, ReadHex(json, "null_name_signature"));
  SP_TRY(e.floors, ReadFloors(json));
  SP_TRY(const JsonCursor ima, json.Member("ima"));
  SP_TRY(e.ima, ReadIma(ima));
  return Unit{};
}

}  // namespace

bool StoredProof::sent_log() const { return log_hash != pki::Sha256(ByteView()); }

std::string WriteEvidenceDocument(const Case& proof, std::string_view trust_domain,
                                  const JudgeTerms& terms,
                                  const std::vector<OpenReference>& references) {
  const ReceivedEvidence& e = *proof.evidence;
  const Ticket& ticket = proof.ticket;
  std::vector<JsonValue> quotes;
  for (const ReceivedQuote& quote : e.quotes) quotes.push_back(QuoteJson(quote));
  return WriteJson(JsonValue::Object(
      {{"sallyport", kFormat},
       {"protocol_version", pki::kProtocolVersion},
       {"trust_domain", trust_domain},
       {"server_leaf_sha256", HexEncode(proof.server_leaf_hash)},
       {"purpose", pki::PurposeName(ticket.purpose)},
       {"ticket_id", HexEncode(ticket.id)},
       {"nonce", HexEncode(ticket.nonce)},
       {"made_at_ms", ticket.made_at.ms},
       {"device", ticket.device_id},
       {"ek_spki_sha256", HexEncode(ticket.ek_spki_hash)},
       {"ak_public", HexEncode(ticket.ak_public)},
       {"bank", static_cast<uint64_t>(ticket.bank)},
       {"quotes", JsonValue::Array(std::move(quotes))},
       {"event_log_sha256", HexEncode(proof.log_hash)},
       {"tls_public", HexEncode(e.tls_public)},
       {"key_certification",
        e.key_certification == KeyCertification::kCreation ? "creation" : "certify"},
       {"creation_data", HexEncode(e.creation_data)},
       {"key_attest", HexEncode(e.key_attest)},
       {"key_signature", HexEncode(e.key_signature)},
       {"csr", HexEncode(e.csr)},
       {"boot_slot", e.boot_slot},
       {"release_digest", HexOrEmpty(e.release_digest)},
       {"epoch_held", Count(e.epoch_held)},
       {"null_name", HexEncode(e.null_name)},
       {"null_name_attest", HexEncode(e.null_name_attest)},
       {"null_name_signature", HexEncode(e.null_name_signature)},
       {"ima", ImaJson(e.ima)},
       {"floors", FloorsJson(e.floors)},
       {"terms", TermsJson(terms)},
       {"references", ReferencesJson(references)}}));
}

Result<StoredProof> ReadEvidenceDocument(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text, kDocumentLimits));
  const JsonCursor json(value);
  SP_TRY(const std::string_view format, json.GetString("sallyport"));
  SP_TRY(const int64_t version, json.GetInteger("protocol_version"));
  if (format != kFormat || version != int64_t{pki::kProtocolVersion})
    return Error{Reason::kUnsupported, std::string(format) + " of another version",
                 "evidence.document-version"};
  SP_TRY(json.OnlyKeys({"sallyport",
                        "protocol_version",
                        "trust_domain",
                        "server_leaf_sha256",
                        "purpose",
                        "ticket_id",
                        "nonce",
                        "made_at_ms",
                        "device",
                        "ek_spki_sha256",
                        "ak_public",
                        "bank",
                        "quotes",
                        "event_log_sha256",
                        "tls_public",
                        "key_certification",
                        "creation_data",
                        "key_attest",
                        "key_signature",
                        "csr",
                        "boot_slot",
                        "release_digest",
                        "epoch_held",
                        "null_name",
                        "null_name_attest",
                        "null_name_signature",
                        "ima",
                        "floors",
                        "terms",
                        "references"}));
  StoredProof out;
  SP_TRY(out.trust_domain, json.GetString("trust_domain"));
  SP_TRY(ReadFixed(json, "server_leaf_sha256", out.server_leaf_hash));
  SP_TRY(ReadTicket(json, out.ticket));
  SP_TRY(ReadEvidence(json, out.evidence));
  SP_TRY(ReadFixed(json, "event_log_sha256", out.log_hash));
  SP_TRY(const JsonCursor terms, json.Member("terms"));
  SP_TRY(out.terms, ReadTerms(terms));
  SP_TRY(const JsonCursor references, json.Member("references"));
  SP_TRY(out.references, ReadReferences(references));
  return out;
}

Result<Case> OpenStored(const StoredProof& stored, Bytes log) {
  Case out;
  out.ticket = stored.ticket;
  out.evidence = &stored.evidence;
  out.log_hash = stored.log_hash;
  out.server_leaf_hash = stored.server_leaf_hash;
  SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(stored.ticket.ak_public));
  SP_TRY(AttestationKey ak, AttestationKey::FromArea(area));
  out.ak = std::make_shared<const AttestationKey>(std::move(ak));
  SP_TRY(pki::TranscriptFields fields, TranscriptOf(out, stored.trust_domain));
  fields.server_leaf_hash = stored.server_leaf_hash;
  const pki::Transcript transcript = pki::ComputeTranscript(fields);
  out.quote_extra_data = pki::QuoteExtraData(transcript);
  out.key_qualifying_data = pki::KeyQualifyingData(transcript);
  out.floors_qualifying_data = pki::FloorsQualifyingData(transcript);
  SP_TRY(ReadClaims(out));
  if (stored.sent_log()) ReadLog(out, std::move(log));
  return out;
}

}  // namespace sallyport::server

#include "attestation-server/reference/reference_file.h"

#include <algorithm>
#include <charconv>

#include "attestation-server/reference/device_sets.h"
#include "attestation-server/reference/ima_section.h"
#include "pki/base/json.h"
#include "pki/spiffe/spiffe_id.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kFormat = "reference/v1";

Result<pki::HashAlgorithm> ParseBank(const JsonCursor& root) {
  SP_TRY(const std::string_view name, root.GetString("bank"));
  for (const auto bank :
       {pki::HashAlgorithm::kSha256, pki::HashAlgorithm::kSha384, pki::HashAlgorithm::kSha512})
    if (pki::HashName(bank) == name) return bank;
  return Error{Reason::kUnsupported, "bank " + std::string(name), "reference.bank"};
}

Result<std::string> ParseText(const JsonCursor& parent, std::string_view key) {
  SP_TRY(const std::string_view text, parent.GetString(key));
  if (text.empty() || text.size() > kReferenceTextMax)
    return parent.Refuse(std::string(key) + " is empty or too long", "reference.text");
  return std::string(text);
}

Result<PcrDigest> ParseDigest(const JsonCursor& parent, std::string_view key,
                              pki::HashAlgorithm bank) {
  SP_TRY(const std::string_view hex, parent.GetString(key));
  const Result<Bytes> bytes = HexDecode(hex);
  if (!bytes || bytes->size() != pki::DigestSize(bank))
    return parent.Refuse(std::string(key) + " is not a digest of the bank", "reference.digest");
  return PcrDigest::Of(*bytes);
}

Result<ExpectedEvent> ParseEvent(const JsonCursor& json, pki::HashAlgorithm bank) {
  SP_TRY(json.OnlyKeys({"type", "digest", "what"}));
  SP_TRY(const PcrDigest digest, ParseDigest(json, "digest", bank));
  ExpectedEvent out{std::nullopt, digest, ""};
  if (json.Find("type")) {
    SP_TRY(const std::string_view name, json.GetString("type"));
    out.type = EventTypeFromName(name);
    if (!out.type) return json.Refuse("unknown event type " + std::string(name), "reference.event");
  }
  if (json.Find("what")) {
    SP_TRY(out.what, ParseText(json, "what"));
  }
  return out;
}

Result<PcrEventsExpected> ParseEvents(const JsonCursor& json, pki::HashAlgorithm bank) {
  SP_TRY(const std::vector<JsonCursor> elements, json.GetElements("events"));
  if (elements.size() > kReferenceEventsMax)
    return json.Refuse("too many events", "reference.event");
  PcrEventsExpected events;
  for (const JsonCursor& element : elements) {
    SP_TRY(ExpectedEvent event, ParseEvent(element, bank));
    events.push_back(std::move(event));
  }
  return events;
}

Result<std::vector<SignatureId>> ParseSignatures(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::vector<JsonCursor> elements, json.GetElements(key));
  if (elements.size() > kSignaturesMax)
    return json.Refuse("too many signatures", "reference.signature");
  std::vector<SignatureId> out;
  for (const JsonCursor& element : elements) {
    const std::string* const text = element.value().if_string();
    const Result<SignatureId> id = SignatureId::Parse(text == nullptr ? "" : *text);
    if (!id) return element.Refuse(id.error().detail, "reference.signature");
    out.push_back(*id);
  }
  std::ranges::sort(out);
  return out;
}

Result<SecureBootExpected> ParseSecureBoot(const JsonCursor& json, pki::HashAlgorithm bank) {
  SP_TRY(json.OnlyKeys({"pk", "kek", "db", "dbx", "events"}));
  SecureBootExpected out;
  SP_TRY(out.pk, ParseSignatures(json, "pk"));
  SP_TRY(out.kek, ParseSignatures(json, "kek"));
  SP_TRY(out.db, ParseSignatures(json, "db"));
  SP_TRY(out.dbx, ParseSignatures(json, "dbx"));
  SP_TRY(out.events, ParseEvents(json, bank));
  return out;
}

Result<PcrExpectation> ParseExpectation(uint32_t pcr, const JsonCursor& json,
                                        pki::HashAlgorithm bank) {
  SP_TRY(json.OnlyKeys({"value", "events", "secure_boot"}));
  const auto has = [&](std::string_view key) { return json.Find(key) ? 1 : 0; };
  if (has("value") + has("events") + has("secure_boot") != 1)
    return json.Refuse("expected exactly one of value, events and secure_boot", "reference.pcr");
  if (json.Find("value")) {
    SP_TRY(const PcrDigest value, ParseDigest(json, "value", bank));
    return PcrExpectation(value);
  }
  if (json.Find("events")) {
    SP_TRY(PcrEventsExpected events, ParseEvents(json, bank));
    return PcrExpectation(std::move(events));
  }
  if (pcr != 7) return json.Refuse("secure_boot is judged in pcr 7", "reference.pcr");
  SP_TRY(const JsonCursor content, json.Member("secure_boot"));
  SP_TRY(SecureBootExpected secure_boot, ParseSecureBoot(content, bank));
  return PcrExpectation(std::move(secure_boot));
}

template <typename T>
bool SortedWithoutDuplicates(const std::vector<T>& list) {
  return std::ranges::adjacent_find(list, std::ranges::greater_equal{}) == list.end();
}

Result<std::vector<std::string>> ParseDevices(const JsonCursor& root) {
  if (!root.Find("devices")) return std::vector<std::string>();
  SP_TRY(std::vector<std::string> devices, root.GetStrings("devices"));
  if (devices.empty() || devices.size() > kReferenceDevicesMax ||
      !std::ranges::all_of(
          devices, [](const std::string& id) { return pki::DeviceId::Parse(id).has_value(); }) ||
      !SortedWithoutDuplicates(devices))
    return root.Refuse("devices are ids, sorted, each once", "reference.devices");
  return devices;
}

Result<std::vector<Sha256Digest>> ParseSupersedes(const JsonCursor& root) {
  std::vector<Sha256Digest> out;
  if (!root.Find("supersedes")) return out;
  SP_TRY(const std::vector<std::string> ids, root.GetStrings("supersedes"));
  for (const std::string& id : ids) {
    const Result<Bytes> bytes = HexDecode(id);
    if (!bytes || bytes->size() != Sha256Digest::kSize)
      return root.Refuse("supersedes are ids of sets", "reference.supersedes");
    out.push_back(*Sha256Digest::FromView(*bytes));
  }
  if (out.empty() || out.size() > kReferenceSupersedesMax || !SortedWithoutDuplicates(out))
    return root.Refuse("supersedes are ids, sorted, each once", "reference.supersedes");
  return out;
}

// "0" to "23", without leading zeros: one spelling of each PCR.
Result<uint32_t> ParsePcr(std::string_view key, const JsonCursor& at) {
  uint32_t pcr = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), pcr);
  if (error != std::errc() || end != key.data() + key.size() || pcr >= kPcrCount ||
      std::to_string(pcr) != key)
    return at.Refuse("no such pcr", "reference.pcr");
  return pcr;
}

JsonValue WriteEvents(const PcrEventsExpected& expected) {
  std::vector<JsonValue> events;
  for (const ExpectedEvent& event : expected) {
    std::vector<JsonMember> members{{"digest", HexEncode(event.digest.view())}};
    if (event.type) members.push_back({"type", EventTypeLabel(*event.type)});
    if (!event.what.empty()) members.push_back({"what", event.what});
    events.push_back(JsonValue::Object(std::move(members)));
  }
  return JsonValue::Array(std::move(events));
}

JsonValue WriteSignatures(const std::vector<SignatureId>& ids) {
  std::vector<JsonValue> out;
  for (const SignatureId& id : ids) out.emplace_back(id.Text());
  return JsonValue::Array(std::move(out));
}

JsonValue WriteExpectation(const PcrExpectation& expectation) {
  if (const auto* const value = std::get_if<PcrValueExpected>(&expectation))
    return JsonValue::Object({{"value", HexEncode(value->view())}});
  if (const auto* const events = std::get_if<PcrEventsExpected>(&expectation))
    return JsonValue::Object({{"events", WriteEvents(*events)}});
  const auto& state = std::get<SecureBootExpected>(expectation);
  return JsonValue::Object(
      {{"secure_boot", JsonValue::Object({{"pk", WriteSignatures(state.pk)},
                                          {"kek", WriteSignatures(state.kek)},
                                          {"db", WriteSignatures(state.db)},
                                          {"dbx", WriteSignatures(state.dbx)},
                                          {"events", WriteEvents(state.events)}})}});
}

}  // namespace

Result<ReferenceFile> ParseReferenceFile(std::string_view json) {
  SP_TRY(const JsonValue value, ParseJson(json, {.size_max = kReferenceBytesMax, .depth_max = 8}));
  const JsonCursor root(value);
  SP_TRY(const std::string_view format, root.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "reference.format"};
  SP_TRY(root.OnlyKeys(
      {"sallyport", "class", "bank", "secure_boot", "pcrs", "ima", "devices", "supersedes"}));
  ReferenceFile out;
  SP_TRY(out.device_class, ParseText(root, "class"));
  SP_TRY(out.bank, ParseBank(root));
  SP_TRY(out.devices, ParseDevices(root));
  SP_TRY(out.supersedes, ParseSupersedes(root));
  if (root.Find("secure_boot")) {
    SP_TRY(const JsonCursor::Flag flag, root.GetBool("secure_boot"));
    out.expectation.secure_boot = flag.value;
  }
  SP_TRY(const JsonCursor pcrs, root.Member("pcrs"));
  SP_TRY(const auto entries, pcrs.Entries());
  if (entries.empty()) return pcrs.Refuse("no pcr is judged", "reference.pcrs");
  for (const auto& [key, cursor] : entries) {
    SP_TRY(const uint32_t pcr, ParsePcr(key, cursor));
    SP_TRY(PcrExpectation expectation, ParseExpectation(pcr, cursor, out.bank));
    out.expectation.pcrs.emplace(pcr, std::move(expectation));
  }
  if (root.Find("ima")) {
    SP_TRY(const JsonCursor section, root.Member("ima"));
    SP_TRY(ImaExpected ima, ParseImaSection(section));
    ima.hash = pki::Sha256(AsBytes(json));
    out.expectation.ima.push_back(std::make_shared<const ImaExpected>(std::move(ima)));
  }
  out.expectation.label = "reference " + out.device_class;
  return out;
}

Result<ReferenceFile> PutOnBase(const ota::Release& release, ReferenceFile base) {
  std::vector<Expectation> fitting = ExpectationsOfRelease(release);
  const std::optional<bool> state = base.expectation.secure_boot;
  std::erase_if(fitting, [&](const Expectation& e) { return state && e.secure_boot != state; });
  if (fitting.size() != 1)
    return Error{
        Reason::kMismatch,
        "the base must say \"secure_boot\": true or false, and the release have values for it",
        "release.secure-boot"};
  PutImage(fitting.front(), base.expectation);
  base.expectation.secure_boot = fitting.front().secure_boot;
  base.supersedes.clear();
  return base;
}

std::string WriteReferenceFile(const ReferenceFile& file) {
  std::vector<JsonMember> pcrs;
  for (const auto& [pcr, expectation] : file.expectation.pcrs)
    pcrs.push_back({std::to_string(pcr), WriteExpectation(expectation)});
  std::vector<JsonMember> members{{"sallyport", kFormat},
                                  {"class", file.device_class},
                                  {"bank", pki::HashName(file.bank)},
                                  {"pcrs", JsonValue::Object(std::move(pcrs))}};
  if (!file.devices.empty()) members.push_back({"devices", JsonValue::Strings(file.devices)});
  std::vector<std::string> supersedes;
  for (const Sha256Digest& id : file.supersedes) supersedes.push_back(HexEncode(id));
  if (!supersedes.empty()) members.push_back({"supersedes", JsonValue::Strings(supersedes)});
  if (file.expectation.secure_boot)
    members.push_back({"secure_boot", *file.expectation.secure_boot});
  // A file has one section: only the alternatives of a device have those of several files.
  if (!file.expectation.ima.empty())
    members.push_back({"ima", WriteImaSection(*file.expectation.ima.front())});
  return WriteJson(JsonValue::Object(std::move(members)));
}

}  // namespace sallyport::server

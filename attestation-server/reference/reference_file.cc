#include "attestation-server/reference/reference_file.h"

#include <charconv>

#include "pki/base/json.h"

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

Result<PcrExpectation> ParseExpectation(const JsonCursor& json, pki::HashAlgorithm bank) {
  SP_TRY(json.OnlyKeys({"value", "events"}));
  if (json.Find("value").has_value() == json.Find("events").has_value())
    return json.Refuse("expected exactly one of value and events", "reference.pcr");
  if (json.Find("value")) {
    SP_TRY(const PcrDigest value, ParseDigest(json, "value", bank));
    return PcrExpectation(value);
  }
  SP_TRY(const std::vector<JsonCursor> elements, json.GetElements("events"));
  if (elements.size() > kReferenceEventsMax)
    return json.Refuse("too many events", "reference.event");
  PcrEventsExpected events;
  for (const JsonCursor& element : elements) {
    SP_TRY(ExpectedEvent event, ParseEvent(element, bank));
    events.push_back(std::move(event));
  }
  return PcrExpectation(std::move(events));
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

JsonValue WriteExpectation(const PcrExpectation& expectation) {
  if (const auto* const value = std::get_if<PcrValueExpected>(&expectation))
    return JsonValue::Object({{"value", HexEncode(value->view())}});
  std::vector<JsonValue> events;
  for (const ExpectedEvent& event : std::get<PcrEventsExpected>(expectation)) {
    std::vector<JsonMember> members{{"digest", HexEncode(event.digest.view())}};
    if (event.type) members.push_back({"type", EventTypeLabel(*event.type)});
    if (!event.what.empty()) members.push_back({"what", event.what});
    events.push_back(JsonValue::Object(std::move(members)));
  }
  return JsonValue::Object({{"events", JsonValue::Array(std::move(events))}});
}

}  // namespace

Result<ReferenceFile> ParseReferenceFile(std::string_view json) {
  SP_TRY(const JsonValue value, ParseJson(json, {.size_max = kReferenceBytesMax, .depth_max = 8}));
  const JsonCursor root(value);
  SP_TRY(const std::string_view format, root.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "reference.format"};
  SP_TRY(root.OnlyKeys({"sallyport", "class", "bank", "secure_boot", "pcrs"}));
  ReferenceFile out;
  SP_TRY(out.device_class, ParseText(root, "class"));
  SP_TRY(out.bank, ParseBank(root));
  if (root.Find("secure_boot")) {
    SP_TRY(const JsonCursor::Flag flag, root.GetBool("secure_boot"));
    out.expectation.secure_boot = flag.value;
  }
  SP_TRY(const JsonCursor pcrs, root.Member("pcrs"));
  SP_TRY(const auto entries, pcrs.Entries());
  if (entries.empty()) return pcrs.Refuse("no pcr is judged", "reference.pcrs");
  for (const auto& [key, cursor] : entries) {
    SP_TRY(const uint32_t pcr, ParsePcr(key, cursor));
    SP_TRY(PcrExpectation expectation, ParseExpectation(cursor, out.bank));
    out.expectation.pcrs.emplace(pcr, std::move(expectation));
  }
  out.expectation.label = "reference " + out.device_class;
  return out;
}

std::string WriteReferenceFile(const ReferenceFile& file) {
  std::vector<JsonMember> pcrs;
  for (const auto& [pcr, expectation] : file.expectation.pcrs)
    pcrs.push_back({std::to_string(pcr), WriteExpectation(expectation)});
  std::vector<JsonMember> members{{"sallyport", kFormat},
                                  {"class", file.device_class},
                                  {"bank", pki::HashName(file.bank)},
                                  {"pcrs", JsonValue::Object(std::move(pcrs))}};
  if (file.expectation.secure_boot)
    members.push_back({"secure_boot", *file.expectation.secure_boot});
  return WriteJson(JsonValue::Object(std::move(members)));
}

}  // namespace sallyport::server

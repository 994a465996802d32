#include "ota/measure/release_measurements.h"

namespace sallyport::ota {
namespace {

constexpr size_t kHexDigits = 2 * Sha256Digest::kSize;

JsonValue EventsToJson(const std::vector<Sha256Digest>& events) {
  std::vector<std::string> out;
  for (const Sha256Digest& event : events) out.push_back(HexEncode(event));
  return JsonValue::Strings(out);
}

Result<Sha256Digest> ParseDigest(const JsonCursor& json) {
  SP_TRY(const std::string_view text, json.String());
  const bool lower = text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (text.size() != kHexDigits || !lower) return json.Refuse("not 64 lower-case hex digits", "measure.digest");
  SP_TRY(const Bytes bytes, HexDecode(text));
  return Sha256Digest::FromView(bytes);
}

Result<std::vector<Sha256Digest>> ParseEvents(const JsonCursor& parent, std::string_view key) {
  SP_TRY(const JsonCursor list, parent.Member(key));
  SP_TRY(const std::vector<JsonCursor> elements, list.Elements());
  if (elements.empty() || elements.size() > kMeasuredEventsMax)
    return list.Refuse("expected 1 to " + std::to_string(kMeasuredEventsMax) + " digests", "measure.events");
  std::vector<Sha256Digest> out;
  for (const JsonCursor& element : elements) {
    SP_TRY(const Sha256Digest digest, ParseDigest(element));
    out.push_back(digest);
  }
  return out;
}

}  // namespace

ReleaseMeasurements ReleaseMeasurements::Of(const UkiMeasurements& uki) {
  return {uki.pcr4_secure_boot_off, uki.pcr4_secure_boot_on, uki.pcr11};
}

Result<ReleaseMeasurements> ReleaseMeasurements::Parse(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"bank", "pcr4", "pcr11"}));
  SP_TRY(const std::string_view bank, json.GetString("bank"));
  if (bank != "sha256") return Error{Reason::kUnsupported, "bank " + std::string(bank), "measure.bank"};
  SP_TRY(const JsonCursor pcr4, json.Member("pcr4"));
  SP_TRY(pcr4.OnlyKeys({"secure_boot_off", "secure_boot_on"}));
  SP_TRY(const JsonCursor pcr11, json.Member("pcr11"));
  SP_TRY(pcr11.OnlyKeys({"events"}));
  SP_TRY(auto off, ParseEvents(pcr4, "secure_boot_off"));
  SP_TRY(auto on, ParseEvents(pcr4, "secure_boot_on"));
  SP_TRY(auto events, ParseEvents(pcr11, "events"));
  return ReleaseMeasurements{std::move(off), std::move(on), std::move(events)};
}

JsonValue ReleaseMeasurements::ToJson() const {
  return JsonValue::Object({{"bank", "sha256"},
                            {"pcr4", JsonValue::Object({{"secure_boot_off", EventsToJson(pcr4_secure_boot_off)},
                                                        {"secure_boot_on", EventsToJson(pcr4_secure_boot_on)}})},
                            {"pcr11", JsonValue::Object({{"events", EventsToJson(pcr11)}})}});
}

}  // namespace sallyport::ota

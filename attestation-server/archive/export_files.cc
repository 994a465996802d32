#include "attestation-server/archive/export_files.h"

#include <algorithm>

namespace sallyport::server {
namespace {

constexpr size_t kSequenceDigits = 12;
constexpr JsonLimits kPageLimits{.size_max = kExportFileMax, .depth_max = 4};

Error Broken(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "export.entry"};
}

// RecordOf parses the record of an entry; null when retention deleted it.
Result<JsonValue> RecordOf(const AuditEntry& entry) {
  if (!entry.record) return JsonValue();
  return ParseJson(*entry.record);
}

Result<std::string> TextOr(const JsonCursor& json, std::string_view key) {
  if (!json.Find(key)) return std::string();
  SP_TRY(const std::string_view text, json.GetString(key));
  return std::string(text);
}

}  // namespace

std::string CheckpointPath(const std::string& folder) { return folder + "/checkpoint.json"; }
std::string PagePath(const std::string& folder, uint64_t first_seq) {
  std::string digits = std::to_string(first_seq);
  digits.insert(0, kSequenceDigits - std::min(digits.size(), kSequenceDigits), '0');
  return folder + "/audit/" + digits + ".json";
}
std::string VerdictPath(const std::string& folder, const std::string& id) {
  return folder + "/verdicts/" + id + ".json";
}
std::string ReferencePath(const std::string& folder, const Sha256Digest& id) {
  return folder + "/references/" + HexEncode(id) + ".json";
}
std::string PolicyPath(const std::string& folder, const std::string& manifest_sha256) {
  return folder + "/policies/" + manifest_sha256 + ".json";
}
std::string BlobsPath(const std::string& folder) { return folder + "/evidence"; }

Result<Sha256Digest> ParseSha256(std::string_view hex) {
  const Result<Bytes> bytes = HexDecode(hex);
  if (!bytes || bytes->size() != Sha256Digest::kSize) return Broken("expected 64 hex digits");
  return Sha256Digest::FromView(*bytes);
}

JsonValue EntryJson(const AuditEntry& entry) {
  return JsonValue::Object({{"seq", entry.seq},
                            {"prev_hash", HexEncode(entry.prev_hash)},
                            {"event", entry.event},
                            {"commitment", HexEncode(entry.commitment)},
                            {"hash", HexEncode(entry.hash)},
                            {"salt", entry.salt ? HexEncode(*entry.salt) : ""},
                            {"record", entry.record ? *entry.record : ""}});
}

Result<AuditEntry> ParseEntry(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"seq", "prev_hash", "event", "commitment", "hash", "salt", "record"}));
  SP_TRY(const int64_t seq, json.GetInteger("seq", 1));
  SP_TRY(const std::string_view prev, json.GetString("prev_hash"));
  SP_TRY(const std::string_view event, json.GetString("event"));
  SP_TRY(const std::string_view commitment, json.GetString("commitment"));
  SP_TRY(const std::string_view hash, json.GetString("hash"));
  SP_TRY(const std::string_view salt, json.GetString("salt"));
  SP_TRY(const std::string_view record, json.GetString("record"));
  SP_TRY(const Sha256Digest prev_hash, ParseSha256(prev));
  SP_TRY(const Sha256Digest commitment_hash, ParseSha256(commitment));
  SP_TRY(const Sha256Digest entry_hash, ParseSha256(hash));
  AuditEntry out{static_cast<uint64_t>(seq),
                 prev_hash,
                 std::string(event),
                 commitment_hash,
                 entry_hash,
                 std::nullopt,
                 std::nullopt};
  if (!salt.empty()) {
    SP_TRY(out.salt, ParseSha256(salt));
  }
  if (!record.empty()) out.record = std::string(record);
  return out;
}

Result<std::vector<AuditEntry>> ParsePage(std::string_view text) {
  SP_TRY(const JsonValue json, ParseJson(text, kPageLimits));
  SP_TRY(const std::vector<JsonCursor> elements, JsonCursor(json).GetElements("entries"));
  std::vector<AuditEntry> out;
  for (const JsonCursor& element : elements) {
    SP_TRY(AuditEntry entry, ParseEntry(element));
    out.push_back(std::move(entry));
  }
  return out;
}

JsonValue ExportHeadJson(const ExportHead& head) {
  return JsonValue::Object({{"sallyport", kExportFormat},
                            {"body", Base64Encode(head.checkpoint.body)},
                            {"signature", Base64Encode(head.checkpoint.signature)},
                            {"trust_bundle", head.trust_bundle}});
}

Result<ExportHead> ParseExportHead(const JsonCursor& json) {
  SP_TRY(const std::string_view format, json.GetString("sallyport"));
  if (format != kExportFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "export.format"};
  SP_TRY(json.OnlyKeys({"sallyport", "body", "signature", "trust_bundle"}));
  SP_TRY(const std::string_view body, json.GetString("body"));
  SP_TRY(const std::string_view signature, json.GetString("signature"));
  ExportHead out;
  SP_TRY(out.checkpoint.body, Base64Decode(body));
  SP_TRY(out.checkpoint.signature, Base64Decode(signature));
  SP_TRY(out.trust_bundle, json.GetString("trust_bundle"));
  return out;
}

Result<std::optional<JudgedEntry>> JudgedBy(const AuditEntry& entry) {
  SP_TRY(const JsonValue value, RecordOf(entry));
  const JsonCursor record(value);
  if (!record.Find("verdict")) return std::optional<JudgedEntry>();
  JudgedEntry out;
  SP_TRY(out.verdict, record.GetString("verdict"));
  SP_TRY(out.purpose, TextOr(record, "purpose"));
  SP_TRY(out.evidence, TextOr(record, "evidence"));
  SP_TRY(out.document, TextOr(record, "document"));
  SP_TRY(out.verdict_sha256, TextOr(record, "verdict_sha256"));
  // The id becomes the name of a file.
  const Result<Bytes> id = HexDecode(out.verdict);
  if (!id || id->size() != TicketId::kSize) return Broken("a verdict's id is 32 hex digits");
  return std::optional(std::move(out));
}

Result<std::optional<AppliedPolicy>> PolicyBy(const AuditEntry& entry) {
  if (entry.event != "policy.applied") return std::optional<AppliedPolicy>();
  SP_TRY(const JsonValue value, RecordOf(entry));
  if (value.kind() == JsonValue::Kind::kNull) return std::optional<AppliedPolicy>();
  const JsonCursor record(value);
  AppliedPolicy out;
  SP_TRY(out.version, record.GetInteger("version"));
  SP_TRY(out.manifest_sha256, record.GetString("manifest"));
  SP_TRY(ParseSha256(out.manifest_sha256));
  return std::optional(std::move(out));
}

}  // namespace sallyport::server

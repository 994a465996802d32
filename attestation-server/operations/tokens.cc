#include "attestation-server/operations/tokens.h"

#include "attestation-server/enrolment/admission.h"
#include "attestation-server/enrolment/tokens.h"

namespace sallyport::server {
namespace {

constexpr Duration kTokenLifetimeMax = Days(90);  // an installation campaign, not a standing door
constexpr int64_t kTokenCountMax = 10'000;

Error Invalid(std::string_view rule, std::string detail) {
  return Error{Reason::kInvalidArgument, std::move(detail), rule};
}

Result<Unit> CheckOrder(const TokenOrder& order, UnixTime now) {
  if (order.expires <= now || order.expires > now + kTokenLifetimeMax)
    return Invalid("token.expiry", "a token lives between now and 90 days");
  if (order.count < 1 || order.count > kTokenCountMax)
    return Invalid("token.count", "1 to 10000 uses");
  if (!order.device_name.empty() && order.count != 1)
    return Invalid("token.device-name", "a token with a device name is for one device");
  const bool wide =
      order.count > kAutoApproveCountMax || order.expires > now + kAutoApproveLifetimeMax;
  if (order.auto_approve && wide)
    return Invalid("token.auto-approve", "auto-approval needs at most 100 uses and 24 h");
  return Unit{};
}

Result<std::optional<Sha256Digest>> ParseEk(std::string_view hex) {
  if (hex.empty()) return std::optional<Sha256Digest>();
  SP_TRY(const Bytes bytes, HexDecode(hex));
  SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(bytes));
  return std::optional<Sha256Digest>(digest);
}

std::string NewId(Random& random) {
  std::array<uint8_t, 16> bytes;
  random.Fill(bytes);
  return HexEncode(bytes);
}

}  // namespace

Result<CreatedToken> TokenOperations::Create(const Operator& caller, const TokenOrder& order,
                                             UnixTime now) {
  SP_TRY(CheckOrder(order, now));
  SP_TRY(const std::optional<Sha256Digest> ek, ParseEk(order.ek_sha256));
  const std::string secret = NewToken(parts_.random);
  SP_TRY(const Sha256Digest secret_hash, HashToken(secret));
  TokenRecord record{.id = NewId(parts_.random),
                     .secret_hash = secret_hash,
                     .name = order.name,
                     .profile = order.profile,
                     .placement = order.placement,
                     .device_name = order.device_name,
                     .ek_spki_hash = ek,
                     .uses_max = order.count,
                     .uses = 0,
                     .expires_at = order.expires,
                     .auto_approve = order.auto_approve,
                     .revoked = false,
                     .created_at = now,
                     .created_by = caller.id};
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(Tokens(transaction.connection()).Insert(record));
    SP_TRY(transaction.Audit("token.created",
                             JsonValue::Object({{"token", record.id},
                                                {"operator", caller.id},
                                                {"site", record.placement.site},
                                                {"uses", record.uses_max},
                                                {"expires", FormatRfc3339(record.expires_at)},
                                                {"auto_approve", record.auto_approve}})));
    return Unit{};
  }));
  pki::EnrolmentFile file = base_;
  file.token = secret;
  return CreatedToken{record.id, pki::WriteEnrolmentFile(file)};
}

Result<JsonValue> TokenOperations::List(std::string_view after, int64_t limit, UnixTime now) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::vector<TokenRecord> records, Tokens(snapshot.connection()).List(after, limit));
  std::vector<JsonValue> rows;
  for (const TokenRecord& token : records) {
    const std::string_view state = token.revoked                  ? "revoked"
                                   : token.uses >= token.uses_max ? "spent"
                                   : token.expires_at <= now      ? "expired"
                                                                  : "open";
    rows.push_back(JsonValue::Object({{"id", token.id},
                                      {"name", token.name},
                                      {"state", state},
                                      {"site", token.placement.site},
                                      {"class", token.placement.device_class},
                                      {"uses", token.uses},
                                      {"of", token.uses_max},
                                      {"auto_approve", token.auto_approve},
                                      {"expires", FormatRfc3339(token.expires_at)}}));
  }
  return JsonValue::Array(std::move(rows));
}

Result<JsonValue> TokenOperations::Revoke(const Operator& caller, std::string_view id) {
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(Tokens(transaction.connection()).Revoke(id));
    SP_TRY(transaction.Audit("token.revoked",
                             JsonValue::Object({{"token", id}, {"operator", caller.id}})));
    return Unit{};
  }));
  return JsonValue::Object({{"id", id}, {"state", "revoked"}});
}

Result<JsonValue> TokenOperations::AllowEk(const Operator& caller, ListedEk entry) {
  entry.created_by = caller.id;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(EkList(transaction.connection()).Put(entry));
    SP_TRY(transaction.Audit("ek.allowed",
                             JsonValue::Object({{"ek_sha256", HexEncode(entry.ek_spki_hash)},
                                                {"name", entry.device_name},
                                                {"operator", caller.id}})));
    return Unit{};
  }));
  return JsonValue::Object(
      {{"ek_sha256", HexEncode(entry.ek_spki_hash)}, {"name", entry.device_name}});
}

}  // namespace sallyport::server

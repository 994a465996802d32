#include "attestation-server/store/tokens.h"

#include <algorithm>

#include "attestation-server/store/limits.h"
#include "attestation-server/store/text_list.h"

namespace sallyport::server {

namespace {

#define SP_TOKEN_COLUMNS                                                                      \
  "id, secret_sha256, name, profile, site, device_class, tags, device_name, ek_spki_sha256, " \
  "uses_max, "                                                                                \
  "uses, expires_at, auto_approve, revoked, created_at, created_by"
constexpr std::string_view kTokenKinds = "tttttttttiiiiiit";

Result<TokenRecord> ReadToken(const Row& row) {
  TokenRecord token;
  token.id = row.Text(0);
  SP_TRY(token.secret_hash, row.FixedAt<Sha256Digest>(1));
  token.name = row.Text(2);
  token.profile = row.Text(3);
  token.placement = {row.Text(4), row.Text(5), SplitList(row.Text(6))};
  token.device_name = row.Text(7);
  SP_TRY(token.ek_spki_hash, row.OptionalAt<Sha256Digest>(8));
  token.uses_max = row.Integer(9);
  token.uses = row.Integer(10);
  token.expires_at = row.Time(11);
  token.auto_approve = row.Integer(12) != 0;
  token.revoked = row.Integer(13) != 0;
  token.created_at = row.Time(14);
  token.created_by = row.Text(15);
  return token;
}

}  // namespace

Result<Unit> Tokens::Insert(const TokenRecord& t) {
  SP_TRY(connection_.Execute(
      "INSERT INTO tokens (" SP_TOKEN_COLUMNS
      ") VALUES (:id, :secret, :name, :profile, :site, :class, :tags, "
      ":device_name, :ek, :uses_max, :uses, :expires_at, :auto_approve, :revoked, :created_at, "
      ":created_by)",
      {t.id, t.secret_hash, t.name, t.profile, t.placement.site, t.placement.device_class,
       JoinList(t.placement.tags), t.device_name, t.ek_spki_hash, t.uses_max, t.uses, t.expires_at,
       t.auto_approve ? 1 : 0, t.revoked ? 1 : 0, t.created_at, t.created_by}));
  return Unit{};
}

Result<std::optional<TokenRecord>> Tokens::FindBySecret(const Sha256Digest& secret_hash) {
  SP_TRY(const auto row, connection_.QueryOne("SELECT " SP_TOKEN_COLUMNS
                                              " FROM tokens WHERE secret_sha256 = :secret",
                                              kTokenKinds, {secret_hash}));
  if (!row.has_value()) return std::optional<TokenRecord>();
  SP_TRY(TokenRecord token, ReadToken(*row));
  return std::optional<TokenRecord>(std::move(token));
}

Result<Unit> Tokens::Spend(std::string_view id, UnixTime now) {
  SP_TRY(const int64_t changed,
         connection_.Execute(
             "UPDATE tokens SET uses = uses + 1 "
             "WHERE id = :id AND uses < uses_max AND revoked = 0 AND expires_at > :now",
             {id, now}));
  if (changed != 1) return Error{Reason::kReplayed, "token has no use left", "token.spent"};
  return Unit{};
}

Result<Unit> Tokens::Revoke(std::string_view id_or_name) {
  if (id_or_name.empty()) return Error{Reason::kNotFound, "no such token", "token.unknown"};
  SP_TRY(const int64_t changed,
         connection_.Execute("UPDATE tokens SET revoked = 1 WHERE id = :id OR name = :name",
                             {id_or_name, id_or_name}));
  if (changed == 0) return Error{Reason::kNotFound, "no such token", "token.unknown"};
  return Unit{};
}

Result<std::vector<TokenRecord>> Tokens::List(std::string_view after_id, int64_t limit) {
  SP_TRY(const auto rows,
         connection_.Query("SELECT " SP_TOKEN_COLUMNS
                           " FROM tokens WHERE id > :after ORDER BY id LIMIT :limit",
                           kTokenKinds, {after_id, std::min(limit, kListMax)}));
  std::vector<TokenRecord> out;
  for (const Row& row : rows) {
    SP_TRY(TokenRecord token, ReadToken(row));
    out.push_back(std::move(token));
  }
  return out;
}

Result<Unit> EkList::Put(const ListedEk& entry) {
  SP_TRY(connection_.Execute(
      "INSERT INTO ek_allow (ek_spki_sha256, device_name, profile, site, device_class, tags, "
      "created_at, created_by) "
      "VALUES (:ek, :device_name, :profile, :site, :class, :tags, :created_at, :created_by) "
      "ON CONFLICT (ek_spki_sha256) DO UPDATE SET device_name = excluded.device_name, profile = "
      "excluded.profile, "
      "site = excluded.site, device_class = excluded.device_class, tags = excluded.tags, "
      "created_at = excluded.created_at, created_by = excluded.created_by",
      {entry.ek_spki_hash, entry.device_name, entry.profile, entry.placement.site,
       entry.placement.device_class, JoinList(entry.placement.tags), entry.created_at,
       entry.created_by}));
  return Unit{};
}

Result<std::optional<ListedEk>> EkList::Find(const Sha256Digest& ek_spki_hash) {
  SP_TRY(const auto row,
         connection_.QueryOne(
             "SELECT device_name, profile, site, device_class, tags, created_at, created_by "
             "FROM ek_allow WHERE ek_spki_sha256 = :ek",
             "tttttit", {ek_spki_hash}));
  if (!row.has_value()) return std::optional<ListedEk>();
  return std::optional<ListedEk>(ListedEk{ek_spki_hash,
                                          row->Text(0),
                                          row->Text(1),
                                          {row->Text(2), row->Text(3), SplitList(row->Text(4))},
                                          row->Time(5),
                                          row->Text(6)});
}

Result<Unit> EkList::Remove(const Sha256Digest& ek_spki_hash) {
  SP_TRY(const int64_t changed,
         connection_.Execute("DELETE FROM ek_allow WHERE ek_spki_sha256 = :ek", {ek_spki_hash}));
  if (changed != 1) return Error{Reason::kNotFound, "EK is not listed", "ek.unlisted"};
  return Unit{};
}

}  // namespace sallyport::server

#include "attestation-server/store/content_keys.h"

namespace sallyport::server {

Result<Unit> PutContentKey(Connection& connection, const ContentKeyRow& row) {
  SP_TRY(connection.Execute(
      "INSERT INTO content_keys (key_id, box, added_by, added_at) VALUES (:id, :box, :by, :at) "
      "ON CONFLICT (key_id) DO NOTHING",
      {row.id, HexEncode(row.box), row.added_by, row.added_at}));
  return Unit{};
}

Result<std::optional<ContentKeyRow>> FindContentKey(Connection& connection,
                                                    const pki::ContentKeyId& id) {
  SP_TRY(const auto row, connection.QueryOne("SELECT box, added_by, added_at FROM content_keys "
                                             "WHERE key_id = :id",
                                             "tti", {id}));
  if (!row) return std::optional<ContentKeyRow>();
  SP_TRY(Bytes box, HexDecode(row->Text(0)));
  return std::optional(ContentKeyRow{id, std::move(box), row->Text(1), row->Time(2)});
}

}  // namespace sallyport::server

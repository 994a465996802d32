#include "attestation-server/store/floors.h"

namespace sallyport::server {
namespace {

std::string Text(const pki::FloorCounts& counts) { return HexEncode(pki::FloorCountBytes(counts)); }

Result<pki::FloorCounts> ReadCounts(const std::string& text) {
  SP_TRY(const Bytes bytes, HexDecode(text));
  return pki::ParseFloorCounts(bytes);
}

}  // namespace

Result<Unit> PutFloors(Connection& connection, const FloorsRow& row) {
  SP_TRY(connection.Execute(
      "INSERT INTO device_floors (device_id, floors, highest, counts, generation, certified_at, "
      "finding, finding_since) VALUES (:device, :floors, :highest, :counts, :generation, :at, "
      ":finding, :since) ON CONFLICT (device_id) DO UPDATE SET floors = excluded.floors, "
      "highest = excluded.highest, counts = excluded.counts, generation = excluded.generation, "
      "certified_at = excluded.certified_at, finding = excluded.finding, "
      "finding_since = excluded.finding_since",
      {row.device_id, Text(row.floors), Text(row.highest), Text(row.counts), row.generation,
       row.certified_at, row.finding, row.finding_since}));
  return Unit{};
}

Result<std::optional<FloorsRow>> FindFloors(Connection& connection, std::string_view device_id) {
  SP_TRY(const auto found,
         connection.QueryOne("SELECT floors, highest, counts, generation, certified_at, finding, "
                             "finding_since FROM device_floors WHERE device_id = :device",
                             "tttiiti", {device_id}));
  if (!found) return std::optional<FloorsRow>();
  FloorsRow row;
  row.device_id = device_id;
  SP_TRY(row.floors, ReadCounts(found->Text(0)));
  SP_TRY(row.highest, ReadCounts(found->Text(1)));
  SP_TRY(row.counts, ReadCounts(found->Text(2)));
  row.generation = static_cast<uint64_t>(found->Integer(3));
  row.certified_at = found->Time(4);
  row.finding = found->Text(5);
  row.finding_since = found->Time(6);
  return std::optional(std::move(row));
}

Result<int64_t> CountFloorFindings(Connection& connection) {
  SP_TRY(const auto row,
         connection.QueryOne("SELECT COUNT(*) FROM device_floors WHERE finding <> ''", "i", {}));
  return row ? row->Integer(0) : 0;
}

}  // namespace sallyport::server

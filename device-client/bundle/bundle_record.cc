#include "device-client/bundle/bundle_record.h"

#include "ota/metadata/limits.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kMagic = "SPUB";
constexpr uint16_t kVersion = 1;
constexpr size_t kTextMax = 4096;       // a path
constexpr uint32_t kEntriesMax = 4096;  // roots followed, roles: far above what there is
// Snapshot, targets, one role and the roots of a long chain, rounded up.
constexpr uint64_t kRecordBytesMax = 32 << 20;

std::string PathOf(const std::string& state) { return state + "/bundles"; }

Result<std::string> ReadText(ByteReader& in) {
  SP_TRY(const ByteView text, in.Sized32(kTextMax));
  return std::string(AsText(text));
}

Result<uint32_t> ReadCount(ByteReader& in) {
  SP_TRY(const uint32_t count, in.BigU32());
  if (count > kEntriesMax) return Error{Reason::kMalformed, "bundles: too many entries"};
  return count;
}

struct Flag {
  bool value;
};
Result<Flag> ReadFlag(ByteReader& in) {
  SP_TRY(const uint8_t flag, in.U8());
  if (flag > 1) return Error{Reason::kMalformed, "bundles: a flag is 0 or 1"};
  return Flag{flag == 1};
}

Result<UnixTime> ReadTime(ByteReader& in) {
  SP_TRY(const uint64_t ms, in.BigU64());
  if (ms > INT64_MAX) return Error{Reason::kMalformed, "bundles: not a time"};
  return UnixTime{static_cast<int64_t>(ms)};
}

template <typename Digest>
Result<Digest> ReadDigest(ByteReader& in) {
  SP_TRY(const ByteView bytes, in.Take(Digest::kSize));
  return Digest::FromView(bytes);
}

void WriteActive(ByteWriter& out, const ActiveBundle& active) {
  for (const std::string* text : {&active.request, &active.folder, &active.role})
    out.Sized32(AsBytes(*text));
  out.Raw(active.release.view()).BigU64(static_cast<uint64_t>(active.taken_at.ms));
  out.BigU32(static_cast<uint32_t>(active.proof.size()));
  for (const auto& [name, file] : active.proof) out.Sized32(AsBytes(name)).Sized32(file);
}

Result<ActiveBundle> ReadActive(ByteReader& in) {
  ActiveBundle out;
  for (std::string* text : {&out.request, &out.folder, &out.role}) {
    SP_TRY(*text, ReadText(in));
  }
  SP_TRY(out.release, ReadDigest<ReleaseDigest>(in));
  SP_TRY(out.taken_at, ReadTime(in));
  SP_TRY(const uint32_t count, ReadCount(in));
  for (uint32_t i = 0; i < count; ++i) {
    SP_TRY(std::string name, ReadText(in));
    SP_TRY(const ByteView file, in.Sized32(kRecordBytesMax));
    out.proof[std::move(name)] = ToBytes(file);
  }
  return out;
}

}  // namespace

Bytes EncodeBundleRecord(const BundleRecord& record) {
  ByteWriter out;
  out.Raw(AsBytes(kMagic)).BigU16(kVersion).BigU32(static_cast<uint32_t>(record.taken.size()));
  for (const auto& [role, taken] : record.taken)
    out.Sized32(AsBytes(role))
        .BigU64(taken.serial)
        .Raw(taken.statement.view())
        .U8(taken.finished ? 1 : 0);
  out.BigU64(record.over_manifest).Sized32(record.known_release).U8(record.active ? 1 : 0);
  if (record.active) WriteActive(out, *record.active);
  return std::move(out).Take();
}

Result<BundleRecord> DecodeBundleRecord(ByteView bytes) {
  ByteReader in(bytes, "bundles");
  SP_TRY(const ByteView magic, in.Take(kMagic.size()));
  SP_TRY(const uint16_t version, in.BigU16());
  if (AsText(magic) != kMagic || version != kVersion)
    return Error{Reason::kUnsupported, "not a record of bundles of version 1",
                 "bundle.record-version"};
  BundleRecord out;
  SP_TRY(const uint32_t count, ReadCount(in));
  for (uint32_t i = 0; i < count; ++i) {
    SP_TRY(std::string role, ReadText(in));
    SP_TRY(const uint64_t serial, in.BigU64());
    SP_TRY(const Sha256Digest statement, ReadDigest<Sha256Digest>(in));
    SP_TRY(const Flag finished, ReadFlag(in));
    out.taken.insert_or_assign(std::move(role),
                               ota::TakenBundle{serial, statement, finished.value});
  }
  SP_TRY(out.over_manifest, in.BigU64());
  SP_TRY(const ByteView known, in.Sized32(ota::kReleaseSizeMax));
  out.known_release = ToBytes(known);
  SP_TRY(const Flag active, ReadFlag(in));
  if (active.value) {
    SP_TRY(out.active, ReadActive(in));
  }
  SP_TRY(in.End());
  return out;
}

Result<BundleRecord> LoadBundleRecord(FileSystem& files, const std::string& state) {
  const Result<Unit> durable = SyncFile(files, PathOf(state));
  if (!durable && durable.error().reason != Reason::kNotFound) return durable.error();
  const Result<Bytes> bytes = ReadFile(files, PathOf(state), kRecordBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return BundleRecord{};
  if (!bytes) return bytes.error();
  return DecodeBundleRecord(*bytes);
}

Result<Unit> SaveBundleRecord(FileSystem& files, const std::string& state,
                              const BundleRecord& record) {
  return WriteFileAtomically(files, PathOf(state), EncodeBundleRecord(record));
}

}  // namespace sallyport::device

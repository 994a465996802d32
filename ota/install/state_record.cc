#include "ota/install/state_record.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kMagic = "SPUR";
constexpr uint16_t kVersion = 1;
constexpr size_t kDigestAt = kRecordSectorSize - Sha256Digest::kSize;
constexpr size_t kCopies = 2;

Error Refuse(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

Result<Unit> ReadFields(ByteReader& reader, UpdateRecord& out) {
  SP_TRY(out.seq, reader.BigU64());
  SP_TRY(const uint8_t state, reader.U8());
  SP_TRY(const uint8_t slot, reader.U8());
  SP_TRY(out.attempt, reader.BigU16());
  SP_TRY(const ByteView release, reader.Take(ReleaseDigest::kSize));
  SP_TRY(out.resume_offset, reader.BigU64());
  if (state >= kUpdateStateCount || slot > 1)
    return Refuse("record.field", "unknown state or slot");
  out.state = static_cast<UpdateState>(state);
  out.slot = static_cast<Slot>(slot);
  SP_TRY(out.release, ReleaseDigest::FromView(release));
  return Unit{};
}

Result<Unit> ReadFailed(ByteReader& reader, UpdateRecord& out) {
  SP_TRY(const uint16_t count, reader.BigU16());
  if (count > kFailedReleasesMax) return Refuse("record.field", "too many failed releases");
  for (uint16_t i = 0; i < count; ++i) {
    SP_TRY(const ByteView bytes, reader.Take(ReleaseDigest::kSize));
    SP_TRY(const ReleaseDigest digest, ReleaseDigest::FromView(bytes));
    out.failed_releases.push_back(digest);
  }
  const bool padded = std::ranges::all_of(reader.rest(), [](uint8_t byte) { return byte == 0; });
  if (!padded) return Refuse("record.field", "padding is not zero");
  return Unit{};
}

bool IsBlank(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

bool UpdateRecord::HasFailed(const ReleaseDigest& release_digest) const {
  return std::ranges::find(failed_releases, release_digest) != failed_releases.end();
}

void UpdateRecord::RememberFailed(const ReleaseDigest& release_digest) {
  if (HasFailed(release_digest)) return;
  if (failed_releases.size() == kFailedReleasesMax) failed_releases.erase(failed_releases.begin());
  failed_releases.push_back(release_digest);
}

Bytes EncodeRecord(const UpdateRecord& record) {
  SP_CHECK(record.failed_releases.size() <= kFailedReleasesMax);
  ByteWriter writer;
  writer.Raw(AsBytes(kMagic)).BigU16(kVersion).BigU16(0).BigU64(record.seq);
  writer.U8(static_cast<uint8_t>(record.state))
      .U8(static_cast<uint8_t>(record.slot))
      .BigU16(record.attempt);
  writer.Raw(record.release.view()).BigU64(record.resume_offset);
  writer.BigU16(static_cast<uint16_t>(record.failed_releases.size()));
  for (const ReleaseDigest& digest : record.failed_releases) writer.Raw(digest.view());
  Bytes out = std::move(writer).Take();
  out.resize(kDigestAt);
  Append(out, pki::Sha256(out).view());
  return out;
}

Result<UpdateRecord> DecodeRecord(ByteView sector) {
  if (sector.size() != kRecordSectorSize)
    return Refuse("record.size", std::to_string(sector.size()) + " bytes");
  if (!Equal(sector.first(kMagic.size()), AsBytes(kMagic)))
    return Refuse("record.magic", "not an update record");
  if (!Equal(pki::Sha256(sector.first(kDigestAt)).view(), sector.subspan(kDigestAt)))
    return Refuse("record.digest", "damaged");
  ByteReader reader(sector.first(kDigestAt).subspan(kMagic.size()), "update record");
  SP_TRY(const uint16_t version, reader.BigU16());
  if (version != kVersion)
    return Error{Reason::kUnsupported, "version " + std::to_string(version), "record.version"};
  SP_TRY(const uint16_t reserved, reader.BigU16());
  if (reserved != 0) return Refuse("record.field", "reserved bytes are not zero");
  UpdateRecord out;
  SP_TRY(ReadFields(reader, out));
  SP_TRY(ReadFailed(reader, out));
  return out;
}

RecordStore::RecordStore(FileSystem& files, std::string path, uint64_t offset)
    : files_(files), path_(std::move(path)), offset_(offset) {
  SP_CHECK(offset % kRecordSectorSize == 0);
}

Result<RecordStore::Copies> RecordStore::ReadCopies() {
  Copies out;
  auto file = files_.Open(path_, OpenMode::kRead);
  if (!file && file.error().reason == Reason::kNotFound) return out;
  if (!file) return std::move(file).error();
  out.file_exists = true;
  for (size_t i = 0; i < kCopies; ++i) {
    Bytes sector(kRecordSectorSize);
    SP_TRY(const size_t size, (*file)->ReadAt(offset_ + i * kRecordSectorSize, sector));
    sector.resize(size);
    out.blank = out.blank && IsBlank(sector);
    auto record = DecodeRecord(sector);
    if (!record || (out.newest && record->seq <= out.newest->seq)) continue;
    out.newest = *std::move(record);
    out.older = 1 - i;
  }
  return out;
}

Result<Unit> RecordStore::Settle() {
  if (settled_) return Unit{};
  auto synced = SyncFile(files_, path_);
  if (!synced && synced.error().reason == Reason::kNotFound) return Unit{};
  settled_ = synced.has_value();
  return synced;
}

Result<UpdateRecord> RecordStore::Load() {
  SP_TRY(Settle());
  SP_TRY(Copies copies, ReadCopies());
  if (copies.newest) return *std::move(copies.newest);
  if (copies.blank) return UpdateRecord{};
  return Refuse("record.unreadable", "both copies in " + path_ + " are damaged");
}

// Renamed into place, a new file never holds half of its first record.
Result<Unit> RecordStore::Create(ByteView sector) {
  Bytes file(static_cast<size_t>(offset_));
  Append(file, sector);
  file.resize(file.size() + kRecordSectorSize);
  return WriteFileAtomically(files_, path_, file);
}

Result<Unit> RecordStore::Save(UpdateRecord& record) {
  SP_TRY(Settle());
  settled_ = false;
  SP_TRY(const Copies copies, ReadCopies());
  record.seq = (copies.newest ? copies.newest->seq : 0) + 1;
  const Bytes sector = EncodeRecord(record);
  if (!copies.file_exists) return Create(sector);
  SP_TRY(const std::unique_ptr<File> file, files_.Open(path_, OpenMode::kReadWrite));
  const uint64_t at = offset_ + copies.older * kRecordSectorSize;
  SP_TRY(file->WriteAt(at, sector));
  SP_TRY(file->Sync());
  Bytes written(kRecordSectorSize);
  SP_TRY(const size_t size, file->ReadAt(at, written));
  if (size != sector.size() || written != sector)
    return Error{Reason::kMismatch, "the update record does not read back", "record.read-back"};
  settled_ = true;
  return Unit{};
}

}  // namespace sallyport::ota

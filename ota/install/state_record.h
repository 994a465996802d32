// The update record: two sectors, written in turn, so that a power cut leaves the older one
// (docs/protocol.md, Update record).
#pragma once

#include <string>
#include <vector>

#include "ota/install/slot.h"
#include "ota/install/update_state.h"
#include "pki/base/digest.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

inline constexpr size_t kRecordSectorSize = 4096;
// Releases that were tried and fell back; the oldest is forgotten first.
inline constexpr size_t kFailedReleasesMax = 32;

struct UpdateRecord {
  uint64_t seq = 0;
  UpdateState state = UpdateState::kIdle;
  Slot slot = Slot::kA;  // the slot that the update goes to
  uint16_t attempt = 0;  // how often the target was armed
  ReleaseDigest release = ReleaseDigest::FromArray({});
  uint64_t resume_offset = 0;                  // so much of the image is durable in the slot, bytes
  std::vector<ReleaseDigest> failed_releases;  // oldest first

  [[nodiscard]] bool HasFailed(const ReleaseDigest& release_digest) const;
  void RememberFailed(const ReleaseDigest& release_digest);
  bool operator==(const UpdateRecord&) const = default;
};

// EncodeRecord writes one sector; aborts with more than kFailedReleasesMax failed releases.
Bytes EncodeRecord(const UpdateRecord& record);
// DecodeRecord: kMalformed with record.size, record.magic, record.digest, record.field;
// kUnsupported with record.version. Pure.
Result<UpdateRecord> DecodeRecord(ByteView sector);

// RecordStore keeps the record in a file, or in a partition at `offset`. One thread at a time.
class RecordStore {
 public:
  // `offset` is a multiple of kRecordSectorSize; borrows `files`.
  RecordStore(FileSystem& files, std::string path, uint64_t offset = 0);

  // Load makes durable what an earlier process left (once), and returns the valid copy with the
  // higher sequence number; a fresh record when the file is missing or holds only zeros;
  // kMalformed, record.unreadable, when both copies are damaged.
  Result<UpdateRecord> Load();
  // Save writes over the older copy, makes it durable and reads it back (record.read-back). It sets
  // `record.seq`.
  Result<Unit> Save(UpdateRecord& record);
  const std::string& path() const { return path_; }

 private:
  struct Copies {
    std::optional<UpdateRecord> newest;
    size_t older = 0;  // index of the copy to write next
    bool file_exists = false;
    bool blank = true;
  };
  Result<Copies> ReadCopies();
  Result<Unit> Create(ByteView sector);
  Result<Unit> Settle();

  FileSystem& files_;
  const std::string path_;
  const uint64_t offset_;
  // What is read is durable. Before, overwriting the older copy could leave none after a cut.
  bool settled_ = false;
};

}  // namespace sallyport::ota

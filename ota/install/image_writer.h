// ImageWriter: the image of a release into the inactive slot, by a delta where the running slot has
// what the delta starts from, else by the chunks that it has, else from the full payload. A segment
// that the delta cannot make (the running slot drifted or is damaged, the delta's files are) comes
// from the full payload; the following segments are tried again. Nothing is believed: source, data
// and result of every segment are hashed.
#pragma once

#include <functional>
#include <optional>

#include "ota/install/block_target.h"
#include "ota/install/image_origins.h"
#include "ota/install/install_plan.h"
#include "ota/install/payload_source.h"
#include "ota/payload/stream_decoder.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// MayPass: the medium, the network or this device's certificate may be there in a moment. What is
// durable stays, and the next call resumes.
constexpr bool MayPass(Reason reason) {
  return reason == Reason::kUnavailable || reason == Reason::kRateLimited ||
         reason == Reason::kUnauthenticated;
}

// ImageWriterParts are borrowed. `running` may be null: then there is no delta.
struct ImageWriterParts {
  const InstallFacts& facts;
  PayloadSource& source;
  BlockTarget& target;
  File* running;                                 // the slot that the machine runs from
  std::optional<ReleaseDigest> running_release;  // a claim: it only chooses the delta
  uint64_t checkpoint_bytes;
  std::function<Result<Unit>(uint64_t durable)> checkpoint;  // everything before is durable
  std::function<void(uint64_t done, const ImageOrigins& origins)> progress;
  // go_on is asked behind each segment or chunk; what is written so far is made a checkpoint before
  // its error is returned. Null: always.
  std::function<Result<Unit>()> go_on = {};
  const pki::ContentSeal* seal = nullptr;  // of a sealed release
};

// One thread at a time.
class ImageWriter {
 public:
  explicit ImageWriter(ImageWriterParts parts);
  // Write writes everything behind `resume_offset`, which was a checkpoint of the same release, in
  // order; the end is not durable yet. Errors of target, checkpoint and source; kMismatch with
  // install.index, install.source-length, the payload rules and those of OpenIndex when the full
  // payload, too, is not what was signed.
  Result<Unit> Write(uint64_t resume_offset);

 private:
  struct Files {
    const RemoteFile& index;
    const RemoteFile& payload;
  };
  // SlotWriter makes data durable before the record says so.
  class SlotWriter final : public SegmentSink {
   public:
    explicit SlotWriter(const ImageWriterParts& parts) : parts_(parts) {}
    Result<Unit> Write(const Segment& segment, ByteView decoded) override;
    // failed: the slot or the record, not what was to be written.
    bool failed() const { return failed_; }
    // Expect says where what comes now is from, unless it is a copy.
    void Expect(Origin origin) { origin_ = origin; }

   private:
    Result<Unit> WriteDurably(const Segment& segment, ByteView decoded);
    const ImageWriterParts& parts_;
    ImageOrigins origins_;
    Origin origin_ = Origin::kFull;
    uint64_t pending_ = 0;
    bool failed_ = false;
  };

  const RemoteDelta* ChooseDelta() const;
  Result<Unit> WriteByDelta(const RemoteDelta& delta, uint64_t at);
  Result<Unit> WriteWithoutDelta(uint64_t at);
  Result<Unit> WriteByChunks(uint64_t& at);
  Result<Unit> WriteInFull(uint64_t at, uint64_t end);
  // Run writes the segments of `table` from `next` to before `end` and leaves in `next` the one
  // that failed.
  Result<Unit> Run(const SegmentTable& table, const RemoteFile& payload, size_t& next, size_t end,
                   SourceReader* old);
  Result<Bytes> FetchTable(const RemoteFile& file, uint64_t size_max);
  Result<SegmentTable> FetchIndex(const Files& files, const std::optional<SourceImage>& from);

  const ImageWriterParts parts_;
  SlotWriter writer_;
  std::optional<SegmentTable> full_;
};

}  // namespace sallyport::ota

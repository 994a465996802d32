#include "ota/payload/pack.h"

#include <future>

#include "ota/payload/codec.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr int kLevelMax =
    19;  // beyond lie zstd's "ultra" levels, whose windows devices do not have

struct PackedSegment {
  CodecId codec;
  Bytes data;
};

Result<PackedSegment> EncodeSegment(ByteView bytes, int level, bool needs_data) {
  if (!needs_data && MakeZeroCodec()->Encode(bytes)) return PackedSegment{CodecId::kZero, {}};
  PackedSegment out{CodecId::kZstd, {}};
  SP_TRY(out.data, MakeZstdCodec(level)->Encode(bytes));
  return out;
}

class Packer {
 public:
  Packer(File& image, File& payload, const PackOptions& options, const PackProgress& progress)
      : image_(image), payload_(payload), options_(options), progress_(progress) {}

  Result<SegmentTable> Run() {
    SP_TRY(total_, image_.Size());
    while (true) {
      SP_TRY(const std::vector<Bytes> batch, ReadBatch());
      if (batch.empty()) break;
      SP_TRY(AddBatch(batch));
    }
    if (segments_.empty())
      return Error{Reason::kInvalidArgument, "the image is empty", "payload.empty-image"};
    const auto digest = Sha256Digest::FromView(image_hash_.Finish());
    return SegmentTable::Make(done_, *digest, options_.segment_size, std::move(segments_));
  }

 private:
  // ReadBatch reads a segment for each thread; fewer at the end.
  Result<std::vector<Bytes>> ReadBatch() {
    std::vector<Bytes> out;
    for (uint64_t at = done_; out.size() < options_.threads; at += options_.segment_size) {
      Bytes segment(static_cast<size_t>(options_.segment_size));
      SP_TRY(const size_t size, image_.ReadAt(at, segment));
      segment.resize(size);
      if (size > 0) out.push_back(std::move(segment));
      if (size < options_.segment_size) break;
    }
    return out;
  }

  // The segments stand alone, so that threads may encode them; they are written in order.
  Result<Unit> AddBatch(const std::vector<Bytes>& batch) {
    std::vector<Result<PackedSegment>> encoded(
        batch.size(), Error{Reason::kInternal, "a segment was not packed"});
    std::vector<std::future<void>> running;
    for (size_t i = 0; i < batch.size(); ++i)
      running.push_back(std::async(std::launch::async, [this, &batch, &encoded, i] {
        encoded[i] = EncodeSegment(batch[i], options_.level, segments_.empty() && i == 0);
      }));
    for (auto& one : running) one.wait();
    for (size_t i = 0; i < batch.size(); ++i) {
      SP_TRY(const PackedSegment segment, std::move(encoded[i]));
      SP_TRY(Add(batch[i], segment));
    }
    return Unit{};
  }

  Result<Unit> Add(ByteView bytes, const PackedSegment& encoded) {
    SP_TRY(payload_.WriteAt(payload_length_, encoded.data));
    segments_.push_back({done_, bytes.size(), pki::Sha256(bytes), payload_length_,
                         encoded.data.size(), pki::Sha256(encoded.data), encoded.codec});
    done_ += bytes.size();
    payload_length_ += encoded.data.size();
    image_hash_.Update(bytes);
    if (progress_) progress_(done_, total_);
    return Unit{};
  }

  File& image_;
  File& payload_;
  const PackOptions& options_;
  const PackProgress& progress_;
  pki::Hasher image_hash_{pki::HashAlgorithm::kSha256};
  std::vector<Segment> segments_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  uint64_t payload_length_ = 0;
};

}  // namespace

Result<SegmentTable> PackImage(File& image, File& payload, const PackOptions& options,
                               const PackProgress& progress) {
  if (options.level < 1 || options.level > kLevelMax)
    return Error{Reason::kInvalidArgument, "compression level", "payload.level"};
  if (options.segment_size < kSegmentSizeMin || options.segment_size > kSegmentSizeMax ||
      options.threads == 0)
    return Error{Reason::kInvalidArgument, "segment size", "payload.segment-size"};
  return Packer(image, payload, options, progress).Run();
}

}  // namespace sallyport::ota

#include "ota/payload/pack.h"

#include <algorithm>

#include "ota/payload/codec.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr int kLevelMax =
    19;  // beyond lie zstd's "ultra" levels, whose windows devices do not have

class Packer {
 public:
  Packer(File& payload, int level)
      : payload_(payload), zstd_(MakeZstdCodec(level)), zero_(MakeZeroCodec()) {}

  Result<Unit> Add(ByteView bytes) {
    SP_TRY(auto encoded, Encode(bytes));
    const auto& [codec, data] = encoded;
    SP_TRY(payload_.WriteAt(payload_length_, data));
    segments_.push_back({image_length_, bytes.size(), pki::Sha256(bytes), payload_length_,
                         data.size(), pki::Sha256(data), codec});
    image_length_ += bytes.size();
    payload_length_ += data.size();
    image_hash_.Update(bytes);
    return Unit{};
  }

  Result<SegmentTable> Finish(uint64_t segment_size) && {
    const auto digest = Sha256Digest::FromView(image_hash_.Finish());
    return SegmentTable::Make(image_length_, *digest, segment_size, std::move(segments_));
  }

 private:
  using Encoded = std::pair<CodecId, Bytes>;
  Result<Encoded> Encode(ByteView bytes) {
    if (!segments_.empty()) {
      auto zeros = zero_->Encode(bytes);
      if (zeros) return Encoded{CodecId::kZero, *std::move(zeros)};
    }
    SP_TRY(Bytes data, zstd_->Encode(bytes));
    return Encoded{CodecId::kZstd, std::move(data)};
  }

  File& payload_;
  std::unique_ptr<SegmentCodec> zstd_;
  std::unique_ptr<SegmentCodec> zero_;
  pki::Hasher image_hash_{pki::HashAlgorithm::kSha256};
  std::vector<Segment> segments_;
  uint64_t image_length_ = 0;
  uint64_t payload_length_ = 0;
};

}  // namespace

Result<SegmentTable> PackImage(File& image, File& payload, const PackOptions& options,
                               const PackProgress& progress) {
  if (options.level < 1 || options.level > kLevelMax)
    return Error{Reason::kInvalidArgument, "compression level", "payload.level"};
  if (options.segment_size < kSegmentSizeMin || options.segment_size > kSegmentSizeMax)
    return Error{Reason::kInvalidArgument, "segment size", "payload.segment-size"};
  Packer packer(payload, options.level);
  Bytes buffer(static_cast<size_t>(options.segment_size));
  SP_TRY(const uint64_t total, image.Size());
  uint64_t offset = 0;
  while (true) {
    SP_TRY(const size_t size, image.ReadAt(offset, buffer));
    if (size == 0 && offset == 0)
      return Error{Reason::kInvalidArgument, "the image is empty", "payload.empty-image"};
    if (size > 0) SP_TRY(packer.Add(ByteView(buffer).first(size)));
    offset += size;
    if (progress) progress(offset, total);
    if (size < buffer.size()) return std::move(packer).Finish(options.segment_size);
  }
}

}  // namespace sallyport::ota

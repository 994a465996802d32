#include "ota/payload/stream_decoder.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

Result<Unit> CheckDigest(ByteView bytes, const Sha256Digest& expected, const Segment& segment,
                         std::string_view rule) {
  if (pki::Sha256(bytes) == expected) return Unit{};
  return Error{Reason::kMismatch, "the segment at " + std::to_string(segment.offset), rule};
}

}  // namespace

StreamDecoder::StreamDecoder(const SegmentTable& table, size_t first, SegmentSink& sink,
                             SourceReader* source, std::optional<size_t> end,
                             const pki::ContentSeal* seal)
    : table_(table),
      sink_(sink),
      source_reader_(source),
      seal_(seal),
      next_(first),
      end_(end.value_or(table.segments().size())) {
  SP_CHECK(first <= end_ && end_ <= table.segments().size());
}

const Segment* StreamDecoder::current() const {
  return next_ < end_ ? &table_.segments()[next_] : nullptr;
}

uint64_t StreamDecoder::payload_offset() const {
  const auto& segments = table_.segments();
  return (next_ < segments.size() ? segments[next_].data_offset : table_.payload_length()) +
         data_.size();
}

Result<Unit> StreamDecoder::Feed(ByteView payload) {
  SP_TRY(CompleteReadySegments());
  while (!payload.empty()) {
    if (current() == nullptr)
      return Error{Reason::kMalformed, "data behind the last segment", "payload.trailing"};
    const size_t wanted = static_cast<size_t>(current()->data_length) - data_.size();
    const size_t taken = std::min(wanted, payload.size());
    if (data_.empty()) data_.reserve(static_cast<size_t>(current()->data_length));
    Append(data_, payload.first(taken));
    payload = payload.subspan(taken);
    SP_TRY(CompleteReadySegments());
  }
  return Unit{};
}

Result<Unit> StreamDecoder::Finish() {
  SP_TRY(CompleteReadySegments());
  if (current() != nullptr)
    return Error{Reason::kMalformed, "the payload ends early", "payload.truncated"};
  return Unit{};
}

// Zero segments are ready without any data.
Result<Unit> StreamDecoder::CompleteReadySegments() {
  while (current() != nullptr && data_.size() == current()->data_length)
    SP_TRY(CompleteSegment(*current()));
  return Unit{};
}

Result<Unit> StreamDecoder::LoadSource(const Segment& segment) {
  source_.clear();
  if (!segment.source) return Unit{};
  if (source_reader_ == nullptr)
    return Error{Reason::kMismatch, "there is no old image", "payload.source-read"};
  source_.resize(static_cast<size_t>(segment.source->Size()));
  size_t at = 0;
  for (const SourceRange& range : segment.source->ranges) {
    const size_t size = static_cast<size_t>(range.count * kSourceBlock);
    const auto read =
        source_reader_->ReadAt(range.block * kSourceBlock, std::span(source_).subspan(at, size));
    if (!read) return Error{Reason::kMismatch, read.error().ToString(), "payload.source-read"};
    at += size;
  }
  return CheckDigest(source_, segment.source->sha256, segment, "payload.source-digest");
}

Result<Unit> StreamDecoder::CompleteSegment(const Segment& segment) {
  SP_TRY(CheckDigest(data_, segment.data_sha256, segment, "payload.data-digest"));
  SP_TRY(const ByteView opened, OpenSegment(table_, segment, data_, seal_));
  SP_TRY(LoadSource(segment));
  decoded_.resize(static_cast<size_t>(segment.length));
  SP_TRY(codecs_.Decode(segment.codec, opened, source_, decoded_));
  SP_TRY(CheckDigest(decoded_, segment.sha256, segment, "payload.segment-digest"));
  SP_TRY(sink_.Write(segment, decoded_));
  data_.clear();
  ++next_;
  return Unit{};
}

}  // namespace sallyport::ota

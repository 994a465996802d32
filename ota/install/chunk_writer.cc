#include "ota/install/chunk_writer.h"

#include <algorithm>
#include <numeric>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kNowhere = UINT64_MAX;

// ByDigest finds the chunks of one content.
class ByDigest {
 public:
  explicit ByDigest(const std::vector<Chunk>& chunks) : chunks_(chunks), order_(chunks.size()) {
    std::iota(order_.begin(), order_.end(), uint32_t{0});
    std::ranges::sort(order_, {}, [&](uint32_t i) { return chunks_[i].sha256; });
  }
  std::span<const uint32_t> Find(const Sha256Digest& digest) const {
    const auto found =
        std::ranges::equal_range(order_, digest, {}, [&](uint32_t i) { return chunks_[i].sha256; });
    return {found.begin(), found.end()};
  }

 private:
  const std::vector<Chunk>& chunks_;
  std::vector<uint32_t> order_;
};

Error Mismatch(std::string_view rule, uint64_t offset) {
  return Error{Reason::kMismatch, "the chunk at " + std::to_string(offset), rule};
}

}  // namespace

// RunSink cuts a run of payload bytes into its chunks.
class ChunkWriter::RunSink final : public ByteSink {
 public:
  RunSink(ChunkWriter& writer, size_t begin, size_t end)
      : writer_(writer), next_(begin), end_(end) {}
  Result<Unit> Write(ByteView bytes) override {
    while (!bytes.empty()) {
      if (next_ == end_) return CheckRoom(0, bytes.size(), 0);
      const size_t wanted = writer_.parts_.table.chunks()[next_].data_length - data_.size();
      const size_t taken = std::min(wanted, bytes.size());
      Append(data_, bytes.first(taken));
      bytes = bytes.subspan(taken);
      if (taken < wanted) continue;
      SP_TRY(writer_.Decode(next_, data_));
      SP_TRY(writer_.Put(next_, CodecId::kZstd));
      data_.clear();
      ++next_;
    }
    return Unit{};
  }
  size_t next() const { return next_; }

 private:
  ChunkWriter& writer_;
  size_t next_;
  const size_t end_;
  Bytes data_;
};

ChunkWriter::ChunkWriter(ChunkWriterParts parts) : parts_(parts) {
  uint64_t offset = 0;
  uint64_t data_offset = 0;
  places_.reserve(parts_.table.chunks().size());
  for (const Chunk& chunk : parts_.table.chunks()) {
    places_.push_back({offset, data_offset, kNowhere});
    offset += chunk.length;
    data_offset += chunk.data_length;
  }
}

size_t ChunkWriter::ChunkAt(uint64_t offset) const {
  const auto behind = std::ranges::upper_bound(places_, offset, {}, &Place::offset);
  return static_cast<size_t>(behind - places_.begin()) - 1;
}

Result<uint64_t> ChunkWriter::Scan(uint64_t at) {
  const std::vector<Chunk>& chunks = parts_.table.chunks();
  const ByDigest wanted(chunks);
  SP_TRY(ForEachChunk(parts_.running, kChunkScanFactor * parts_.table.image_length(),
                      [&](uint64_t offset, ByteView bytes) -> Result<Unit> {
                        for (const uint32_t i : wanted.Find(pki::Sha256(bytes)))
                          if (places_[i].found == kNowhere) places_[i].found = offset;
                        return Unit{};
                      }));
  uint64_t missing = 0;
  for (size_t i = ChunkAt(at); i < chunks.size(); ++i)
    if (places_[i].found == kNowhere) missing += chunks[i].data_length;
  return missing;
}

Result<Unit> ChunkWriter::Write(uint64_t at) {
  size_t next = ChunkAt(at);
  written_ = places_[next].offset;
  while (next < places_.size()) {
    if (places_[next].found != kNowhere && LoadOld(next)) {
      SP_TRY(Put(next, CodecId::kCopy));
      ++next;
      continue;
    }
    const size_t end = RunEnd(next);
    SP_TRY(FetchRun(next, end));
    next = end;
  }
  return Unit{};
}

// What is not there any more is fetched like anything else that is missing.
Result<Unit> ChunkWriter::LoadOld(size_t chunk) {
  const Chunk& wanted = parts_.table.chunks()[chunk];
  decoded_.resize(wanted.length);
  SP_TRY(const size_t size, parts_.running.ReadAt(places_[chunk].found, decoded_));
  if (size == wanted.length && pki::Sha256(decoded_) == wanted.sha256) return Unit{};
  places_[chunk].found = kNowhere;
  return Mismatch("chunks.digest", places_[chunk].offset);
}

size_t ChunkWriter::RunEnd(size_t chunk) const {
  size_t end = chunk + 1;
  uint64_t gap = 0;
  for (size_t i = end; i < places_.size() && gap <= kChunkGapMax; ++i) {
    if (places_[i].found == kNowhere) {
      end = i + 1;
      gap = 0;
    } else {
      gap += parts_.table.chunks()[i].data_length;
    }
  }
  return end;
}

Result<Unit> ChunkWriter::FetchRun(size_t begin, size_t end) {
  const uint64_t start = places_[begin].data_offset;
  const uint64_t stop =
      end < places_.size() ? places_[end].data_offset : parts_.table.payload_length();
  RunSink sink(*this, begin, end);
  SP_TRY(parts_.source.Fetch(parts_.payload, start, stop - start, sink));
  return CheckComplete(sink.next(), end);
}

Result<Unit> ChunkWriter::Decode(size_t chunk, std::span<uint8_t> data) {
  const Chunk& wanted = parts_.table.chunks()[chunk];
  if (pki::Sha256(data) != wanted.data_sha256)
    return Mismatch("chunks.data-digest", places_[chunk].offset);
  SP_TRY(const ByteView opened,
         OpenChunk(parts_.table, wanted, places_[chunk].offset, data, parts_.seal));
  decoded_.resize(wanted.length);
  SP_TRY(codecs_.Decode(CodecId::kZstd, opened, {}, decoded_));
  if (pki::Sha256(decoded_) != wanted.sha256)
    return Mismatch("chunks.digest", places_[chunk].offset);
  return Unit{};
}

Result<Unit> ChunkWriter::Put(size_t chunk, CodecId codec) {
  const Chunk& made = parts_.table.chunks()[chunk];
  const Place& place = places_[chunk];
  SP_TRY(parts_.slot.Write({place.offset, made.length, made.sha256, place.data_offset,
                            made.data_length, made.data_sha256, codec},
                           decoded_));
  written_ = place.offset + made.length;
  return Unit{};
}

}  // namespace sallyport::ota

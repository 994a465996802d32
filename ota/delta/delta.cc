#include "ota/delta/delta.h"

#include <algorithm>
#include <future>
#include <mutex>

#include "ota/delta/block_index.h"
#include "ota/delta/difference.h"
#include "ota/delta/segment_encoder.h"
#include "pki/crypto/file_hash.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

// What became of a block of the new image: a block of the old one, or one of these.
constexpr uint64_t kFresh = UINT64_MAX;
constexpr uint64_t kZeros = UINT64_MAX - 1;

// A pool this large still leaves room for the padding of its runs.
constexpr uint64_t kPoolWanted = kPoolSizeMax / 2;

class OldImage final : public SourceReader {
 public:
  explicit OldImage(File& file) : file_(file) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    const std::lock_guard lock(mutex_);
    SP_TRY(const size_t size, file_.ReadAt(offset, out));
    if (size != out.size()) return Error{Reason::kUnavailable, "the old image became shorter"};
    return Unit{};
  }

 private:
  std::mutex mutex_;  // guards file_
  File& file_;
};

bool IsZero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

// BlockMap says for every block of the new image where it comes from.
struct BlockMap {
  SourceImage image;
  std::vector<uint64_t> blocks;  // a remainder at the end counts as a block
};

Result<BlockMap> MapBlocks(File& to, const BlockIndex& old) {
  std::vector<uint64_t> blocks;
  uint64_t wanted = 0;
  const auto origin = [&](ByteView block) {
    if (block.size() < kSourceBlock) return kFresh;
    if (IsZero(block)) return kZeros;
    const auto found = old.Find(DigestOfBlock(block), wanted);
    if (found) wanted = *found + 1;
    return found.value_or(kFresh);
  };
  SP_TRY(const pki::FileHash image, pki::HashFile(to, [&](ByteView piece) {
           while (!piece.empty()) {
             const size_t size = std::min<size_t>(piece.size(), kSourceBlock);
             blocks.push_back(origin(piece.first(size)));
             piece = piece.subspan(size);
           }
           return Ok();
         }));
  return BlockMap{{image.length, image.sha256}, std::move(blocks)};
}

// A block beside one that went away often holds the other half of the same function.
std::vector<bool> GoneBlocks(const BlockMap& map, uint64_t old_blocks) {
  std::vector<bool> kept(static_cast<size_t>(old_blocks));
  for (const uint64_t block : map.blocks)
    if (block < old_blocks) kept[static_cast<size_t>(block)] = true;
  std::vector<bool> gone(kept.size());
  for (size_t block = 0; block < kept.size(); ++block) {
    if (kept[block]) continue;
    for (size_t near = block == 0 ? 0 : block - 1; near < std::min(block + 2, kept.size()); ++near)
      gone[near] = true;
  }
  return gone;
}

// PoolRuns are the blocks that went away, cut into as many pools as memory asks for.
std::vector<std::vector<BlockRun>> PoolRuns(const std::vector<bool>& gone) {
  std::vector<std::vector<BlockRun>> pools(1);
  uint64_t size = 0;
  for (size_t block = 0; block < gone.size(); ++block) {
    if (!gone[block]) continue;
    if (size == kPoolWanted / kSourceBlock) {
      pools.emplace_back();
      size = 0;
    }
    std::vector<BlockRun>& runs = pools.back();
    if (!runs.empty() && runs.back().block + runs.back().count == block)
      ++runs.back().count;
    else
      runs.push_back({block, 1});
    ++size;
  }
  return pools;
}

class DeltaMaker {
 public:
  DeltaMaker(File& from, File& to, File& payload, const DeltaOptions& options,
             const PackProgress& progress)
      : from_(from),
        old_(from),
        to_(to),
        payload_(payload),
        options_(options),
        progress_(progress) {}

  Result<SegmentTable> Run() {
    SP_TRY(const BlockIndex index, BlockIndex::Build(from_));
    SP_TRY(map_, MapBlocks(to_, index));
    if (map_.image.length == 0)
      return Error{Reason::kInvalidArgument, "the image is empty", "payload.empty-image"};
    const auto pools = PoolRuns(GoneBlocks(map_, index.size()));
    const size_t count = static_cast<size_t>((map_.image.length - 1) / options_.segment_size + 1);
    for (size_t i = 0; i < pools.size(); ++i) {
      SP_TRY(const SourcePool pool, SourcePool::Load(from_, pools[i]));
      SP_TRY(EncodeSegments(pool, i * count / pools.size(), (i + 1) * count / pools.size()));
    }
    return SegmentTable::Make(map_.image.length, map_.image.sha256, options_.segment_size,
                              std::move(segments_), index.image());
  }

 private:
  // The segments stand alone, so that threads take them in turn; they are written in order.
  Result<Unit> EncodeSegments(const SourcePool& pool, size_t first, size_t end) {
    for (size_t at = first; at < end; at += options_.threads) {
      std::vector<std::future<Result<EncodedSegment>>> running;
      std::vector<Bytes> plain;
      for (size_t i = at; i < std::min<size_t>(end, at + options_.threads); ++i) {
        SP_TRY(Bytes bytes, ReadSegment(i));
        plain.push_back(std::move(bytes));
      }
      for (size_t i = 0; i < plain.size(); ++i)
        running.push_back(std::async(std::launch::async, [this, &pool, &plain, at, i] {
          return EncodeOne(pool, at + i, plain[i]);
        }));
      std::vector<Result<EncodedSegment>> done;
      for (auto& result : running) done.push_back(result.get());
      for (size_t i = 0; i < done.size(); ++i) {
        SP_TRY(EncodedSegment encoded, std::move(done[i]));
        SP_TRY(Append(std::move(encoded), plain[i]));
      }
    }
    return Unit{};
  }

  Result<Bytes> ReadSegment(size_t index) {
    const uint64_t offset = index * options_.segment_size;
    Bytes out(static_cast<size_t>(std::min(options_.segment_size, map_.image.length - offset)));
    SP_TRY(const size_t size, to_.ReadAt(offset, out));
    if (size != out.size()) return Error{Reason::kUnavailable, "the new image became shorter"};
    return out;
  }

  Result<EncodedSegment> EncodeOne(const SourcePool& pool, size_t index, ByteView bytes) {
    SegmentEncoder encoder(old_);
    return encoder.Encode(bytes, Describe(pool, index, bytes), index == 0);
  }

  std::vector<OldOp> Describe(const SourcePool& pool, size_t index, ByteView bytes) const {
    const size_t first = static_cast<size_t>(index * options_.segment_size / kSourceBlock);
    const size_t count = (bytes.size() + kSourceBlock - 1) / kSourceBlock;
    std::vector<OldOp> ops;
    for (size_t i = 0; i < count;) {
      const size_t run = RunLength(first + i, first + count);
      const uint64_t origin = map_.blocks[first + i];
      const ByteView piece = bytes.subspan(
          i * kSourceBlock, std::min<size_t>(run * kSourceBlock, bytes.size() - i * kSourceBlock));
      if (origin == kZeros)
        ops.push_back({PatchOp::Kind::kZero, piece.size()});
      else if (origin != kFresh)
        ops.push_back({PatchOp::Kind::kCopy, piece.size(), origin * kSourceBlock});
      else
        AppendDifference(piece, pool, Hint(pool, first + i), ops);
      i += run;
    }
    return ops;
  }

  // RunLength counts the blocks that go on as the one at `at` begins.
  size_t RunLength(size_t at, size_t end) const {
    const uint64_t origin = map_.blocks[at];
    const bool special = origin == kFresh || origin == kZeros;
    size_t run = 1;
    while (at + run < end && map_.blocks[at + run] == (special ? origin : origin + run)) ++run;
    return run;
  }

  std::optional<size_t> Hint(const SourcePool& pool, size_t at) const {
    const uint64_t before = at == 0 ? kFresh : map_.blocks[at - 1];
    return before >= kZeros ? std::nullopt : pool.PositionOf(before + 1);
  }

  Result<Unit> Append(EncodedSegment encoded, ByteView plain) {
    SP_TRY(payload_.WriteAt(payload_length_, encoded.data));
    segments_.push_back({done_, plain.size(), pki::Sha256(plain), payload_length_,
                         encoded.data.size(), pki::Sha256(encoded.data), encoded.codec,
                         std::move(encoded.source)});
    payload_length_ += encoded.data.size();
    done_ += plain.size();
    if (progress_) progress_(done_, map_.image.length);
    return Unit{};
  }

  File& from_;
  OldImage old_;
  File& to_;
  File& payload_;
  const DeltaOptions options_;
  const PackProgress& progress_;
  BlockMap map_{{0, Sha256Digest::FromArray({})}, {}};
  std::vector<Segment> segments_;
  uint64_t payload_length_ = 0;
  uint64_t done_ = 0;
};

}  // namespace

Result<SegmentTable> MakeDelta(File& from, File& to, File& payload, const DeltaOptions& options,
                               const PackProgress& progress) {
  if (options.segment_size < kSegmentSizeMin || options.segment_size > kSegmentSizeMax ||
      options.segment_size % kSegmentSizeMin != 0 || options.threads == 0)
    return Error{Reason::kInvalidArgument, "segment size", "payload.segment-size"};
  return DeltaMaker(from, to, payload, options, progress).Run();
}

}  // namespace sallyport::ota

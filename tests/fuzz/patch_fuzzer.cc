// Patches built by their structure: the input chooses instructions, where they read, how long the
// streams are and what the headers claim of them, at their limits and beyond. A model says what
// each must make of the source. Whatever the patch says, the decoder writes its segment alone,
// reads what was declared alone, holds a bounded amount of memory, and hands out nothing whose
// digest is not the signed one.
#include <sanitizer/allocator_interface.h>

#include <algorithm>
#include <optional>

#include "ota/payload/lzma_stream.h"
#include "ota/payload/patch.h"
#include "ota/payload/stream_decoder.h"
#include "pki/crypto/hash.h"

using namespace sallyport;

namespace {

constexpr size_t kBlocks = 6;  // of the old image
constexpr size_t kSegmentMax = 12 * 1024;
constexpr size_t kOpsMax = 64;
constexpr size_t kGuard = 64;
constexpr uint8_t kCanary = 0xA5;
// Instructions and landings at their limit while their vectors grow, and three dictionaries.
constexpr size_t kMemoryMax = 24u << 20;

size_t held = 0;
size_t peak = 0;
void OnMalloc(const volatile void*, size_t size) { peak = std::max(peak, held += size); }
void OnFree(const volatile void* at) {
  const size_t size = at == nullptr ? 0 : __sanitizer_get_allocated_size(at);
  held -= std::min(held, size);
}

// Input gives choices; zeros when it is used up.
class Input {
 public:
  explicit Input(ByteView bytes) : bytes_(bytes) {}
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const uint8_t byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte;
  }
  uint64_t Number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | Byte();
    return value;
  }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  Bytes Noise(size_t size) {
    uint64_t state = Number(2);
    Bytes out(size);
    for (uint8_t& byte : out)
      byte =
          static_cast<uint8_t>((state = state * 6364136223846793005 + 1442695040888963407) >> 56);
    return out;
  }

 private:
  ByteView bytes_;
};

struct Patch {
  Bytes data;
  // What it makes; nullopt for one that must be refused.
  std::optional<Bytes> segment;
};

void PutVarint(Bytes& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

class Builder {
 public:
  Builder(Input& in, ByteView source, size_t length) : in_(in), source_(source), length_(length) {}

  // unsure: a stream was changed in a way that may mean the same.
  [[nodiscard]] bool unsure() const { return unsure_; }

  Patch Build() {
    const uint8_t kind = PickKind();
    for (size_t i = 0; i < kOpsMax && made_.size() < length_ && honest_; ++i)
      AddOp(i + 1 == kOpsMax);
    honest_ = honest_ && made_.size() == length_;
    Bytes ops = Stream(std::move(ops_));
    Bytes corrections = Stream(std::move(corrections_));
    const Bytes fresh = Stream(std::move(fresh_));
    const uint32_t ops_size = Claim(ops.size());
    const uint32_t corrections_size = Claim(corrections.size());
    Patch out{ByteWriter()
                  .U8(kind)
                  .LittleU32(ops_size)
                  .LittleU32(corrections_size)
                  .Raw(ops)
                  .Raw(corrections)
                  .Raw(fresh)
                  .bytes(),
              std::nullopt};
    if (honest_) out.segment = std::move(made_);
    return out;
  }

 private:
  uint8_t PickKind() {
    const uint8_t pick = in_.Byte();
    if (pick % 16 != 15) return 1;
    honest_ = false;
    return pick == 0xff ? 0 : 4;
  }

  // Length of an instruction: most often one that fits.
  uint64_t PickLength(bool last) {
    const uint64_t left = length_ - made_.size();
    if (last || in_.empty()) return left;
    switch (in_.Byte() % 16) {
      case 0: return left;
      case 1: return left + 1;
      case 2: return 0;
      case 3: return UINT32_MAX;
      case 4: return uint64_t{1} << 32;
      case 5: return (uint64_t{1} << 33) - 1;
      case 6: return in_.Number(4);
      case 7: return std::min<uint64_t>(left, 1);
      default: return std::clamp<uint64_t>(in_.Number(2), 1, left);
    }
  }

  // Where a copy or an add begins, as the step from the end of the last one.
  int64_t PickStep(uint64_t length) {
    const auto size = static_cast<int64_t>(source_.size());
    const int64_t last = size - static_cast<int64_t>(std::min<uint64_t>(length, source_.size()));
    switch (in_.Byte() % 16) {
      case 0: return last - expected_;
      case 1: return last + 1 - expected_;
      case 2: return -expected_ - 1;
      case 3: return static_cast<int64_t>(in_.Number(4));
      case 4: return -static_cast<int64_t>(in_.Number(4));
      case 5: return (int64_t{1} << 33) - 1;
      case 6: return -(int64_t{1} << 33);
      case 7: return size - expected_;
      case 8: return 0;
      default:
        return static_cast<int64_t>(in_.Number(2) % static_cast<uint64_t>(last + 1)) - expected_;
    }
  }

  void AddOp(bool last) {
    const auto kind = static_cast<ota::PatchOp::Kind>(in_.Byte() % 4);
    const uint64_t length = PickLength(last);
    PutVarint(ops_, length << 2 | static_cast<uint64_t>(kind));
    honest_ = length != 0 && length <= length_ - made_.size();
    const bool reads = kind == ota::PatchOp::Kind::kCopy || kind == ota::PatchOp::Kind::kAdd;
    int64_t at = 0;
    if (reads) {
      const int64_t step = PickStep(length);
      PutVarint(ops_, static_cast<uint64_t>(step) << 1 ^ static_cast<uint64_t>(step >> 63));
      at = expected_ + step;
      expected_ = at + static_cast<int64_t>(length);
      honest_ = honest_ && at >= 0 && expected_ <= static_cast<int64_t>(source_.size());
    }
    if (honest_) Apply(kind, static_cast<size_t>(at), static_cast<size_t>(length));
  }

  void Apply(ota::PatchOp::Kind kind, size_t at, size_t length) {
    using Kind = ota::PatchOp::Kind;
    const Bytes noise =
        kind == Kind::kAdd || kind == Kind::kNew ? in_.Noise(length) : Bytes(length);
    if (kind == Kind::kAdd) Append(corrections_, noise);
    if (kind == Kind::kNew) Append(fresh_, noise);
    for (size_t i = 0; i < length; ++i) {
      const bool reads = kind == Kind::kCopy || kind == Kind::kAdd;
      made_.push_back(static_cast<uint8_t>(noise[i] + (reads ? source_[at + i] : 0)));
    }
  }

  // Stream compresses, and may lie about how much there is.
  Bytes Stream(Bytes plain) {
    const uint8_t pick = in_.Byte();
    if (pick == 1 && !plain.empty()) plain.pop_back();
    if (pick == 2) plain.push_back(0);
    if (pick == 3) plain.resize(plain.size() + (4u << 20));  // a bomb
    honest_ = honest_ && (pick == 0 || pick > 6);
    Bytes packed = *ota::LzmaCompress(plain);
    if (pick == 4) packed.pop_back();
    if (pick == 5) packed.push_back(0);
    if (pick == 6) packed[in_.Number(2) % packed.size()] ^= 0x10;
    // Nothing can be taken from an empty stream, and a header has bits that say nothing.
    unsure_ = unsure_ || pick == 1 || pick == 6;
    return packed;
  }

  uint32_t Claim(size_t size) {
    const uint8_t pick = in_.Byte();
    uint64_t claim = size;
    if (pick == 1) claim = size + 1;
    if (pick == 2) claim = size - 1;
    if (pick == 3) claim = UINT32_MAX;
    if (pick == 4) claim = 0;
    if (pick == 5) claim = in_.Number(4);
    honest_ = honest_ && claim == size;
    return static_cast<uint32_t>(claim);
  }

  Input& in_;
  const ByteView source_;
  const size_t length_;
  bool honest_ = true;
  bool unsure_ = false;
  int64_t expected_ = 0;
  Bytes ops_;
  Bytes corrections_;
  Bytes fresh_;
  Bytes made_;
};

// Decode checks everything that a decoder may do, and returns what it made.
std::optional<Bytes> Decode(ByteView data, ByteView source, size_t length) {
  Bytes field(length + 2 * kGuard, kCanary);
  const Bytes exact_source = ToBytes(source);  // of its own, so that any read beyond it is caught
  const Bytes exact_data = ToBytes(data);
  held = peak = 0;
  const auto done =
      ota::DecodePatch(exact_data, exact_source, std::span(field).subspan(kGuard, length));
  SP_CHECK(peak <= kMemoryMax);
  const auto untouched = [](uint8_t byte) { return byte == kCanary; };
  SP_CHECK(std::all_of(field.begin(), field.begin() + kGuard, untouched));
  SP_CHECK(std::all_of(field.end() - kGuard, field.end(), untouched));
  SP_CHECK(exact_source == ToBytes(source));
  if (!done) return std::nullopt;
  return Bytes(field.begin() + kGuard, field.end() - kGuard);
}

// OldImage answers what was declared, and nothing else may be asked for.
class OldImage final : public ota::SourceReader {
 public:
  OldImage(const Bytes& image, const ota::SegmentSource& declared)
      : image_(image), declared_(declared) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    const bool declared = std::ranges::any_of(declared_.ranges, [&](const ota::SourceRange& range) {
      const uint64_t begin = range.block * ota::kSourceBlock;
      return offset >= begin && offset + out.size() <= begin + range.count * ota::kSourceBlock;
    });
    SP_CHECK(declared);
    std::copy_n(image_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return Unit{};
  }

 private:
  const Bytes& image_;
  const ota::SegmentSource& declared_;
};

class JudgingSink final : public ota::SegmentSink {
 public:
  Result<Unit> Write(const ota::Segment& segment, ByteView decoded) override {
    SP_CHECK(pki::Sha256(decoded) == segment.sha256);
    ++segments;
    return Unit{};
  }
  int segments = 0;
};

// DecodeSigned decodes the patch as a segment whose digests say `segment`, or something else.
void DecodeSigned(Input& in, const Bytes& old, const ota::SegmentSource& source, const Bytes& data,
                  const Bytes& segment) {
  Bytes image = old;
  const bool drifted = in.Byte() % 8 == 1;
  if (drifted) image[source.ranges.front().block * ota::kSourceBlock + in.Byte()] ^= 1;
  Bytes claimed = segment;
  const bool lies = in.Byte() % 4 == 1;
  if (lies) claimed[in.Number(2) % claimed.size()] ^= 1;
  const ota::Segment entry{0,           segment.size(),    pki::Sha256(claimed), 0,
                           data.size(), pki::Sha256(data), ota::CodecId::kPatch, source};
  const auto table = ota::SegmentTable::Make(segment.size(), entry.sha256, 16 * 1024, {entry},
                                             ota::SourceImage{old.size(), pki::Sha256(old)});
  if (!table) return;  // more data than such a segment may have
  OldImage reader(image, source);
  JudgingSink sink;
  ota::StreamDecoder decoder(*table, 0, sink, &reader);
  const auto fed = decoder.Feed(data);
  SP_CHECK(fed.has_value() == (!drifted && !lies));
  SP_CHECK(sink.segments == (fed ? 1 : 0));
  if (!fed)
    SP_CHECK(fed.error().rule == (drifted ? "payload.source-digest" : "payload.segment-digest"));
}

ota::SegmentSource Declare(Input& in, const Bytes& old, Bytes& gathered) {
  ota::SegmentSource out{{}, pki::Sha256(Bytes())};
  const uint8_t pick = in.Byte();
  for (uint64_t block = 0; block < kBlocks; ++block) {
    if ((pick >> block & 1) == 0 && (block + 1 < kBlocks || !gathered.empty())) continue;
    out.ranges.push_back({block, 1});
    Append(gathered, ByteView(old).subspan(block * ota::kSourceBlock, ota::kSourceBlock));
  }
  out.sha256 = pki::Sha256(gathered);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  SP_CHECK(__sanitizer_install_malloc_and_free_hooks(OnMalloc, OnFree) != 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(ByteView(data, size));
  const Bytes old = in.Noise(kBlocks * ota::kSourceBlock);
  Bytes source;
  const ota::SegmentSource declared = Declare(in, old, source);
  const size_t length = 1 + in.Number(2) % kSegmentMax;
  Builder builder(in, source, length);
  Patch patch = builder.Build();
  const auto made = Decode(patch.data, source, length);
  if (patch.segment) SP_CHECK(made == patch.segment);
  if (!patch.segment && !builder.unsure()) SP_CHECK(!made);
  if (made) DecodeSigned(in, old, declared, patch.data, *made);
  // The other kinds predict; what they make is not modelled, their bounds are the same.
  patch.data[0] = static_cast<uint8_t>(2 + in.Byte() % 2);
  const auto predicted = Decode(patch.data, source, length);
  if (patch.segment) SP_CHECK(predicted.has_value());
  return 0;
}

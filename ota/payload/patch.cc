#include "ota/payload/patch.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ota/payload/lzma_stream.h"
#include "ota/payload/references.h"

namespace sallyport::ota {
namespace {

constexpr uint8_t kPlain = 1;
constexpr uint8_t kPredictedX86 = 2;
constexpr uint8_t kPredictedAarch64 = 3;
constexpr int kVarintBitsMax = 35;  // five groups of seven bits hold what a segment can ask for
constexpr size_t kChunk = 16 * 1024;

Error BadOps(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "payload.patch-ops"};
}

bool ReadsOld(PatchOp::Kind kind) {
  return kind == PatchOp::Kind::kCopy || kind == PatchOp::Kind::kAdd;
}

void PutVarint(Bytes& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

Result<uint64_t> GetVarint(LzmaReader& in) {
  uint64_t value = 0;
  for (int shift = 0; shift < kVarintBitsMax; shift += 7) {
    uint8_t byte = 0;
    SP_TRY(in.Read({&byte, 1}));
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return BadOps("a number is too long");
}

uint64_t ZigZag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}
int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

Bytes WriteOps(const std::vector<PatchOp>& ops) {
  Bytes out;
  int64_t expected = 0;
  for (const PatchOp& op : ops) {
    PutVarint(out, uint64_t{op.length} << 2 | static_cast<uint64_t>(op.kind));
    if (!ReadsOld(op.kind)) continue;
    PutVarint(out, ZigZag(op.source - expected));
    expected = int64_t{op.source} + op.length;
  }
  return out;
}

// ReadOps returns operations that lie within the source and add up to `length`.
Result<std::vector<PatchOp>> ReadOps(ByteView data, size_t source_size, size_t length) {
  LzmaReader in(data);
  std::vector<PatchOp> ops;
  size_t done = 0;
  int64_t expected = 0;
  while (done < length) {
    if (ops.size() == kPatchOpsMax) return BadOps("too many instructions");
    SP_TRY(const uint64_t head, GetVarint(in));
    const uint64_t size = head >> 2;
    if (size == 0 || size > length - done) return BadOps("an instruction exceeds the segment");
    PatchOp op{static_cast<PatchOp::Kind>(head & 3), static_cast<uint32_t>(size)};
    if (ReadsOld(op.kind)) {
      SP_TRY(const uint64_t step, GetVarint(in));
      const int64_t at = expected + UnZigZag(step);
      if (at < 0 || static_cast<uint64_t>(at) > source_size ||
          size > source_size - static_cast<uint64_t>(at))
        return Error{Reason::kMalformed, "an instruction leaves the source",
                     "payload.patch-source"};
      op.source = static_cast<uint32_t>(at);
      expected = at + static_cast<int64_t>(size);
    }
    ops.push_back(op);
    done += static_cast<size_t>(size);
  }
  SP_TRY(in.End());
  return ops;
}

Result<Unit> AddCorrections(LzmaReader& in, std::span<uint8_t> out) {
  std::array<uint8_t, kChunk> chunk;
  while (!out.empty()) {
    const size_t size = std::min(out.size(), chunk.size());
    SP_TRY(in.Read({chunk.data(), size}));
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(out[i] + chunk[i]);
    out = out.subspan(size);
  }
  return Unit{};
}

// PredictedMachine is whose references a kind of patch predicts, if any.
Result<std::optional<Machine>> PredictedMachine(uint8_t kind) {
  switch (kind) {
    case kPlain: return std::optional<Machine>();
    case kPredictedX86: return std::optional(Machine::kX86);
    case kPredictedAarch64: return std::optional(Machine::kAarch64);
    default: break;
  }
  return Error{Reason::kMalformed, "patch of kind " + std::to_string(kind), "payload.patch-kind"};
}

// Pieces copies what operations take from the source, with their references predicted for
// `machine`.
class Pieces {
 public:
  Pieces(const std::vector<PatchOp>& ops, ByteView source, std::optional<Machine> machine)
      : source_(source),
        machine_(machine),
        landings_(machine ? std::optional(Landings(ops)) : std::nullopt) {}

  // Take fills `out`, which lies at `segment` in the segment.
  void Take(const PatchOp& op, size_t segment, std::span<uint8_t> out) const {
    std::ranges::copy(source_.subspan(op.source, op.length), out.begin());
    if (machine_ && op.kind == PatchOp::Kind::kAdd)
      PredictReferences(*machine_, out, op.source, static_cast<int64_t>(segment), *landings_);
  }

 private:
  const ByteView source_;
  const std::optional<Machine> machine_;
  const std::optional<Landings> landings_;  // with a machine
};

Bytes Corrections(const std::vector<PatchOp>& ops, const Pieces& pieces, ByteView segment) {
  Bytes out;
  Bytes old;
  size_t at = 0;
  for (const PatchOp& op : ops) {
    if (op.kind == PatchOp::Kind::kAdd) {
      old.resize(op.length);
      pieces.Take(op, at, old);
      for (size_t i = 0; i < old.size(); ++i)
        out.push_back(static_cast<uint8_t>(segment[at + i] - old[i]));
    }
    at += op.length;
  }
  return out;
}

// Predicted are the corrections that a kind of prediction leaves.
struct Predicted {
  uint8_t kind;
  Bytes corrections;
};

// BestPrediction is the one that is right about most bytes: compressing them all would take longer
// than everything else.
Predicted BestPrediction(const std::vector<PatchOp>& ops, ByteView source, ByteView segment) {
  const auto of = [&](uint8_t kind, Machine machine) {
    return Predicted{kind, Corrections(ops, Pieces(ops, source, machine), segment)};
  };
  const auto right = [](const Predicted& one) { return std::ranges::count(one.corrections, 0); };
  Predicted x86 = of(kPredictedX86, Machine::kX86);
  Predicted aarch64 = of(kPredictedAarch64, Machine::kAarch64);
  return right(aarch64) > right(x86) ? aarch64 : x86;
}

Bytes NewBytes(const std::vector<PatchOp>& ops, ByteView segment) {
  Bytes out;
  for (const PatchOp& op : ops) {
    if (op.kind == PatchOp::Kind::kNew) Append(out, segment.first(op.length));
    segment = segment.subspan(op.length);
  }
  return out;
}

Result<Unit> ApplyAll(const std::vector<PatchOp>& ops, const Pieces& pieces,
                      LzmaReader& corrections, LzmaReader& fresh, std::span<uint8_t> segment) {
  size_t at = 0;
  for (const PatchOp& op : ops) {
    const std::span<uint8_t> out = segment.subspan(at, op.length);
    switch (op.kind) {
      case PatchOp::Kind::kCopy: pieces.Take(op, at, out); break;
      case PatchOp::Kind::kAdd:
        pieces.Take(op, at, out);
        SP_TRY(AddCorrections(corrections, out));
        break;
      case PatchOp::Kind::kNew: SP_TRY(fresh.Read(out)); break;
      case PatchOp::Kind::kZero: std::ranges::fill(out, uint8_t{0}); break;
    }
    at += op.length;
  }
  return Unit{};
}

Result<Unit> CheckOps(const std::vector<PatchOp>& ops, size_t source_size, size_t length) {
  const Error refused{Reason::kInvalidArgument, "the instructions do not make the segment",
                      "payload.patch-ops"};
  if (ops.size() > kPatchOpsMax) return refused;
  size_t done = 0;
  for (const PatchOp& op : ops) {
    if (op.length == 0 || op.length > length - done) return refused;
    if (ReadsOld(op.kind) && (op.source > source_size || op.length > source_size - op.source))
      return refused;
    done += op.length;
  }
  if (done != length) return refused;
  return Unit{};
}

}  // namespace

Result<Bytes> EncodePatch(const std::vector<PatchOp>& ops, ByteView source, ByteView segment) {
  SP_TRY(CheckOps(ops, source.size(), segment.size()));
  SP_TRY(const Bytes ops_data, LzmaCompress(WriteOps(ops)));
  SP_TRY(const Bytes fresh, LzmaCompress(NewBytes(ops, segment)));
  SP_TRY(Bytes corrections, LzmaCompress(Corrections(ops, Pieces(ops, source, {}), segment)));
  const Predicted best = BestPrediction(ops, source, segment);
  SP_TRY(Bytes predicted, LzmaCompress(best.corrections));
  const bool predicts = predicted.size() < corrections.size();
  if (predicts) corrections = std::move(predicted);
  return ByteWriter()
      .U8(predicts ? best.kind : kPlain)
      .LittleU32(static_cast<uint32_t>(ops_data.size()))
      .LittleU32(static_cast<uint32_t>(corrections.size()))
      .Raw(ops_data)
      .Raw(corrections)
      .Raw(fresh)
      .bytes();
}

Result<Unit> DecodePatch(ByteView data, ByteView source, std::span<uint8_t> out) {
  const Error truncated{Reason::kMalformed, "the patch ends early", "payload.patch-stream"};
  ByteReader reader(data, "patch");
  const auto kind = reader.U8();
  if (!kind) return Error{Reason::kMalformed, "no patch", "payload.patch-kind"};
  SP_TRY(const std::optional<Machine> machine, PredictedMachine(*kind));
  const auto ops_size = reader.LittleU32();
  const auto corrections_size = reader.LittleU32();
  if (!ops_size || !corrections_size) return truncated;
  const auto ops_data = reader.Take(*ops_size);
  if (!ops_data) return truncated;
  const auto corrections_data = reader.Take(*corrections_size);
  if (!corrections_data) return truncated;
  SP_TRY(const std::vector<PatchOp> ops, ReadOps(*ops_data, source.size(), out.size()));
  LzmaReader corrections(*corrections_data);
  LzmaReader fresh(reader.rest());
  SP_TRY(ApplyAll(ops, Pieces(ops, source, machine), corrections, fresh, out));
  SP_TRY(corrections.End());
  return fresh.End();
}

}  // namespace sallyport::ota

#include "ota/payload/image_lint.h"

#include <zstd.h>

#include <algorithm>
#include <unordered_set>

namespace sallyport::ota {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kPiece = 128 * 1024;
// Directory entries and the last clusters of the files on the EFI system partition.
constexpr uint64_t kEspSlack = 64 * 1024;
// Content that zstd shrinks by less than this is compressed or encrypted.
constexpr size_t kIncompressiblePercent = 97;
constexpr uint64_t kCompressedSharePercent = 25;
constexpr uint64_t kMovedSharePercent = 5;

// BlockHash is a polynomial over one block that can move on by a byte.
class BlockHash {
 public:
  explicit BlockHash(ByteView block) {
    for (const uint8_t byte : block) value_ = value_ * kBase + byte;
  }
  void Roll(uint8_t out, uint8_t in) { value_ = (value_ - out * kLead) * kBase + in; }
  uint64_t value() const { return value_; }

 private:
  static constexpr uint64_t kBase = 0x9E3779B97F4A7C15;
  static constexpr uint64_t kLead = [] {
    uint64_t power = 1;
    for (size_t i = 1; i < kBlock; ++i) power *= kBase;
    return power;
  }();
  uint64_t value_ = 0;
};
using BlockSet = std::unordered_set<uint64_t>;

// A block of one repeated byte is found at every offset and says nothing of where content went.
bool IsFlat(ByteView block) {
  return std::ranges::all_of(block, [&](uint8_t byte) { return byte == block[0]; });
}

// ForEachPiece pushes the file in pieces of kPiece; the last may be shorter.
template <typename Body>
Result<uint64_t> ForEachPiece(File& file, const Body& body) {
  Bytes piece(kPiece);
  uint64_t at = 0;
  while (true) {
    SP_TRY(const size_t size, file.ReadAt(at, piece));
    if (size > 0) SP_TRY(body(at, ByteView(piece).first(size)));
    at += size;
    if (size < piece.size()) return at;
  }
}

Result<BlockSet> BlocksOf(File& file) {
  BlockSet blocks;
  SP_TRY(ForEachPiece(file, [&](uint64_t, ByteView piece) {
    for (; piece.size() >= kBlock; piece = piece.subspan(kBlock))
      blocks.insert(BlockHash(piece.first(kBlock)).value());
    return Ok();
  }));
  return blocks;
}

// ChangeScan counts the content that an older image does not have at a block, and how much of that
// it has between blocks.
class ChangeScan {
 public:
  explicit ChangeScan(BlockSet blocks) : blocks_(std::move(blocks)) {}

  void Add(ByteView piece) {
    for (; piece.size() >= kBlock; piece = piece.subspan(kBlock)) AddBlock(piece.first(kBlock));
    if (!piece.empty()) changed_ += piece.size();
  }
  void Finish() { CloseRun(); }
  uint64_t changed() const { return changed_; }
  uint64_t moved() const { return moved_; }

 private:
  // Longer runs are searched in parts, so that memory stays small.
  static constexpr size_t kRunMax = 4 << 20;

  void AddBlock(ByteView block) {
    const bool known = IsFlat(block) || blocks_.contains(BlockHash(block).value());
    if (known || run_.size() >= kRunMax) CloseRun();
    if (known) return;
    changed_ += block.size();
    Append(run_, block);
  }
  void CloseRun() {
    const ByteView run = run_;
    for (size_t at = 0; at + kBlock <= run.size();) {
      const std::optional<size_t> found = FindKnown(run, at);
      if (!found) break;
      moved_ += kBlock;
      at = *found + kBlock;
    }
    run_.clear();
  }
  std::optional<size_t> FindKnown(ByteView run, size_t at) const {
    BlockHash hash(run.subspan(at, kBlock));
    while (true) {
      if (blocks_.contains(hash.value()) && !IsFlat(run.subspan(at, kBlock))) return at;
      if (at + kBlock >= run.size()) return std::nullopt;
      hash.Roll(run[at], run[at + kBlock]);
      ++at;
    }
  }

  const BlockSet blocks_;
  Bytes run_;
  uint64_t changed_ = 0;
  uint64_t moved_ = 0;
};

bool IsIncompressible(ByteView piece, Bytes& scratch) {
  scratch.resize(ZSTD_compressBound(piece.size()));
  const size_t size = ZSTD_compress(scratch.data(), scratch.size(), piece.data(), piece.size(), 1);
  return ZSTD_isError(size) == 0 && size * 100 > piece.size() * kIncompressiblePercent;
}

std::string Percent(uint64_t part, uint64_t whole) {
  return std::to_string(whole == 0 ? 0 : part * 100 / whole) + " %";
}

class Linter {
 public:
  explicit Linter(const LintInputs& inputs) : inputs_(inputs) {}

  Result<LintReport> Run() && {
    SP_TRY(report_.facts, FactsOf(inputs_.image));
    SP_TRY(Scan());
    JudgeFormat();
    JudgeLength();
    if (inputs_.from != nullptr) SP_TRY(Compare(*inputs_.from));
    if (inputs_.again != nullptr) SP_TRY(CompareBuilds(*inputs_.again));
    JudgeRoom();
    return std::move(report_);
  }

 private:
  static Result<ImageFacts> FactsOf(File& file) {
    Bytes head(kImageHeadSize);
    SP_TRY(const size_t size, file.ReadAt(0, head));
    return ProbeImage(ByteView(head).first(size));
  }

  void Find(std::string_view rule, std::string detail, std::string advice) {
    const auto* const row = std::ranges::find(kLintRules, rule, &LintRule::rule);
    SP_CHECK(row != std::end(kLintRules));
    report_.findings.push_back({row->rule, row->severity, std::move(detail), std::move(advice)});
  }

  Result<Unit> Scan() {
    Bytes scratch;
    uint64_t incompressible = 0;
    SP_TRY(report_.length, ForEachPiece(inputs_.image, [&](uint64_t, ByteView piece) {
             if (IsIncompressible(piece, scratch)) incompressible += piece.size();
             return Ok();
           }));
    const bool packed = incompressible * 100 > report_.length * kCompressedSharePercent;
    if (packed && !report_.facts.compressed && report_.facts.format != ImageFormat::kCompressed)
      Find("image.compressed-content", Percent(incompressible, report_.length) + " of the image",
           "store kernel modules, packages and archives uncompressed; the payload is compressed "
           "as a whole");
    return Ok();
  }

  void JudgeFormat() {
    const ImageFacts& facts = report_.facts;
    const std::string name(FormatName(facts.format));
    if (facts.format == ImageFormat::kPartitions || facts.format == ImageFormat::kCompressed)
      return Find("image.format", name, "give the file system of one slot, uncompressed");
    if (facts.format == ImageFormat::kUnknown)
      return Find("image.unknown-format", "no superblock that is known here",
                  "EROFS without compression makes the smallest updates");
    if (facts.compressed)
      Find("image.compressed-fs", name + " with compression",
           "build the file system without compression (mkfs.erofs without -z): updates are "
           "two to three times smaller");
    if (facts.format != ImageFormat::kSquashfs && facts.block_size != kBlock)
      Find("image.block-size", name + " with blocks of " + std::to_string(facts.block_size),
           facts.format == ImageFormat::kExt ? "build with mke2fs -b 4096"
                                             : "build with blocks of 4096 bytes");
  }

  void JudgeLength() {
    if (report_.length == 0) return Find("image.empty", "0 bytes", "give the slot's image");
    if (report_.length % kBlock != 0)
      Find("image.alignment", std::to_string(report_.length) + " bytes",
           "pad the image to a multiple of 4096");
    if (report_.facts.length > report_.length)
      Find("image.truncated",
           "the file system has " + std::to_string(report_.facts.length) + " bytes, the image " +
               std::to_string(report_.length),
           "copy the image again");
  }

  Result<Unit> Compare(File& from) {
    SP_TRY(const ImageFacts old, FactsOf(from));
    const ImageFacts& now = report_.facts;
    if (old.format != now.format || old.block_size != now.block_size) {
      Find("image.format-change",
           std::string(FormatName(old.format)) + " before, " + std::string(FormatName(now.format)) +
               " now",
           "the update from that image is as large as a full one; expected once");
    } else if (old.identity != now.identity) {
      Find("image.identity", old.identity + " before, " + now.identity + " now",
           "fix the UUID (mkfs.erofs -U, mke2fs -U and -E hash_seed=)");
    }
    SP_TRY(BlockSet blocks, BlocksOf(from));
    ChangeScan scan(std::move(blocks));
    SP_TRY(ForEachPiece(inputs_.image, [&](uint64_t, ByteView piece) {
      scan.Add(piece);
      return Ok();
    }));
    scan.Finish();
    report_.changed = scan.changed();
    if (scan.moved() * 100 > report_.length * kMovedSharePercent)
      Find("image.layout", Percent(scan.moved(), report_.length) + " of the image",
           "build both with the same tool and options, files in a fixed order and on blocks of "
           "their own");
    return Ok();
  }

  Result<Unit> CompareBuilds(File& again) {
    Bytes other(kPiece);
    std::optional<uint64_t> first;
    SP_TRY(ForEachPiece(inputs_.image, [&](uint64_t at, ByteView piece) -> Result<Unit> {
      SP_TRY(const size_t size, again.ReadAt(at, std::span(other).first(piece.size())));
      const auto differs = std::ranges::mismatch(piece, ByteView(other).first(size));
      if (!first && differs.in1 != piece.end())
        first = at + static_cast<uint64_t>(differs.in1 - piece.begin());
      return Ok();
    }));
    SP_TRY(const uint64_t size, again.Size());
    if (!first && size != report_.length) first = std::min(size, report_.length);
    if (first)
      Find("image.not-reproducible",
           "the builds differ from byte " + std::to_string(*first) + " on",
           "fix times and order (mkfs.erofs -T0, SOURCE_DATE_EPOCH), UUID and hash seed");
    return Ok();
  }

  void JudgeRoom() {
    if (inputs_.slot_size && report_.length > *inputs_.slot_size)
      Find("slot.size",
           "needs " + std::to_string(report_.length) + " bytes, has " +
               std::to_string(*inputs_.slot_size),
           "make the image smaller; slots of devices in the field do not grow");
    if (!inputs_.uki_size || !inputs_.esp_size) return;
    const uint64_t need = 2 * *inputs_.uki_size + kEspSlack;
    if (need > *inputs_.esp_size)
      Find("esp.space",
           "needs " + std::to_string(need) + " bytes, has " + std::to_string(*inputs_.esp_size),
           "make the kernel image smaller; both slots' images stand there during an update");
  }

  const LintInputs& inputs_;
  LintReport report_;
};

}  // namespace

std::string DescribeLintRules() {
  std::string out = "| rule | verdict | found |\n|---|---|---|\n";
  for (const LintRule& row : kLintRules)
    out += "| `" + std::string(row.rule) + "` | " +
           (row.severity == LintSeverity::kError ? "fail" : "warn") + " | " +
           std::string(row.what) + " |\n";
  return out;
}

bool LintReport::Refuses() const {
  return std::ranges::any_of(
      findings, [](const LintFinding& f) { return f.severity == LintSeverity::kError; });
}

Result<LintReport> LintImage(const LintInputs& inputs) { return Linter(inputs).Run(); }

}  // namespace sallyport::ota

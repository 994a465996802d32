#include "ota/payload/patch.h"

#include <fstream>

#include "ota/payload/lzma_stream.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

const Bytes kSource = TestImage(3000, 5);

// kSegment is: a copy, a corrected piece, new bytes, zeros, and a copy from further back.
const std::vector<PatchOp> kOps = {
    {Kind::kCopy, 500, 700}, {Kind::kAdd, 900, 1500}, {Kind::kNew, 40},
    {Kind::kZero, 300},      {Kind::kCopy, 60, 10},
};

Bytes MakeSegment() {
  Bytes out(kSource.begin() + 700, kSource.begin() + 1200);
  Append(out, ByteView(kSource).subspan(1500, 900));
  for (size_t i = 500; i < out.size(); i += 100) out[i] = static_cast<uint8_t>(out[i] + 3);
  for (uint8_t i = 0; i < 40; ++i) out.push_back(static_cast<uint8_t>(i * 37));
  out.resize(out.size() + 300);
  Append(out, ByteView(kSource).subspan(10, 60));
  return out;
}
const Bytes kSegment = MakeSegment();
const Bytes kPatch = *EncodePatch(kOps, kSource, kSegment);

std::string_view RuleOfDecode(ByteView data, ByteView source, size_t size) {
  Bytes out(size);
  const auto decoded = DecodePatch(data, source, out);
  return decoded ? "accepted" : decoded.error().rule;
}

// Crafted is a patch with these instructions and nothing else.
Bytes Crafted(const Bytes& ops) {
  const Bytes stream = *LzmaCompress(ops);
  const Bytes empty = *LzmaCompress({});
  return ByteWriter()
      .U8(1)
      .LittleU32(static_cast<uint32_t>(stream.size()))
      .LittleU32(static_cast<uint32_t>(empty.size()))
      .Raw(stream)
      .Raw(empty)
      .Raw(empty)
      .bytes();
}

TEST(Patch, DecodesWhatItEncoded) {
  Bytes out(kSegment.size());
  const auto decoded = DecodePatch(kPatch, kSource, out);
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  EXPECT_EQ(out, kSegment);
}

TEST(Patch, IsDeterministic) { EXPECT_EQ(*EncodePatch(kOps, kSource, kSegment), kPatch); }

// Program is code that calls and jumps within itself: 2,000 instructions of six bytes.
Bytes Program(size_t moved) {
  constexpr int64_t kInstructions = 2000;
  ByteWriter out;
  const auto place = [&](int64_t i) { return 6 * i + (i > 500 ? static_cast<int64_t>(moved) : 0); };
  for (int64_t i = 0; i < kInstructions; ++i) {
    if (i == 501) out.Raw(Bytes(moved, 0x90));
    const int64_t target = place(i * 7919 % kInstructions);
    out.U8(0xe8).LittleU32(static_cast<uint32_t>(target - (place(i) + 5))).U8(0x90);
  }
  return out.bytes();
}

TEST(Patch, ComputesReferencesThatMoved) {
  const Bytes old = Program(0);
  const Bytes fresh = Program(10);
  const size_t begin = 501 * 6;
  const Bytes patch = *EncodePatch({{Kind::kAdd, begin, 0},
                                    {Kind::kNew, 10},
                                    {Kind::kAdd, static_cast<uint32_t>(old.size() - begin), begin}},
                                   old, fresh);
  EXPECT_EQ(patch[0], 2);
  EXPECT_LT(patch.size(), 100u);
  Bytes out(fresh.size());
  ASSERT_TRUE(DecodePatch(patch, old, out));
  EXPECT_EQ(out, fresh);
}

// Aarch64Program is the same in instructions of four bytes.
Bytes Aarch64Program(int64_t moved) {
  constexpr int64_t kInstructions = 2000;
  ByteWriter out;
  const auto place = [&](int64_t i) { return i + (i > 500 ? moved : 0); };
  for (int64_t i = 0; i < kInstructions; ++i) {
    for (int64_t nop = 0; i == 501 && nop < moved; ++nop) out.LittleU32(0xd503201f);
    const int64_t distance = place(i * 7919 % kInstructions) - place(i);
    out.LittleU32(0x94000000 | (static_cast<uint32_t>(distance) & 0x3ffffff));
  }
  return out.bytes();
}

TEST(Patch, ComputesReferencesOfAarch64ThatMoved) {
  const Bytes old = Aarch64Program(0);
  const Bytes fresh = Aarch64Program(3);
  const size_t begin = 501 * 4;
  const std::vector<PatchOp> ops = {{Kind::kAdd, begin, 0},
                                    {Kind::kNew, 12},
                                    {Kind::kAdd, static_cast<uint32_t>(old.size() - begin), begin}};

  const Bytes patch = *EncodePatch(ops, old, fresh);

  EXPECT_EQ(patch[0], 3);
  EXPECT_LT(patch.size(), 100u);
  Bytes out(fresh.size());
  ASSERT_TRUE(DecodePatch(patch, old, out));
  EXPECT_EQ(out, fresh);
  for (const uint8_t other : Bytes{1, 2}) {
    Bytes relabelled = patch;
    relabelled[0] = other;
    ASSERT_TRUE(DecodePatch(relabelled, old, out));
    EXPECT_NE(out, fresh) << "kind " << int{other};
  }
}

// MovedBy is instructions for bytes moved by `shift`, of which every piece but the first is added.
std::vector<PatchOp> MovedBy(size_t size, uint32_t shift) {
  const auto half = static_cast<uint32_t>(size / 2);
  return {{Kind::kAdd, half, 0},
          {Kind::kZero, shift},
          {Kind::kAdd, static_cast<uint32_t>(size) - half, half}};
}

void ExpectIdentity(const Bytes& old, uint32_t shift) {
  Bytes fresh(old.begin(), old.begin() + static_cast<ptrdiff_t>(old.size() / 2));
  fresh.resize(fresh.size() + shift);
  Append(fresh, ByteView(old).subspan(old.size() / 2));
  for (size_t at = 7; at < fresh.size(); at += 97) ++fresh[at];
  std::fill_n(fresh.begin() + static_cast<ptrdiff_t>(old.size() / 2), shift, uint8_t{0});
  const auto patch = EncodePatch(MovedBy(old.size(), shift), old, fresh);
  ASSERT_TRUE(patch);
  Bytes out(fresh.size());
  for (const uint8_t kind : Bytes{1, 2, 3}) {
    Bytes relabelled = *patch;
    relabelled[0] = kind;
    ASSERT_TRUE(DecodePatch(relabelled, old, out)) << "total for any bytes";
    EXPECT_TRUE(kind != (*patch)[0] || out == fresh);
  }
}

TEST(Patch, DecodesToWhatWasEncodedForAnyBytesAndMoves) {
  for (uint8_t seed = 1; seed < 20; ++seed)
    for (const uint32_t shift : {1u, 4u, 4096u, 4100u})
      ExpectIdentity(TestImage(seed * 997u, seed), shift);
  for (const uint32_t shift : {2u, 16u, 4096u, 8200u}) {
    ExpectIdentity(Aarch64Program(0), shift);
    ExpectIdentity(Program(0), shift);
  }
}

TEST(Patch, DecodesToWhatWasEncodedForRealPrograms) {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  Bytes program(1 << 20);
  self.read(reinterpret_cast<char*>(program.data()), static_cast<std::streamsize>(program.size()));
  program.resize(static_cast<size_t>(self.gcount()));
  ASSERT_GT(program.size(), 100'000u);
  for (const uint32_t shift : {3u, 64u, 4096u}) ExpectIdentity(program, shift);
}

TEST(Patch, RefusesEveryTruncation) {
  for (size_t size = 0; size < kPatch.size(); ++size)
    EXPECT_NE(RuleOfDecode(ByteView(kPatch).first(size), kSource, kSegment.size()), "accepted")
        << size;
}

TEST(Patch, SurvivesEveryFlippedBitWithinItsBuffers) {
  // Bytes behind the segment must stay as they are, whatever the patch says.
  constexpr size_t kGuard = 4096;
  int refused = 0;
  for (size_t at = 0; at < 8 * kPatch.size(); ++at) {
    Bytes bad = kPatch;
    bad[at / 8] = static_cast<uint8_t>(bad[at / 8] ^ 1u << at % 8);
    Bytes out(kSegment.size() + kGuard, 0xA5);
    const auto decoded = DecodePatch(bad, kSource, std::span(out).first(kSegment.size()));
    refused += decoded ? 0 : 1;
    ASSERT_TRUE(std::all_of(out.end() - kGuard, out.end(), [](uint8_t b) { return b == 0xA5; }));
  }
  EXPECT_GT(refused, 0);
}

TEST(Patch, RefusesAnotherKind) {
  Bytes bad = kPatch;
  for (const uint8_t kind : Bytes{0, 4, 9, 255}) {
    bad[0] = kind;
    EXPECT_EQ(RuleOfDecode(bad, kSource, kSegment.size()), "payload.patch-kind");
  }
  EXPECT_EQ(RuleOfDecode({}, kSource, kSegment.size()), "payload.patch-kind");
}

TEST(Patch, RefusesDataBehindItsStreams) {
  Bytes bad = kPatch;
  bad.push_back(0);
  EXPECT_EQ(RuleOfDecode(bad, kSource, kSegment.size()), "payload.patch-stream");
}

TEST(Patch, RefusesAnotherSizeThanTheSegments) {
  EXPECT_EQ(RuleOfDecode(kPatch, kSource, kSegment.size() - 1), "payload.patch-ops");
  EXPECT_EQ(RuleOfDecode(kPatch, kSource, kSegment.size() + 1), "payload.patch-stream");
}

TEST(Patch, RefusesToReadOutsideTheSource) {
  EXPECT_EQ(RuleOfDecode(kPatch, ByteView(kSource).first(2399), kSegment.size()),
            "payload.patch-source");
  EXPECT_EQ(RuleOfDecode(Crafted({4 << 2 | 0, 1}), kSource, 4), "payload.patch-source") << "-1";
  EXPECT_EQ(RuleOfDecode(Crafted({4 << 2 | 0, 0xfe, 0xff, 0xff, 0xff, 0x7f}), kSource, 4),
            "payload.patch-source");
}

TEST(Patch, RefusesEmptyOversizedAndEndlessNumbers) {
  EXPECT_EQ(RuleOfDecode(Crafted({0 << 2 | 3}), kSource, 4), "payload.patch-ops");
  EXPECT_EQ(RuleOfDecode(Crafted({5 << 2 | 3}), kSource, 4), "payload.patch-ops");
  EXPECT_EQ(RuleOfDecode(Crafted({0xff, 0xff, 0xff, 0xff, 0xff, 0x01}), kSource, 4),
            "payload.patch-ops");
  EXPECT_EQ(RuleOfDecode(Crafted({4 << 2 | 3}), kSource, 4), "accepted");
}

TEST(Patch, RefusesMoreInstructionsThanTheLimit) {
  const Bytes ops(kPatchOpsMax + 1, 1 << 2 | 3);
  EXPECT_EQ(RuleOfDecode(Crafted(ops), kSource, kPatchOpsMax + 1), "payload.patch-ops");
}

TEST(Patch, RefusesToEncodeInstructionsThatDoNotMakeTheSegment) {
  for (const std::vector<PatchOp>& ops : {std::vector<PatchOp>{},
                                          {{Kind::kZero, 3}},
                                          {{Kind::kZero, 5}},
                                          {{Kind::kZero, 0}},
                                          {{Kind::kCopy, 4, 2997}},
                                          {{Kind::kCopy, 4, 4000}}}) {
    const auto encoded = EncodePatch(ops, kSource, Bytes(4));
    ASSERT_FALSE(encoded);
    EXPECT_EQ(encoded.error().rule, "payload.patch-ops");
  }
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/payload/aarch64_references.h"

#include <gtest/gtest.h>

#include <random>

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

// The source 0..0xffff stays where it is, 0x10000..0x1ffff comes to 0x11010.
constexpr uint32_t kHalf = 0x10000;
constexpr uint32_t kShift = 0x1010;
const Landings kLandings({{Kind::kAdd, kHalf, 0},
                          {Kind::kNew, kShift},
                          {Kind::kAdd, kHalf, kHalf}});

Bytes Code(const std::vector<uint32_t>& words) {
  ByteWriter out;
  for (const uint32_t word : words) out.LittleU32(word);
  return out.bytes();
}

Bytes Predicted(Bytes piece, int64_t source, int64_t segment) {
  PredictReferences(Machine::kAarch64, piece, source, segment, kLandings);
  return piece;
}

// Instructions as an assembler writes them (Arm ARM C6.2).
constexpr uint32_t B(int32_t bytes) {
  return 0x14000000 | (static_cast<uint32_t>(bytes / 4) & 0x3ffffff);
}
constexpr uint32_t Bl(int32_t bytes) { return B(bytes) | 0x80000000; }
constexpr uint32_t Imm19(uint32_t opcode, int32_t bytes) {
  return opcode | (static_cast<uint32_t>(bytes / 4) & 0x7ffff) << 5;
}
constexpr uint32_t Beq(int32_t bytes) { return Imm19(0x54000000, bytes); }
constexpr uint32_t Cbz(int32_t bytes) { return Imm19(0xb4000003, bytes); }
constexpr uint32_t Cbnz(int32_t bytes) { return Imm19(0x35000003, bytes); }
constexpr uint32_t Tbnz(int32_t bytes) {
  return 0x37180004 | (static_cast<uint32_t>(bytes / 4) & 0x3fff) << 5;
}
constexpr uint32_t Adrp(uint32_t to, int32_t pages) {
  const auto value = static_cast<uint32_t>(pages);
  return 0x90000000 | (value & 3) << 29 | (value >> 2 & 0x7ffff) << 5 | to;
}
constexpr uint32_t Add(uint32_t to, uint32_t from, uint32_t offset) {
  return 0x91000000 | offset << 10 | from << 5 | to;
}
constexpr uint32_t Ldr(uint32_t to, uint32_t from, uint32_t offset) {
  return 0xf9400000 | offset / 8 << 10 | from << 5 | to;
}
constexpr uint32_t LdrQ(uint32_t to, uint32_t from, uint32_t offset) {
  return 0x3dc00000 | offset / 16 << 10 | from << 5 | to;
}
constexpr uint32_t Ldrb(uint32_t to, uint32_t from, uint32_t offset) {
  return 0x39400000 | offset << 10 | from << 5 | to;
}
constexpr uint32_t kNop = 0xd503201f;

// The encodings above against what binutils 2.40 prints.
static_assert(Bl(-4) == 0x97ffffff && B(8) == 0x14000002 && Beq(8) == 0x54000040);
static_assert(Adrp(0, 1) == 0xb0000000 && Adrp(5, -1) == 0xf0ffffe5);
static_assert(Add(0, 0, 0x123) == 0x91048c00 && Ldr(1, 2, 16) == 0xf9400841);

TEST(PredictAarch64, FollowsCallsAndJumps) {
  // From 0x8000 to 0x18000, which comes to 0x19010.
  EXPECT_EQ(Predicted(Code({Bl(0x10000)}), 0x8000, 0x8000), Code({Bl(0x11010)}));
  EXPECT_EQ(Predicted(Code({kNop, B(0x10000)}), 0x8000, 0x8000), Code({kNop, B(0x11010)}));
}

TEST(PredictAarch64, FollowsCallsBackwards) {
  EXPECT_EQ(Predicted(Code({Bl(-0x10000)}), 0x18000, 0x19010), Code({Bl(-0x11010)}));
}

TEST(PredictAarch64, FollowsNearConditionalBranches) {
  for (const auto branch : {Beq, Cbz, Cbnz, Tbnz}) {
    EXPECT_EQ(Predicted(Code({branch(16)}), kHalf - 8, kHalf - 8), Code({branch(0x1020)}));
    EXPECT_EQ(Predicted(Code({branch(-16)}), kHalf + 8, kHalf + 8 + kShift),
              Code({branch(-0x1020)}));
  }
}

TEST(PredictAarch64, TakesFarConditionalBranchesForData) {
  const Bytes near = Code({Beq(16 * 1024)});
  const Bytes far = Code({Beq(16 * 1024 + 4)});
  EXPECT_NE(Predicted(near, kHalf - 4, kHalf - 4), near);
  EXPECT_EQ(Predicted(far, kHalf - 4, kHalf - 4), far);
}

TEST(PredictAarch64, FollowsPagesWithTheirOffsets) {
  // From 0x8000 to 0x12ff8, which comes to 0x14008.
  EXPECT_EQ(Predicted(Code({Adrp(3, 10), Add(4, 3, 0xff8)}), 0x8000, 0x8000),
            Code({Adrp(3, 12), Add(4, 3, 8)}));
  EXPECT_EQ(Predicted(Code({Adrp(3, 10), kNop, Ldr(4, 3, 0xff8)}), 0x8000, 0x8000),
            Code({Adrp(3, 12), kNop, Ldr(4, 3, 8)}));
  EXPECT_EQ(Predicted(Code({Adrp(3, 10), LdrQ(4, 3, 0xff0)}), 0x8000, 0x8000),
            Code({Adrp(3, 12), LdrQ(4, 3, 0)}));
  EXPECT_EQ(Predicted(Code({Adrp(3, 10), Ldrb(4, 3, 0xfff)}), 0x8000, 0x8000),
            Code({Adrp(3, 12), Ldrb(4, 3, 0xf)}));
}

TEST(PredictAarch64, FollowsPagesBackwards) {
  // From 0x18000, which comes to 0x19010, to 0x8010.
  EXPECT_EQ(Predicted(Code({Adrp(0, -16), Add(0, 0, 0x10)}), 0x18000, 0x19010),
            Code({Adrp(0, -17), Add(0, 0, 0x10)}));
}

TEST(PredictAarch64, UsesAPageForSeveralOffsetsUntilItsRegisterIsOverwritten) {
  EXPECT_EQ(Predicted(Code({Adrp(3, 10), Ldr(4, 3, 0x10), Ldr(3, 3, 0x18), Ldr(5, 3, 0x20)}),
                      0x8000, 0x8000),
            Code({Adrp(3, 11), Ldr(4, 3, 0x20), Ldr(3, 3, 0x28), Ldr(5, 3, 0x20)}));
}

TEST(PredictAarch64, ForgetsAPageAfterEightInstructions) {
  for (const size_t between : {7u, 8u}) {
    std::vector<uint32_t> words{Adrp(3, 10)};
    words.insert(words.end(), between, kNop);
    words.push_back(Add(3, 3, 0x10));
    const Bytes code = Code(words);
    EXPECT_EQ(Predicted(code, 0x8000, 0x8000) == code, between == 8) << between;
  }
}

TEST(PredictAarch64, LeavesAnOffsetThatItsInstructionCannotSay) {
  // The quad word would come to 0x14008.
  const Landings odd({{Kind::kAdd, kHalf, 0}, {Kind::kNew, 0x1008}, {Kind::kAdd, kHalf, kHalf}});
  Bytes code = Code({Adrp(3, 10), LdrQ(4, 3, 0xff0)});
  const Bytes before = code;
  PredictAarch64(code, 0x8000, 0x8000, odd);
  EXPECT_EQ(code, before);
}

TEST(PredictAarch64, LeavesAlonePagesWithoutOffsetAndOffsetsWithoutPage) {
  for (const auto& words :
       {std::vector<uint32_t>{Adrp(3, 10), kNop}, {Add(3, 3, 0x10)}, {Adrp(3, 10), Add(4, 5, 8)}})
    EXPECT_EQ(Predicted(Code(words), 0x8000, 0x8000), Code(words));
}

TEST(PredictAarch64, LeavesAloneWhatLeadsNowhere) {
  for (const uint32_t word : {Bl(0x18000), B(-0x8004), Bl(-0x8000000), Bl(0x7fffffc), Beq(-0x4000)})
    EXPECT_EQ(Predicted(Code({word}), 0x8000, 0x8000), Code({word})) << std::hex << word;
  for (const int32_t pages : {-0x100000, 0xfffff})
    EXPECT_EQ(Predicted(Code({Adrp(3, pages), Add(3, 3, 8)}), 0x8000, 0x8000),
              Code({Adrp(3, pages), Add(3, 3, 8)}));
}

TEST(PredictAarch64, WrapsADistanceThatDoesNotFit) {
  // 128 MiB ahead is 128 MiB back.
  const Landings far({{Kind::kNew, 0x8000000}, {Kind::kAdd, 0x1000, 0}});
  Bytes code = Code({Bl(0)});
  PredictAarch64(code, 0, 0, far);
  EXPECT_EQ(code, Code({Bl(-0x8000000)}));
}

TEST(PredictAarch64, LooksOnlyWhereInstructionsAre) {
  const Bytes call = Code({Bl(0x10000)});
  const Bytes moved = Code({Bl(0x11010)});
  for (size_t lead = 0; lead < 4; ++lead) {
    Bytes piece(lead, 0x55);
    Append(piece, call);
    piece.push_back(0x94);
    Bytes expected(lead, 0x55);
    Append(expected, moved);
    expected.push_back(0x94);
    const auto at = static_cast<int64_t>(0x8000 - lead);
    EXPECT_EQ(Predicted(piece, at, at), expected) << lead;
    EXPECT_EQ(Predicted(piece, at + 1, at + 1), piece) << "not aligned";
    EXPECT_EQ(Predicted(piece, at, at + 2), piece) << "moved by half an instruction";
  }
}

TEST(PredictAarch64, LeavesAnIncompleteInstruction) {
  const Bytes call = Code({Bl(0x10000)});
  for (size_t size = 0; size < call.size(); ++size) {
    const Bytes piece(call.begin(), call.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(Predicted(piece, 0x8000, 0x8000), piece);
  }
}

TEST(PredictAarch64, ChangesAddressesOnlyWhateverTheBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Bytes piece(random() % 600);
    for (uint8_t& byte : piece) byte = static_cast<uint8_t>(random());
    // Half of the words become instructions that are predicted.
    for (size_t at = 3; at < piece.size(); at += 8)
      piece[at] = std::array<uint8_t, 6>{0x94, 0x17, 0x90, 0xf9, 0x91, 0x54}[random() % 6];
    const auto source = static_cast<int64_t>(random() % (2 * kHalf));
    const Bytes out = Predicted(piece, source, source + 4 * static_cast<int64_t>(random() % 4096));
    ASSERT_EQ(out.size(), piece.size());
    for (size_t at = static_cast<size_t>(-source & 3); at + 4 <= out.size(); at += 4) {
      ASSERT_EQ(out[at + 3] & 0x14, piece[at + 3] & 0x14) << "another instruction";
    }
  }
}

}  // namespace
}  // namespace sallyport::ota

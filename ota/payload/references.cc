#include "ota/payload/references.h"

#include <algorithm>
#include <array>

#include "ota/payload/aarch64_references.h"

namespace sallyport::ota {
namespace {

constexpr size_t kInstructionMax = 6;  // opcode of one or two bytes, and the address
constexpr size_t kAddressSize = 4;

// Opcodes that are often followed by an address relative to the instruction pointer (Intel SDM
// volume 2, tables ): mov, lea, cmp, movsxd, add, test, groups 1, 5 and 11, and the
// usual loads and stores of the 0F page.
constexpr std::array<uint8_t, 19> kDataOpcodes = {0x03, 0x10, 0x11, 0x28, 0x29, 0x39, 0x3b,
                                                  0x63, 0x6f, 0x7f, 0x80, 0x83, 0x85, 0x89,
                                                  0x8b, 0x8d, 0xb6, 0xc7, 0xff};
constexpr std::array<bool, 256> kIsDataOpcode = [] {
  std::array<bool, 256> out{};
  for (const uint8_t opcode : kDataOpcodes) out[opcode] = true;
  return out;
}();

// AddressAt says how far behind `code` an address stands; 0 where there is none.
size_t AddressAt(const uint8_t* code) {
  if (code[0] == 0xe8 || code[0] == 0xe9) return 1;               // call, jmp
  if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80) return 2;      // jcc
  if (kIsDataOpcode[code[0]] && (code[1] & 0xc7) == 5) return 2;  // mod 00, r/m 101
  return 0;
}

int32_t ReadAddress(const uint8_t* at) {
  uint32_t value = 0;
  for (size_t i = 0; i < kAddressSize; ++i) value |= static_cast<uint32_t>(at[i]) << (8 * i);
  return static_cast<int32_t>(value);
}

void WriteAddress(uint8_t* at, int64_t value) {
  for (size_t i = 0; i < kAddressSize; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

void PredictX86(std::span<uint8_t> piece, int64_t source, int64_t segment,
                const Landings& landings) {
  for (size_t at = 0; at + kInstructionMax <= piece.size();) {
    const size_t address = AddressAt(&piece[at]);
    if (address == 0) {
      ++at;
      continue;
    }
    const auto end = static_cast<int64_t>(at + address + kAddressSize);
    const auto target = landings.Find(source + end + ReadAddress(&piece[at + address]));
    if (!target) {
      ++at;
      continue;
    }
    WriteAddress(&piece[at + address], *target - (segment + end));
    at += address + kAddressSize;
  }
}

}  // namespace

Landings::Landings(const std::vector<PatchOp>& ops) {
  int64_t at = 0;
  for (const PatchOp& op : ops) {
    if (op.kind == PatchOp::Kind::kCopy || op.kind == PatchOp::Kind::kAdd)
      landings_.push_back({op.source, op.length, at});
    at += op.length;
  }
  std::ranges::stable_sort(landings_, {}, &Landing::source);
}

std::optional<int64_t> Landings::Find(int64_t source) const {
  const auto above = std::ranges::upper_bound(landings_, source, {}, &Landing::source);
  if (above == landings_.begin()) return std::nullopt;
  const Landing& landing = *(above - 1);
  if (source - landing.source >= landing.length) return std::nullopt;
  return source - landing.source + landing.segment;
}

void PredictReferences(Machine machine, std::span<uint8_t> piece, int64_t source, int64_t segment,
                       const Landings& landings) {
  switch (machine) {
    case Machine::kX86: return PredictX86(piece, source, segment, landings);
    case Machine::kAarch64: return PredictAarch64(piece, source, segment, landings);
  }
}

}  // namespace sallyport::ota

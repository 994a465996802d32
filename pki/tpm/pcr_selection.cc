#include "pki/tpm/pcr_selection.h"

namespace sallyport::pki {
namespace {

constexpr uint8_t kSelectBytes = tpm::kPcrCount / 8;

Error Refuse(std::string_view rule, std::string detail) {
  return {Reason::kMalformed, std::move(detail), rule};
}

Result<PcrBank> ReadBank(ByteReader& reader) {
  SP_TRY(const uint16_t algorithm, reader.BigU16());
  SP_TRY(const uint8_t size, reader.U8());
  if (size != kSelectBytes) return Refuse("selection.select-size", std::to_string(size) + " bytes");
  SP_TRY(const ByteView bits, reader.Take(kSelectBytes));
  PcrBank bank{algorithm};
  for (unsigned i = 0; i < kSelectBytes; ++i)
    bank.bitmap |= static_cast<uint32_t>(bits[i]) << (8 * i);
  return bank;
}

Result<PcrSelection> ReadBanks(ByteReader& reader) {
  SP_TRY(const uint32_t count, reader.BigU32());
  if (count > kPcrBanksMax) return Refuse("selection.count", std::to_string(count) + " banks");
  PcrSelection selection;
  for (uint32_t i = 0; i < count; ++i) {
    SP_TRY(const PcrBank bank, ReadBank(reader));
    const auto same = [&](const PcrBank& other) { return other.algorithm == bank.algorithm; };
    if (std::ranges::any_of(selection, same))
      return Refuse("selection.bank-twice", std::to_string(bank.algorithm));
    selection.push_back(bank);
  }
  return selection;
}

}  // namespace

Result<PcrSelection> ReadPcrSelection(ByteReader& reader) {
  auto selection = ReadBanks(reader);
  if (!selection && selection.error().rule.empty())
    return Refuse("selection.structure", std::move(selection).error().detail);
  return selection;
}

void WritePcrSelection(ByteWriter& writer, const PcrSelection& selection) {
  writer.BigU32(static_cast<uint32_t>(selection.size()));
  for (const PcrBank& bank : selection) {
    writer.BigU16(bank.algorithm).U8(kSelectBytes);
    for (unsigned i = 0; i < kSelectBytes; ++i)
      writer.U8(static_cast<uint8_t>(bank.bitmap >> (8 * i)));
  }
}

}  // namespace sallyport::pki

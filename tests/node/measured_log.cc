#include "tests/node/measured_log.h"

namespace sallyport::node {
namespace {

// TCG_EfiSpecIDEvent, in a TCG_PCR_EVENT with an unused SHA-1 digest (10.4.5.1).
Bytes Header(const std::vector<PcrBankId>& banks) {
  constexpr char kSignature[16] = "Spec ID Event03";
  ByteWriter spec;
  spec.Raw(AsBytes(std::string_view(kSignature, sizeof kSignature)));
  spec.LittleU32(0).U8(0).U8(2).U8(0).U8(
      2);  // client platform, specification 2.0 errata 0, 64-bit UINTN
  spec.LittleU32(static_cast<uint32_t>(banks.size()));
  for (const PcrBankId bank : banks)
    spec.LittleU16(bank).LittleU16(static_cast<uint16_t>(HashForBank(bank, {}).size()));
  spec.U8(0);  // no vendor information
  ByteWriter out;
  out.LittleU32(0).LittleU32(static_cast<uint32_t>(EventType::kNoAction)).Raw(Bytes(20));
  out.LittleU32(static_cast<uint32_t>(spec.bytes().size())).Raw(spec.bytes());
  return std::move(out).Take();
}

}  // namespace

MeasuredLog::MeasuredLog(EsysTpm& tpm, std::vector<PcrBankId> banks)
    : tpm_(tpm), banks_(std::move(banks)), log_(Header(banks_)) {}

Result<Unit> MeasuredLog::Measure(uint32_t pcr, EventType type,
                                  const std::vector<ByteView>& content, ByteView data) {
  ByteWriter event;
  event.LittleU32(pcr).LittleU32(static_cast<uint32_t>(type));
  event.LittleU32(static_cast<uint32_t>(banks_.size()));
  std::map<PcrBankId, Bytes> digests;
  for (const PcrBankId bank : banks_) {
    const Bytes& digest = digests[bank] = HashForBank(bank, content);
    event.LittleU16(bank).Raw(digest);
  }
  SP_TRY(tpm_.Extend(pcr, digests));
  event.LittleU32(static_cast<uint32_t>(data.size())).Raw(data);
  Append(log_, event.bytes());
  return Ok();
}

Result<Unit> MeasuredLog::MeasureData(uint32_t pcr, EventType type, ByteView data) {
  return Measure(pcr, type, {data}, data);
}

}  // namespace sallyport::node

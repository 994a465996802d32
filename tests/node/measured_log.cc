#include "tests/node/measured_log.h"

#include "pki/crypto/hash.h"

namespace sallyport::node {
namespace {

constexpr uint16_t kSha256 = 0x000B;

// TCG_EfiSpecIDEvent for one bank, in a TCG_PCR_EVENT with an unused SHA-1 digest (10.4.5.1).
Bytes Header() {
  constexpr char kSignature[16] = "Spec ID Event03";
  ByteWriter spec;
  spec.Raw(AsBytes(std::string_view(kSignature, sizeof kSignature)));
  spec.LittleU32(0).U8(0).U8(2).U8(0).U8(
      2);  // client platform, specification 2.0 errata 0, 64-bit UINTN
  spec.LittleU32(1).LittleU16(kSha256).LittleU16(Sha256Digest::kSize);
  spec.U8(0);  // no vendor information
  ByteWriter out;
  out.LittleU32(0).LittleU32(static_cast<uint32_t>(EventType::kNoAction)).Raw(Bytes(20));
  out.LittleU32(static_cast<uint32_t>(spec.bytes().size())).Raw(spec.bytes());
  return std::move(out).Take();
}

}  // namespace

MeasuredLog::MeasuredLog(EsysTpm& tpm) : tpm_(tpm), log_(Header()) {}

Result<Unit> MeasuredLog::Measure(uint32_t pcr, EventType type, const Sha256Digest& digest,
                                  ByteView data) {
  SP_TRY(tpm_.Extend(pcr, digest));
  ByteWriter event;
  event.LittleU32(pcr).LittleU32(static_cast<uint32_t>(type));
  event.LittleU32(1).LittleU16(kSha256).Raw(digest.view());
  event.LittleU32(static_cast<uint32_t>(data.size())).Raw(data);
  Append(log_, event.bytes());
  return Ok();
}

Result<Unit> MeasuredLog::MeasureData(uint32_t pcr, EventType type, ByteView data) {
  return Measure(pcr, type, pki::Sha256(data), data);
}

}  // namespace sallyport::node

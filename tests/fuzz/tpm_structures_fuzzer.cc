// TPMS_ATTEST, TPMT_PUBLIC and TPMT_SIGNATURE on any bytes: an error names its rule and leaves no
// value; what was read is written again to the same bytes, or, for ECDSA numbers with zeros in
// front, to the same signature. Seeds: tests/vectors/attest, fuzz/seeds/tpm.
#include "pki/tpm/attest.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/signature.h"

namespace {

using namespace sallyport;       // NOLINT(google-build-using-namespace)
using namespace sallyport::pki;  // NOLINT(google-build-using-namespace)

Bytes Write(const Attest& attest) {
  const auto type = attest.quote() != nullptr     ? tpm::AttestType::kQuote
                    : attest.certify() != nullptr ? tpm::AttestType::kCertify
                    : attest.nv() != nullptr      ? tpm::AttestType::kNv
                                                  : tpm::AttestType::kCreation;
  ByteWriter out;
  out.BigU32(tpm::kGenerated).BigU16(static_cast<uint16_t>(type));
  out.Sized16(attest.qualified_signer).Sized16(attest.extra_data);
  out.BigU64(attest.clock.clock_ms).BigU32(attest.clock.reset_count);
  out.BigU32(attest.clock.restart_count).U8(attest.clock.safe ? 1 : 0);
  out.BigU64(attest.firmware_version);
  if (const QuoteBody* const quote = attest.quote()) {
    WritePcrSelection(out, quote->selection);
    out.Sized16(quote->pcr_digest);
  } else if (const CertifyBody* const certify = attest.certify()) {
    out.Sized16(certify->name).Sized16(certify->qualified_name);
  } else if (const NvBody* const nv = attest.nv()) {
    out.Sized16(nv->index_name).BigU16(nv->offset).Sized16(nv->contents);
  } else {
    out.Sized16(attest.creation()->object_name).Sized16(attest.creation()->creation_hash);
  }
  return std::move(out).Take();
}

void CheckAttest(ByteView bytes) {
  const Result<Attest> attest = ParseAttest(bytes);
  SP_CHECK(attest.has_value() || !attest.error().rule.empty());
  if (attest) SP_CHECK(Equal(Write(*attest), bytes));
}

void CheckArea(ByteView bytes) {
  const Result<PublicArea> area = ParsePublicArea(bytes);
  SP_CHECK(area.has_value() || !area.error().rule.empty());
  if (!area) return;
  SP_CHECK(Equal(area->Marshal(), bytes));
  const Result<PublicKey> key = area->ToPublicKey();
  for (const KeyRuleResult& result : CheckAttestationKey(*area)) {
    SP_CHECK(result.passed == result.detail.empty());
    if (result.rule == "ak.key") SP_CHECK(result.passed == key.has_value());
  }
}

void CheckSignature(ByteView bytes) {
  const Result<TpmSignature> signature = ParseTpmSignature(bytes);
  SP_CHECK(signature.has_value() || !signature.error().rule.empty());
  if (!signature) return;
  ByteReader reader(bytes, "signature");
  static_cast<void>(reader.Take(4).value());
  const ByteView first = reader.Sized16(kTpmSignatureBytesMax).value();
  if (signature->scheme.scheme != SignatureScheme::kEcdsa) {
    SP_CHECK(Equal(signature->bytes, first) && reader.remaining() == 0);
    return;
  }
  const ByteView second = reader.Sized16(kTpmSignatureBytesMax).value();
  SP_CHECK(reader.remaining() == 0 && EcdsaDer(first, second).value() == signature->bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  CheckAttest(bytes);
  CheckArea(bytes);
  CheckSignature(bytes);
  return 0;
}

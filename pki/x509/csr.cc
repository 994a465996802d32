#include "pki/x509/csr.h"

#include "pki/x509/profile.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kDerRule = "csr.der";

Error WrongAlgorithm() {
  return Error{Reason::kUnsupported, "request is not P-256 with SHA-256", "csr.algorithm"};
}

// ReadAttributes checks the shape of what is then ignored.
Result<Unit> ReadAttributes(der::Reader& info) {
  SP_TRY(der::Reader attributes, info.Enter(der::Context(0)));
  while (!attributes.empty()) SP_TRY(attributes.Content(der::kSequence));
  return info.End();
}

Result<ByteView> ReadRequestInfo(ByteView content) {
  der::Reader info(content, kDerRule);
  SP_TRY(const uint64_t version, info.Unsigned(der::kInteger));
  if (version != 0) return Error{Reason::kMalformed, "request version", kDerRule};
  SP_TRY(info.Content(der::kSequence));
  SP_TRY(const der::Element spki, info.Next(der::kSequence));
  if (!IsP256Spki(spki.whole)) return WrongAlgorithm();
  SP_TRY(ReadAttributes(info));
  return spki.whole;
}

}  // namespace

Result<CertificateRequest> ParseCsr(ByteView bytes) {
  if (bytes.size() > kCsrBytesMax)
    return Error{Reason::kTooLarge, "request of " + std::to_string(bytes.size()) + " bytes",
                 "csr.size"};
  der::Reader outer(bytes, kDerRule);
  SP_TRY(der::Reader request, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const der::Element info, request.Next(der::kSequence));
  SP_TRY(const ByteView spki, ReadRequestInfo(info.content));
  SP_TRY(const der::Element algorithm, request.Next(der::kSequence));
  if (!Equal(algorithm.whole, kEcdsaSha256)) return WrongAlgorithm();
  SP_TRY(const ByteView signature, request.BitString());
  SP_TRY(request.End());
  SP_TRY(PublicKey key, PublicKey::FromSpki(spki));
  if (!key.Verify(info.whole, signature).has_value())
    return Error{Reason::kBadSignature, "request is not signed by its own key", "csr.signature"};
  return CertificateRequest{std::move(key)};
}

Result<Bytes> MakeCsr(ByteView spki,
                      const std::function<Result<Bytes>(ByteView to_be_signed)>& sign) {
  constexpr uint8_t kVersion1AndNoName[] = {0x02, 0x01, 0x00, 0x30, 0x00};
  constexpr uint8_t kNoAttributes[] = {0xA0, 0x00};
  const Bytes info = der::Encode(der::kSequence, {kVersion1AndNoName, spki, kNoAttributes});
  SP_TRY(const Bytes signature, sign(info));
  return der::Encode(der::kSequence, {info, kEcdsaSha256, der::EncodeBitString(signature)});
}

}  // namespace sallyport::pki

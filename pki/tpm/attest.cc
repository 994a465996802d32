#include "pki/tpm/attest.h"

namespace sallyport::pki {
namespace {

constexpr size_t kDigestBytesMax = 64;
constexpr size_t kNvContentsBytesMax = 64;  // the largest of our indices holds 40

Result<Bytes> ReadSized(ByteReader& reader, size_t size_max) {
  SP_TRY(const ByteView view, reader.Sized16(size_max));
  return ToBytes(view);
}

Result<ClockInfo> ReadClock(ByteReader& reader) {
  ClockInfo clock{};
  SP_TRY(clock.clock_ms, reader.BigU64());
  SP_TRY(clock.reset_count, reader.BigU32());
  SP_TRY(clock.restart_count, reader.BigU32());
  SP_TRY(const uint8_t safe, reader.U8());
  if (safe > 1) return Error{Reason::kMalformed, "safe is " + std::to_string(safe), "attest.safe"};
  clock.safe = safe == 1;
  return clock;
}

using Body = std::variant<QuoteBody, CertifyBody, CreationBody, NvBody>;

Result<Body> ReadBody(ByteReader& reader, uint16_t type) {
  switch (static_cast<tpm::AttestType>(type)) {
    case tpm::AttestType::kQuote: {
      SP_TRY(PcrSelection selection, ReadPcrSelection(reader));
      SP_TRY(Bytes digest, ReadSized(reader, kDigestBytesMax));
      return Body(QuoteBody{std::move(selection), std::move(digest)});
    }
    case tpm::AttestType::kCertify: {
      SP_TRY(Bytes name, ReadSized(reader, kNameBytesMax));
      SP_TRY(Bytes qualified, ReadSized(reader, kNameBytesMax));
      return Body(CertifyBody{std::move(name), std::move(qualified)});
    }
    case tpm::AttestType::kCreation: {
      SP_TRY(Bytes name, ReadSized(reader, kNameBytesMax));
      SP_TRY(Bytes hash, ReadSized(reader, kDigestBytesMax));
      return Body(CreationBody{std::move(name), std::move(hash)});
    }
    case tpm::AttestType::kNv: {
      SP_TRY(Bytes name, ReadSized(reader, kNameBytesMax));
      SP_TRY(const uint16_t offset, reader.BigU16());
      SP_TRY(Bytes contents, ReadSized(reader, kNvContentsBytesMax));
      return Body(NvBody{std::move(name), offset, std::move(contents)});
    }
  }
  return Error{Reason::kUnsupported, "attestation of type " + std::to_string(type), "attest.type"};
}

Result<Attest> ReadAttest(ByteReader& reader) {
  SP_TRY(const uint32_t magic, reader.BigU32());
  if (magic != tpm::kGenerated)
    return Error{Reason::kMalformed, "not made by a TPM", "attest.magic"};
  SP_TRY(const uint16_t type, reader.BigU16());
  SP_TRY(Bytes signer, ReadSized(reader, kNameBytesMax));
  SP_TRY(Bytes extra, ReadSized(reader, kExtraDataBytesMax));
  SP_TRY(const ClockInfo clock, ReadClock(reader));
  SP_TRY(const uint64_t firmware, reader.BigU64());
  SP_TRY(Body body, ReadBody(reader, type));
  SP_TRY(reader.End());
  return Attest{std::move(signer), std::move(extra), clock, firmware, std::move(body)};
}

}  // namespace

Result<Attest> ParseAttest(ByteView bytes) {
  if (bytes.size() > kAttestBytesMax)
    return Error{Reason::kTooLarge, "attestation of " + std::to_string(bytes.size()) + " bytes",
                 "attest.structure"};
  ByteReader reader(bytes, "TPMS_ATTEST");
  auto attest = ReadAttest(reader);
  if (!attest && attest.error().rule.empty()) {
    Error error = std::move(attest).error();
    error.rule = "attest.structure";
    return error;
  }
  return attest;
}

}  // namespace sallyport::pki

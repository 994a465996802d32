#include "device-client/tpm/ek_certificate.h"

namespace sallyport::device {
namespace {

constexpr uint8_t kDerSequence = 0x30;
// TCG PC Client Specific Implementation 1.21, 7.3.2: tag 0x1001, type 0 (full certificate), u16
// size.
constexpr uint8_t kStoredHeader[] = {0x10, 0x01, 0x00};
constexpr size_t kStoredHeaderBytes = 5;

Error Refuse(std::string_view detail) {
  return {Reason::kMalformed, std::string(detail), "ek-certificate.der"};
}

// SequenceSize is the size of the SEQUENCE at the front of `bytes`, header included. A certificate
// takes more than 127 bytes, so that the short form does not occur.
Result<size_t> SequenceSize(ByteView bytes) {
  if (bytes.size() < 4 || bytes[0] != kDerSequence) return Refuse("no sequence");
  size_t header = 0;
  size_t content = 0;
  if (bytes[1] == 0x81) {
    header = 3;
    content = bytes[2];
  } else if (bytes[1] == 0x82) {
    header = 4;
    content = static_cast<size_t>(bytes[2]) << 8 | bytes[3];
  } else {
    return Refuse("length of the sequence");
  }
  if (content > bytes.size() - header) return Refuse("truncated");
  if (header + content > kEkCertificateBytesMax)
    return Error{Reason::kTooLarge, "certificate above its maximum"};
  return header + content;
}

ByteView WithoutStoredHeader(ByteView nv) {
  const bool stored =
      nv.size() > kStoredHeaderBytes && Equal(nv.first(sizeof kStoredHeader), kStoredHeader);
  return stored ? nv.subspan(kStoredHeaderBytes) : nv;
}

}  // namespace

Result<Bytes> TakeCertificate(ByteView nv) {
  const ByteView bytes = WithoutStoredHeader(nv);
  SP_TRY(const size_t size, SequenceSize(bytes));
  return ToBytes(bytes.first(size));
}

Result<std::vector<Bytes>> TakeCertificates(ByteView nv) {
  std::vector<Bytes> out;
  for (ByteView rest = nv; !rest.empty() && rest[0] == kDerSequence;) {
    SP_TRY(const size_t size, SequenceSize(rest));
    out.push_back(ToBytes(rest.first(size)));
    rest = rest.subspan(size);
  }
  return out;
}

}  // namespace sallyport::device

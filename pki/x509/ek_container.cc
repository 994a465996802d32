// The forms in which EK certificates arrive.
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "pki/crypto/openssl_ptr.h"
#include "pki/x509/der.h"
#include "pki/x509/ek_certificate.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kPemBegin = "-----BEGIN ";
// TCG PC Client Specific Implementation 1.21, 7.3.2: tag 0x1001, type 0 (a full certificate), size.
constexpr uint8_t kStoredTag[] = {0x10, 0x01};
constexpr size_t kStoredHeaderBytes = 5;
constexpr size_t kFileBytesMax = kEkChainMax * kEkCertificateBytesMax * 2;  // PEM, text around it

Error NotOneSequence() { return {Reason::kMalformed, "not one DER SEQUENCE", "ek.der"}; }
Error BadHeader(std::string detail) {
  return {Reason::kMalformed, std::move(detail), "ek.nv-header"};
}
Error TooLarge() { return {Reason::kTooLarge, "EK certificate above 8 KiB", "ek.size"}; }
Error IsAttributeCertificate() {
  return {Reason::kUnsupported, "a platform attribute certificate holds no endorsement key",
          "ek.attribute-certificate"};
}

size_t Size16(ByteView bytes) { return static_cast<size_t>(bytes[0]) << 8 | bytes[1]; }

// SequenceSize is the size of the SEQUENCE at the front, header included. Long forms that are not
// minimal pass: what follows them is signed all the same.
Result<size_t> SequenceSize(ByteView bytes) {
  if (bytes.size() < 4 || bytes[0] != der::kSequence) return NotOneSequence();
  size_t header = 2;
  size_t content = bytes[1];
  if (content >= 0x80) {
    const size_t octets = content & 0x7F;
    if (octets == 0 || octets > 2) return NotOneSequence();
    header += octets;
    content = octets == 1 ? bytes[2] : Size16(bytes.subspan(2));
  }
  if (content > bytes.size() - header) return NotOneSequence();
  return header + content;
}

bool IsPadding(ByteView rest) {
  return rest.empty() || ((rest[0] == 0x00 || rest[0] == 0xFF) &&
                          std::ranges::all_of(rest, [&](uint8_t b) { return b == rest[0]; }));
}

// WithoutHeader cuts what some TPMs write in front of the certificate.
Result<ByteView> WithoutHeader(ByteView nv) {
  if (nv.size() >= kStoredHeaderBytes && Equal(nv.first(2), kStoredTag)) {
    const size_t size = Size16(nv.subspan(3));
    if (nv[2] != 0) return BadHeader("not a full certificate");
    if (size > nv.size() - kStoredHeaderBytes) return BadHeader("more bytes than there are");
    return nv.subspan(kStoredHeaderBytes, size);
  }
  if (nv.size() > 2 && nv[0] != der::kSequence && nv[2] == der::kSequence) {
    if (Size16(nv) > nv.size() - 2) return BadHeader("more bytes than there are");
    if (!IsPadding(nv.subspan(2 + Size16(nv)))) return BadHeader("bytes behind the counted ones");
    return nv.subspan(2, Size16(nv));
  }
  return nv;
}

// RFC 5755: AttributeCertificateInfo starts with version 1 and a Holder, whose members are tagged
// [0] to [2]; a certificate starts with a version tagged [0] or a serial number and an OID.
bool LooksLikeAttributeCertificate(ByteView bytes) {
  der::Reader outer(bytes, "ek.der");
  Result<der::Reader> whole = outer.Enter(der::kSequence);
  if (!whole.has_value()) return false;
  Result<der::Reader> info = whole->Enter(der::kSequence);
  if (!info.has_value()) return false;
  const Result<uint64_t> version = info->Unsigned(der::kInteger);
  if (!version.has_value() || *version != 1) return false;
  const Result<der::Reader> holder = info->Enter(der::kSequence);
  return holder.has_value() && (holder->NextIs(der::Context(0)) ||
                                holder->NextIs(der::Context(1)) || holder->NextIs(der::Context(2)));
}

Result<std::vector<Bytes>> TakeDer(ByteView nv) {
  SP_TRY(const ByteView content, WithoutHeader(nv));
  std::vector<Bytes> out;
  for (ByteView rest = content; out.empty() || (!rest.empty() && rest[0] == der::kSequence);) {
    if (out.size() == kEkChainMax)
      return Error{Reason::kTooLarge, "more than eight certificates", "ek.chain-length"};
    SP_TRY(const size_t size, SequenceSize(rest));
    if (size > kEkCertificateBytesMax) return TooLarge();
    if (LooksLikeAttributeCertificate(rest.first(size))) return IsAttributeCertificate();
    out.push_back(ToBytes(rest.first(size)));
    rest = rest.subspan(size);
    if (!rest.empty() && rest[0] != der::kSequence && !IsPadding(rest)) return NotOneSequence();
  }
  if (out.size() == 1 && nv.size() > kEkCertificateBytesMax) return TooLarge();
  return out;
}

Result<Unit> TakePemBlock(std::string_view label, ByteView content, std::vector<Bytes>& out) {
  if (label == "ATTRIBUTE CERTIFICATE") return IsAttributeCertificate();
  if (label != PEM_STRING_X509 && label != PEM_STRING_X509_OLD) return Unit{};
  SP_TRY(const std::vector<Bytes> taken, TakeDer(content));
  out.insert(out.end(), taken.begin(), taken.end());
  if (out.size() > kEkChainMax)
    return Error{Reason::kTooLarge, "more than eight certificates", "ek.chain-length"};
  return Unit{};
}

Result<std::vector<Bytes>> TakePem(ByteView file) {
  const BioPtr bio(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
  std::vector<Bytes> out;
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* content = nullptr;
  long size = 0;
  Result<Unit> taken = Unit{};
  while (taken.has_value() && PEM_read_bio(bio.get(), &label, &header, &content, &size) == 1) {
    taken = TakePemBlock(label, ByteView(content, static_cast<size_t>(size)), out);
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(content);
  }
  const unsigned long end = ERR_peek_last_error();
  ERR_clear_error();
  if (!taken.has_value()) return std::move(taken).error();
  if (ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
    return Error{Reason::kMalformed, "a PEM block does not parse", "ek.der"};
  if (out.empty()) return Error{Reason::kMalformed, "PEM does not hold a certificate", "ek.der"};
  return out;
}

}  // namespace

Result<std::vector<Bytes>> TakeEkCertificates(ByteView bytes) {
  if (bytes.size() > kFileBytesMax) return TooLarge();
  const bool binary = !bytes.empty() && (bytes[0] == der::kSequence || bytes[0] == kStoredTag[0]);
  if (!binary && AsText(bytes).find(kPemBegin) != std::string_view::npos) return TakePem(bytes);
  return TakeDer(bytes);
}

}  // namespace sallyport::pki

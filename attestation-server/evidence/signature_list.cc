#include "attestation-server/evidence/signature_list.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr size_t kGuidSize = 16;
constexpr size_t kListHeaderSize = kGuidSize + 3 * sizeof(uint32_t);
constexpr size_t kHashSize = 32;
constexpr size_t kTimedHashSize = kHashSize + 16;  // and the time of revocation
using Guid = std::array<uint8_t, kGuidSize>;

// On the wire: the first three fields are little-endian.
constexpr Guid kX509Guid{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a,
                         0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72};
constexpr Guid kSha256Guid{0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40,
                           0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28};
constexpr Guid kTbsSha256Guid{0x92, 0xa4, 0xd2, 0x3b, 0xc0, 0x96, 0x79, 0x40,
                              0xb4, 0x20, 0xfc, 0xf9, 0x8e, 0xf1, 0x03, 0xed};

constexpr std::pair<SignatureKind, std::string_view> kKindNames[] = {
    {SignatureKind::kX509, "x509"},
    {SignatureKind::kSha256, "sha256"},
    {SignatureKind::kTbsSha256, "tbs-sha256"},
    {SignatureKind::kOther, "other"},
};

Error Malformed(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

std::array<uint8_t, 32> First32(ByteView data) {
  std::array<uint8_t, 32> out;
  std::ranges::copy(data.first(out.size()), out.begin());
  return out;
}

Result<SignatureId> Identify(ByteView type, ByteView content) {
  if (Equal(type, kX509Guid)) {
    if (content.empty()) return Malformed("signature-list.sizes", "an empty certificate");
    return SignatureId{SignatureKind::kX509, pki::Sha256(content).array()};
  }
  if (Equal(type, kSha256Guid)) {
    if (content.size() != kHashSize) return Malformed("signature-list.sizes", "not a SHA-256");
    return SignatureId{SignatureKind::kSha256, First32(content)};
  }
  if (Equal(type, kTbsSha256Guid)) {
    if (content.size() != kTimedHashSize)
      return Malformed("signature-list.sizes", "not a SHA-256 with a time");
    return SignatureId{SignatureKind::kTbsSha256, First32(content)};
  }
  return SignatureId{SignatureKind::kOther, pki::Sha256({type, content}).array()};
}

Result<Unit> ParseOne(ByteReader& reader, std::vector<SignatureId>& out) {
  SP_TRY(const ByteView type, reader.Take(kGuidSize));
  SP_TRY(const uint32_t list_size, reader.LittleU32());
  SP_TRY(const uint32_t header_size, reader.LittleU32());
  SP_TRY(const uint32_t entry_size, reader.LittleU32());
  if (list_size < kListHeaderSize || list_size - kListHeaderSize > reader.remaining())
    return Malformed("signature-list.truncated", "a list reaches past the end");
  const size_t body_size = list_size - kListHeaderSize;
  if (header_size > body_size || entry_size < kGuidSize ||
      (body_size - header_size) % entry_size != 0)
    return Malformed("signature-list.sizes", "header, entries and list do not add up");
  SP_TRY(ByteView body, reader.Take(body_size));
  for (body = body.subspan(header_size); !body.empty(); body = body.subspan(entry_size)) {
    if (out.size() == kSignaturesMax)
      return Error{Reason::kTooLarge, "too many signatures", "signature-list.too-many"};
    SP_TRY(const SignatureId id, Identify(type, body.subspan(kGuidSize, entry_size - kGuidSize)));
    out.push_back(id);
  }
  return Ok();
}

}  // namespace

std::string SignatureId::Text() const {
  for (const auto& [named, name] : kKindNames)
    if (named == kind) return std::string(name) + ":" + HexEncode(digest);
  std::abort();
}

Result<SignatureId> SignatureId::Parse(std::string_view text) {
  const size_t colon = text.find(':');
  for (const auto& [kind, name] : kKindNames) {
    if (text.substr(0, colon) != name || colon == std::string_view::npos) continue;
    const Result<Bytes> digest = HexDecode(text.substr(colon + 1));
    if (digest && digest->size() == kHashSize) return SignatureId{kind, First32(*digest)};
  }
  return Malformed("signature.id", "expected x509:, sha256:, tbs-sha256: or other: and 64 digits");
}

Result<std::vector<SignatureId>> ParseSignatureLists(ByteView data) {
  std::vector<SignatureId> out;
  ByteReader reader(data, "signature list");
  while (reader.remaining() > 0) {
    if (reader.remaining() < kListHeaderSize)
      return Malformed("signature-list.truncated", "bytes after the last list");
    SP_TRY(ParseOne(reader, out));
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

Result<SignatureId> ParseSignatureData(ByteView data) {
  if (data.size() <= kGuidSize) return Malformed("signature-list.truncated", "no signature");
  const ByteView content = data.subspan(kGuidSize);
  return Identify(content.size() == kHashSize ? ByteView(kSha256Guid) : ByteView(kX509Guid),
                  content);
}

}  // namespace sallyport::server

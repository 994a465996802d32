// EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1): the content of PK, KEK, db and dbx. Pure; thread-safe.
#pragma once

#include <compare>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/digest.h"
#include "pki/base/result.h"

namespace sallyport::server {

// A dbx of 2026 has 450 entries; 24 KB of 48-byte entries bound real ones.
inline constexpr size_t kSignaturesMax = 8192;

enum class SignatureKind : uint8_t {
  kX509,       // a certificate, by the SHA-256 of its DER
  kSha256,     // an image, by its Authenticode SHA-256
  kTbsSha256,  // a certificate, by the SHA-256 of its to-be-signed part (EFI_CERT_X509_SHA256)
  kOther,      // anything else, by the SHA-256 of type and content
};

// SignatureId names what an entry allows or forbids, whoever owns it. Written "x509:<hex>",
// "sha256:<hex>", "tbs-sha256:<hex>", "other:<hex>".
struct SignatureId {
  SignatureKind kind;
  std::array<uint8_t, 32> digest;
  auto operator<=>(const SignatureId&) const = default;
  std::string Text() const;
  // Parse returns kMalformed with signature.id.
  static Result<SignatureId> Parse(std::string_view text);
};

// ParseSignatureLists returns the entries of concatenated lists, sorted, each once. No bytes at all
// are an empty database. kMalformed with
//   signature-list.truncated  a list reaches past the end, or bytes are left over
//   signature-list.sizes      header, entries and list do not add up, or an entry is no entry of
//                             its type
// kTooLarge with signature-list.too-many.
Result<std::vector<SignatureId>> ParseSignatureLists(ByteView data);

// ParseSignatureData identifies one EFI_SIGNATURE_DATA as a variable authority holds it: 16 bytes
// of owner, then a certificate, or an image hash when 32 bytes are left.
Result<SignatureId> ParseSignatureData(ByteView data);

}  // namespace sallyport::server

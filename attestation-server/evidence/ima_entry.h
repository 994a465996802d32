// One entry of a measurement list: which file, with which digest, signed by whom (Linux,
// security/integrity: templates ima-ng = d-ng|n-ng, ima-sig = d-ng|n-ng|sig; signature headers v2
// and v3). Pure; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "pki/crypto/signature.h"
#include "pki/tpm/measurement_list.h"

namespace sallyport::server {

inline constexpr std::string_view kBootAggregate = "boot_aggregate";

// ImaEntry: views borrow the list.
struct ImaEntry {
  uint32_t pcr;
  bool violation;
  ByteView data;  // of the template, as it is hashed
  // Of the file; nothing for SHA-1, MD5 and what is not known here.
  std::optional<pki::HashAlgorithm> algorithm;
  ByteView digest;
  std::string_view path;
  ByteView signature;  // as in security.ima; empty when there is none
};

// ParseImaEntry reads the template. kUnsupported "ima.template" for every other template;
// kMalformed "ima.fields" when the fields do not fill the data exactly, or are none.
Result<ImaEntry> ParseImaEntry(const pki::MeasuredEntry& entry);

// DescribePath renders a path for people: what is not printable ASCII becomes '?', and it is cut.
std::string DescribePath(std::string_view path);

// ImaSignature is a header and the signature behind it.
struct ImaSignature {
  uint8_t type;     // of the extended attribute: 3 a file's, 6 of an fs-verity digest
  uint8_t version;  // 2: over the digest; 3: over type, algorithm and digest
  pki::HashAlgorithm hash;
  uint32_t key_id;
  ByteView bytes;  // PKCS #1 v1.5, or DER ECDSA
};
// ParseImaSignature: kUnsupported for other types (EVM's), versions and SHA-1; kMalformed when the
// size in the header is not that of the signature. Rule "ima.signature".
Result<ImaSignature> ParseImaSignature(ByteView attribute);

// VerifyImaSignature: kBadSignature, kMismatch (the file was hashed with another algorithm than was
// signed), kUnsupported (a key that no file is signed with). Rule "ima.signature".
Result<Unit> VerifyImaSignature(const pki::PublicKey& key, const ImaSignature& signature,
                                const ImaEntry& entry);

// ImaListFromAscii turns ascii_runtime_measurements into the binary list; template digests are
// taken as they are written. kMalformed "ima.structure" with the line, kUnsupported "ima.template".
Result<Bytes> ImaListFromAscii(std::string_view text);

}  // namespace sallyport::server

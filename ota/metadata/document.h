// A signed TUF document: parsed once, canonicalised, verified, and only then handed on for reading.
// The tree that VerifiedBody shows is the very tree whose canonical form was verified (architecture
// 7).
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ota/metadata/keys.h"

namespace sallyport::ota {

// VerifiedBody is a `signed` object whose signatures reached the threshold of its role, or that is
// a trust anchor. Cheap to copy; immutable.
class VerifiedBody {
 public:
  JsonCursor cursor() const { return JsonCursor(*body_, "signed"); }
  // digest of the canonical bytes: two bodies are the same statement exactly when it is equal.
  const Sha256Digest& digest() const { return digest_; }

 private:
  friend class SignedDocument;
  VerifiedBody(std::shared_ptr<const JsonValue> body, Sha256Digest digest)
      : body_(std::move(body)), digest_(digest) {}
  std::shared_ptr<const JsonValue> body_;  // shared: outlives the document without copying the tree
  Sha256Digest digest_;
};

// SignedDocument is untrusted until Verify. Pure.
class SignedDocument {
 public:
  // Parse: kTooLarge above `size_max` bytes or kSignaturesMax signatures; kMalformed with the JSON
  // rules or tuf.duplicate-signature (two signatures with one key id).
  static Result<SignedDocument> Parse(ByteView bytes, uint64_t size_max);

  // Verify counts distinct keys (not ids) of `keys` that signed. kBadSignature, rule tuf.threshold,
  // when fewer than the threshold did. `role` is for the error.
  Result<VerifiedBody> Verify(const RoleKeys& keys, std::string_view role) const;
  // CountSignatures is the number that Verify compares with the threshold.
  size_t CountSignatures(const RoleKeys& keys) const;
  // SignersAmong returns the ids of those keys that signed.
  std::set<std::string> SignersAmong(const RoleKeys& keys) const;
  // TrustAnchor takes the body as true because its bytes came out of band (a first root) or from
  // this very machine (a draft that waits for signatures).
  VerifiedBody TrustAnchor() const;

 private:
  struct Signature {
    std::string keyid;
    Bytes value;  // empty when it was not hex: verifies nothing
  };
  SignedDocument() = default;
  std::shared_ptr<const JsonValue> body_;
  std::string canonical_;
  std::vector<Signature> signatures_;
};

}  // namespace sallyport::ota

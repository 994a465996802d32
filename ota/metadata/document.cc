#include "ota/metadata/document.h"

#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {

Result<SignedDocument> SignedDocument::Parse(ByteView bytes, uint64_t size_max) {
  SP_TRY(JsonValue parsed,
         ParseJson(AsText(bytes), {.size_max = size_max, .depth_max = kMetadataDepthMax}));
  const auto tree = std::make_shared<const JsonValue>(std::move(parsed));
  const JsonCursor document(*tree);
  SignedDocument out;
  SP_TRY(const auto signatures, document.GetElements("signatures"));
  if (signatures.size() > kSignaturesMax)
    return Error{Reason::kTooLarge, std::to_string(signatures.size()) + " signatures",
                 "tuf.too-many-signatures"};
  std::set<std::string_view> seen;
  for (const JsonCursor& signature : signatures) {
    SP_TRY(const std::string_view keyid, signature.GetString("keyid"));
    SP_TRY(const std::string_view hex, signature.GetString("sig"));
    if (!seen.insert(keyid).second)
      return signature.Refuse("second signature of one key id", "tuf.duplicate-signature");
    auto value = HexDecode(hex);
    out.signatures_.push_back({std::string(keyid), value ? *std::move(value) : Bytes{}});
  }
  SP_TRY(const JsonCursor body, document.Member("signed"));
  if (body.value().if_object() == nullptr) return body.Refuse("expected an object");
  out.body_ = std::shared_ptr<const JsonValue>(
      tree, &body.value());  // shares the tree: no copy of the body
  out.canonical_ = CanonicalJson(*out.body_);
  return out;
}

std::set<std::string> SignedDocument::SignersAmong(const RoleKeys& keys) const {
  std::set<std::string> out;
  for (const Signature& signature : signatures_) {
    const pki::PublicKey* key = keys.Find(signature.keyid);
    if (key != nullptr && key->Verify(AsBytes(canonical_), signature.value))
      out.insert(signature.keyid);
  }
  return out;
}

size_t SignedDocument::CountSignatures(const RoleKeys& keys) const {
  std::set<Bytes> signers;
  for (const std::string& id : SignersAmong(keys)) signers.insert(keys.Find(id)->spki());
  return signers.size();
}

Result<VerifiedBody> SignedDocument::Verify(const RoleKeys& keys, std::string_view role) const {
  const size_t count = CountSignatures(keys);
  if (count < keys.threshold()) {
    return Error{Reason::kBadSignature,
                 std::string(role) + ": " + std::to_string(count) + " of " +
                     std::to_string(keys.threshold()) + " needed signatures",
                 "tuf.threshold"};
  }
  return TrustAnchor();
}

VerifiedBody SignedDocument::TrustAnchor() const {
  return VerifiedBody(body_, pki::Sha256(AsBytes(canonical_)));
}

}  // namespace sallyport::ota

#include "attestation-server/reference/ima_section.h"

#include <algorithm>

namespace sallyport::server {
namespace {

constexpr std::array kHashes{pki::HashAlgorithm::kSha256, pki::HashAlgorithm::kSha384,
                             pki::HashAlgorithm::kSha512};
constexpr size_t kKeyIdBytes = 4;
constexpr size_t kWhatMax = 256;

Result<std::string> ParseDigest(const JsonCursor& element) {
  SP_TRY(const std::string_view text, element.String());
  const size_t colon = std::min(text.find(':'), text.size());
  for (const pki::HashAlgorithm hash : kHashes) {
    if (pki::HashName(hash) != text.substr(0, colon)) continue;
    const Result<Bytes> digest = HexDecode(text.substr(std::min(colon + 1, text.size())));
    if (digest && digest->size() == pki::DigestSize(hash)) return ToString(*digest);
  }
  return element.Refuse("expected sha256:<hex>", "reference.ima-digest");
}

Result<ImaSigner> ParseSigner(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"key_id", "key", "what"}));
  SP_TRY(const std::string_view id_text, json.GetString("key_id"));
  SP_TRY(const std::string_view key_text, json.GetString("key"));
  const Result<Bytes> id = HexDecode(id_text);
  if (!id || id->size() != kKeyIdBytes)
    return json.Refuse("key_id is not 8 hex digits", "reference.ima-signer");
  const Result<Bytes> spki = Base64Decode(key_text);
  const Result<pki::PublicKey> key = spki ? pki::PublicKey::FromSpki(*spki) : spki.error();
  if (!key || key->type() == pki::KeyType::kEd25519)
    return json.Refuse("key is no key that files are signed with", "reference.ima-signer");
  std::string what;
  if (json.Find("what")) {
    SP_TRY(what, json.GetString("what"));
  }
  if (what.size() > kWhatMax) return json.Refuse("what is too long", "reference.ima-signer");
  return ImaSigner{ByteReader(*id, "key id").BigU32().value(), *key, std::move(what)};
}

JsonValue WriteSigner(const ImaSigner& signer) {
  std::vector<JsonMember> members{
      {"key_id", HexEncode(std::move(ByteWriter().BigU32(signer.key_id)).Take())},
      {"key", Base64Encode(signer.key.spki())}};
  if (!signer.what.empty()) members.push_back({"what", signer.what});
  return JsonValue::Object(std::move(members));
}

}  // namespace

Result<ImaExpected> ParseImaSection(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"allow", "signers"}));
  ImaExpected out;
  if (json.Find("allow")) {
    SP_TRY(const std::vector<JsonCursor> elements, json.GetElements("allow"));
    if (elements.size() > kImaAllowMax) return json.Refuse("too many files", "reference.ima");
    for (const JsonCursor& element : elements) {
      SP_TRY(std::string digest, ParseDigest(element));
      out.files.insert(std::move(digest));
    }
  }
  if (json.Find("signers")) {
    SP_TRY(const std::vector<JsonCursor> elements, json.GetElements("signers"));
    if (elements.size() > kImaSignersMax) return json.Refuse("too many signers", "reference.ima");
    for (const JsonCursor& element : elements) {
      SP_TRY(ImaSigner signer, ParseSigner(element));
      out.signers.push_back(std::move(signer));
    }
  }
  if (out.files.empty() && out.signers.empty())
    return json.Refuse("nothing may run", "reference.ima");
  return out;
}

JsonValue WriteImaSection(const ImaExpected& expected) {
  std::vector<std::string> texts;
  for (const std::string& digest : expected.files)
    for (const pki::HashAlgorithm hash : kHashes)
      if (pki::DigestSize(hash) == digest.size())
        texts.push_back(std::string(pki::HashName(hash)) + ":" + HexEncode(AsBytes(digest)));
  std::ranges::sort(texts);
  std::vector<JsonMember> members;
  if (!texts.empty()) members.push_back({"allow", JsonValue::Array({texts.begin(), texts.end()})});
  std::vector<JsonValue> signers;
  for (const ImaSigner& signer : expected.signers) signers.push_back(WriteSigner(signer));
  if (!signers.empty()) members.push_back({"signers", JsonValue::Array(std::move(signers))});
  return JsonValue::Object(std::move(members));
}

}  // namespace sallyport::server

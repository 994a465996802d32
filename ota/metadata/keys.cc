#include "ota/metadata/keys.h"

#include <algorithm>
#include <set>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

struct KeyForm {
  std::string_view keytype;
  std::string_view scheme;
  pki::KeyType type;
};
// The last form is how TUF before 1.0.31 spelled the key type of ECDSA.
constexpr KeyForm kForms[] = {
    {"ed25519", "ed25519", pki::KeyType::kEd25519},
    {"ecdsa", "ecdsa-sha2-nistp256", pki::KeyType::kP256},
    {"ecdsa", "ecdsa-sha2-nistp384", pki::KeyType::kP384},
    {"rsa", "rsassa-pss-sha256", pki::KeyType::kRsa},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", pki::KeyType::kP256},
};
constexpr size_t kEd25519Size = 32;
constexpr size_t kP256CoordinateSize = 32;
constexpr uint8_t kUncompressedPoint = 4;  // SEC 1 section 2.3.3

std::string KeyValue(const pki::PublicKey& key) {
  if (key.type() != pki::KeyType::kEd25519) return key.ToPem();
  return HexEncode(ByteView(key.spki()).last(kEd25519Size));
}

// go-tuf before 0.6 wrote P-256 keys as the hex of their uncompressed point.
Result<pki::PublicKey> ParsePoint(const Bytes& point) {
  if (point.size() != 1 + 2 * kP256CoordinateSize || point[0] != kUncompressedPoint)
    return Error{Reason::kMalformed, "not an uncompressed point of P-256"};
  const ByteView coordinates = ByteView(point).subspan(1);
  return pki::PublicKey::FromP256Point(coordinates.first(kP256CoordinateSize),
                                       coordinates.last(kP256CoordinateSize));
}

Result<pki::PublicKey> ParseKey(const JsonCursor& key) {
  SP_TRY(const std::string_view keytype, key.GetString("keytype"));
  SP_TRY(const std::string_view scheme, key.GetString("scheme"));
  SP_TRY(const JsonCursor keyval, key.Member("keyval"));
  SP_TRY(const std::string_view text, keyval.GetString("public"));
  const auto* form = std::ranges::find_if(
      kForms, [&](const KeyForm& f) { return f.keytype == keytype && f.scheme == scheme; });
  if (form == std::end(kForms))
    return Error{Reason::kUnsupported, key.path() + ": key type and scheme"};
  if (form->type == pki::KeyType::kEd25519) {
    SP_TRY(const Bytes raw, HexDecode(text));
    return pki::PublicKey::FromEd25519(raw);
  }
  if (const auto point = HexDecode(text); point && form->type == pki::KeyType::kP256)
    return ParsePoint(*point);
  SP_TRY(pki::PublicKey parsed, pki::PublicKey::FromPem(text));
  if (parsed.type() != form->type) return key.Refuse("the key is not of its declared type");
  return parsed;
}

}  // namespace

JsonValue KeyToJson(const pki::PublicKey& key) {
  const auto* form = std::ranges::find(kForms, key.type(), &KeyForm::type);
  return JsonValue::Object({{"keytype", form->keytype},
                            {"scheme", form->scheme},
                            {"keyval", JsonValue::Object({{"public", KeyValue(key)}})}});
}

std::string KeyId(const pki::PublicKey& key) {
  return HexEncode(pki::Sha256(AsBytes(CanonicalJson(KeyToJson(key)))));
}

Result<KeyMap> ParseKeys(const JsonCursor& keys) {
  SP_TRY(const auto entries, keys.Entries());
  if (entries.size() > kKeysMax)
    return Error{Reason::kTooLarge, keys.path() + ": too many keys", "tuf.too-many-keys"};
  KeyMap out;
  for (const auto& [id, key] : entries) {
    if (key.value().if_object() == nullptr) return key.Refuse("expected an object");
    if (auto parsed = ParseKey(key)) out.emplace(id, *std::move(parsed));
  }
  return out;
}

Result<RoleKeys> RoleKeys::Parse(const JsonCursor& role, const KeyMap& keys) {
  RoleKeys out;
  SP_TRY(const int64_t threshold, role.GetInteger("threshold"));
  if (threshold < 1)
    return role.Refuse("a threshold below 1 would need no signature", "tuf.threshold-zero");
  out.threshold_ = static_cast<size_t>(threshold);
  SP_TRY(out.keyids_, role.GetStrings("keyids"));
  if (std::set<std::string>(out.keyids_.begin(), out.keyids_.end()).size() != out.keyids_.size())
    return role.Refuse("a key id is listed twice", "tuf.duplicate-keyid");
  for (const std::string& id : out.keyids_) {
    if (const auto key = keys.find(id); key != keys.end()) out.usable_.insert(*key);
  }
  return out;
}

const pki::PublicKey* RoleKeys::Find(std::string_view keyid) const {
  const auto key = usable_.find(keyid);
  return key == usable_.end() ? nullptr : &key->second;
}

bool RoleKeys::KeptBy(const RoleKeys& next) const {
  return std::ranges::all_of(usable_, [&](const auto& mine) {
    return std::ranges::any_of(
        next.usable_, [&](const auto& other) { return other.second.spki() == mine.second.spki(); });
  });
}

}  // namespace sallyport::ota

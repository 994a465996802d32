#include "pki/ca/enrolment_file.h"

#include <charconv>

namespace sallyport::pki {
namespace {

constexpr std::string_view kVersion = "enrolment/v1";
constexpr size_t kTokenBytesMax = 128;
constexpr size_t kServerIdsMax = 16;
constexpr size_t kHostBytesMax = 253;

Error Malformed(std::string_view rule, std::string_view why) {
  return Error{Reason::kMalformed, "enrolment file: " + std::string(why), rule};
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.';
}

bool IsAddressCharacter(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

bool IsHost(std::string_view host) {
  if (host.size() > kHostBytesMax) return false;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return std::ranges::all_of(host.substr(1, host.size() - 2), IsAddressCharacter);
  return !host.empty() && std::ranges::all_of(host, IsHostCharacter);
}

bool IsPort(std::string_view port) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  return error == std::errc() && end == port.data() + port.size() && value >= 1 && value <= 65535;
}

Result<std::string> ReadEndpoint(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::string_view text, json.GetString(key));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !IsHost(text.substr(0, colon)) ||
      !IsPort(text.substr(colon + 1)))
    return Malformed("enrolment.endpoint", std::string(key) + " is not host:port");
  return std::string(text);
}

Result<EnrolmentServers> ReadServers(const JsonCursor& file) {
  SP_TRY(const JsonCursor json, file.Member("servers"));
  SP_TRY(json.OnlyKeys({"enrol", "device", "content"}));
  SP_TRY(std::string enrol, ReadEndpoint(json, "enrol"));
  SP_TRY(std::string device, ReadEndpoint(json, "device"));
  SP_TRY(std::string content, ReadEndpoint(json, "content"));
  return EnrolmentServers{std::move(enrol), std::move(device), std::move(content)};
}

Result<std::vector<SpiffeId>> ReadServerIds(const JsonCursor& json,
                                            const TrustDomain& trust_domain) {
  SP_TRY(const std::vector<std::string> texts, json.GetStrings("server_ids"));
  if (texts.empty() || texts.size() > kServerIdsMax)
    return Malformed("enrolment.server-ids", "number of server ids");
  std::vector<SpiffeId> out;
  for (const std::string& text : texts) {
    SP_TRY(SpiffeId id, SpiffeId::Parse(text));
    if (id.trust_domain() != trust_domain || !ServerPath(id.path()).has_value())
      return Malformed("enrolment.server-ids", text + " is no server of the trust domain");
    out.push_back(std::move(id));
  }
  return out;
}

Result<Bytes> ReadRoot(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::string_view text, json.GetString(key));
  Result<Bytes> bytes = Base64Decode(text);
  if (!bytes.has_value() || bytes->empty())
    return Malformed("enrolment.root", std::string(key) + " is not base64");
  return bytes;
}

Result<std::string> ReadToken(const JsonCursor& json) {
  SP_TRY(const std::string_view token, json.GetString("token"));
  const auto base32 = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); };
  if (token.size() > kTokenBytesMax || !std::ranges::all_of(token, base32))
    return Malformed("enrolment.token", "token is not base32");
  return std::string(token);
}

struct Trust {
  Sha256Digest pki_root_sha256;
  TrustBundle bundle;
};

Result<Trust> ReadTrust(const JsonCursor& json, const TrustDomain& trust_domain) {
  SP_TRY(const std::string_view hex, json.GetString("pki_root_sha256"));
  SP_TRY(const Bytes digest_bytes, HexDecode(hex));
  SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(digest_bytes));
  SP_TRY(const JsonCursor bundle_json, json.Member("trust_bundle"));
  SP_TRY(TrustBundle bundle, TrustBundleFromJson(bundle_json));
  if (bundle.PkiRootDigest() != digest)
    return Error{Reason::kMismatch, "trust bundle has another PKI root", "enrolment.pki-root"};
  if (bundle.trust_domain != trust_domain)
    return Error{Reason::kMismatch, "trust bundle is of another trust domain",
                 "enrolment.trust-domain"};
  return Trust{digest, std::move(bundle)};
}

}  // namespace

std::string WriteEnrolmentFile(const EnrolmentFile& file) {
  std::vector<std::string> ids;
  for (const SpiffeId& id : file.server_ids) ids.push_back(id.text());
  return WriteJson(
      JsonValue::Object({{"sallyport", kVersion},
                         {"trust_domain", file.trust_domain.name()},
                         {"development", file.development},
                         {"servers", JsonValue::Object({{"enrol", file.servers.enrol},
                                                        {"device", file.servers.device},
                                                        {"content", file.servers.content}})},
                         {"server_ids", JsonValue::Strings(ids)},
                         {"pki_root_sha256", HexEncode(file.pki_root_sha256)},
                         {"trust_bundle", TrustBundleToJson(file.trust_bundle)},
                         {"image_root", Base64Encode(file.image_root)},
                         {"director_root", Base64Encode(file.director_root)},
                         {"token", file.token}}));
}

Result<EnrolmentFile> ParseEnrolmentFile(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text, {.size_max = kEnrolmentFileBytesMax}));
  const JsonCursor json(value);
  SP_TRY(
      json.OnlyKeys({"sallyport", "trust_domain", "development", "servers", "server_ids",
                     "pki_root_sha256", "trust_bundle", "image_root", "director_root", "token"}));
  SP_TRY(const std::string_view version, json.GetString("sallyport"));
  if (version != kVersion)
    return Error{Reason::kUnsupported, "enrolment file of another version", "enrolment.version"};
  SP_TRY(const std::string_view name, json.GetString("trust_domain"));
  SP_TRY(TrustDomain trust_domain, TrustDomain::Parse(name));
  SP_TRY(const JsonCursor::Flag development, json.GetBool("development"));
  SP_TRY(EnrolmentServers servers, ReadServers(json));
  SP_TRY(std::vector<SpiffeId> server_ids, ReadServerIds(json, trust_domain));
  SP_TRY(Trust trust, ReadTrust(json, trust_domain));
  SP_TRY(Bytes image_root, ReadRoot(json, "image_root"));
  SP_TRY(Bytes director_root, ReadRoot(json, "director_root"));
  SP_TRY(std::string token, ReadToken(json));
  return EnrolmentFile{std::move(trust_domain), development.value,        std::move(servers),
                       std::move(server_ids),   trust.pki_root_sha256,    std::move(trust.bundle),
                       std::move(image_root),   std::move(director_root), std::move(token)};
}

}  // namespace sallyport::pki

#include "pki/spiffe/spiffe_id.h"

#include "pki/crypto/hash.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kDeviceIdSize = 52;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsTrustDomainCharacter(char c) {
  return IsLower(c) || IsDigit(c) || c == '.' || c == '-' || c == '_';
}
bool IsPathCharacter(char c) { return IsTrustDomainCharacter(c) || (c >= 'A' && c <= 'Z'); }
bool IsServerCharacter(char c) { return IsLower(c) || IsDigit(c) || c == '-'; }
bool IsOperatorCharacter(char c) { return IsServerCharacter(c) || c == '.' || c == '_'; }

Error Refuse(std::string_view rule, std::string_view why) {
  return Error{Reason::kMalformed, std::string(why), rule};
}

Result<Unit> CheckSegment(std::string_view segment) {
  if (segment.empty()) return Refuse("id.path-empty-segment", "path has an empty segment");
  if (segment == "." || segment == "..")
    return Refuse("id.path-dot-segment", "path has a dot segment");
  if (!std::ranges::all_of(segment, IsPathCharacter))
    return Refuse("id.path-character",
                  "path segments hold letters, digits, dots, dashes and underscores only");
  return Ok();
}

// CheckPath takes what follows the trust domain: empty, or a slash and segments.
Result<Unit> CheckPath(std::string_view path) {
  if (path.empty()) return Ok();
  if (path.front() != '/') return Refuse("id.path-character", "path does not begin with a slash");
  if (path.back() == '/') return Refuse("id.path-trailing-slash", "path ends with a slash");
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    SP_TRY(CheckSegment(path.substr(0, slash)));
    if (slash == std::string_view::npos) return Ok();
    path.remove_prefix(slash + 1);
  }
}

Error WrongRole(std::string_view role) {
  return Error{Reason::kMismatch, "path is not that of a " + std::string(role), "id.role-path"};
}

// NameAfter returns what follows `prefix` when it is not empty and wholly of `allowed` characters.
Result<std::string> NameAfter(std::string_view prefix, std::string_view path, bool (*allowed)(char),
                              std::string_view role) {
  if (!path.starts_with(prefix)) return WrongRole(role);
  const std::string_view name = path.substr(prefix.size());
  if (name.empty() || !std::ranges::all_of(name, allowed)) return WrongRole(role);
  return std::string(name);
}

}  // namespace

Result<TrustDomain> TrustDomain::Parse(std::string_view name) {
  if (name.empty()) return Refuse("id.trust-domain-missing", "trust domain is missing");
  if (name.size() > kTrustDomainBytesMax)
    return Refuse("id.trust-domain-length", "trust domain is too long");
  if (!std::ranges::all_of(name, IsTrustDomainCharacter))
    return Refuse(
        "id.trust-domain-character",
        "trust domains hold lower-case letters, digits, dots, dashes and underscores only");
  return TrustDomain(std::string(name));
}

Result<SpiffeId> SpiffeId::Parse(std::string_view text) {
  if (text.empty()) return Refuse("id.empty", "id is empty");
  if (text.size() > kSpiffeIdBytesMax) return Refuse("id.length", "id is too long");
  if (!text.starts_with(kScheme)) return Refuse("id.scheme", "id does not begin with spiffe://");
  const std::string_view rest = text.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  SP_TRY(TrustDomain trust_domain, TrustDomain::Parse(rest.substr(0, slash)));
  SP_TRY(CheckPath(rest.substr(slash)));
  return SpiffeId(std::string(text), std::move(trust_domain));
}

Result<SpiffeId> SpiffeId::Make(const TrustDomain& trust_domain, std::string_view path) {
  SP_TRY(CheckPath(path));
  std::string text = std::string(kScheme) + trust_domain.name() + std::string(path);
  if (text.size() > kSpiffeIdBytesMax) return Refuse("id.length", "id is too long");
  return SpiffeId(std::move(text), trust_domain);
}

std::string_view SpiffeId::path() const {
  return std::string_view(text_).substr(kScheme.size() + trust_domain_.name().size());
}

Result<DeviceId> DeviceId::Parse(std::string_view text) {
  const auto allowed = [](char c) { return IsLower(c) || (c >= '2' && c <= '7'); };
  if (text.size() != kDeviceIdSize || !std::ranges::all_of(text, allowed))
    return Refuse("id.device", "a device id is 52 characters of a-z and 2-7");
  return DeviceId(std::string(text));
}

DeviceId DeviceIdFromEk(const TrustDomain& trust_domain, ByteView ek_spki_der) {
  constexpr uint8_t kSeparator[] = {0};
  const Sha256Digest digest = LabelledDigest(
      "sallyport/device-id/v1", {AsBytes(trust_domain.name()), kSeparator, ek_spki_der});
  return DeviceId(Base32LowerEncode(digest.view()));
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kDevice: return "device";
    case Role::kServer: return "server";
    case Role::kOperator: return "operator";
  }
  std::abort();
}

Result<DeviceId> DevicePath(std::string_view path) {
  constexpr std::string_view kPrefix = "/device/";
  if (!path.starts_with(kPrefix)) return WrongRole("device");
  Result<DeviceId> device = DeviceId::Parse(path.substr(kPrefix.size()));
  if (!device.has_value()) return WrongRole("device");
  return device;
}

Result<std::string> ServerPath(std::string_view path) {
  return NameAfter("/server/", path, IsServerCharacter, "server");
}

Result<std::string> OperatorPath(std::string_view path) {
  return NameAfter("/operator/", path, IsOperatorCharacter, "operator");
}

Result<Unit> MatchRolePath(Role role, std::string_view path) {
  switch (role) {
    case Role::kDevice: SP_TRY(DevicePath(path)); return Ok();
    case Role::kServer: SP_TRY(ServerPath(path)); return Ok();
    case Role::kOperator: SP_TRY(OperatorPath(path)); return Ok();
  }
  std::abort();
}

SpiffeId DeviceSpiffeId(const TrustDomain& trust_domain, const DeviceId& device) {
  return *SpiffeId::Make(trust_domain, "/device/" + device.text());
}

Result<SpiffeId> ServerSpiffeId(const TrustDomain& trust_domain, std::string_view name) {
  const std::string path = "/server/" + std::string(name);
  SP_TRY(ServerPath(path));
  return SpiffeId::Make(trust_domain, path);
}

Result<SpiffeId> OperatorSpiffeId(const TrustDomain& trust_domain, std::string_view name) {
  const std::string path = "/operator/" + std::string(name);
  SP_TRY(OperatorPath(path));
  return SpiffeId::Make(trust_domain, path);
}

}  // namespace sallyport::pki

// SPIFFE identities (SPIFFE-ID standard, sections 2.1-2.4) and the names of this product within
// them: devices, servers and operators (architecture 5a). Parsing is strict and never normalises:
// two ids are equal exactly when their bytes are. Pure; thread-safe.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "pki/base/bytes.h"
#include "pki/base/result.h"

namespace sallyport::pki {

constexpr size_t kSpiffeIdBytesMax = 2048;    // SPIFFE-ID 2.3
constexpr size_t kTrustDomainBytesMax = 255;  // SPIFFE-ID 2.3

// TrustDomain is a bare name: lower-case letters, digits, dot, dash, underscore.
class TrustDomain {
 public:
  // kMalformed; rules id.trust-domain-missing, id.trust-domain-character, id.trust-domain-length.
  static Result<TrustDomain> Parse(std::string_view name);
  const std::string& name() const { return name_; }
  auto operator<=>(const TrustDomain&) const = default;

 private:
  explicit TrustDomain(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

// SpiffeId is `spiffe://<trust domain>[/<segment>...]`.
class SpiffeId {
 public:
  // kMalformed; rules id.empty, id.scheme, those of TrustDomain, id.path-empty-segment,
  // id.path-dot-segment, id.path-trailing-slash, id.path-character, id.length.
  static Result<SpiffeId> Parse(std::string_view text);
  // Make joins; `path` is empty or begins with a slash.
  static Result<SpiffeId> Make(const TrustDomain& trust_domain, std::string_view path);

  const std::string& text() const { return text_; }
  const TrustDomain& trust_domain() const { return trust_domain_; }
  // path borrows; empty or `/a/b`.
  std::string_view path() const;
  auto operator<=>(const SpiffeId&) const = default;

 private:
  SpiffeId(std::string text, TrustDomain trust_domain)
      : text_(std::move(text)), trust_domain_(std::move(trust_domain)) {}
  std::string text_;
  TrustDomain trust_domain_;
};

// DeviceId is `^[a-z2-7]{52}$`: a SHA-256 in lower-case unpadded base32.
class DeviceId {
 public:
  // kMalformed; rule id.device.
  static Result<DeviceId> Parse(std::string_view text);
  const std::string& text() const { return text_; }
  auto operator<=>(const DeviceId&) const = default;

 private:
  friend DeviceId DeviceIdFromEk(const TrustDomain& trust_domain, ByteView ek_spki_der);
  explicit DeviceId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// DeviceIdFromEk: the formula of architecture 5a over the DER SubjectPublicKeyInfo of the EK.
DeviceId DeviceIdFromEk(const TrustDomain& trust_domain, ByteView ek_spki_der);

enum class Role : uint8_t { kDevice, kServer, kOperator };
std::string_view RoleName(Role role);

// Each matches the WHOLE path of an id and returns the name in it; kMismatch, rule id.role-path.
// `/device/<id>/workload/<name>` is none of the three.
Result<DeviceId> DevicePath(std::string_view path);
Result<std::string> ServerPath(std::string_view path);
Result<std::string> OperatorPath(std::string_view path);
// MatchRolePath is the one of the three that belongs to `role`.
Result<Unit> MatchRolePath(Role role, std::string_view path);

SpiffeId DeviceSpiffeId(const TrustDomain& trust_domain, const DeviceId& device);
// kMalformed (or kMismatch, rule id.role-path) when `name` does not fit the path.
Result<SpiffeId> ServerSpiffeId(const TrustDomain& trust_domain, std::string_view name);
Result<SpiffeId> OperatorSpiffeId(const TrustDomain& trust_domain, std::string_view name);

}  // namespace sallyport::pki

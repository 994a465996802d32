// One small policy as the tests of the director and of publication apply it.
#pragma once

#include "policies/decision/canonical.h"
#include "policies/language/reader.h"

namespace sallyport::server {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
constexpr std::string_view kSitePolicy = R"(sallyport: policy/v1
name: site
groups:
  cameras: {tags: [camera]}
services:
  rtsp: [tcp/8554]
grants:
  - {id: g, from: cameras, to: cameras, service: rtsp, expires: 2035-01-01T00:00:00Z}
)";

inline policy::ZoneLookup Zones() {
  return [](std::string_view name) { return policy::ZoneRule::Parse(name); };
}

// ManifestOf is what would be signed of `source`; it must be free of errors.
inline std::string ManifestOf(std::string_view source, int64_t version) {
  policy::Diagnostics findings("policy");
  const auto read = policy::ReadPolicy(source, Zones(), findings);
  const auto rules = policy::Lower(*read, nullptr, findings);
  return policy::WritePolicyManifest(policy::MakePolicyManifest(
      *rules, {.version = version, .not_before = kNow, .expires = kNow + Days(30)}));
}

}  // namespace sallyport::server

// Policies and inventories from text, for tests of the decision.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "policies/decision/decide.h"
#include "policies/decision/review.h"
#include "policies/language/reader.h"

namespace sallyport::policy {

inline UnixTime At(std::string_view time) { return *ParseRfc3339(time); }

inline Result<ZoneRule> TestZones(std::string_view name) {
  if (name == "Europe/Berlin") return ZoneRule::Parse("CET-1CEST,M3.5.0,M10.5.0/3");
  if (name == "UTC") return ZoneRule::Parse("UTC0");
  return Error{Reason::kNotFound, "not in the test"};
}

// World is a policy compiled over an inventory; aborts on texts that are not valid.
struct World {
  Policy policy;
  Inventory inventory;
  RuleSet rules;
  CompiledPolicy compiled;

  static World Make(const std::string& policy_text, const std::string& inventory_text) {
    Diagnostics out("test.yaml");
    auto policy = ReadPolicy(policy_text, TestZones, out);
    auto inventory = ReadInventory("sallyport: inventory/v1\ndevices:\n" + inventory_text, out);
    std::optional<RuleSet> rules;
    if (policy && inventory) rules = Lower(*policy, &*inventory, out);
    for (const Diagnostic& d : out.all()) fprintf(stderr, "%s\n", FormatDiagnostic(d).c_str());
    SP_CHECK(rules.has_value());
    CompiledPolicy compiled = Compile(*rules, FactsOf(*inventory));
    return {*std::move(policy), *std::move(inventory), *std::move(rules), std::move(compiled)};
  }

  const Device& device(std::string_view name) const {
    const auto found = std::ranges::find(inventory.devices, name, &Device::name);
    SP_CHECK(found != inventory.devices.end());
    return *found;
  }

  struct Ask {
    std::string_view from, to, service;
    UnixTime now = At("2026-11-21T12:00:00Z");
    std::optional<Duration> attested = std::nullopt;
    std::optional<Duration> attested_to = std::nullopt;
  };
  Question question(const Ask& ask) const {
    return {PartyOf(device(ask.from), ask.attested, ask.now),
            PartyOf(device(ask.to), ask.attested_to, ask.now),
            ask.service,
            ask.now,
            true,
            nullptr};
  }
  Decision decide(const Ask& ask) const { return Decide(compiled, question(ask)); }
};

// Summary is "allow grant", "deny guardrail-id", or "deny reason[ nearest:failed[.side]]".
inline std::string Summary(const Decision& d) {
  if (d.allowed()) return "allow " + std::string(d.by);
  std::string text = "deny " + std::string(d.by.empty() ? d.reason : d.by);
  if (d.nearest) {
    text += " " + std::string(d.nearest->grant) + ":" + std::string(d.nearest->failed);
    if (!d.nearest->side.empty()) text += "." + std::string(d.nearest->side);
  }
  return text;
}

inline std::string PolicyText(const std::string& grants, const std::string& rest = "") {
  return "sallyport: policy/v1\nname: t\n"
         "groups: {cameras: {tags: [camera]}, recorders: {tags: [recorder]}, tech: {tags: "
         "[laptop]}, gateway: {devices: [gw-1], pinned: true}}\n"
         "services: {rtsp: tcp/8554, ssh: tcp/22, web: [tcp/80, tcp/443]}\n"
         "conditions: {fresh: {attested_within: 10m, min_tier: measured}, healthy: "
         "{attested_within: 24h}}\n"
         "windows: {night: {days: [tue, thu], from: \"02:00\", to: \"04:00\", tz: Europe/Berlin}}\n"
         "grants:\n" +
         grants + rest;
}

inline const char* kDevices =
    "  - {id: cam-1, site: berlin, tags: [camera], tier: measured, attested: 5m}\n"
    "  - {id: cam-2, site: berlin, tags: [camera], tier: attested, attested: 5m}\n"
    "  - {id: rec-1, site: berlin, tags: [recorder], tier: measured, attested: 5m}\n"
    "  - {id: rec-2, site: hamburg, tags: [recorder], tier: measured, attested: 5m}\n"
    "  - {id: rec-q, site: berlin, tags: [recorder], tier: measured, attested: 5m, state: "
    "quarantined}\n"
    "  - {id: lap-7, site: berlin, tags: [laptop], tier: measured, attested: 2m}\n"
    "  - {id: lap-x, site: berlin, tags: [laptop], tier: measured}\n"
    "  - {id: gw-1, site: cloud, tier: measured, attested: 5m}\n";

}  // namespace sallyport::policy

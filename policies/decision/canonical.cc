#include "policies/decision/canonical.h"

#include <algorithm>
#include <set>

#include "pki/base/json.h"
#include "pki/crypto/hash.h"

namespace sallyport::policy {
namespace {

constexpr std::string_view kGrantFormat = "grant/v1";
constexpr std::string_view kGuardrailsFormat = "guardrails/v1";
constexpr std::string_view kManifestFormat = "policy-manifest/v1";
// 20,000 grants at about 150 bytes each.
constexpr JsonLimits kManifestLimits{size_t{4} << 20, 8};

using Members = std::vector<JsonMember>;

template <typename T, typename F>
JsonValue List(const std::vector<T>& items, F to_json) {
  std::vector<JsonValue> values;
  for (const T& item : items) values.push_back(to_json(item));
  return JsonValue::Array(std::move(values));
}

JsonValue ToJson(const Selector& selector) {
  Members members;
  if (selector.all) members.push_back({"all", true});
  if (!selector.devices.empty())
    members.push_back({"devices", JsonValue::Strings(selector.devices)});
  if (!selector.tags.empty())
    members.push_back(
        {"tags", List(selector.tags, [](const auto& set) { return JsonValue::Strings(set); })});
  return JsonValue::Object(std::move(members));
}

JsonValue ToJson(const std::vector<PortRange>& ports) {
  return List(ports, [](const PortRange& range) {
    return JsonValue::Object(
        {{"first", range.first}, {"last", range.last}, {"protocol", ProtocolName(range.protocol)}});
  });
}

JsonValue ToJson(const Requirement& requirement) {
  Members members;
  if (requirement.attested_within)
    members.push_back({"attested_within", FormatDuration(*requirement.attested_within)});
  if (requirement.min_tier) members.push_back({"min_tier", TierName(*requirement.min_tier)});
  if (requirement.state) members.push_back({"state", DeviceStateName(*requirement.state)});
  return JsonValue::Object(std::move(members));
}

JsonValue ToJson(const WindowRule& window) {
  Members members;
  if (!window.absolute.empty()) {
    members.push_back({"absolute", List(window.absolute, [](const AbsoluteInterval& interval) {
                         return JsonValue::Object({{"from", FormatRfc3339(interval.from)},
                                                   {"to", FormatRfc3339(interval.to)}});
                       })});
  }
  if (!window.weekly.empty()) {
    members.push_back({"weekly", List(window.weekly, [](const WeeklyRule& weekly) {
                         return JsonValue::Object({{"days", weekly.days},
                                                   {"from_minute", weekly.from_minute},
                                                   {"rule", weekly.rule.text()},
                                                   {"to_minute", weekly.to_minute},
                                                   {"zone", weekly.zone}});
                       })});
  }
  return JsonValue::Object(std::move(members));
}

std::string OfflineName(const Offline& offline) {
  switch (offline.kind) {
    case Offline::Kind::kLease: return "lease";
    case Offline::Kind::kDeny: return "deny";
    case Offline::Kind::kDuration: return FormatDuration(offline.duration);
    case Offline::Kind::kKeep: return "keep";
  }
  std::abort();
}

std::string_view ModeName(Mode mode) { return mode == Mode::kAudit ? "audit" : "enforce"; }

// --- reading ---

Error Dangling(const JsonCursor& at, std::string_view what) {
  return Error{Reason::kMalformed, at.path() + ": " + std::string(what), "rule.dangling"};
}

Result<Unit> CheckFormat(const JsonCursor& root, std::string_view format, std::string_view rule) {
  SP_TRY(const std::string_view name, root.GetString("sallyport"));
  if (name != format)
    return Error{Reason::kUnsupported, "format '" + std::string(name) + "'", rule};
  return Ok();
}

// SortedStrings refuses lists that are not sorted and distinct: judging searches them.
Result<std::vector<std::string>> SortedStrings(const JsonCursor& cursor) {
  SP_TRY(std::vector<std::string> items, cursor.Strings());
  if (items.empty()) return Dangling(cursor, "an empty list");
  if (std::ranges::adjacent_find(items, std::greater_equal<>()) != items.end())
    return cursor.Refuse("must be sorted and distinct", "grant.format");
  return items;
}

Result<Selector> ParseSelector(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"all", "devices", "tags"}));
  Selector selector;
  if (const auto all = cursor.Find("all")) {
    SP_TRY(const auto flag, all->Bool());
    selector.all = flag.value;
  }
  if (const auto devices = cursor.Find("devices")) {
    SP_TRY(selector.devices, SortedStrings(*devices));
  }
  if (const auto tags = cursor.Find("tags")) {
    SP_TRY(const auto sets, tags->Elements());
    for (const JsonCursor& set : sets) {
      SP_TRY(auto names, SortedStrings(set));
      selector.tags.push_back(std::move(names));
    }
  }
  if (selector.empty()) return Dangling(cursor, "a selector of nothing");
  return selector;
}

Result<std::vector<PortRange>> ParsePorts(const JsonCursor& cursor) {
  SP_TRY(const auto elements, cursor.Elements());
  std::vector<PortRange> ports;
  for (const JsonCursor& element : elements) {
    SP_TRY(element.OnlyKeys({"first", "last", "protocol"}));
    SP_TRY(const int64_t first, element.GetInteger("first", 1, UINT16_MAX));
    SP_TRY(const int64_t last, element.GetInteger("last", first, UINT16_MAX));
    SP_TRY(const std::string_view name, element.GetString("protocol"));
    const auto protocol = ProtocolFromName(name);
    if (!protocol) return element.Refuse("unknown protocol", "grant.format");
    ports.push_back({*protocol, static_cast<uint16_t>(first), static_cast<uint16_t>(last)});
  }
  if (ports.empty()) return Dangling(cursor, "a service without ports");
  if (MergePorts(ports) != ports)
    return cursor.Refuse("ports must be sorted and merged", "grant.format");
  return ports;
}

Result<Requirement> ParseRequirement(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"attested_within", "min_tier", "state"}));
  Requirement requirement;
  if (const auto within = cursor.Find("attested_within")) {
    SP_TRY(const std::string_view text, within->String());
    SP_TRY(requirement.attested_within, ParseDuration(text));
  }
  if (const auto tier = cursor.Find("min_tier")) {
    SP_TRY(const std::string_view text, tier->String());
    SP_TRY(requirement.min_tier, pki::ParseTier(text));
  }
  if (const auto state = cursor.Find("state")) {
    SP_TRY(const std::string_view text, state->String());
    requirement.state = DeviceStateFromName(text);
    if (!requirement.state) return state->Refuse("unknown state", "grant.format");
  }
  return requirement;
}

Result<UnixTime> ParseTime(const JsonCursor& cursor, std::string_view key) {
  SP_TRY(const std::string_view text, cursor.GetString(key));
  return ParseRfc3339(text);
}

Result<WeeklyRule> ParseWeekly(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"days", "from_minute", "rule", "to_minute", "zone"}));
  SP_TRY(const int64_t days, cursor.GetInteger("days", 1, 127));
  SP_TRY(const int64_t from, cursor.GetInteger("from_minute", 0, 1440));
  SP_TRY(const int64_t to, cursor.GetInteger("to_minute", 0, 1440));
  SP_TRY(const std::string_view zone, cursor.GetString("zone"));
  SP_TRY(const std::string_view rule_text, cursor.GetString("rule"));
  SP_TRY(ZoneRule rule, ZoneRule::Parse(rule_text));
  return WeeklyRule{static_cast<uint8_t>(days), static_cast<uint16_t>(from),
                    static_cast<uint16_t>(to), std::string(zone), std::move(rule)};
}

Result<WindowRule> ParseWindow(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"absolute", "weekly"}));
  WindowRule window;
  if (cursor.Find("weekly")) {
    SP_TRY(const auto elements, cursor.GetElements("weekly"));
    for (const JsonCursor& element : elements) {
      SP_TRY(WeeklyRule weekly, ParseWeekly(element));
      window.weekly.push_back(std::move(weekly));
    }
  }
  if (cursor.Find("absolute")) {
    SP_TRY(const auto elements, cursor.GetElements("absolute"));
    for (const JsonCursor& element : elements) {
      SP_TRY(element.OnlyKeys({"from", "to"}));
      AbsoluteInterval interval;
      SP_TRY(interval.from, ParseTime(element, "from"));
      SP_TRY(interval.to, ParseTime(element, "to"));
      window.absolute.push_back(interval);
    }
  }
  return window;
}

Result<Offline> ParseOffline(const JsonCursor& cursor) {
  SP_TRY(const std::string_view text, cursor.GetString("offline"));
  if (text == "lease") return Offline{Offline::Kind::kLease, {}};
  if (text == "deny") return Offline{Offline::Kind::kDeny, {}};
  if (text == "keep") return Offline{Offline::Kind::kKeep, {}};
  SP_TRY(const Duration duration, ParseDuration(text));
  return Offline{Offline::Kind::kDuration, duration};
}

Result<Mode> ParseMode(const JsonCursor& cursor) {
  SP_TRY(const std::string_view text, cursor.GetString("mode"));
  if (text != "enforce" && text != "audit") return cursor.Refuse("unknown mode", "grant.format");
  return text == "audit" ? Mode::kAudit : Mode::kEnforce;
}

// ParseEnds reads what grants and guardrails share.
template <typename Rule>
Result<Unit> ParseEnds(const JsonCursor& root, Rule& rule) {
  SP_TRY(const std::string_view id, root.GetString("id"));
  rule.id = id;
  SP_TRY(const JsonCursor from, root.Member("from"));
  SP_TRY(rule.from, ParseSelector(from));
  SP_TRY(const JsonCursor to, root.Member("to"));
  SP_TRY(rule.to, ParseSelector(to));
  SP_TRY(const JsonCursor ports, root.Member("ports"));
  SP_TRY(rule.ports, ParsePorts(ports));
  SP_TRY(rule.mode, ParseMode(root));
  return Ok();
}

Result<Unit> ParseConditions(const JsonCursor& root, GrantRule& grant) {
  if (const auto same = root.Find("same")) {
    SP_TRY(const std::string_view text, same->String());
    if (text != "site") return same->Refuse("unknown relation", "grant.format");
    grant.same_site = true;
  }
  if (const auto require = root.Find("require_from")) {
    SP_TRY(grant.require_from, ParseRequirement(*require));
  }
  if (const auto require = root.Find("require_to")) {
    SP_TRY(grant.require_to, ParseRequirement(*require));
  }
  if (const auto window = root.Find("window")) {
    SP_TRY(grant.window, ParseWindow(*window));
  }
  if (root.Find("expires")) {
    SP_TRY(grant.expires, ParseTime(root, "expires"));
  }
  SP_TRY(grant.offline, ParseOffline(root));
  return Ok();
}

Result<GuardrailRule> ParseGuardrail(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"from", "id", "mode", "must_require", "ports", "to"}));
  GuardrailRule rule;
  SP_TRY(ParseEnds(cursor, rule));
  if (const auto require = cursor.Find("must_require")) {
    SP_TRY(rule.must_require, ParseRequirement(*require));
  }
  return rule;
}

Result<Sha256Digest> ParseDigest(const JsonCursor& cursor, std::string_view key) {
  SP_TRY(const std::string_view hex, cursor.GetString(key));
  SP_TRY(const Bytes bytes, HexDecode(hex));
  return Sha256Digest::FromView(bytes);
}

template <typename T>
Result<Unit> CheckSortedIds(const std::vector<T>& rules) {
  const auto repeated = std::ranges::adjacent_find(rules, std::greater_equal<>(), &T::id);
  if (repeated != rules.end())
    return Error{Reason::kMalformed, "rules must be sorted by distinct ids", "grant.format"};
  return Ok();
}

}  // namespace

std::string CanonicalGrant(const GrantRule& grant) {
  Members members = {{"from", ToJson(grant.from)},
                     {"id", grant.id},
                     {"log", LogChoiceName(grant.log)},
                     {"mode", ModeName(grant.mode)},
                     {"offline", OfflineName(grant.offline)},
                     {"ports", ToJson(grant.ports)},
                     {"sallyport", kGrantFormat},
                     {"to", ToJson(grant.to)}};
  if (grant.same_site) members.push_back({"same", "site"});
  if (grant.require_from != Requirement{})
    members.push_back({"require_from", ToJson(grant.require_from)});
  if (grant.require_to != Requirement{})
    members.push_back({"require_to", ToJson(grant.require_to)});
  if (grant.window) members.push_back({"window", ToJson(*grant.window)});
  if (grant.expires) members.push_back({"expires", FormatRfc3339(*grant.expires)});
  if (!grant.why.empty()) members.push_back({"why", grant.why});
  if (!grant.owner.empty()) members.push_back({"owner", grant.owner});
  return CanonicalJson(JsonValue::Object(std::move(members)));
}

std::string CanonicalGuardrails(const Guardrails& guardrails) {
  Members services;
  for (const auto& [name, ports] : guardrails.services) services.push_back({name, ToJson(ports)});
  const JsonValue rules = List(guardrails.rules, [](const GuardrailRule& rule) {
    Members members = {{"from", ToJson(rule.from)},
                       {"id", rule.id},
                       {"mode", ModeName(rule.mode)},
                       {"ports", ToJson(rule.ports)},
                       {"to", ToJson(rule.to)}};
    if (rule.must_require) members.push_back({"must_require", ToJson(*rule.must_require)});
    return JsonValue::Object(std::move(members));
  });
  return CanonicalJson(JsonValue::Object({{"rules", rules},
                                          {"sallyport", kGuardrailsFormat},
                                          {"services", JsonValue::Object(std::move(services))}}));
}

Result<GrantRule> ParseGrant(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text));
  const JsonCursor root(value);
  SP_TRY(CheckFormat(root, kGrantFormat, "grant.version"));
  SP_TRY(root.OnlyKeys({"expires", "from", "id", "log", "mode", "offline", "owner", "ports",
                        "require_from", "require_to", "sallyport", "same", "to", "why", "window"}));
  GrantRule grant;
  SP_TRY(ParseEnds(root, grant));
  SP_TRY(ParseConditions(root, grant));
  SP_TRY(const std::string_view log_name, root.GetString("log"));
  const auto log = LogChoiceFromName(log_name);
  if (!log) return root.Refuse("unknown log choice", "grant.format");
  grant.log = *log;
  for (const auto& [key, target] :
       {std::pair("why", &grant.why), std::pair("owner", &grant.owner)}) {
    if (!root.Find(key)) continue;
    SP_TRY(const std::string_view note, root.GetString(key));
    *target = note;
  }
  return grant;
}

Result<Guardrails> ParseGuardrails(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text));
  const JsonCursor root(value);
  SP_TRY(CheckFormat(root, kGuardrailsFormat, "grant.version"));
  SP_TRY(root.OnlyKeys({"rules", "sallyport", "services"}));
  Guardrails guardrails;
  SP_TRY(const auto rules, root.GetElements("rules"));
  for (const JsonCursor& element : rules) {
    SP_TRY(GuardrailRule rule, ParseGuardrail(element));
    guardrails.rules.push_back(std::move(rule));
  }
  SP_TRY(CheckSortedIds(guardrails.rules));
  SP_TRY(const JsonCursor services, root.Member("services"));
  SP_TRY(const auto entries, services.Entries());
  for (const auto& [name, cursor] : entries) {
    SP_TRY(guardrails.services[std::string(name)], ParsePorts(cursor));
  }
  return guardrails;
}

std::vector<std::string> RequiredFeatures(const RuleSet& rules) {
  std::set<std::string> features;
  for (const GrantRule& grant : rules.grants) {
    if (grant.mode == Mode::kAudit) features.emplace(kFeatureAudit);
    if (grant.window) features.emplace(kFeatureWindow);
  }
  for (const GuardrailRule& rule : rules.guardrails.rules) {
    if (rule.mode == Mode::kAudit) features.emplace(kFeatureAudit);
    if (rule.must_require) features.emplace(kFeatureMustRequire);
  }
  return {features.begin(), features.end()};
}

std::vector<std::string> SupportedFeatures() {
  return {std::string(kFeatureAudit), std::string(kFeatureMustRequire),
          std::string(kFeatureWindow)};
}

PolicyManifest MakePolicyManifest(const RuleSet& rules, const ManifestTerms& terms) {
  PolicyManifest manifest{rules.name,
                          terms.version,
                          UnixTime::FromSeconds(terms.not_before.seconds()),
                          UnixTime::FromSeconds(terms.expires.seconds()),
                          RequiredFeatures(rules),
                          pki::Sha256(AsBytes(CanonicalGuardrails(rules.guardrails))),
                          {},
                          rules.pinned};
  for (const GrantRule& grant : rules.grants)
    manifest.grants.emplace(grant.id, pki::Sha256(AsBytes(CanonicalGrant(grant))));
  return manifest;
}

std::string WritePolicyManifest(const PolicyManifest& manifest) {
  std::vector<JsonValue> grants;
  for (const auto& [id, digest] : manifest.grants)
    grants.push_back(JsonValue::Object({{"id", id}, {"sha256", HexEncode(digest)}}));
  Members pinned;
  for (const auto& [group, devices] : manifest.pinned)
    pinned.push_back({group, JsonValue::Strings(devices)});
  return CanonicalJson(
      JsonValue::Object({{"expires", FormatRfc3339(manifest.expires)},
                         {"grants", JsonValue::Array(std::move(grants))},
                         {"guardrails_sha256", HexEncode(manifest.guardrails_sha256)},
                         {"name", manifest.name},
                         {"not_before", FormatRfc3339(manifest.not_before)},
                         {"pinned", JsonValue::Object(std::move(pinned))},
                         {"required_features", JsonValue::Strings(manifest.required_features)},
                         {"sallyport", kManifestFormat},
                         {"version", manifest.version}}));
}

Result<PolicyManifest> ParsePolicyManifest(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text, kManifestLimits));
  const JsonCursor root(value);
  SP_TRY(CheckFormat(root, kManifestFormat, "manifest.version"));
  SP_TRY(root.OnlyKeys({"expires", "grants", "guardrails_sha256", "name", "not_before", "pinned",
                        "required_features", "sallyport", "version"}));
  SP_TRY(const std::string_view name, root.GetString("name"));
  SP_TRY(const int64_t version, root.GetInteger("version", 1));
  SP_TRY(const UnixTime not_before, ParseTime(root, "not_before"));
  SP_TRY(const UnixTime expires, ParseTime(root, "expires"));
  SP_TRY(auto features, root.GetStrings("required_features"));
  SP_TRY(const Sha256Digest guardrails, ParseDigest(root, "guardrails_sha256"));
  PolicyManifest manifest{std::string(name),   version,    not_before, expires,
                          std::move(features), guardrails, {},         {}};
  SP_TRY(const auto grants, root.GetElements("grants"));
  for (const JsonCursor& element : grants) {
    SP_TRY(element.OnlyKeys({"id", "sha256"}));
    SP_TRY(const std::string_view id, element.GetString("id"));
    SP_TRY(const Sha256Digest digest, ParseDigest(element, "sha256"));
    if (!manifest.grants.emplace(id, digest).second)
      return element.Refuse("repeated grant", "manifest.grants");
  }
  SP_TRY(const JsonCursor pinned, root.Member("pinned"));
  SP_TRY(const auto groups, pinned.Entries());
  for (const auto& [group, devices] : groups) {
    SP_TRY(manifest.pinned[std::string(group)], devices.Strings());
  }
  return manifest;
}

PolicyTexts MakePolicyTexts(const RuleSet& rules) {
  PolicyTexts texts;
  for (const GrantRule& grant : rules.grants) texts.grants[grant.id] = CanonicalGrant(grant);
  texts.guardrails = CanonicalGuardrails(rules.guardrails);
  return texts;
}

Result<RuleSet> ReadSignedRules(const PolicyTexts& texts, const PolicyManifest& manifest) {
  const std::vector<std::string> supported = SupportedFeatures();
  for (const std::string& feature : manifest.required_features)
    if (std::ranges::find(supported, feature) == supported.end())
      return Error{Reason::kUnsupported, "the policy needs '" + feature + "'", "policy.feature"};
  if (pki::Sha256(AsBytes(texts.guardrails)) != manifest.guardrails_sha256)
    return Error{Reason::kMismatch, "guardrails are not the signed ones", "policy.digest"};
  RuleSet rules;
  rules.name = manifest.name;
  rules.pinned = manifest.pinned;
  SP_TRY(rules.guardrails, ParseGuardrails(texts.guardrails));
  for (const auto& [id, text] : texts.grants) {
    const auto listed = manifest.grants.find(id);
    if (listed == manifest.grants.end())
      return Error{Reason::kUntrusted, "grant '" + id + "'", "policy.unlisted-grant"};
    if (pki::Sha256(AsBytes(text)) != listed->second)
      return Error{Reason::kMismatch, "grant '" + id + "'", "policy.digest"};
    SP_TRY(GrantRule grant, ParseGrant(text));
    if (grant.id != id)
      return Error{Reason::kMismatch, "grant '" + id + "' calls itself otherwise", "policy.digest"};
    rules.grants.push_back(std::move(grant));
  }
  if (rules.grants.size() != manifest.grants.size())
    return Error{Reason::kMismatch, "a signed grant is missing", "policy.missing-grant"};
  return rules;
}

}  // namespace sallyport::policy

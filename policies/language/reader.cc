#include "policies/language/reader.h"

#include <algorithm>
#include <unordered_set>

#include "policies/language/checker.h"
#include "policies/language/schema.h"

namespace sallyport::policy {
namespace {

const std::vector<std::string> kDayNames = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

// Set stores a value only when one was read; the finding is already reported otherwise.
template <typename T, typename U>
void Set(T& target, std::optional<U> value) {
  if (value) target = *std::move(value);
}

std::string Quoted(std::string_view kind, const Name& name) {
  return std::string(kind) + " '" + name.text + "'";
}

// NamedEntries reads `key: {name: value, ...}` of the top level; `any` cannot be redefined.
template <typename Read>
void NamedEntries(MapReader& top, std::string_view key, std::string_view kind, Read read) {
  const YamlNode* section = top.Optional(key);
  if (!section) return;
  const MapReader check(*section, std::string(key), top.out());
  for (const YamlEntry& entry : section->entries) {
    YamlNode name_node;
    name_node.kind = YamlNode::Kind::kScalar;
    name_node.at = entry.at;
    name_node.text = entry.key;
    const auto name =
        AsName(name_node, std::string("the name of a ") + std::string(kind), top.out());
    if (!name) continue;
    if (name->text == kAny) top.out().Add(Code::kRange, name->at, "the name 'any' is taken");
    read(*name, entry.value);
  }
}

Group ReadGroup(const Name& name, const YamlNode& node, Diagnostics& out) {
  Group group;
  group.name = name;
  MapReader map(node, Quoted("group", name), out);
  if (const auto* value = map.Optional("tags")) group.tags = AsNames(*value, "tags", out);
  if (const auto* value = map.Optional("any_tags"))
    group.any_tags = AsNames(*value, "any_tags", out);
  if (const auto* value = map.Optional("devices")) group.devices = AsNames(*value, "devices", out);
  if (const auto* value = map.Optional("groups")) group.groups = AsNames(*value, "groups", out);
  if (const auto* value = map.Optional("pinned")) Set(group.pinned, AsBool(*value, "pinned", out));
  map.Finish();
  const bool selects = !group.tags.empty() || !group.any_tags.empty() || !group.devices.empty() ||
                       !group.groups.empty();
  if (map.ok() && !selects)
    out.Add(Code::kType, node.at,
            Quoted("group", name) + " selects nothing: give tags, any_tags, devices or groups");
  if (group.pinned && (!group.tags.empty() || !group.any_tags.empty()))
    out.Add(Code::kRange, node.at,
            Quoted("pinned group", name) + " may list devices and pinned groups only");
  return group;
}

Service ReadService(const Name& name, const YamlNode& node, Diagnostics& out) {
  Service service{name, {}};
  const std::string what = Quoted("service", name);
  if (node.kind == YamlNode::Kind::kScalar) {
    if (auto ports = AsPorts(node, what, out)) service.ports.push_back(*ports);
    return service;
  }
  for (const YamlNode& item : Items(node, what, out)) {
    const auto ports = AsPorts(item, what, out);
    if (!ports) continue;
    if (std::ranges::find(service.ports, *ports) != service.ports.end())
      out.Add(Code::kDuplicate, item.at, "'" + item.text + "' appears twice");
    service.ports.push_back(*ports);
  }
  if (node.kind == YamlNode::Kind::kList && node.items.empty())
    out.Add(Code::kType, node.at, what + " has no ports");
  return service;
}

Condition ReadCondition(const Name& name, const YamlNode& node, Diagnostics& out) {
  Condition condition{name, {}};
  MapReader map(node, Quoted("condition", name), out);
  if (const auto* value = map.Optional("attested_within"))
    condition.requirement.attested_within = AsDuration(*value, "attested_within", out);
  if (const auto* value = map.Optional("min_tier")) {
    if (const auto i =
            AsChoice(*value, "min_tier", {"none", "enrolled", "attested", "measured"}, out))
      condition.requirement.min_tier = static_cast<Tier>(*i);
  }
  if (const auto* value = map.Optional("state")) {
    // Both ends must be active anyway, so any other state could never be met.
    if (AsChoice(*value, "state", {"active"}, out))
      condition.requirement.state = DeviceState::kActive;
  }
  map.Finish();
  if (map.ok() && node.entries.empty())
    out.Add(Code::kType, node.at, Quoted("condition", name) + " asks for nothing");
  return condition;
}

void ReadWeekly(MapReader& map, const YamlNode& days, const YamlNode* from, const YamlNode* to,
                Window& window) {
  Diagnostics& out = map.out();
  WeeklyInterval interval;
  for (const YamlNode& item : Items(days, "days", out)) {
    const auto day = AsChoice(item, "a day", kDayNames, out);
    if (!day) continue;
    const auto bit = static_cast<uint8_t>(1U << *day);
    if (interval.days & bit)
      out.Add(Code::kDuplicate, item.at, "'" + item.text + "' appears twice");
    interval.days |= bit;
  }
  if (days.kind == YamlNode::Kind::kList && days.items.empty())
    out.Add(Code::kType, days.at, "days is empty");
  if (from) Set(interval.from_minute, AsMinute(*from, "from", out));
  if (to) Set(interval.to_minute, AsMinute(*to, "to", out));
  if (from && to && from->text == to->text)
    out.Add(Code::kRange, to->at, "a window that ends when it starts is never open");
  if (const auto* zone = map.Required("tz")) {
    if (auto text = AsText(*zone, "tz", out)) interval.zone = {*std::move(text), zone->at};
  }
  window.weekly.push_back(std::move(interval));
}

void ReadInterval(const YamlNode& node, Window& window, Diagnostics& out) {
  MapReader map(node, Quoted("window", window.name), out);
  const YamlNode* from = map.Required("from");
  const YamlNode* to = map.Required("to");
  if (const YamlNode* days = map.Optional("days")) {
    ReadWeekly(map, *days, from, to, window);
  } else {
    AbsoluteInterval interval;
    if (from) Set(interval.from, AsTime(*from, "from (without days)", out));
    if (to) Set(interval.to, AsTime(*to, "to (without days)", out));
    if (from && to && interval.to <= interval.from)
      out.Add(Code::kRange, to->at, "the window ends before it starts");
    window.absolute.push_back(interval);
  }
  map.Finish();
}

Window ReadWindow(const Name& name, const YamlNode& node, Diagnostics& out) {
  Window window{name, {}, {}};
  if (node.kind != YamlNode::Kind::kList) {
    ReadInterval(node, window, out);
    return window;
  }
  for (const YamlNode& item : node.items) ReadInterval(item, window, out);
  if (node.items.empty()) out.Add(Code::kType, node.at, Quoted("window", name) + " is never open");
  return window;
}

Offline ReadOffline(const YamlNode& node, Diagnostics& out) {
  if (node.text == "keep") return {Offline::Kind::kKeep, {}};
  if (node.text == "deny") return {Offline::Kind::kDeny, {}};
  const auto duration = AsDuration(node, "offline (keep, deny or a duration)", out);
  return {Offline::Kind::kDuration, duration.value_or(Duration{})};
}

std::optional<Name> OptionalName(MapReader& map, std::string_view key) {
  const YamlNode* value = map.Optional(key);
  return value ? AsName(*value, key, map.out()) : std::nullopt;
}

Mode ReadMode(MapReader& map) {
  const YamlNode* value = map.Optional("mode");
  if (!value) return Mode::kEnforce;
  return static_cast<Mode>(AsChoice(*value, "mode", {"enforce", "audit"}, map.out()).value_or(0));
}

// ReadId reads `id` and lets later messages about this map carry it.
Name ReadId(MapReader& map, std::string_view kind) {
  Name id;
  if (const auto* value = map.Required("id")) Set(id, AsName(*value, "id", map.out()));
  if (!id.text.empty()) map.set_what(Quoted(kind, id));
  return id;
}

std::vector<Name> ReadNames(MapReader& map, std::string_view key, bool required) {
  const YamlNode* value = required ? map.Required(key) : map.Optional(key);
  return value ? AsNames(*value, key, map.out()) : std::vector<Name>{};
}

Grant ReadGrant(const YamlNode& node, Diagnostics& out) {
  Grant grant;
  MapReader map(node, "a grant", out);
  grant.id = ReadId(map, "grant");
  grant.from = ReadNames(map, "from", true);
  grant.to = ReadNames(map, "to", true);
  grant.services = ReadNames(map, "service", true);
  if (const auto* value = map.Optional("same"))
    grant.same_site = AsChoice(*value, "same", {"site"}, out).has_value();
  grant.require_from = OptionalName(map, "require_from");
  grant.require_to = OptionalName(map, "require_to");
  grant.window = OptionalName(map, "window");
  if (const auto* value = map.Optional("expires")) grant.expires = AsTime(*value, "expires", out);
  if (const auto* value = map.Optional("offline")) grant.offline = ReadOffline(*value, out);
  grant.mode = ReadMode(map);
  if (const auto* value = map.Optional("log")) {
    if (const auto i = AsChoice(*value, "log", {"denied", "all", "none"}, out))
      grant.log = static_cast<LogChoice>(*i);
  }
  if (const auto* value = map.Optional("why")) Set(grant.why, AsText(*value, "why", out));
  if (const auto* value = map.Optional("owner")) Set(grant.owner, AsText(*value, "owner", out));
  map.Finish();
  return grant;
}

Guardrail ReadGuardrail(const YamlNode& node, Diagnostics& out) {
  Guardrail guardrail;
  MapReader map(node, "a guardrail", out);
  guardrail.id = ReadId(map, "guardrail");
  guardrail.mode = ReadMode(map);
  const YamlNode* never = map.Optional("never");
  const YamlNode* must_require = map.Optional("must_require");
  if (map.ok() && (never == nullptr) == (must_require == nullptr))
    out.Add(Code::kType, node.at, map.what() + " needs either never or must_require");
  if (never) {
    MapReader pairs(*never, "never of " + map.what(), out);
    guardrail.from = ReadNames(pairs, "from", true);
    guardrail.to = ReadNames(pairs, "to", true);
    guardrail.services = ReadNames(pairs, "service", false);
    pairs.Finish();
  } else if (must_require) {
    guardrail.must_require = AsName(*must_require, "must_require", out);
    guardrail.from = ReadNames(map, "from", false);
    guardrail.to = ReadNames(map, "to", false);
    guardrail.services = ReadNames(map, "service", true);
  }
  map.Finish();
  return guardrail;
}

Name RequiredName(MapReader& map, std::string_view key) {
  const YamlNode* value = map.Required(key);
  Name name{"", map.at()};
  if (value) Set(name, AsName(*value, key, map.out()));
  return name;
}

void ReadReachTest(MapReader& map, Policy& policy) {
  ReachTest test;
  test.at = map.at();
  test.nobody_in = RequiredName(map, "nobody_in");
  if (const YamlNode* reaches = map.Required("reaches")) {
    MapReader target(*reaches, "reaches", map.out());
    test.group = RequiredName(target, "group");
    test.service = RequiredName(target, "service");
    target.Finish();
  }
  policy.reach_tests.push_back(std::move(test));
}

void ReadPairTest(MapReader& map, Policy& policy) {
  Diagnostics& out = map.out();
  PairTest test;
  test.at = map.at();
  test.from = RequiredName(map, "from");
  test.to = RequiredName(map, "to");
  test.service = RequiredName(map, "service");
  if (const auto* value = map.Optional("at")) test.time = AsTime(*value, "at", out);
  if (const auto* value = map.Optional("attested"))
    test.attested = AsDuration(*value, "attested", out);
  if (const auto* value = map.Optional("attested_to"))
    test.attested_to = AsDuration(*value, "attested_to", out);
  if (const auto* value = map.Required("expect"))
    test.expect_allow = AsChoice(*value, "expect", {"allow", "deny"}, out) == size_t{0};
  test.by = OptionalName(map, "by");
  test.because = OptionalName(map, "because");
  if (test.because && test.expect_allow)
    out.Add(Code::kRange, test.because->at, "because goes with expect: deny only");
  policy.pair_tests.push_back(std::move(test));
}

void ReadTest(const YamlNode& node, Policy& policy, Diagnostics& out) {
  MapReader map(node, "a test", out);
  if (!map.ok()) return;
  if (map.Optional("nobody_in")) {
    ReadReachTest(map, policy);
  } else {
    ReadPairTest(map, policy);
  }
  map.Finish();
}

void CheckFormat(MapReader& top, std::string_view wanted) {
  const YamlNode* format = top.Required("sallyport");
  if (format && (format->kind != YamlNode::Kind::kScalar || format->text != wanted))
    top.out().Add(Code::kType, format->at, "expected `sallyport: " + std::string(wanted) + "`");
}

template <typename T>
void RefuseRepeatedIds(const std::vector<T>& items, std::string_view kind, Diagnostics& out) {
  std::unordered_set<std::string> seen;
  for (const T& item : items) {
    if (!item.id.text.empty() && !seen.insert(item.id.text).second)
      out.Add(Code::kDuplicate, item.id.at, "duplicate " + Quoted(kind, item.id));
  }
}

void ResolveZones(Policy& policy, const ZoneLookup& zones, Diagnostics& out) {
  for (Window& window : policy.windows) {
    for (WeeklyInterval& interval : window.weekly) {
      if (interval.zone.text.empty()) continue;
      const auto rule = zones(interval.zone.text);
      if (rule) {
        interval.rule = rule->text();
      } else {
        const Code code = rule.error().reason == Reason::kNotFound ? Code::kRef : Code::kRange;
        out.Add(code, interval.zone.at,
                "time zone '" + interval.zone.text + "': " + rule.error().detail);
      }
    }
  }
}

template <typename Read>
void ListSection(MapReader& top, std::string_view key, Read read) {
  if (const YamlNode* section = top.Optional(key))
    for (const YamlNode& item : Items(*section, key, top.out())) read(item);
}

Device ReadDevice(const YamlNode& node, Diagnostics& out) {
  Device device;
  MapReader map(node, "a device", out);
  const Name id = ReadId(map, "device");
  device.id = device.name = id.text;
  if (const auto* value = map.Optional("device_id"))
    if (auto device_id = AsName(*value, "device_id", out)) device.id = device_id->text;
  if (const auto* value = map.Optional("site"))
    if (auto site = AsName(*value, "site", out)) device.site = site->text;
  const YamlNode* tags = map.Optional("tags");
  const bool untagged = tags && tags->kind == YamlNode::Kind::kList && tags->items.empty();
  if (tags && !untagged)
    for (const Name& tag : AsNames(*tags, "tags", out)) device.tags.push_back(tag.text);
  std::ranges::sort(device.tags);
  if (const auto* value = map.Optional("tier")) {
    if (const auto i = AsChoice(*value, "tier", {"none", "enrolled", "attested", "measured"}, out))
      device.tier = static_cast<Tier>(*i);
  }
  if (const auto* value = map.Optional("state")) {
    if (const auto i = AsChoice(*value, "state",
                                {"pending", "enrolled", "active", "quarantined", "retired"}, out))
      device.state = static_cast<DeviceState>(*i);
  }
  if (const auto* value = map.Optional("attested"))
    device.attested = AsDuration(*value, "attested", out);
  map.Finish();
  return device;
}

}  // namespace

std::optional<Policy> ReadPolicy(std::string_view text, const ZoneLookup& zones, Diagnostics& out) {
  const auto root = ReadYaml(text, out);
  if (!root) return std::nullopt;
  Policy policy;
  MapReader top(*root, "the policy", out);
  CheckFormat(top, "policy/v1");
  if (const auto* name = top.Required("name")) {
    if (auto read = AsName(*name, "name", out)) policy.name = read->text;
  }
  NamedEntries(top, "groups", "group", [&](const Name& n, const YamlNode& v) {
    policy.groups.push_back(ReadGroup(n, v, out));
  });
  NamedEntries(top, "services", "service", [&](const Name& n, const YamlNode& v) {
    policy.services.push_back(ReadService(n, v, out));
  });
  NamedEntries(top, "conditions", "condition", [&](const Name& n, const YamlNode& v) {
    policy.conditions.push_back(ReadCondition(n, v, out));
  });
  NamedEntries(top, "windows", "window", [&](const Name& n, const YamlNode& v) {
    policy.windows.push_back(ReadWindow(n, v, out));
  });
  ListSection(top, "grants",
              [&](const YamlNode& v) { policy.grants.push_back(ReadGrant(v, out)); });
  ListSection(top, "guardrails",
              [&](const YamlNode& v) { policy.guardrails.push_back(ReadGuardrail(v, out)); });
  ListSection(top, "tests", [&](const YamlNode& v) { ReadTest(v, policy, out); });
  top.Finish();
  RefuseRepeatedIds(policy.grants, "grant", out);
  RefuseRepeatedIds(policy.guardrails, "guardrail", out);
  if (policy.grants.size() > kGrantsMax)
    out.Add(Code::kRange, root->at, "more than " + std::to_string(kGrantsMax) + " grants");
  if (policy.groups.size() > kGroupsMax) {
    out.Add(Code::kRange, root->at, "more than " + std::to_string(kGroupsMax) + " groups");
    return std::nullopt;
  }
  ResolveZones(policy, zones, out);
  CheckReferences(policy, out);
  if (out.has_errors()) return std::nullopt;
  return policy;
}

std::optional<Inventory> ReadInventory(std::string_view text, Diagnostics& out) {
  const auto root = ReadYaml(text, out);
  if (!root) return std::nullopt;
  Inventory inventory;
  std::unordered_set<std::string> seen;
  MapReader top(*root, "the inventory", out);
  CheckFormat(top, "inventory/v1");
  ListSection(top, "devices", [&](const YamlNode& v) {
    inventory.devices.push_back(ReadDevice(v, out));
    const Device& device = inventory.devices.back();
    for (const std::string& key : {"name " + device.name, "id " + device.id})
      if (!seen.insert(key).second) out.Add(Code::kDuplicate, v.at, "duplicate device " + key);
  });
  top.Finish();
  if (out.has_errors()) return std::nullopt;
  return inventory;
}

}  // namespace sallyport::policy

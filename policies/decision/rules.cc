#include "policies/decision/rules.h"

#include <algorithm>
#include <unordered_map>

namespace sallyport::policy {
namespace {

template <typename T>
void SortUnique(std::vector<T>& items) {
  std::ranges::sort(items);
  const auto rest = std::ranges::unique(items);
  items.erase(rest.begin(), rest.end());
}

std::vector<std::string> Texts(const std::vector<Name>& names) {
  std::vector<std::string> texts;
  for (const Name& name : names) texts.push_back(name.text);
  SortUnique(texts);
  return texts;
}

template <typename T>
std::unordered_map<std::string, const T*> ByName(const std::vector<T>& items) {
  std::unordered_map<std::string, const T*> map;
  for (const T& item : items) map[item.name.text] = &item;
  return map;
}

void Normalise(Selector& selector) {
  SortUnique(selector.devices);
  SortUnique(selector.tags);
}

// Lowering holds the look-ups of one Lower call.
class Lowering {
 public:
  Lowering(const Policy& policy, const Inventory* inventory, Diagnostics& out)
      : groups_(ByName(policy.groups)),
        services_(ByName(policy.services)),
        conditions_(ByName(policy.conditions)),
        windows_(ByName(policy.windows)),
        has_inventory_(inventory != nullptr),
        out_(out) {
    if (!inventory) return;
    for (const Device& device : inventory->devices) ids_[device.name] = device.id;
    for (const Device& device : inventory->devices) names_.push_back(device.name);
  }

  // Resolve returns the selector of a group; made once per group, so that each unknown device is
  // reported once.
  const Selector& Resolve(const Group& group) {
    const auto found = selectors_.find(group.name.text);
    if (found != selectors_.end()) return found->second;
    Selector selector;
    if (!group.tags.empty()) selector.tags.push_back(Texts(group.tags));
    for (const Name& tag : group.any_tags) selector.tags.push_back({tag.text});
    for (const Name& device : group.devices) selector.devices.push_back(Id(device, group));
    for (const Name& member : group.groups) {
      const Selector& inner = Resolve(*groups_.at(member.text));
      selector.devices.insert(selector.devices.end(), inner.devices.begin(), inner.devices.end());
      selector.tags.insert(selector.tags.end(), inner.tags.begin(), inner.tags.end());
    }
    Normalise(selector);
    return selectors_[group.name.text] = std::move(selector);
  }

  // Union of groups; an absent list (guardrails) means any device.
  Selector Union(const std::vector<Name>& names) {
    Selector selector;
    selector.all = names.empty();
    for (const Name& name : names) {
      if (name.text == kAny) {
        selector.all = true;
        continue;
      }
      const Selector& group = Resolve(*groups_.at(name.text));
      selector.devices.insert(selector.devices.end(), group.devices.begin(), group.devices.end());
      selector.tags.insert(selector.tags.end(), group.tags.begin(), group.tags.end());
    }
    if (selector.all) selector = Selector{true, {}, {}};
    Normalise(selector);
    return selector;
  }

  std::vector<PortRange> Ports(const std::vector<Name>& names) const {
    if (names.empty()) return AllPorts();
    std::vector<PortRange> ports;
    for (const Name& name : names) {
      if (name.text == kAny) return AllPorts();
      const auto& own = services_.at(name.text)->ports;
      ports.insert(ports.end(), own.begin(), own.end());
    }
    return MergePorts(std::move(ports));
  }

  Requirement Condition(const std::optional<Name>& name) const {
    return name ? conditions_.at(name->text)->requirement : Requirement{};
  }

  std::optional<WindowRule> WindowOf(const std::optional<Name>& name) const {
    if (!name) return std::nullopt;
    const Window& window = *windows_.at(name->text);
    WindowRule rule;
    for (const WeeklyInterval& weekly : window.weekly) {
      auto zone = ZoneRule::Parse(weekly.rule);
      SP_CHECK(zone.has_value());  // ReadPolicy put it there
      rule.weekly.push_back(
          {weekly.days, weekly.from_minute, weekly.to_minute, weekly.zone.text, *std::move(zone)});
    }
    for (const AbsoluteInterval& interval : window.absolute)
      rule.absolute.push_back({UnixTime::FromSeconds(interval.from.seconds()),
                               UnixTime::FromSeconds(interval.to.seconds())});
    return rule;
  }

 private:
  std::string Id(const Name& device, const Group& group) {
    if (!has_inventory_) return device.text;
    const auto found = ids_.find(device.text);
    if (found != ids_.end()) return found->second;
    out_.Add(Code::kRef, device.at,
             "unknown device '" + device.text + "' in group '" + group.name.text + "'",
             ClosestName(device.text, names_));
    return device.text;
  }

  std::unordered_map<std::string, const Group*> groups_;
  std::unordered_map<std::string, const Service*> services_;
  std::unordered_map<std::string, const struct Condition*> conditions_;
  std::unordered_map<std::string, const Window*> windows_;
  std::unordered_map<std::string, std::string> ids_;
  std::unordered_map<std::string, Selector> selectors_;
  std::vector<std::string> names_;
  bool has_inventory_;
  Diagnostics& out_;
};

GrantRule LowerGrant(const Grant& grant, Lowering& lowering) {
  GrantRule rule;
  rule.id = grant.id.text;
  rule.from = lowering.Union(grant.from);
  rule.to = lowering.Union(grant.to);
  rule.ports = lowering.Ports(grant.services);
  rule.same_site = grant.same_site;
  rule.require_from = lowering.Condition(grant.require_from);
  rule.require_to = lowering.Condition(grant.require_to);
  rule.window = lowering.WindowOf(grant.window);
  if (grant.expires) rule.expires = UnixTime::FromSeconds(grant.expires->seconds());
  rule.offline = grant.offline;
  rule.mode = grant.mode;
  rule.log = grant.log;
  rule.why = grant.why;
  rule.owner = grant.owner;
  return rule;
}

GuardrailRule LowerGuardrail(const Guardrail& guardrail, Lowering& lowering) {
  GuardrailRule rule;
  rule.id = guardrail.id.text;
  rule.from = lowering.Union(guardrail.from);
  rule.to = lowering.Union(guardrail.to);
  rule.ports = lowering.Ports(guardrail.services);
  if (guardrail.must_require) rule.must_require = lowering.Condition(guardrail.must_require);
  rule.mode = guardrail.mode;
  return rule;
}

}  // namespace

std::vector<PortRange> AllPorts() {
  return {{Protocol::kTcp, 1, UINT16_MAX}, {Protocol::kUdp, 1, UINT16_MAX}};
}

std::vector<PortRange> MergePorts(std::vector<PortRange> ports) {
  std::ranges::sort(ports);
  std::vector<PortRange> merged;
  for (const PortRange& range : ports) {
    if (!merged.empty() && merged.back().protocol == range.protocol &&
        range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

bool Covers(const std::vector<PortRange>& outer, const std::vector<PortRange>& inner) {
  return !inner.empty() && std::ranges::all_of(inner, [&](const PortRange& in) {
    return std::ranges::any_of(outer, [&](const PortRange& out) {
      return out.protocol == in.protocol && out.first <= in.first && in.last <= out.last;
    });
  });
}

bool Overlap(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
  return std::ranges::any_of(a, [&](const PortRange& x) {
    return std::ranges::any_of(b, [&](const PortRange& y) {
      return x.protocol == y.protocol && x.first <= y.last && y.first <= x.last;
    });
  });
}

bool Contains(const Selector& selector, const std::string& id,
              const std::vector<std::string>& sorted_tags) {
  if (selector.all || std::ranges::binary_search(selector.devices, id)) return true;
  return std::ranges::any_of(
      selector.tags, [&](const auto& set) { return std::ranges::includes(sorted_tags, set); });
}

bool Includes(const Selector& outer, const Selector& inner) {
  if (outer.all) return true;
  if (inner.all || !std::ranges::includes(outer.devices, inner.devices)) return false;
  return std::ranges::all_of(inner.tags, [&](const auto& set) {
    return std::ranges::any_of(
        outer.tags, [&](const auto& wider) { return std::ranges::includes(set, wider); });
  });
}

bool Implies(const Requirement& strong, const Requirement& weak) {
  const bool age = !weak.attested_within ||
                   (strong.attested_within && *strong.attested_within <= *weak.attested_within);
  const bool tier = !weak.min_tier || (strong.min_tier && *strong.min_tier >= *weak.min_tier);
  const bool state = !weak.state || strong.state == weak.state;
  return age && tier && state;
}

std::optional<RuleSet> Lower(const Policy& policy, const Inventory* inventory, Diagnostics& out) {
  Lowering lowering(policy, inventory, out);
  RuleSet rules;
  rules.name = policy.name;
  for (const Group& group : policy.groups) {
    const Selector& selector = lowering.Resolve(group);
    rules.groups[group.name.text] = selector;
    if (group.pinned) rules.pinned[group.name.text] = selector.devices;
  }
  for (const Grant& grant : policy.grants) rules.grants.push_back(LowerGrant(grant, lowering));
  for (const Guardrail& guardrail : policy.guardrails)
    rules.guardrails.rules.push_back(LowerGuardrail(guardrail, lowering));
  for (const Service& service : policy.services)
    rules.guardrails.services[service.name.text] = MergePorts(service.ports);
  std::ranges::sort(rules.grants, {}, &GrantRule::id);
  std::ranges::sort(rules.guardrails.rules, {}, &GuardrailRule::id);
  if (out.has_errors()) return std::nullopt;
  return rules;
}

std::vector<DeviceFacts> FactsOf(const Inventory& inventory) {
  std::vector<DeviceFacts> facts;
  facts.reserve(inventory.devices.size());
  for (const Device& device : inventory.devices)
    facts.push_back(
        {device.id, device.name, device.site, device.tags, Tier::kNone, device.state, 0, ""});
  return facts;
}

}  // namespace sallyport::policy

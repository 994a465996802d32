// Rules as they are signed, shipped and judged: self-contained, with groups, services, conditions
// and windows inlined and devices named by id. Lower makes them from a policy; canonical.h is their
// one text form. Values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policies/language/model.h"
#include "policies/language/zone_rule.h"

namespace sallyport::policy {

// Selector is a union: listed devices, and devices that carry all tags of at least one set. A
// selector of nothing matches nothing, never everything.
struct Selector {
  bool all = false;
  std::vector<std::string> devices;            // ids, sorted, distinct
  std::vector<std::vector<std::string>> tags;  // each sorted, distinct, not empty; sorted, distinct
  auto operator<=>(const Selector&) const = default;
  bool empty() const { return !all && devices.empty() && tags.empty(); }
};

struct WeeklyRule {
  uint8_t days = 0;
  uint16_t from_minute = 0;
  uint16_t to_minute = 0;
  std::string zone;  // for people
  ZoneRule rule;
};

struct WindowRule {
  std::vector<WeeklyRule> weekly;
  std::vector<AbsoluteInterval> absolute;
};

struct GrantRule {
  std::string id;
  Selector from;
  Selector to;
  std::vector<PortRange> ports;  // sorted, merged
  bool same_site = false;
  Requirement require_from;
  Requirement require_to;
  std::optional<WindowRule> window;
  std::optional<UnixTime> expires;
  Offline offline;
  Mode mode = Mode::kEnforce;
  LogChoice log = LogChoice::kDenied;
  std::string why;
  std::string owner;
};

// GuardrailRule forbids, or with `must_require` demands a condition of the initiator.
struct GuardrailRule {
  std::string id;
  Selector from;
  Selector to;
  std::vector<PortRange> ports;
  std::optional<Requirement> must_require;
  Mode mode = Mode::kEnforce;
};

using ServicePorts = std::map<std::string, std::vector<PortRange>, std::less<>>;

// Guardrails are what a slice always carries whole: the rules no grant can break, and what each
// service name means.
struct Guardrails {
  std::vector<GuardrailRule> rules;  // sorted by id
  ServicePorts services;
};

struct RuleSet {
  std::string name;
  std::vector<GrantRule> grants;  // sorted by id
  Guardrails guardrails;
  std::map<std::string, std::vector<std::string>> pinned;  // group -> device ids
  std::map<std::string, Selector> groups;  // for tests and warnings; not part of any rule
};

// DeviceFacts is what the authority says about a device; never what the device says.
struct DeviceFacts {
  std::string id;
  std::string name;
  std::string site;
  std::vector<std::string> tags;  // sorted, distinct
  Tier tier = Tier::kNone;        // floor: a certificate of a lower tier is not accepted
  DeviceState state = DeviceState::kPending;
  uint64_t min_epoch = 0;  // a certificate of a lower epoch is revoked
  std::string endpoint;    // host:port of its proxy, or empty
};

// Every port of both protocols: the service `any`.
std::vector<PortRange> AllPorts();
// MergePorts sorts and joins overlapping and adjacent ranges.
std::vector<PortRange> MergePorts(std::vector<PortRange> ports);
// Covers: every port of `inner` is in `outer`; both merged. False for an empty `inner`.
bool Covers(const std::vector<PortRange>& outer, const std::vector<PortRange>& inner);
bool Overlap(const std::vector<PortRange>& a, const std::vector<PortRange>& b);

// Contains: `facts` is a member of `selector`.
bool Contains(const Selector& selector, const std::string& id,
              const std::vector<std::string>& sorted_tags);
// Includes: every device, whatever its tags, that `inner` selects is selected by `outer`. May miss
// unions.
bool Includes(const Selector& outer, const Selector& inner);
// Implies: whoever meets `strong` meets `weak`.
bool Implies(const Requirement& strong, const Requirement& weak);

// Lower inlines everything. Device names become ids of `inventory`; unknown ones are E-REF. Without
// an inventory (null) names stand for themselves. Returns nothing when it reported an error. Pure.
std::optional<RuleSet> Lower(const Policy& policy, const Inventory* inventory, Diagnostics& out);

// FactsOf are an inventory's devices as the decision sees them, without a tier floor or endpoint.
std::vector<DeviceFacts> FactsOf(const Inventory& inventory);

}  // namespace sallyport::policy

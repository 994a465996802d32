#include "policies/language/checker.h"

#include <algorithm>
#include <unordered_map>

namespace sallyport::policy {
namespace {

// Ports of interactive access: ssh, telnet, remote desktop, VNC.
constexpr uint16_t kInteractivePorts[] = {22, 23, 3389, 5900};

// Namespace is the set of names of one kind, for look-ups and suggestions.
class Namespace {
 public:
  template <typename T>
  Namespace(std::string kind, const std::vector<T>& items, bool with_any) : kind_(std::move(kind)) {
    for (const T& item : items) names_.push_back(item.name.text);
    if (with_any) names_.emplace_back(kAny);
    std::ranges::sort(names_);
  }
  void Check(const Name& name, const std::string& where, Diagnostics& out) const {
    if (name.text.empty() || std::ranges::binary_search(names_, name.text)) return;
    out.Add(Code::kRef, name.at, "unknown " + kind_ + " '" + name.text + "' in " + where,
            ClosestName(name.text, names_));
  }
  void CheckAll(const std::vector<Name>& names, const std::string& where, Diagnostics& out) const {
    for (const Name& name : names) Check(name, where, out);
  }
  void Check(const std::optional<Name>& name, const std::string& where, Diagnostics& out) const {
    if (name) Check(*name, where, out);
  }

 private:
  std::string kind_;
  std::vector<std::string> names_;
};

// CycleFinder walks group unions depth first; each cycle is reported once, where it closes.
class CycleFinder {
 public:
  CycleFinder(const Policy& policy, Diagnostics& out) : out_(out) {
    for (const Group& group : policy.groups) groups_[group.name.text] = &group;
  }
  void Visit(const Group& group) {
    State& state = states_[group.name.text];
    if (state == State::kDone) return;
    state = State::kOpen;
    for (const Name& member : group.groups) {
      const auto found = groups_.find(member.text);
      if (found == groups_.end()) continue;
      if (states_[member.text] == State::kOpen) {
        out_.Add(Code::kCycle, member.at,
                 "group '" + group.name.text + "' contains itself through '" + member.text + "'");
      } else {
        Visit(*found->second);
      }
      if (group.pinned && !found->second->pinned)
        out_.Add(Code::kRange, member.at,
                 "pinned group '" + group.name.text + "' contains '" + member.text +
                     "', which is not pinned");
    }
    states_[group.name.text] = State::kDone;
  }

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  Diagnostics& out_;
  std::unordered_map<std::string, const Group*> groups_;
  std::unordered_map<std::string, State> states_;
};

void CheckBecause(const PairTest& test, Diagnostics& out) {
  const std::vector<std::string> names(std::begin(kFailureNames), std::end(kFailureNames));
  if (test.because && std::ranges::find(names, test.because->text) == names.end())
    out.Add(Code::kRef, test.because->at, "unknown reason '" + test.because->text + "' in a test",
            ClosestName(test.because->text, names));
}

// RuleIds lets tests name what decides them, grant or guardrail.
std::vector<Group> RuleIds(const Policy& policy) {
  std::vector<Group> ids;
  for (const Grant& grant : policy.grants) ids.push_back({grant.id, {}, {}, {}, {}, false});
  for (const Guardrail& guardrail : policy.guardrails)
    ids.push_back({guardrail.id, {}, {}, {}, {}, false});
  return ids;
}

bool Interactive(const Policy& policy, const Name& service) {
  const auto found = std::ranges::find(policy.services, service.text,
                                       [](const Service& s) { return s.name.text; });
  if (found == policy.services.end()) return true;  // any
  return std::ranges::any_of(found->ports, [](const PortRange& range) {
    return range.protocol == Protocol::kTcp &&
           std::ranges::any_of(kInteractivePorts,
                               [&](uint16_t p) { return range.first <= p && p <= range.last; });
  });
}

bool NamesAny(const std::vector<Name>& names) {
  return std::ranges::any_of(names, [](const Name& n) { return n.text == kAny; });
}

}  // namespace

void CheckReferences(const Policy& policy, Diagnostics& out) {
  const Namespace groups("group", policy.groups, false);
  const Namespace selectors("group", policy.groups, true);
  const Namespace services("service", policy.services, true);
  const Namespace named_services("service", policy.services, false);
  const Namespace conditions("condition", policy.conditions, false);
  const Namespace windows("window", policy.windows, false);
  const Namespace rules("grant or guardrail", RuleIds(policy), false);
  CycleFinder cycles(policy, out);
  for (const Group& group : policy.groups) {
    groups.CheckAll(group.groups, "group '" + group.name.text + "'", out);
    cycles.Visit(group);
  }
  for (const Grant& grant : policy.grants) {
    const std::string where = "grant '" + grant.id.text + "'";
    selectors.CheckAll(grant.from, where, out);
    selectors.CheckAll(grant.to, where, out);
    services.CheckAll(grant.services, where, out);
    conditions.Check(grant.require_from, where, out);
    conditions.Check(grant.require_to, where, out);
    windows.Check(grant.window, where, out);
  }
  for (const Guardrail& guardrail : policy.guardrails) {
    const std::string where = "guardrail '" + guardrail.id.text + "'";
    selectors.CheckAll(guardrail.from, where, out);
    selectors.CheckAll(guardrail.to, where, out);
    services.CheckAll(guardrail.services, where, out);
    conditions.Check(guardrail.must_require, where, out);
  }
  for (const PairTest& test : policy.pair_tests) {
    named_services.Check(test.service, "a test", out);
    rules.Check(test.by, "a test", out);
    CheckBecause(test, out);
  }
  for (const ReachTest& test : policy.reach_tests) {
    selectors.Check(test.nobody_in, "a test", out);
    selectors.Check(test.group, "a test", out);
    services.Check(test.service, "a test", out);
  }
}

void CheckHabits(const Policy& policy, Diagnostics& out) {
  for (const Grant& grant : policy.grants) {
    const std::string where = "grant '" + grant.id.text + "'";
    if (NamesAny(grant.from)) out.Add(Code::kBroad, grant.id.at, where + " is from any device");
    if (NamesAny(grant.to)) out.Add(Code::kBroad, grant.id.at, where + " is to any device");
    if (NamesAny(grant.services)) out.Add(Code::kBroad, grant.id.at, where + " is for any service");
    const bool interactive =
        std::ranges::any_of(grant.services, [&](const Name& s) { return Interactive(policy, s); });
    if (interactive && !grant.expires)
      out.Add(Code::kNoExpiry, grant.id.at, where + " gives interactive access and never expires");
  }
}

}  // namespace sallyport::policy

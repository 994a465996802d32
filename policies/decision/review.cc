#include "policies/decision/review.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace sallyport::policy {
namespace {

using Index = CompiledPolicy::Index;

bool Bit(const BitRows& rows, size_t row, size_t bit) {
  return (rows.row(row)[bit / 64] >> (bit % 64) & 1) != 0;
}

std::unordered_map<std::string, Position> PlacesOf(const Policy& policy) {
  std::unordered_map<std::string, Position> places;
  for (const Grant& grant : policy.grants) places[grant.id.text] = grant.id.at;
  return places;
}

// Samples are devices that stand for all: no rule and no `same: site` can tell another device from
// one of them. Two of each kind, because a device never talks to itself.
std::vector<Index> Samples(const CompiledPolicy& policy) {
  std::map<std::pair<Index, Index>, int> seen;
  std::vector<Index> samples;
  for (Index i = 0; i < policy.facts().size(); ++i) {
    const auto& row = policy.device(i);
    if (seen[{row.device_class, row.site}]++ < 2) samples.push_back(i);
  }
  return samples;
}

bool EndsAtOrBefore(const std::optional<UnixTime>& a, const std::optional<UnixTime>& b) {
  return !b || (a && *a <= *b);
}

bool OfflineWithin(const Offline& a, const Offline& b) {
  const auto rank = [](const Offline& o) {
    return std::pair(o.kind == Offline::Kind::kKeep,
                     o.kind == Offline::Kind::kDuration ? o.duration : Duration{});
  };
  return rank(a) <= rank(b);
}

// Shadows: whenever `b` allows, `a` does, for at least as long. Windows are compared as a whole.
bool Shadows(const GrantRule& a, const GrantRule& b) {
  if (a.mode != Mode::kEnforce || b.mode != Mode::kEnforce || a.window) return false;
  return Includes(a.from, b.from) && Includes(a.to, b.to) && Covers(a.ports, b.ports) &&
         (!a.same_site || b.same_site) && Implies(b.require_from, a.require_from) &&
         Implies(b.require_to, a.require_to) && EndsAtOrBefore(b.expires, a.expires) &&
         OfflineWithin(b.offline, a.offline);
}

void FindShadowed(const RuleSet& rules, const std::unordered_map<std::string, Position>& places,
                  Diagnostics& out) {
  for (size_t i = 0; i < rules.grants.size(); ++i) {
    const GrantRule& grant = rules.grants[i];
    for (size_t j = 0; j < rules.grants.size(); ++j) {
      // Of two equal grants only the later one is superfluous.
      if (i == j || !Shadows(rules.grants[j], grant)) continue;
      if (i < j && Shadows(grant, rules.grants[j])) continue;
      out.Add(Code::kShadowed, places.at(grant.id),
              "grant '" + grant.id + "' adds nothing to grant '" + rules.grants[j].id + "'");
      break;
    }
  }
}

// Contradicts: every access of the grant falls under the guardrail, whatever the devices are.
bool Contradicts(const GrantRule& grant, const GuardrailRule& guardrail) {
  return Overlap(grant.ports, guardrail.ports) && Includes(guardrail.from, grant.from) &&
         Includes(guardrail.to, grant.to) &&
         (!guardrail.must_require || !Implies(grant.require_from, *guardrail.must_require));
}

std::string Broken(const GrantRule& grant, const GuardrailRule& guardrail) {
  const std::string subject = "grant '" + grant.id + "' breaks guardrail '" + guardrail.id + "'";
  return guardrail.must_require ? subject + ", which demands a stricter require_from" : subject;
}

// OverReview holds the inputs of one ReviewOver call.
class OverReview {
 public:
  OverReview(const Policy& policy, const Inventory& inventory, const CompiledPolicy& compiled,
             UnixTime now, Diagnostics& out)
      : policy_(policy), compiled_(compiled), now_(now), out_(out), samples_(Samples(compiled)) {
    for (const Device& device : inventory.devices) {
      devices_[device.name] = &device;
      names_.push_back(device.name);
    }
  }

  void ProveGuardrails() const {
    const auto places = PlacesOf(policy_);
    for (size_t g = 0; g < compiled_.grants().size(); ++g) {
      const GrantRule& grant = compiled_.grants()[g];
      for (size_t r = 0; r < compiled_.guardrails().size(); ++r) {
        const GuardrailRule& rule = compiled_.guardrails()[r];
        // Contradictions without an inventory are ReviewRules' to report.
        const bool relevant = grant.mode == Mode::kEnforce && rule.mode == Mode::kEnforce &&
                              Overlap(grant.ports, rule.ports) && !Contradicts(grant, rule);
        if (!relevant || (rule.must_require && Implies(grant.require_from, *rule.must_require)))
          continue;
        if (const std::string witness = Witness(g, r); !witness.empty())
          out_.Add(Code::kGuardrail, places.at(grant.id), Broken(grant, rule) + ": " + witness);
      }
    }
  }

  TestCounts RunTests() {
    TestCounts counts;
    for (const PairTest& test : policy_.pair_tests)
      ++(RunPair(test) ? counts.passed : counts.failed);
    for (const ReachTest& test : policy_.reach_tests)
      ++(RunReach(test) ? counts.passed : counts.failed);
    return counts;
  }

  void WarnOfEmptyGroups() const {
    for (const Group& group : policy_.groups) {
      if (Members(group.name.text).empty())
        out_.Add(Code::kEmpty, group.name.at,
                 "group '" + group.name.text + "' has no members in the inventory");
    }
  }

  void WarnOfUntested() const {
    for (const Grant& grant : policy_.grants)
      if (!exercised_.contains(grant.id.text))
        out_.Add(Code::kUntested, grant.id.at, "no test exercises grant '" + grant.id.text + "'");
  }

 private:
  std::string Witness(size_t grant, size_t guardrail) const {
    for (const Index f : samples_) {
      const auto& from = compiled_.device(f);
      if (!Bit(compiled_.grant_from(), from.device_class, grant) ||
          !Bit(compiled_.guardrail_from(), from.device_class, guardrail))
        continue;
      for (const Index t : samples_) {
        const auto& to = compiled_.device(t);
        if (f == t || !Bit(compiled_.grant_to(), to.device_class, grant) ||
            !Bit(compiled_.guardrail_to(), to.device_class, guardrail))
          continue;
        if (compiled_.grants()[grant].same_site && from.site != to.site) continue;
        return compiled_.facts()[f].name + " -> " + compiled_.facts()[t].name;
      }
    }
    return {};
  }

  const Device* Find(const Name& name) {
    const auto found = devices_.find(name.text);
    if (found != devices_.end()) return found->second;
    out_.Add(Code::kRef, name.at, "unknown device '" + name.text + "' in a test",
             ClosestName(name.text, names_));
    return nullptr;
  }

  bool Fail(const Position& at, std::string message) {
    out_.Add(Code::kTest, at, std::move(message));
    return false;
  }

  static std::string Describe(const Decision& decision) {
    std::string text = decision.allowed() ? "allow" : "deny";
    if (!decision.by.empty()) text += " by '" + std::string(decision.by) + "'";
    if (!decision.allowed() && decision.by.empty())
      text += " (" + std::string(decision.reason) + ")";
    if (decision.nearest)
      text += ", nearest grant '" + std::string(decision.nearest->grant) + "' failed " +
              std::string(decision.nearest->failed);
    return text;
  }

  bool RunPair(const PairTest& test) {
    const Device* from = Find(test.from);
    const Device* to = Find(test.to);
    if (!from || !to) return false;
    const UnixTime at = test.time.value_or(now_);
    const Decision decision =
        Decide(compiled_, {PartyOf(*from, test.attested, at), PartyOf(*to, test.attested_to, at),
                           test.service.text, at, true, nullptr});
    if (decision.allowed()) exercised_.emplace(decision.by);
    if (decision.nearest) exercised_.emplace(decision.nearest->grant);
    const std::string what = test.from.text + " -> " + test.to.text + ":" + test.service.text;
    if (decision.allowed() != test.expect_allow)
      return Fail(test.at, what + ": expected " + (test.expect_allow ? "allow" : "deny") +
                               ", got " + Describe(decision));
    if (test.by && decision.by != test.by->text)
      return Fail(test.by->at,
                  what + ": expected by '" + test.by->text + "', got " + Describe(decision));
    const std::string_view cause = decision.nearest ? decision.nearest->failed : decision.reason;
    if (test.because && cause != test.because->text)
      return Fail(test.because->at, what + ": expected because " + test.because->text + ", got " +
                                        Describe(decision));
    return true;
  }

  // Members returns the samples in a group; `any` is all of them.
  std::vector<Index> Members(const std::string& group) const {
    if (group == kAny) return samples_;
    const Selector& selector = compiled_.groups().at(group);
    std::vector<Index> members;
    for (const Index i : samples_) {
      const DeviceFacts& facts = compiled_.facts()[i];
      if (Contains(selector, facts.id, facts.tags)) members.push_back(i);
    }
    return members;
  }

  bool RunReach(const ReachTest& test) {
    const std::vector<Index> sources = Members(test.nobody_in.text);
    const std::vector<Index> targets = Members(test.group.text);
    for (const auto& [name, members] :
         {std::pair(&test.nobody_in, &sources), std::pair(&test.group, &targets)})
      if (members->empty())
        return Fail(name->at, "group '" + name->text + "' has no members: the test proves nothing");
    for (Index s = 0; s < compiled_.service_count(); ++s) {
      if (test.service.text != kAny && test.service.text != compiled_.service_name(s)) continue;
      for (const Index f : sources) {
        for (const Index t : targets) {
          const std::string_view grant = EverAllowed(compiled_, f, t, s);
          if (grant.empty()) continue;
          return Fail(test.at, compiled_.facts()[f].name + " can reach " +
                                   compiled_.facts()[t].name + ":" + compiled_.service_name(s) +
                                   " by grant '" + std::string(grant) + "'");
        }
      }
    }
    return true;
  }

  const Policy& policy_;
  const CompiledPolicy& compiled_;
  UnixTime now_;
  Diagnostics& out_;
  std::vector<Index> samples_;
  std::unordered_map<std::string, const Device*> devices_;
  std::vector<std::string> names_;
  std::set<std::string, std::less<>> exercised_;
};

}  // namespace

void ReviewRules(const Policy& policy, const RuleSet& rules, Diagnostics& out) {
  const auto places = PlacesOf(policy);
  for (const GrantRule& grant : rules.grants) {
    for (const GuardrailRule& guardrail : rules.guardrails.rules) {
      const bool enforced = grant.mode == Mode::kEnforce && guardrail.mode == Mode::kEnforce;
      if (enforced && Contradicts(grant, guardrail))
        out.Add(Code::kGuardrail, places.at(grant.id), Broken(grant, guardrail));
    }
  }
  FindShadowed(rules, places, out);
}

TestCounts ReviewOver(const Policy& policy, const Inventory& inventory,
                      const CompiledPolicy& compiled, UnixTime now, Diagnostics& out) {
  OverReview review(policy, inventory, compiled, now, out);
  review.ProveGuardrails();
  const TestCounts counts = review.RunTests();
  review.WarnOfEmptyGroups();
  review.WarnOfUntested();
  return counts;
}

Party PartyOf(const Device& device, std::optional<Duration> attested, UnixTime now) {
  Party party{device.id, device.tier, std::nullopt, std::nullopt, 0};
  if (!attested) attested = device.attested;
  if (attested) party.attested_at = now - *attested;
  return party;
}

}  // namespace sallyport::policy

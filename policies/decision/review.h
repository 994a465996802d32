// Review: what must hold before a policy may be published over an inventory: guardrails proved,
// tests passed; and what its authors should look at. Repeated when the inventory changes, not only
// when the policy does. Pure.
#pragma once

#include "policies/decision/decide.h"
#include "policies/language/model.h"

namespace sallyport::policy {

struct TestCounts {
  size_t passed = 0;
  size_t failed = 0;
};

// ReviewRules reports what needs no inventory: E-GUARDRAIL for grants that contradict a guardrail
// whatever the devices are, and W-SHADOWED.
void ReviewRules(const Policy& policy, const RuleSet& rules, Diagnostics& out);

// ReviewOver reports E-GUARDRAIL with a witness pair, E-TEST, W-EMPTY and W-UNTESTED. `compiled`
// was made from the same policy and inventory; `now` is the time of tests that give none.
TestCounts ReviewOver(const Policy& policy, const Inventory& inventory,
                      const CompiledPolicy& compiled, UnixTime now, Diagnostics& out);

// PartyOf describes an inventory device as one end of a connection; `attested` overrides its age.
Party PartyOf(const Device& device, std::optional<Duration> attested, UnixTime now);

}  // namespace sallyport::policy

#include "policies/decision/compile.h"

#include <algorithm>
#include <map>

namespace sallyport::policy {

// Compiler finds the distinct selectors, groups devices into classes by which of them could tell
// two devices apart, and fills the bit rows from class membership.
class Compiler {
 public:
  CompiledPolicy Run(RuleSet rules, std::vector<DeviceFacts> facts) {
    policy_.rules_ = std::move(rules);
    policy_.facts_ = std::move(facts);
    CollectSelectors();
    ClassifyDevices();
    FillClassRows();
    FillServiceRows();
    return std::move(policy_);
  }

 private:
  using Index = CompiledPolicy::Index;

  Index SelectorIndex(const Selector& selector) {
    return selectors_.try_emplace(selector, static_cast<Index>(selectors_.size())).first->second;
  }

  void CollectSelectors() {
    for (const GrantRule& grant : policy_.grants()) {
      grant_from_.push_back(SelectorIndex(grant.from));
      grant_to_.push_back(SelectorIndex(grant.to));
    }
    for (const GuardrailRule& guardrail : policy_.guardrails()) {
      guardrail_from_.push_back(SelectorIndex(guardrail.from));
      guardrail_to_.push_back(SelectorIndex(guardrail.to));
    }
    for (const auto& [name, selector] : policy_.groups()) SelectorIndex(selector);
    for (const auto& [selector, index] : selectors_) {
      for (const std::string& id : selector.devices) named_[id].push_back(index);
      for (const auto& set : selector.tags)
        for (const std::string& tag : set) tags_.try_emplace(tag, static_cast<Index>(tags_.size()));
    }
  }

  // Signature lists what rules can see of a device: its known tags and the selectors that name it.
  std::vector<Index> Signature(const DeviceFacts& device) const {
    std::vector<Index> signature;
    for (const std::string& tag : device.tags) {
      const auto found = tags_.find(tag);
      if (found != tags_.end()) signature.push_back(found->second);
    }
    std::ranges::sort(signature);
    signature.push_back(UINT32_MAX);
    const auto named = named_.find(device.id);
    if (named != named_.end())
      signature.insert(signature.end(), named->second.begin(), named->second.end());
    return signature;
  }

  void ClassifyDevices() {
    struct SignatureHash {
      size_t operator()(const std::vector<Index>& v) const {
        size_t hash = v.size();
        for (const Index i : v) hash = hash * 0x9E3779B97F4A7C15ULL + i;
        return hash;
      }
    };
    std::unordered_map<std::vector<Index>, Index, SignatureHash> classes;
    StringMap<Index> sites;
    policy_.device_index_.reserve(policy_.facts_.size());
    for (size_t i = 0; i < policy_.facts_.size(); ++i) {
      const DeviceFacts& device = policy_.facts_[i];
      policy_.device_index_.try_emplace(device.id, static_cast<Index>(i));
      const auto [found, added] =
          classes.try_emplace(Signature(device), static_cast<Index>(classes.size()));
      if (added) samples_.push_back(&device);
      const Index site =
          sites.try_emplace(device.site, static_cast<Index>(sites.size())).first->second;
      policy_.devices_.push_back(
          {found->second, site, device.state, device.tier, device.min_epoch});
    }
    policy_.class_count_ = classes.size();
  }

  void FillClassRows() {
    std::vector<std::vector<uint8_t>> member(samples_.size(),
                                             std::vector<uint8_t>(selectors_.size()));
    for (size_t c = 0; c < samples_.size(); ++c)
      for (const auto& [selector, index] : selectors_)
        member[c][index] = Contains(selector, samples_[c]->id, samples_[c]->tags) ? 1 : 0;
    const auto fill = [&](const std::vector<Index>& selector_of_rule) {
      BitRows rows(samples_.size(), selector_of_rule.size());
      for (size_t c = 0; c < samples_.size(); ++c)
        for (size_t rule = 0; rule < selector_of_rule.size(); ++rule)
          if (member[c][selector_of_rule[rule]]) rows.Set(c, rule);
      return rows;
    };
    policy_.grant_from_ = fill(grant_from_);
    policy_.grant_to_ = fill(grant_to_);
    policy_.guardrail_from_ = fill(guardrail_from_);
    policy_.guardrail_to_ = fill(guardrail_to_);
  }

  void FillServiceRows() {
    const ServicePorts& services = policy_.rules_.guardrails.services;
    policy_.grant_service_ = BitRows(services.size(), policy_.grants().size());
    policy_.guardrail_service_ = BitRows(services.size(), policy_.guardrails().size());
    for (const auto& [name, ports] : services) {
      const auto index = static_cast<Index>(policy_.service_names_.size());
      policy_.service_names_.push_back(name);
      policy_.service_index_.emplace(name, index);
      for (size_t i = 0; i < policy_.grants().size(); ++i)
        if (Covers(policy_.grants()[i].ports, ports)) policy_.grant_service_.Set(index, i);
      for (size_t i = 0; i < policy_.guardrails().size(); ++i)
        if (Overlap(policy_.guardrails()[i].ports, ports)) policy_.guardrail_service_.Set(index, i);
    }
  }

  CompiledPolicy policy_;
  std::map<Selector, Index> selectors_;
  std::vector<Index> grant_from_, grant_to_, guardrail_from_, guardrail_to_;
  StringMap<std::vector<Index>> named_;
  StringMap<Index> tags_;
  std::vector<const DeviceFacts*> samples_;  // one device of each class
};

std::optional<CompiledPolicy::Index> CompiledPolicy::FindDevice(std::string_view id) const {
  const auto found = device_index_.find(id);
  if (found == device_index_.end()) return std::nullopt;
  return found->second;
}

std::optional<CompiledPolicy::Index> CompiledPolicy::FindService(std::string_view name) const {
  const auto found = service_index_.find(name);
  if (found == service_index_.end()) return std::nullopt;
  return found->second;
}

CompiledPolicy Compile(RuleSet rules, std::vector<DeviceFacts> facts) {
  return Compiler().Run(std::move(rules), std::move(facts));
}

}  // namespace sallyport::policy

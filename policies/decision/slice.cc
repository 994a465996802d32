#include "policies/decision/slice.h"

#include <algorithm>
#include <unordered_set>

#include "pki/base/json.h"
#include "pki/crypto/hash.h"

namespace sallyport::policy {
namespace {

constexpr std::string_view kSliceFormat = "slice/v1";
constexpr JsonLimits kSliceLimits{kSliceSizeMax, 8};

using Index = CompiledPolicy::Index;

JsonValue FactJson(const DeviceFacts& facts) {
  return JsonValue::Object({{"endpoint", facts.endpoint},
                            {"id", facts.id},
                            {"min_epoch", facts.min_epoch},
                            {"name", facts.name},
                            {"site", facts.site},
                            {"state", DeviceStateName(facts.state)},
                            {"tags", JsonValue::Strings(facts.tags)},
                            {"tier", TierName(facts.tier)}});
}

bool Bit(const BitRows& rows, size_t row, size_t bit) {
  return (rows.row(row)[bit / 64] >> (bit % 64) & 1) != 0;
}

// Selection finds the grants that name `self` and the devices at their other ends.
class Selection {
 public:
  Selection(const CompiledPolicy& policy, Index self)
      : policy_(policy), self_(self), me_(policy.device(self)) {
    for (size_t g = 0; g < policy.grants().size(); ++g)
      if (Bit(policy.grant_from(), me_.device_class, g) ||
          Bit(policy.grant_to(), me_.device_class, g))
        grants_.push_back(g);
    Classify();
  }
  const std::vector<size_t>& grants() const { return grants_; }
  bool Concerns(Index other) const {
    if (other == self_) return false;
    const auto& row = policy_.device(other);
    return anywhere_[row.device_class] || (row.site == me_.site && same_site_[row.device_class]);
  }

 private:
  void Classify() {
    anywhere_.resize(policy_.class_count());
    same_site_.resize(policy_.class_count());
    for (const size_t g : grants_) {
      const bool from_me = Bit(policy_.grant_from(), me_.device_class, g);
      const bool to_me = Bit(policy_.grant_to(), me_.device_class, g);
      std::vector<bool>& target = policy_.grants()[g].same_site ? same_site_ : anywhere_;
      for (size_t c = 0; c < policy_.class_count(); ++c)
        if ((from_me && Bit(policy_.grant_to(), c, g)) ||
            (to_me && Bit(policy_.grant_from(), c, g)))
          target[c] = true;
    }
  }

  const CompiledPolicy& policy_;
  Index self_;
  const CompiledPolicy::DeviceRow& me_;
  std::vector<size_t> grants_;
  std::vector<bool> anywhere_, same_site_;  // by class
};

Result<DeviceFacts> ParseFact(const JsonCursor& cursor) {
  SP_TRY(cursor.OnlyKeys({"endpoint", "id", "min_epoch", "name", "site", "state", "tags", "tier"}));
  DeviceFacts facts;
  for (const auto& [key, target] :
       {std::pair("endpoint", &facts.endpoint), std::pair("id", &facts.id),
        std::pair("name", &facts.name), std::pair("site", &facts.site)}) {
    SP_TRY(const std::string_view text, cursor.GetString(key));
    *target = text;
  }
  SP_TRY(const int64_t min_epoch, cursor.GetInteger("min_epoch", 0));
  facts.min_epoch = static_cast<uint64_t>(min_epoch);
  SP_TRY(facts.tags, cursor.GetStrings("tags"));
  SP_TRY(const std::string_view tier_name, cursor.GetString("tier"));
  SP_TRY(const std::string_view state_name, cursor.GetString("state"));
  const auto tier = pki::ParseTier(tier_name);
  const auto state = DeviceStateFromName(state_name);
  const bool tags_sorted =
      std::ranges::adjacent_find(facts.tags, std::greater_equal<>()) == facts.tags.end();
  if (!tier || !state || !tags_sorted || facts.id.empty())
    return cursor.Refuse("not a fact", "slice.facts");
  facts.tier = *tier;
  facts.state = *state;
  return facts;
}

Result<std::vector<DeviceFacts>> ParseFacts(const JsonCursor& root, std::string_view device) {
  SP_TRY(const auto elements, root.GetElements("facts"));
  std::vector<DeviceFacts> facts;
  std::unordered_set<std::string> seen;
  for (const JsonCursor& element : elements) {
    SP_TRY(DeviceFacts fact, ParseFact(element));
    if (!seen.insert(fact.id).second) return element.Refuse("a device twice", "slice.facts");
    facts.push_back(std::move(fact));
  }
  if (facts.empty() || facts.front().id != device)
    return root.Refuse("own facts are not first", "slice.facts");
  return facts;
}

Result<SliceHeader> ParseHeader(const JsonCursor& root) {
  SliceHeader header;
  SP_TRY(const std::string_view trust_domain, root.GetString("trust_domain"));
  SP_TRY(const std::string_view device, root.GetString("device"));
  SP_TRY(header.version.incarnation, root.GetInteger("incarnation", 0));
  SP_TRY(header.version.counter, root.GetInteger("counter", 0));
  SP_TRY(const std::string_view issued_at, root.GetString("issued_at"));
  SP_TRY(header.issued_at, ParseRfc3339(issued_at));
  SP_TRY(const std::string_view lease_until, root.GetString("lease_until"));
  SP_TRY(header.lease_until, ParseRfc3339(lease_until));
  header.trust_domain = trust_domain;
  header.device = device;
  return header;
}

Result<Unit> CheckHeader(const SliceHeader& header, const SliceExpectation& expected) {
  if (header.trust_domain != expected.trust_domain)
    return Error{Reason::kMismatch, "of trust domain '" + header.trust_domain + "'",
                 "slice.trust-domain"};
  if (header.device != expected.device)
    return Error{Reason::kMismatch, "made for device '" + header.device + "'", "slice.device"};
  if (!expected.held) return Ok();
  if (header.version < expected.held->version)
    return Error{Reason::kRollback, "an older slice", "slice.rollback"};
  if (header.version == expected.held->version && expected.digest != expected.held->digest)
    return Error{Reason::kRollback, "the held version with other bytes", "slice.rollback"};
  return Ok();
}

Result<Unit> CheckFeatures(const std::vector<std::string>& features) {
  const std::vector<std::string> supported = SupportedFeatures();
  for (const std::string& feature : features)
    if (std::ranges::find(supported, feature) == supported.end())
      return Error{Reason::kUnsupported, "needs '" + feature + "'", "slice.feature"};
  return Ok();
}

Result<std::vector<GrantRule>> ParseListedGrants(const JsonCursor& root,
                                                 const PolicyManifest& manifest) {
  SP_TRY(const std::vector<std::string> texts, root.GetStrings("grants"));
  std::vector<GrantRule> grants;
  for (const std::string& text : texts) {
    const Sha256Digest digest = pki::Sha256(AsBytes(text));
    SP_TRY(GrantRule grant, ParseGrant(text));
    const auto listed = manifest.grants.find(grant.id);
    if (listed == manifest.grants.end() || listed->second != digest)
      return Error{Reason::kUntrusted, "grant '" + grant.id + "'", "slice.unlisted-grant"};
    grants.push_back(std::move(grant));
  }
  std::ranges::sort(grants, {}, &GrantRule::id);
  if (std::ranges::adjacent_find(grants, {}, &GrantRule::id) != grants.end())
    return Error{Reason::kMalformed, "a grant twice", "slice.format"};
  return grants;
}

Result<RuleSet> ParseRules(const JsonCursor& root, const PolicyManifest& manifest) {
  SP_TRY(const int64_t policy_version, root.GetInteger("policy_version", 0));
  if (policy_version != manifest.version)
    return Error{Reason::kMismatch, "of policy version " + std::to_string(policy_version),
                 "slice.policy-version"};
  SP_TRY(const std::vector<std::string> features, root.GetStrings("required_features"));
  SP_TRY(CheckFeatures(features));
  SP_TRY(CheckFeatures(manifest.required_features));
  SP_TRY(const std::string_view guardrails, root.GetString("guardrails"));
  if (pki::Sha256(AsBytes(guardrails)) != manifest.guardrails_sha256)
    return Error{Reason::kMismatch, "guardrails are not the signed ones", "slice.guardrails"};
  RuleSet rules;
  rules.name = manifest.name;
  rules.pinned = manifest.pinned;
  SP_TRY(rules.guardrails, ParseGuardrails(guardrails));
  SP_TRY(rules.grants, ParseListedGrants(root, manifest));
  return rules;
}

}  // namespace

Result<std::string> BuildSlice(const SliceHeader& header, const CompiledPolicy& policy,
                               const PolicyManifest& manifest, const PolicyTexts& texts) {
  const auto self = policy.FindDevice(header.device);
  if (!self)
    return Error{Reason::kNotFound, "no facts about device '" + header.device + "'",
                 "slice.device"};
  const Selection selection(policy, *self);
  std::vector<JsonValue> facts = {FactJson(policy.facts()[*self])};
  for (Index i = 0; i < policy.facts().size(); ++i)
    if (selection.Concerns(i)) facts.push_back(FactJson(policy.facts()[i]));
  std::vector<std::string> grants;
  for (const size_t g : selection.grants()) {
    const auto text = texts.grants.find(policy.grants()[g].id);
    SP_CHECK(text != texts.grants.end());
    grants.push_back(text->second);
  }
  std::string slice = CanonicalJson(
      JsonValue::Object({{"counter", header.version.counter},
                         {"device", header.device},
                         {"facts", JsonValue::Array(std::move(facts))},
                         {"grants", JsonValue::Strings(grants)},
                         {"guardrails", texts.guardrails},
                         {"incarnation", header.version.incarnation},
                         {"issued_at", FormatRfc3339(header.issued_at)},
                         {"lease_until", FormatRfc3339(header.lease_until)},
                         {"policy_version", manifest.version},
                         {"required_features", JsonValue::Strings(manifest.required_features)},
                         {"sallyport", kSliceFormat},
                         {"trust_domain", header.trust_domain}}));
  if (slice.size() > kSliceSizeMax)
    return Error{Reason::kTooLarge, "a slice of " + std::to_string(slice.size()) + " bytes"};
  return slice;
}

const DeviceFacts* VerifiedSlice::FindPeer(std::string_view id) const {
  const auto index = policy_.FindDevice(id);
  return index ? &policy_.facts()[*index] : nullptr;
}

Result<VerifiedSlice> VerifySlice(std::string_view bytes, const SliceExpectation& expected) {
  if (pki::Sha256(AsBytes(bytes)) != expected.digest)
    return Error{Reason::kMismatch, "not the bytes the director signed for", "slice.digest"};
  SP_TRY(const JsonValue value, ParseJson(bytes, kSliceLimits));
  const JsonCursor root(value);
  SP_TRY(const std::string_view format, root.GetString("sallyport"));
  if (format != kSliceFormat) return Error{Reason::kUnsupported, "another format", "slice.version"};
  SP_TRY(root.OnlyKeys({"counter", "device", "facts", "grants", "guardrails", "incarnation",
                        "issued_at", "lease_until", "policy_version", "required_features",
                        "sallyport", "trust_domain"}));
  SP_TRY(SliceHeader header, ParseHeader(root));
  SP_TRY(CheckHeader(header, expected));
  SP_TRY(RuleSet rules, ParseRules(root, expected.manifest));
  SP_TRY(std::vector<DeviceFacts> facts, ParseFacts(root, expected.device));
  const LeaseTerms lease{header.issued_at, header.lease_until, expected.manifest.not_before,
                         expected.manifest.expires};
  return VerifiedSlice(std::move(header), expected.digest, expected.manifest.version, lease,
                       Compile(std::move(rules), std::move(facts)));
}

Decision DecideSlice(const VerifiedSlice& slice, const Party& from, const Party& to,
                     std::string_view service, UnixTime now, bool clock_trusted) {
  return Decide(slice.policy(), {from, to, service, now, clock_trusted, &slice.lease()});
}

}  // namespace sallyport::policy

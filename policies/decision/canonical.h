// The one text form of rules: canonical JSON (sorted keys, no white space, integers and strings),
// self-contained, named by its SHA-256. What is signed, shipped and judged is this text, never a
// re-serialisation of it. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/digest.h"
#include "policies/decision/rules.h"

namespace sallyport::policy {

std::string CanonicalGrant(const GrantRule& grant);
std::string CanonicalGuardrails(const Guardrails& guardrails);

// ParseGrant and ParseGuardrails are strict: unknown keys, empty selectors and empty port lists are
// refused. kMalformed; rules of pki/base/json.h, grant.format, rule.dangling (a selector or service
// that selects nothing), and kUnsupported rule grant.version.
Result<GrantRule> ParseGrant(std::string_view text);
Result<Guardrails> ParseGuardrails(std::string_view text);

// Features a reader must support to judge rules as they were meant. A reader that lacks one
// refuses.
inline constexpr std::string_view kFeatureAudit = "audit";
inline constexpr std::string_view kFeatureMustRequire = "must-require";
inline constexpr std::string_view kFeatureWindow = "window";
std::vector<std::string> RequiredFeatures(const RuleSet& rules);
// SupportedFeatures are those of this program.
std::vector<std::string> SupportedFeatures();

// PolicyManifest is what the offline role `policy` signs (docs/protocol.md, "Policy manifest and
// slice").
struct PolicyManifest {
  std::string name;
  int64_t version = 0;
  UnixTime not_before;
  UnixTime expires;
  std::vector<std::string> required_features;
  Sha256Digest guardrails_sha256;
  std::map<std::string, Sha256Digest> grants;              // by id
  std::map<std::string, std::vector<std::string>> pinned;  // group -> device ids
};

struct ManifestTerms {
  int64_t version = 0;
  UnixTime not_before;
  UnixTime expires;
};
PolicyManifest MakePolicyManifest(const RuleSet& rules, const ManifestTerms& terms);
std::string WritePolicyManifest(const PolicyManifest& manifest);
// ParsePolicyManifest proves nothing about who wrote it: its bytes come out of TUF verification.
// kMalformed.
Result<PolicyManifest> ParsePolicyManifest(std::string_view text);

// PolicyTexts are the rules a manifest lists, as text; they travel beside it and prove themselves
// by digest.
struct PolicyTexts {
  std::map<std::string, std::string> grants;  // by id
  std::string guardrails;
};
PolicyTexts MakePolicyTexts(const RuleSet& rules);

// ReadSignedRules parses `texts` after each was found in `manifest`. kUntrusted (rule
// policy.unlisted-grant), kMismatch (policy.digest, policy.missing-grant), kUnsupported
// (policy.feature).
Result<RuleSet> ReadSignedRules(const PolicyTexts& texts, const PolicyManifest& manifest);

}  // namespace sallyport::policy

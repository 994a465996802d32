// EkCheck: one rule of the verdict on an endorsement certificate, so that a verdict lists every
// rule that ran and a refusal names the one that failed.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/result.h"

namespace sallyport::pki {

enum class CheckResult : uint8_t { kPass, kFail, kNotRun };
constexpr std::string_view CheckResultName(CheckResult result) {
  switch (result) {
    case CheckResult::kPass: return "pass";
    case CheckResult::kFail: return "fail";
    case CheckResult::kNotRun: return "not-run";
  }
  std::abort();
}

struct EkCheck {
  std::string_view rule;  // static
  CheckResult result = CheckResult::kPass;
  std::string detail = {};
  bool warning = false;                // passed, and an operator should know why it nearly did not
  Reason reason = Reason::kUntrusted;  // of a failure
};

inline EkCheck PassedCheck(std::string_view rule, std::string detail = "") {
  return {rule, CheckResult::kPass, std::move(detail)};
}
inline EkCheck WarnedCheck(std::string_view rule, std::string detail) {
  return {rule, CheckResult::kPass, std::move(detail), true};
}
inline EkCheck FailedCheck(std::string_view rule, Reason reason, std::string detail) {
  return {rule, CheckResult::kFail, std::move(detail), false, reason};
}
// CheckOf is a pass of `rule`, or the failure that `outcome` names.
inline EkCheck CheckOf(std::string_view rule, const Result<Unit>& outcome) {
  if (outcome.has_value()) return PassedCheck(rule);
  return FailedCheck(outcome.error().name(), outcome.error().reason, outcome.error().detail);
}

// RequireAll returns the first failed check as an error. Nothing checked is a failure too.
inline Result<Unit> RequireAll(std::span<const EkCheck> checks) {
  if (checks.empty()) return Error{Reason::kInternal, "nothing was checked", "ek.checks"};
  for (const EkCheck& check : checks)
    if (check.result == CheckResult::kFail) return Error{check.reason, check.detail, check.rule};
  return Unit{};
}

// KeepWarnings adds "rule: detail" of each check that passed with a warning, none twice.
inline void KeepWarnings(std::span<const EkCheck> checks, std::vector<std::string>& out) {
  for (const EkCheck& check : checks) {
    std::string text = std::string(check.rule) + ": " + check.detail;
    if (check.warning && std::ranges::find(out, text) == out.end()) out.push_back(std::move(text));
  }
}

}  // namespace sallyport::pki

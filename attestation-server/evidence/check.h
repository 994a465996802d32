// Checks: every rule of a verdict with its result. A rule that was never reached says so: silence
// is not a pass. Pure; a CheckList is used by one thread at a time.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/result.h"
#include "pki/x509/ek_check.h"

namespace sallyport::server {

using pki::CheckResult;
using pki::CheckResultName;

// Check: `rule` is dotted and has static storage ("quote.magic"); `detail` is for people.
struct Check {
  std::string_view rule;
  CheckResult result = CheckResult::kNotRun;
  std::string detail;
};

// CheckList starts with each of its rules not run; each is decided at most once.
class CheckList {
 public:
  CheckList() = default;
  explicit CheckList(std::span<const std::string_view> rules) { Add(rules); }

  void Add(std::span<const std::string_view> rules);
  void Pass(std::string_view rule, std::string detail = "") {
    Decide(rule, CheckResult::kPass, std::move(detail));
  }
  void Fail(std::string_view rule, std::string detail) {
    Decide(rule, CheckResult::kFail, std::move(detail));
  }
  // Note explains why a rule was not run.
  void Note(std::string_view rule, std::string detail) {
    Decide(rule, CheckResult::kNotRun, std::move(detail));
  }
  // Require passes or fails `rule` and hands the condition back.
  bool Require(std::string_view rule, bool condition, std::string failure) {
    condition ? Pass(rule) : Fail(rule, std::move(failure));
    return condition;
  }
  // Take records an error under `rule`, or a pass, and says which.
  template <typename T>
  bool Take(std::string_view rule, const Result<T>& result) {
    return Require(rule, result.has_value(), result ? "" : result.error().ToString());
  }

  const std::vector<Check>& checks() const { return checks_; }
  CheckResult Of(std::string_view rule) const;
  bool AllPassed() const;
  // FirstFailure borrows; null when nothing failed.
  const Check* FirstFailure() const;
  const Check* FirstNotRun() const;

 private:
  void Decide(std::string_view rule, CheckResult result, std::string detail);
  std::vector<Check> checks_;
};

}  // namespace sallyport::server

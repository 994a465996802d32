#include "attestation-server/evidence/check.h"

#include <algorithm>

namespace sallyport::server {
namespace {

const Check* FirstWith(const std::vector<Check>& checks, CheckResult result) {
  const auto found = std::ranges::find(checks, result, &Check::result);
  return found == checks.end() ? nullptr : &*found;
}

}  // namespace

void CheckList::Add(std::span<const std::string_view> rules) {
  for (const std::string_view rule : rules) checks_.push_back({rule, CheckResult::kNotRun, ""});
}

void CheckList::Decide(std::string_view rule, CheckResult result, std::string detail) {
  const auto check = std::ranges::find(checks_, rule, &Check::rule);
  SP_CHECK(check != checks_.end() && check->result == CheckResult::kNotRun);
  check->result = result;
  check->detail = std::move(detail);
}

CheckResult CheckList::Of(std::string_view rule) const {
  const auto check = std::ranges::find(checks_, rule, &Check::rule);
  return check == checks_.end() ? CheckResult::kNotRun : check->result;
}

bool CheckList::AllPassed() const {
  return !checks_.empty() && std::ranges::all_of(checks_, [](const Check& c) {
    return c.result == CheckResult::kPass;
  });
}

const Check* CheckList::FirstFailure() const { return FirstWith(checks_, CheckResult::kFail); }
const Check* CheckList::FirstNotRun() const { return FirstWith(checks_, CheckResult::kNotRun); }

}  // namespace sallyport::server

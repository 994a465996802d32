#include "device-client/update/health_gate.h"

namespace sallyport::device {
namespace {

std::string DetailOf(const HealthRow& row, const HealthState& state) {
  return state.detail.empty() ? std::string(row.waiting_for) : state.detail;
}

}  // namespace

HealthVerdict JudgeHealth(const HealthFacts& facts, Duration now, Duration ends, Duration timeout,
                          ota::LocalCommit local) {
  const HealthRow* open = nullptr;
  bool only_the_server = true;
  for (const HealthRow& row : kHealthRows) {
    const HealthState& state = facts[static_cast<size_t>(row.check)];
    if (state.answer == HealthAnswer::kFailed && row.failing_is_final)
      return {HealthStep::kRollBack, std::string(row.name), DetailOf(row, state)};
    if (state.answer == HealthAnswer::kPassed) continue;
    if (open == nullptr) open = &row;
    only_the_server = only_the_server && row.of_the_server;
  }
  if (open == nullptr) return {HealthStep::kCommit, "", ""};
  HealthVerdict verdict{HealthStep::kWait, std::string(open->name),
                        DetailOf(*open, facts[static_cast<size_t>(open->check)])};
  if (now < ends) return verdict;
  if (local == ota::LocalCommit::kAllowed && only_the_server)
    return {HealthStep::kCommitLocally, "", ""};
  verdict.step = HealthStep::kRollBack;
  verdict.detail += " (after " + FormatDuration(timeout) + ")";
  return verdict;
}

std::string DescribeHealthGate() {
  std::string out = "| gate | failing ends the trial | while it waits |\n|---|---|---|\n";
  for (const HealthRow& row : kHealthRows)
    out += "| `" + std::string(row.name) + "` | " +
           (row.failing_is_final ? "at once" : "when the time is up") + " | " +
           std::string(row.waiting_for) + " |\n";
  return out;
}

}  // namespace sallyport::device

// The health gate of a trial as a table: what must all be true before a new slot is kept
// (architecture 8), and what ends the trial at once. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ota/install/install_plan.h"
#include "pki/base/time.h"

namespace sallyport::device {

enum class HealthCheck : uint8_t {
  kAgent,        // the agent's services have started
  kWatchdog,     // the hardware watchdog runs, if there is to be one
  kStream,       // mutual TLS with the control plane stands
  kAttestation,  // the server accepted this boot as the release on trial
  kCertificate,  // and issued a certificate in this boot
  kUnits,        // the units are active that make a boot complete
  kProbes,       // the site's own probes pass
};
inline constexpr size_t kHealthCheckCount = 7;

enum class HealthAnswer : uint8_t { kWaiting, kPassed, kFailed };

struct HealthState {
  HealthAnswer answer = HealthAnswer::kWaiting;
  std::string detail;  // for people; empty when passed
};
using HealthFacts = std::array<HealthState, kHealthCheckCount>;

struct HealthRow {
  HealthCheck check;
  std::string_view name;         // the gate of an update report
  bool failing_is_final;         // else it is looked at again until the time is up
  bool of_the_server;            // nobody answers it where no server is reached
  std::string_view waiting_for;  // when nothing more is known
};
inline constexpr std::array kHealthRows = {
    HealthRow{HealthCheck::kAgent, "agent", true, false, "the agent has not started its services"},
    HealthRow{HealthCheck::kWatchdog, "watchdog", false, false, "the watchdog does not run"},
    HealthRow{HealthCheck::kStream, "stream", false, true, "no stream to the control plane"},
    HealthRow{HealthCheck::kAttestation, "attestation", true, true, "this boot was not judged"},
    HealthRow{HealthCheck::kCertificate, "certificate", false, true, "no certificate of this boot"},
    HealthRow{HealthCheck::kUnits, "units", false, false, "the units were not looked at"},
    HealthRow{HealthCheck::kProbes, "probes", false, false, "the probes were not run"}};

constexpr std::string_view HealthCheckName(HealthCheck check) {
  return kHealthRows[static_cast<size_t>(check)].name;
}

enum class HealthStep : uint8_t { kWait, kCommit, kCommitLocally, kRollBack };

struct HealthVerdict {
  HealthStep step = HealthStep::kWait;
  std::string gate;  // the first that has not passed; empty when all have
  std::string detail;
};

// JudgeHealth commits when every check has passed, rolls back at a final failure, and when `now` is
// `ends` or later. Then it commits locally instead if the plan on trial allows that and nothing but
// checks of the server are missing. `timeout` is said in the detail. Times are of the boot clock.
HealthVerdict JudgeHealth(const HealthFacts& facts, Duration now, Duration ends, Duration timeout,
                          ota::LocalCommit local = ota::LocalCommit::kRefused);

constexpr bool RowsAreInOrder() {
  for (size_t i = 0; i < kHealthRows.size(); ++i)
    if (kHealthRows[i].check != static_cast<HealthCheck>(i)) return false;
  return kHealthRows.size() == kHealthCheckCount;
}
static_assert(RowsAreInOrder());

// DescribeHealthGate writes the table as Markdown; docs/updates.md holds its output and a test
// compares.
std::string DescribeHealthGate();

}  // namespace sallyport::device

// Whether the reboot into a new slot may come now (architecture 8): nobody inhibits it, the window
// is open for long enough, the node's work has drained. A release that is not rebooted into is not
// lost: it waits, verified, in its slot; until the security deadline that was signed with it, from
// which on only safety holds it. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device-client/agent/trusted_time.h"
#include "device-client/update/update_settings.h"
#include "policies/decision/window.h"
#include "policies/language/zone_rule.h"

namespace sallyport::device {

struct Inhibitor {
  std::string who;
  std::string why;
  bool operator==(const Inhibitor&) const = default;
};

// An inhibitor of that ending says that a reboot would hurt somebody (a running machine, a
// patient): no deadline overrides it. All others are the owner's convenience.
inline constexpr std::string_view kSafetySuffix = ".safety";

// Deadline is how trusted time stands to the security deadline of a release.
enum class Deadline : uint8_t {
  kNone,     // the release has none
  kAhead,    // the owner's rules hold
  kUnknown,  // nobody has told the time in this boot: they hold, too
  kPassed,   // they do not
};
std::string_view DeadlineName(Deadline deadline);
// JudgeDeadline: passed from `install_by` on. What earlier boots learnt counts, for time does not
// go back; an unsure clock does not, for anyone may set it ahead.
Deadline JudgeDeadline(std::optional<UnixTime> install_by, const TrustedTime::Reading& time);

enum class Drain : uint8_t {
  kNone,     // done, or nothing to wait for
  kBusy,     // the work does not allow it yet
  kOverdue,  // nor will it be waited for any longer
};

// UpdateWindow is windows with their zones resolved; without entries it is always open.
struct UpdateWindow {
  std::vector<policy::WeeklyRule> weekly;
  std::string unknown_zone;  // such a window never opens
  [[nodiscard]] bool always() const { return weekly.empty() && unknown_zone.empty(); }
};

// ResolveWindow looks the zones up; `zones` also knows `local`.
UpdateWindow ResolveWindow(const std::vector<WeeklyWindow>& windows,
                           const policy::ZoneLookup& zones);

struct RebootFacts {
  std::vector<Inhibitor> inhibitors;
  const UpdateWindow& window;
  UnixTime now;
  bool time_sure = false;
  Duration takes;  // so much of the window must be left
  Drain drain = Drain::kNone;
  Deadline deadline = Deadline::kNone;
};

// A gate that says wait is named in the update report. The detail of an open one says what was not
// waited for.
struct GateDecision {
  bool open = false;
  std::string_view gate;  // inhibited, time, window, drain; empty when open
  std::string detail;
};

// JudgeWindow: `time` while trusted time is unsure, `window` while it is closed or too little of it
// is left; else open.
GateDecision JudgeWindow(const UpdateWindow& window, UnixTime now, bool time_sure, Duration takes);
// JudgeReboot: `inhibited`, then the window, then `drain`. Past the deadline `inhibited` by safety
// inhibitors alone, and no window; the work still has the time that `drain` says.
GateDecision JudgeReboot(const RebootFacts& facts);
// ExplainDeadline adds to a closed decision until when it may stay so.
GateDecision ExplainDeadline(GateDecision decision, std::optional<UnixTime> install_by,
                             Deadline deadline);

// The node's work is waited for that long, and no longer, once the deadline is past: services need
// moments to end well, and a command that never says yes must not hold up what a deadline is for.
inline constexpr Duration kOverdueDrainMax = Minutes(5);

// An update from reboot to commit takes that long where nothing was learnt.
inline constexpr Duration kRebootTakesUnknown = Minutes(15);
// So many past updates are remembered.
inline constexpr size_t kPastUpdatesMax = 20;

// RebootTakes is the configured time, else 1.5 times the 95th percentile of `past`.
Duration RebootTakes(std::optional<Duration> configured, std::vector<Duration> past);

}  // namespace sallyport::device

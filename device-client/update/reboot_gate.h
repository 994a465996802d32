// Whether the reboot into a new slot may come now (architecture 8): nobody inhibits it, the window
// is open for long enough, the node's work has drained. A release that is not rebooted into is not
// lost: it waits, verified, in its slot. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device-client/update/update_settings.h"
#include "policies/decision/window.h"
#include "policies/language/zone_rule.h"

namespace sallyport::device {

struct Inhibitor {
  std::string who;
  std::string why;
  bool operator==(const Inhibitor&) const = default;
};

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
};

// A gate that says wait is named in the update report.
struct GateDecision {
  bool open = false;
  std::string_view gate;  // inhibited, time, window, drain; empty when open
  std::string detail;
};

// JudgeWindow: `time` while trusted time is unsure, `window` while it is closed or too little of it
// is left; else open.
GateDecision JudgeWindow(const UpdateWindow& window, UnixTime now, bool time_sure, Duration takes);
GateDecision JudgeReboot(const RebootFacts& facts);

// An update from reboot to commit takes that long where nothing was learnt.
inline constexpr Duration kRebootTakesUnknown = Minutes(15);
// So many past updates are remembered.
inline constexpr size_t kPastUpdatesMax = 20;

// RebootTakes is the configured time, else 1.5 times the 95th percentile of `past`.
Duration RebootTakes(std::optional<Duration> configured, std::vector<Duration> past);

}  // namespace sallyport::device

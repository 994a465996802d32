// When a window is open. Weekly intervals are read in local civil time: an hour the clocks skip
// does not exist, an hour they repeat counts twice. Pure.
#pragma once

#include <optional>

#include "policies/decision/rules.h"

namespace sallyport::policy {

// OpenUntil returns nothing when `window` is closed at `now`, else the first instant it is closed
// again, looked for up to eight days ahead (a window open longer is asked again then).
std::optional<UnixTime> OpenUntil(const WindowRule& window, UnixTime now);

}  // namespace sallyport::policy

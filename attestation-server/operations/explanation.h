// A verdict in plain words. Pure; thread-safe. What it says holds reference values: for operators,
// never for a device.
#pragma once

#include "attestation-server/store/learning.h"
#include "pki/base/json.h"

namespace sallyport::server {

// NearestOf says against what a device was found different: "edge-os 1.4.2", or a set of a class.
struct Nearest {
  std::string name;  // empty: there was nothing to compare with
};

// ExplainDifference is one sentence about one entry of a verdict's diff:
//   PCR 4 event 17: boot image 9f12ab34.. is not in edge-os 1.4.2, which expects 3c5d6e7f..; 311
//   other devices show it since 2026-11-21T14:02:00Z (12 of them fail now)
// Rules of JsonCursor when `difference` is no such entry.
Result<std::string> ExplainDifference(const JsonCursor& difference, const Nearest& nearest,
                                      const Others& others);

// ExplainRule says what a failed rule means for people who do not know its name.
std::string ExplainRule(std::string_view rule);

// LacksReferenceOnly reads the checks of a stored verdict: all that did not pass are rules of
// reference values (evidence/observe.h has the same of a verdict).
bool LacksReferenceOnly(const JsonCursor& checks);

}  // namespace sallyport::server

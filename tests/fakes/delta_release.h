// A release that devices running an older one can reach by a delta.
#pragma once

#include "tests/fakes/update_world.h"

namespace sallyport {

// MakeDeltaRelease is `from` with changes in every second block, most of them small.
TestRelease MakeDeltaRelease(const std::string& version, const TestRelease& from);
// DeltaIndex and DeltaPayload are the paths of its files.
inline const std::string& DeltaIndex(const TestRelease& release) {
  return release.plan.facts().deltas.front().index.path;
}
inline const std::string& DeltaPayload(const TestRelease& release) {
  return release.plan.facts().deltas.front().payload.path;
}

}  // namespace sallyport

// One release to many devices at once: what a gigabyte costs the `content` listener of a real
// sallyportd, over mutual TLS, for a quarter of the devices and for all of them. Beside it nginx,
// where it is installed, with the same certificate and file, and what the cipher and the loopback
// alone cost here. Budget: 1.0 CPU-s/GB (docs/updates.md).
#pragma once

#include <memory>
#include <vector>

#include "tests/bench/control_plane.h"
#include "tests/bench/figures.h"

namespace sallyport {

// MeasureFanout: each of `devices` is enrolled, and loads `mib` MiB.
void MeasureFanout(ControlPlane& plane, const std::vector<std::unique_ptr<Device>>& devices,
                   size_t mib, Report& report);

}  // namespace sallyport

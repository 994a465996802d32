// What gRPC and TLS alone cost the server for a renewal: the messages of a renewal (challenge,
// proof, certificate) with their sizes, over the same TLS, on a server that looks at none of them.
// The floor under "renew" of sallyport_bench.cc.
#pragma once

#include <cstddef>

namespace sallyport {

struct StreamFloor {
  double pushed_us;  // CPU of the server process each, one at a time as renewals fall due
  double herd_us;    // all streams at once, again and again
};

StreamFloor MeasureStreamFloor(unsigned port, size_t streams);

// ServeBareStreams is the server's side: `directory` holds its TLS files. Never returns.
[[noreturn]] void ServeBareStreams(const char* directory, unsigned port, unsigned period_ms);

}  // namespace sallyport

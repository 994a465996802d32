#include "device-client/agent/backoff.h"

#include <algorithm>
#include <array>

namespace sallyport::device {

Duration Backoff::Next(Duration retry_after) {
  std::array<uint8_t, 8> bytes;
  random_.Fill(bytes);
  uint64_t drawn = 0;
  for (const uint8_t byte : bytes) drawn = drawn << 8 | byte;
  const int64_t span = std::max<int64_t>(previous_.ms * 3 - kBackoffMin.ms, 1);
  const int64_t wait = kBackoffMin.ms + static_cast<int64_t>(drawn % static_cast<uint64_t>(span));
  previous_ = Duration{std::min(wait, max_.ms)};
  return std::max(previous_, retry_after);
}

}  // namespace sallyport::device

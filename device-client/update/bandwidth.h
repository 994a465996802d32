// How much of the uplink downloads may take, by time of day. BandwidthPlan is pure; Pacer holds
// readers back by it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <string_view>
#include <vector>

#include "pki/base/time.h"

namespace sallyport::device {

inline constexpr uint64_t kUnlimitedRate = std::numeric_limits<uint64_t>::max();
// Below this a connection is taken for dead by servers that wait ten seconds for a reader.
inline constexpr uint64_t kRateLimitMin = 16'000;
inline constexpr int kMinutesPerDay = 24 * 60;

// ParseByteCount reads a decimal number and B, KB, MB or GB (powers of 1000); ParseByteRate the
// same and "/s". kMalformed.
Result<uint64_t> ParseByteCount(std::string_view text);
Result<uint64_t> ParseByteRate(std::string_view text);
// ParseTimeOfDay reads HH:MM, 00:00 to 23:59, as minutes since midnight. kMalformed.
Result<int> ParseTimeOfDay(std::string_view text);

// BandwidthSpan begins at `from` and ends before `to`, the next day when that is not later; equal
// ends are the whole day. `limit` is bytes per second: 0 stops downloads, kUnlimitedRate does not
// limit.
struct BandwidthSpan {
  int from = 0;
  int to = 0;
  uint64_t limit = kUnlimitedRate;
};

class BandwidthPlan {
 public:
  explicit BandwidthPlan(std::vector<BandwidthSpan> spans = {}) : spans_(std::move(spans)) {}
  // At is the lowest limit of all spans that hold at `minute` of the day.
  uint64_t At(int minute) const;
  // Strictest is the lowest of all: for a device that does not know what time it is.
  uint64_t Strictest() const;
  // LowestOpen is the lowest limit that is not 0: for a download that may not wait any longer.
  uint64_t LowestOpen() const;

 private:
  const std::vector<BandwidthSpan> spans_;
};

// MinuteOfDay is `time` in the time zone of this process.
int MinuteOfDay(UnixTime time);

// Pacer is one budget for all downloads of a device. Thread-safe.
class Pacer {
 public:
  using Limit = std::function<uint64_t()>;  // bytes per second now
  // Wait returns after `time`, or earlier; null: on the kernel's clock.
  using Wait = std::function<void(Duration time)>;
  Pacer(const Clock& clock, Limit limit, Wait wait = nullptr)
      : clock_(clock), limit_(std::move(limit)), wait_(std::move(wait)) {}

  // Take returns when `bytes` may be used, and how long that took. kUnavailable: download.closed
  // when nothing may be downloaded at this time of day; update.stopping after Stop.
  Result<Duration> Take(size_t bytes);
  void Stop();

 private:
  void Rest(std::unique_lock<std::mutex>& lock, Duration time);

  const Clock& clock_;
  const Limit limit_;
  const Wait wait_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable stopped_;
  bool stopping_ = false;
  int64_t free_at_us_ = 0;  // boot clock: what was taken before is paid off by then
};

}  // namespace sallyport::device

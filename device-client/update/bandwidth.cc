#include "device-client/update/bandwidth.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

namespace sallyport::device {
namespace {

// What a reader that was idle may use at once.
constexpr int64_t kBurstMicroseconds = 250'000;
constexpr int64_t kMicroseconds = 1'000'000;
// How late the end of a span may be noticed by a reader that waits.
constexpr Duration kRestMax = Milliseconds(500);

struct ByteUnit {
  std::string_view name;
  uint64_t bytes;
};
constexpr ByteUnit kUnits[] = {{"B", 1}, {"KB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}};

bool Holds(const BandwidthSpan& span, int minute) {
  if (span.from < span.to) return span.from <= minute && minute < span.to;
  return minute >= span.from || minute < span.to;
}

// TwoDigits returns -1 for anything else.
int TwoDigits(std::string_view text) {
  const bool digits =
      text.size() == 2 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? (text[0] - '0') * 10 + (text[1] - '0') : -1;
}

}  // namespace

Result<uint64_t> ParseByteCount(std::string_view text) {
  constexpr uint64_t kMax = 1'000'000;  // of its unit: far above any disk, far below an overflow
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(stop - text.data()));
  const auto* const found = std::ranges::find(kUnits, unit, &ByteUnit::name);
  if (error != std::errc() || number > kMax || found == std::end(kUnits))
    return Error{Reason::kMalformed, "expected a number of bytes such as 10MB"};
  return number * found->bytes;
}

Result<uint64_t> ParseByteRate(std::string_view text) {
  constexpr std::string_view kPerSecond = "/s";
  if (!text.ends_with(kPerSecond))
    return Error{Reason::kMalformed, "expected a rate such as 10MB/s"};
  return ParseByteCount(text.substr(0, text.size() - kPerSecond.size()));
}

Result<int> ParseTimeOfDay(std::string_view text) {
  const bool shaped = text.size() == 5 && text[2] == ':';
  const int hours = shaped ? TwoDigits(text.substr(0, 2)) : -1;
  const int minutes = shaped ? TwoDigits(text.substr(3)) : -1;
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
    return Error{Reason::kMalformed, "expected a time of day such as 22:00"};
  return hours * 60 + minutes;
}

uint64_t BandwidthPlan::At(int minute) const {
  uint64_t out = kUnlimitedRate;
  for (const BandwidthSpan& span : spans_)
    if (Holds(span, minute)) out = std::min(out, span.limit);
  return out;
}

uint64_t BandwidthPlan::Strictest() const {
  uint64_t out = kUnlimitedRate;
  for (const BandwidthSpan& span : spans_) out = std::min(out, span.limit);
  return out;
}

uint64_t BandwidthPlan::LowestOpen() const {
  uint64_t out = kUnlimitedRate;
  for (const BandwidthSpan& span : spans_)
    if (span.limit > 0) out = std::min(out, span.limit);
  return out;
}

int MinuteOfDay(UnixTime time) {
  const time_t seconds = time.seconds();
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return 0;
  return local.tm_hour * 60 + local.tm_min;
}

void Pacer::Rest(std::unique_lock<std::mutex>& lock, Duration time) {
  if (!wait_) {
    stopped_.wait_for(lock, std::chrono::milliseconds(time.ms), [this] { return stopping_; });
    return;
  }
  lock.unlock();
  wait_(time);
  lock.lock();
}

Result<Duration> Pacer::Take(size_t bytes) {
  std::unique_lock lock(mutex_);
  const Duration begun = clock_.Boot();
  for (;;) {
    if (stopping_) return Error{Reason::kUnavailable, "the agent is stopping", "update.stopping"};
    const uint64_t limit = limit_();
    const Duration now = clock_.Boot();
    if (limit == 0)
      return Error{Reason::kUnavailable, "no downloads at this time of day", "download.closed"};
    if (limit == kUnlimitedRate) return Duration{now.ms - begun.ms};
    const int64_t now_us = now.ms * 1000;
    free_at_us_ = std::max(free_at_us_, now_us - kBurstMicroseconds);
    if (free_at_us_ <= now_us) {
      free_at_us_ += static_cast<int64_t>(bytes) * kMicroseconds / static_cast<int64_t>(limit);
      return Duration{now.ms - begun.ms};
    }
    Rest(lock, std::min(kRestMax, Duration{(free_at_us_ - now_us + 999) / 1000}));
  }
}

void Pacer::Stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  stopped_.notify_all();
}

}  // namespace sallyport::device

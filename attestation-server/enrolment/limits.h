// Limits of the enrolment protocol, each with its reason.
#pragma once

#include <cstddef>

namespace sallyport::server {

// One quote per bank that is asked for, and one bank is.
inline constexpr size_t kQuotesMax = 1;
// "host:port" of a DNS name.
inline constexpr size_t kAdvertiseMax = 262;
// A commit that finds the world changed judges again; more than this many times it is a storm, not
// a race.
inline constexpr int kJudgeAttemptsMax = 3;
// Rate-limit keys remembered: 100,000 devices behind as many addresses, about 20 MB.
inline constexpr size_t kRateLimitKeysMax = 100'000;
// Replayed logs kept: a fleet boots a handful of images on a few firmwares, but each log carries
// its own variables; 100 KB each.
inline constexpr size_t kLogCacheMax = 512;
// Decoded attestation keys kept; 1 KB each.
inline constexpr size_t kAkCacheMax = 20'000;
// Reference files kept in their parsed form.
inline constexpr size_t kReferenceCacheMax = 256;

// Devices whose measurement list is known as far as it was judged; 250 bytes each.
inline constexpr size_t kImaStartsMax = 100'000;

}  // namespace sallyport::server

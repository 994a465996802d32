// The answers of the last minute, by ticket: a device whose connection broke after the commit sends
// the same bytes again and gets the same certificate (architecture 6.5).
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "attestation-server/enrolment/messages.h"

namespace sallyport::server {

inline constexpr Duration kAnswerLifetime = Seconds(60);
inline constexpr size_t kAnswersMax =
    100'000;  // a herd of 100,000 devices in a minute, about 100 MB

// Answers is thread-safe.
class Answers {
 public:
  void Keep(const TicketId& ticket, const Sha256Digest& evidence, const Admitted& answer,
            UnixTime now);
  // Find returns the answer only to byte-identical evidence.
  std::optional<Admitted> Find(const TicketId& ticket, const Sha256Digest& evidence, UnixTime now);

 private:
  struct Entry {
    Sha256Digest evidence;
    Admitted answer;
    UnixTime ends_at;
  };
  std::mutex entries_mutex_;  // guards entries_ and order_
  std::unordered_map<TicketId, Entry> entries_;
  std::deque<TicketId> order_;  // oldest first
};

}  // namespace sallyport::server

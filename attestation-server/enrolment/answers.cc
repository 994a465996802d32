#include "attestation-server/enrolment/answers.h"

namespace sallyport::server {

void Answers::Keep(const TicketId& ticket, const Sha256Digest& evidence, const Admitted& answer,
                   UnixTime now) {
  const std::lock_guard lock(entries_mutex_);
  while (!order_.empty()) {
    const auto oldest = entries_.find(order_.front());
    if (oldest != entries_.end() && oldest->second.ends_at > now && entries_.size() < kAnswersMax)
      break;
    if (oldest != entries_.end()) entries_.erase(oldest);
    order_.pop_front();
  }
  if (entries_.emplace(ticket, Entry{evidence, answer, now + kAnswerLifetime}).second)
    order_.push_back(ticket);
}

std::optional<Admitted> Answers::Find(const TicketId& ticket, const Sha256Digest& evidence,
                                      UnixTime now) {
  const std::lock_guard lock(entries_mutex_);
  const auto found = entries_.find(ticket);
  if (found == entries_.end() || found->second.evidence != evidence || found->second.ends_at <= now)
    return std::nullopt;
  return found->second.answer;
}

}  // namespace sallyport::server

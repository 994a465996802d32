// Challenges: the first half of every proof. Nothing here changes stored state.
#pragma once

#include "attestation-server/enrolment/flow.h"
#include "attestation-server/enrolment/refusals.h"
#include "attestation-server/enrolment/ticket.h"

namespace sallyport::server {

// Challenger is thread-safe. Borrows everything.
class Challenger {
 public:
  Challenger(const FlowConfig& config, Database& database, Random& random, TicketSealer& sealer,
             Refusals& refusals);

  Answer<IssuedChallenge> Begin(const Channel& channel, const BeginInput& input, UnixTime now);
  Answer<IssuedChallenge> BeginRenewal(std::string_view device_id, UnixTime now);

 private:
  Result<IssuedChallenge> BeginEnrol(const BeginInput& input, UnixTime now, Duration& retry_after);
  Result<IssuedChallenge> BeginReattest(const BeginInput& input, UnixTime now,
                                        Duration& retry_after);
  Result<IssuedChallenge> Renewal(std::string_view device_id, UnixTime now, Duration& retry_after);
  Result<Unit> TakeEkToken(std::string_view key, UnixTime now, Duration& retry_after);
  Result<Unit> CheckKnown(const Sha256Digest& ek_spki_hash, const Bytes& ak_name);
  IssuedChallenge Issue(Ticket ticket, UnixTime now);

  const FlowConfig& config_;
  Database& database_;
  Random& random_;
  TicketSealer& sealer_;
  Refusals& refusals_;
  RateLimiter per_source_;
  RateLimiter per_ek_;
};

}  // namespace sallyport::server

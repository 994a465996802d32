// Challenges: the first half of every proof. Nothing here changes stored state.
#pragma once

#include <memory>
#include <mutex>

#include "attestation-server/enrolment/flow.h"
#include "attestation-server/enrolment/ima_starts.h"
#include "attestation-server/enrolment/refusals.h"
#include "attestation-server/enrolment/ticket.h"

namespace sallyport::server {

// Challenger is thread-safe. Borrows everything.
class Challenger {
 public:
  Challenger(const FlowConfig& config, Database& database, Random& random, TicketSealer& sealer,
             Refusals& refusals, ImaStarts& ima_starts);

  Answer<IssuedChallenge> Begin(const Channel& channel, const BeginInput& input, UnixTime now);
  // ReplaceRoots swaps the roots of a configured profile.
  void ReplaceRoots(const std::string& profile, pki::EkRoots roots);
  Answer<IssuedChallenge> BeginRenewal(std::string_view device_id, UnixTime now);

 private:
  Result<IssuedChallenge> BeginEnrol(const BeginInput& input, UnixTime now, Duration& retry_after);
  Result<IssuedChallenge> BeginReattest(const BeginInput& input, UnixTime now,
                                        Duration& retry_after);
  Result<IssuedChallenge> Renewal(std::string_view device_id, UnixTime now, Duration& retry_after);
  Result<Unit> TakeEkToken(std::string_view key, UnixTime now, Duration& retry_after);
  std::shared_ptr<const Profiles> CurrentProfiles();
  // Vouch starts a ticket with what someone else says about the TPM whose EK is `ek_key`: an EK
  // chain or an IAK chain. The EK is then one of a known template.
  Result<Ticket> Vouch(const BeginInput& input, const pki::PublicKey& ek_key, UnixTime now);
  Result<Unit> CheckKnown(const Sha256Digest& ek_spki_hash, const Bytes& ak_name);
  // AsksForIma: the class shows which files ran.
  bool AsksForIma(const std::string& device_class) const;
  IssuedChallenge Issue(Ticket ticket, UnixTime now);

  const FlowConfig& config_;
  Database& database_;
  Random& random_;
  TicketSealer& sealer_;
  Refusals& refusals_;
  ImaStarts& ima_starts_;
  const std::vector<uint32_t> pcrs_with_ima_;
  RateLimiter per_source_;
  RateLimiter per_ek_;
  std::mutex profiles_mutex_;  // guards profiles_, not what it points to
  std::shared_ptr<const Profiles> profiles_;
};

}  // namespace sallyport::server

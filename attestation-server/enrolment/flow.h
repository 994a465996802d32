// The life of a device's proof, from challenge to certificate (architecture 6.2-6.6), without gRPC.
// Begin and BeginRenewal change no stored state. Prove and Renew judge, commit in one transaction,
// and only then sign. Every refusal has a reference id; its rule goes to the audit.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "attestation-server/enrolment/ek_certificate.h"
#include "attestation-server/enrolment/messages.h"
#include "attestation-server/enrolment/rate_limit.h"
#include "attestation-server/store/database.h"
#include "attestation-server/store/devices.h"
#include "attestation-server/store/evidence_blobs.h"
#include "pki/base/random.h"
#include "pki/ca/signers.h"
#include "pki/spiffe/spiffe_id.h"

namespace sallyport::server {

// ClassTimes: how long one class of devices may live on one proof.
struct ClassTimes {
  Duration evidence_lifetime = Hours(1);  // NotAfter, valid_until: counted from the challenge
  // A TLS key outside the null hierarchy survives a reboot; allowed only where an offline reboot
  // must work.
  bool key_may_outlive_boot = false;
  // The device shows which files ran (evidence/ima.h); PCR 0 to 10 are quoted besides the others.
  bool ima = false;
};

struct FlowConfig {
  pki::TrustDomain trust_domain;
  bool development = false;
  uint64_t incarnation = 1;
  std::map<std::string, ClassTimes, std::less<>>
      classes;  // by class name; an unknown class is refused
  Profiles profiles;
  std::vector<uint32_t> pcrs;  // quoted in the SHA-256 bank, ascending
  RateLimits limits;
};

// FlowEvents is told what was committed, so that streams can be pushed. Called after the commit, on
// the caller's thread; must not block.
class FlowEvents {
 public:
  virtual ~FlowEvents() = default;
  // OnAdmitted: `device` is the record as committed.
  virtual void OnAdmitted(const DeviceRecord& device) = 0;
  // OnRevoked: every certificate of the device below `min_epoch` is dead.
  virtual void OnRevoked(const std::string& device_id, uint64_t min_epoch) = 0;
};

// FlowParts are borrowed and outlive the flow.
struct FlowParts {
  Database& database;
  EvidenceBlobs& blobs;
  Random& random;
  FlowEvents& events;
};

// EnrolmentFlow is thread-safe; calls block for the commit (run them on a pool, or group commit has
// nothing to group).
class EnrolmentFlow {
 public:
  EnrolmentFlow(FlowConfig config, FlowParts parts,
                std::shared_ptr<const pki::DeviceLeafSigner> signer);
  ~EnrolmentFlow();

  // ReplaceSigner swaps the device issuer; the caller has raised Counter::kIssuerEpoch before.
  void ReplaceSigner(std::shared_ptr<const pki::DeviceLeafSigner> signer);

  // ReplaceRoots swaps the roots of a configured profile; challenges made before keep their
  // profiles.
  void ReplaceRoots(const std::string& profile, pki::EkRoots roots);

  Answer<IssuedChallenge> Begin(const Channel& channel, const BeginInput& input, UnixTime now);
  // Prove takes tickets of Begin.
  Answer<Admitted> Prove(const Channel& channel, const ProveInput& input, UnixTime now);
  // BeginRenewal makes the challenge for a device that is known by its live certificate.
  Answer<IssuedChallenge> BeginRenewal(std::string_view device_id, UnixTime now);
  // Renew takes tickets of BeginRenewal from the same device.
  Answer<Admitted> Renew(std::string_view device_id, const Channel& channel,
                         const ProveInput& input, UnixTime now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::server

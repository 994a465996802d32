// Prover: the second half of every proof. Judge, commit in one transaction, then sign
// (architecture 6.4, 6.5).
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "attestation-server/enrolment/answers.h"
#include "attestation-server/enrolment/decision.h"
#include "attestation-server/enrolment/floor_history.h"
#include "attestation-server/enrolment/ima_starts.h"
#include "attestation-server/enrolment/judging.h"
#include "attestation-server/enrolment/refusals.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/learning.h"
#include "attestation-server/store/meta.h"

namespace sallyport::server {

// Prover is thread-safe. Borrows all but its caches.
class Prover {
 public:
  Prover(const FlowConfig& config, const FlowParts& parts, TicketSealer& sealer, Refusals& refusals,
         ImaStarts& ima_starts, std::shared_ptr<const pki::DeviceLeafSigner> signer);

  void ReplaceSigner(std::shared_ptr<const pki::DeviceLeafSigner> signer);
  // Prove takes tickets of the purposes in `accepted`; with `device_id` only those of that device.
  Answer<Admitted> Prove(std::initializer_list<pki::Purpose> accepted, std::string_view device_id,
                         const Channel& channel, const ProveInput& input, UnixTime now);

 private:
  // Standing is what the store said when the proof was judged; the commit compares it again.
  struct Standing {
    JudgedEpochs epochs;
    std::optional<DeviceRecord> device;     // nothing: a device that comes in for the first time
    std::optional<AdmissionGround> ground;  // set then
    std::string device_class;
    OpenReferences references;
    JudgeTerms terms;
    std::shared_ptr<const pki::DeviceLeafSigner> signer;
  };
  // Plan is what one commit writes.
  struct Plan {
    DeviceRecord device;
    bool insert = false;
    std::string token_id;  // to be spent; empty: none
    VerdictRow verdict;
    std::optional<CertifiedFloors> shown_floors;
    std::optional<CertificateRow> certificate;
    std::vector<Observed> observed;  // of a failure: what no reference has
    std::string audit_event;
    std::optional<FloorsRow> floors;  // as committed; of a renewal nothing
  };

  Result<Admitted> Open(std::initializer_list<pki::Purpose> accepted, std::string_view device_id,
                        const Channel& channel, const ProveInput& input, UnixTime now,
                        RefusalCase& about);
  Result<Admitted> Attempt(const Case& proof, const std::string& source, UnixTime now,
                           RefusalCase& about);
  Result<Standing> Read(const Case& proof, UnixTime now);
  Result<AdmissionGround> Ground(Connection& connection, const Case& proof, UnixTime now);
  Result<const TpmTerms*> TpmTermsOf(const Case& proof, const Standing& standing) const;
  JudgeTerms TermsOf(const Case& proof, const Standing& standing, const TpmTerms& tpm,
                     const ClassTimes& times) const;
  Result<Admitted> Admit(const Case& proof, const Standing& standing, const Verdict& verdict,
                         const ClassTimes& times, DeviceRecord device, UnixTime now);
  Error Fail(const Case& proof, const Standing& standing, const Verdict& verdict,
             DeviceRecord device, UnixTime now, RefusalCase& about);
  // Learn captures what a device showed that lacks nothing but reference values, when its class is
  // being learned. It changes nothing about the refusal.
  void Learn(const Case& proof, const Standing& standing, const Verdict& verdict, UnixTime now);
  Result<Unit> CaptureBoot(const Case& proof, const Standing& standing, const Verdict& verdict,
                           UnixTime now);
  VerdictRow MakeVerdictRow(const Case& proof, const Standing& standing, const Verdict& verdict,
                            std::string id, UnixTime now) const;
  Result<Unit> KeepEvidence(const Case& proof, const Standing& standing, Plan& plan);
  void PlanCertificate(const Standing& standing, const Verdict& verdict, Plan& plan, UnixTime now);
  Result<Unit> Commit(const Case& proof, const Standing& standing, Plan& plan, UnixTime now);
  static Result<std::optional<FloorsRow>> CommitFloors(Transaction& transaction, const Case& proof,
                                                       const Plan& plan, UnixTime now);
  static Result<Admitted> Sign(const Standing& standing, const Verdict& verdict, const Plan& plan);
  std::shared_ptr<const pki::DeviceLeafSigner> signer();

  const FlowConfig& config_;
  const FlowParts parts_;
  TicketSealer& sealer_;
  Refusals& refusals_;
  ImaStarts& ima_starts_;
  Intake intake_;
  ReferenceReader references_;
  Answers answers_;
  uint32_t pcr_mask_ = 0;
  std::mutex signer_mutex_;
  std::shared_ptr<const pki::DeviceLeafSigner> signer_;  // guarded by signer_mutex_
};

}  // namespace sallyport::server

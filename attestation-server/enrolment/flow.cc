#include "attestation-server/enrolment/flow.h"

#include "attestation-server/enrolment/challenge.h"
#include "attestation-server/enrolment/limits.h"
#include "attestation-server/enrolment/prover.h"

namespace sallyport::server {

class EnrolmentFlow::Impl {
 public:
  Impl(FlowConfig config, const FlowParts& parts,
       std::shared_ptr<const pki::DeviceLeafSigner> signer)
      : config_(std::move(config)),
        sealer_(parts.random, config_.incarnation),
        refusals_(parts.database, parts.random, config_.limits.refusal_audit),
        ima_starts_(kImaStartsMax),
        challenger_(config_, parts.database, parts.random, sealer_, refusals_, ima_starts_),
        prover_(config_, parts, sealer_, refusals_, ima_starts_, std::move(signer)) {}

  Challenger& challenger() { return challenger_; }
  Prover& prover() { return prover_; }

 private:
  const FlowConfig config_;
  TicketSealer sealer_;
  Refusals refusals_;
  ImaStarts ima_starts_;
  Challenger challenger_;
  Prover prover_;
};

EnrolmentFlow::EnrolmentFlow(FlowConfig config, FlowParts parts,
                             std::shared_ptr<const pki::DeviceLeafSigner> signer)
    : impl_(std::make_unique<Impl>(std::move(config), parts, std::move(signer))) {}
EnrolmentFlow::~EnrolmentFlow() = default;

void EnrolmentFlow::ReplaceSigner(std::shared_ptr<const pki::DeviceLeafSigner> signer) {
  impl_->prover().ReplaceSigner(std::move(signer));
}

void EnrolmentFlow::ReplaceRoots(const std::string& profile, pki::EkRoots roots) {
  impl_->challenger().ReplaceRoots(profile, std::move(roots));
}

Answer<IssuedChallenge> EnrolmentFlow::Begin(const Channel& channel, const BeginInput& input,
                                             UnixTime now) {
  return impl_->challenger().Begin(channel, input, now);
}

Answer<Admitted> EnrolmentFlow::Prove(const Channel& channel, const ProveInput& input,
                                      UnixTime now) {
  return impl_->prover().Prove({pki::Purpose::kEnrol, pki::Purpose::kReattest}, "", channel, input,
                               now);
}

Answer<IssuedChallenge> EnrolmentFlow::BeginRenewal(std::string_view device_id, UnixTime now) {
  return impl_->challenger().BeginRenewal(device_id, now);
}

Answer<Admitted> EnrolmentFlow::Renew(std::string_view device_id, const Channel& channel,
                                      const ProveInput& input, UnixTime now) {
  return impl_->prover().Prove({pki::Purpose::kRenew}, device_id, channel, input, now);
}

}  // namespace sallyport::server

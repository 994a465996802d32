// Fleet: what the streams and the device listener ask of the server, answered from the store, the
// flow and the manifests; and what happens when a commit changes a device.
#pragma once

#include <functional>
#include <memory>

#include "attestation-server/director/manifests.h"
#include "attestation-server/enrolment/flow.h"
#include "attestation-server/http/metrics.h"
#include "attestation-server/operations/content_keys.h"
#include "attestation-server/operations/rollouts.h"
#include "attestation-server/service/device_service.h"
#include "pki/ca/signed_statement.h"
#include "pki/ca/trust_bundle.h"

namespace sallyport::server {

struct FleetParts {
  Database& database;
  Manifests& manifests;
  const ServerLeaves& leaves;
  Metrics& metrics;
  const Clock& clock;
};

// Fleet is thread-safe. Attach is called once, before the listeners start.
class Fleet final : public DeviceHost, public FlowEvents {
 public:
  Fleet(FleetParts parts, pki::StatementSigner time_signer, pki::TrustBundle bundle,
        uint64_t incarnation);
  void Attach(EnrolmentFlow& flow, StreamRegistry& streams, RolloutOperations& rollouts,
              ContentKeyOperations& content_keys);

  // Changed: policy, rollouts or devices changed; devices with news are told.
  void Changed();

  Result<DeviceLease> Lease(const std::string& device_id) override;
  Result<api::Challenge> MakeRenewalChallenge(const std::string& device_id) override;
  api::ServerMessage Renew(const std::string& device_id, const api::RenewRequest& request) override;
  void OnHello(const std::string& device_id, const api::Hello& hello) override;
  void OnAck(const std::string& device_id, const api::Ack& ack) override;
  void OnUpdateReport(const std::string& device_id, const api::UpdateReport& report) override;
  api::EpochPush SignTime(uint64_t epoch, const std::string& time_nonce) override;
  api::RevocationPush Revocations(const std::string& device_id) override;
  Result<Unit> OnAuthenticated(const pki::VerifiedPeer& peer) override;
  Result<api::DeviceManifest> Manifest(const std::string& device_id) override;
  api::Bundle Bundle() override;
  Result<api::WrappedContentKey> ContentKey(const std::string& device_id,
                                            const api::GetContentKeyRequest& request) override;

  void OnAdmitted(const DeviceRecord& device) override;
  void OnRevoked(const std::string& device_id, uint64_t min_epoch) override;

 private:
  // Touch notes contact without waiting for the commit.
  void Touch(const std::string& device_id, uint64_t manifest_version);

  FleetParts parts_;
  const pki::StatementSigner time_signer_;
  const pki::TrustBundle bundle_;
  const uint64_t incarnation_;
  std::mutex facts_mutex_;  // guards facts_
  std::map<std::string, Sha256Digest>
      facts_;  // digest of what other devices are told, as last seen
  EnrolmentFlow* flow_ = nullptr;
  StreamRegistry* streams_ = nullptr;
  RolloutOperations* rollouts_ = nullptr;
  ContentKeyOperations* content_keys_ = nullptr;
};

}  // namespace sallyport::server

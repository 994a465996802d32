// The `device` listener: who is calling comes from the certificate, what it may do from its lease.
#pragma once

#include "attestation-server/api/v1/device.grpc.pb.h"
#include "attestation-server/service/server_leaves.h"
#include "attestation-server/service/stream.h"
#include "attestation-server/service/work_pool.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::server {

// DeviceHost is what the listener needs besides the streams.
class DeviceHost : public StreamHost {
 public:
  // Authenticated is called once per new call: the certificate's epoch must not be below the
  // lease's. "lease.unknown", and the rules of CheckLease (store/devices.h).
  virtual Result<Unit> OnAuthenticated(const pki::VerifiedPeer& peer) = 0;
  virtual Result<api::DeviceManifest> Manifest(const std::string& device_id) = 0;
  virtual api::Bundle Bundle() = 0;
  virtual Result<api::WrappedContentKey> ContentKey(const std::string& device_id,
                                                    const api::GetContentKeyRequest& request) = 0;
};

// DeviceService borrows its parts; they outlive it.
class DeviceService final : public api::Device::CallbackService {
 public:
  struct Identity {
    pki::RoleAnchors anchors;
    pki::TrustDomain trust_domain;
  };
  DeviceService(DeviceHost& host, StreamRegistry& streams, WorkPool& pool, const Clock& clock,
                Identity identity)
      : host_(host),
        streams_(streams),
        pool_(pool),
        clock_(clock),
        identity_(std::move(identity)) {}

  grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* Stream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* BeginRenewal(grpc::CallbackServerContext* context,
                                         const api::BeginRenewalRequest* request,
                                         api::Challenge* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const api::RenewRequest* request,
                                  api::Certificate* response) override;
  grpc::ServerUnaryReactor* GetManifest(grpc::CallbackServerContext* context,
                                        const api::GetManifestRequest* request,
                                        api::DeviceManifest* response) override;
  grpc::ServerUnaryReactor* GetBundle(grpc::CallbackServerContext* context,
                                      const api::GetBundleRequest* request,
                                      api::Bundle* response) override;
  grpc::ServerUnaryReactor* ReportUpdate(grpc::CallbackServerContext* context,
                                         const api::UpdateReport* request,
                                         api::UpdateReportAck* response) override;
  grpc::ServerUnaryReactor* GetContentKey(grpc::CallbackServerContext* context,
                                          const api::GetContentKeyRequest* request,
                                          api::WrappedContentKey* response) override;

 private:
  // CallerOf returns the device id of an authenticated caller with a live lease.
  Result<std::string> CallerOf(const grpc::ServerContextBase& context);
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   std::function<grpc::Status(const std::string& device_id)> work);

  DeviceHost& host_;
  StreamRegistry& streams_;
  WorkPool& pool_;
  const Clock& clock_;
  const Identity identity_;
};

}  // namespace sallyport::server

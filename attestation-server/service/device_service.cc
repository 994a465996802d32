#include "attestation-server/service/device_service.h"

#include "attestation-server/service/peer.h"
#include "attestation-server/service/status.h"
#include "pki/base/log.h"

namespace sallyport::server {
namespace {

// RefusedStream ends a stream that must not begin.
class RefusedStream final : public grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

// A caller without a live lease learns that it is not admitted; the rule is in the log.
grpc::Status NotAdmitted(const Error& error) {
  Log(LogLevel::kInfo, "device_call_refused",
      {{"reason", std::string(error.name())}, {"detail", error.detail}});
  return {grpc::StatusCode::PERMISSION_DENIED, "not-admitted"};
}

}  // namespace

Result<std::string> DeviceService::CallerOf(const grpc::ServerContextBase& context) {
  SP_TRY(const pki::VerifiedPeer peer,
         AuthenticatePeer(context, identity_.anchors, pki::Role::kDevice, identity_.trust_domain,
                          clock_.Wall()));
  SP_TRY(host_.OnAuthenticated(peer));
  return peer.name();
}

grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* DeviceService::Stream(
    grpc::CallbackServerContext* context) {
  Result<std::string> device_id = CallerOf(*context);
  if (!device_id) return new RefusedStream(NotAdmitted(device_id.error()));
  return streams_.Open(context, *std::move(device_id));
}

grpc::ServerUnaryReactor* DeviceService::Answer(
    grpc::CallbackServerContext* context, std::function<grpc::Status(const std::string&)> work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const bool posted = pool_.TryPost([this, context, reactor, work = std::move(work)] {
    const Result<std::string> device_id = CallerOf(*context);
    reactor->Finish(device_id ? work(*device_id) : NotAdmitted(device_id.error()));
  });
  if (!posted) reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"));
  return reactor;
}

grpc::ServerUnaryReactor* DeviceService::BeginRenewal(grpc::CallbackServerContext* context,
                                                      const api::BeginRenewalRequest* /*request*/,
                                                      api::Challenge* response) {
  return Answer(context, [this, response](const std::string& device_id) {
    Result<api::Challenge> challenge = host_.MakeRenewalChallenge(device_id);
    if (!challenge) return ToStatus(challenge.error());
    *response = *std::move(challenge);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* DeviceService::Renew(grpc::CallbackServerContext* context,
                                               const api::RenewRequest* request,
                                               api::Certificate* response) {
  return Answer(context, [this, request, response](const std::string& device_id) {
    const api::ServerMessage answer = host_.Renew(device_id, *request);
    if (answer.has_refusal())
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted",
                          answer.refusal().SerializeAsString());
    *response = answer.certificate();
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* DeviceService::GetManifest(grpc::CallbackServerContext* context,
                                                     const api::GetManifestRequest* /*request*/,
                                                     api::DeviceManifest* response) {
  return Answer(context, [this, response](const std::string& device_id) {
    Result<api::DeviceManifest> manifest = host_.Manifest(device_id);
    if (!manifest) return ToStatus(manifest.error());
    *response = *std::move(manifest);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* DeviceService::GetBundle(grpc::CallbackServerContext* context,
                                                   const api::GetBundleRequest* /*request*/,
                                                   api::Bundle* response) {
  return Answer(context, [this, response](const std::string&) {
    *response = host_.Bundle();
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* DeviceService::ReportUpdate(grpc::CallbackServerContext* context,
                                                      const api::UpdateReport* request,
                                                      api::UpdateReportAck*) {
  return Answer(context, [this, request](const std::string& device_id) {
    host_.OnUpdateReport(device_id, *request);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* DeviceService::GetContentKey(grpc::CallbackServerContext* context,
                                                       const api::GetContentKeyRequest* request,
                                                       api::WrappedContentKey* response) {
  return Answer(context, [this, request, response](const std::string& device_id) {
    Result<api::WrappedContentKey> key = host_.ContentKey(device_id, *request);
    if (!key) return ToStatus(key.error());
    *response = *std::move(key);
    return grpc::Status::OK;
  });
}

}  // namespace sallyport::server

#include "device-client/transport/content_key_client.h"

#include <chrono>

#include "attestation-server/api/v1/device.grpc.pb.h"

namespace sallyport::device {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr std::chrono::seconds kDeadline{30};

Error NotGiven(const Error& error) {
  const bool refused = error.reason != Reason::kUnavailable;
  return Error{Reason::kUnavailable, error.ToString(),
               refused ? "content-key.refused" : "content-key.unreachable"};
}

}  // namespace

Result<WrappedContentKey> FetchContentKey(const std::string& address, const ServerTrust& trust,
                                          const ClientIdentity& identity,
                                          const ReleaseDigest& release, ByteView ek_public) {
  const auto stub = api::Device::NewStub(MakeChannel(address, trust, identity));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  api::GetContentKeyRequest request;
  request.set_release_digest(ToString(release.view()));
  request.set_ek_public(ToString(ek_public));
  api::WrappedContentKey wire;
  const grpc::Status status = stub->GetContentKey(&context, request, &wire);
  if (!status.ok()) return NotGiven(FailureOf(status).error);
  SP_TRY(const pki::ContentKeyId id, pki::ContentKeyId::FromView(AsBytes(wire.key_id())));
  return WrappedContentKey{release, id, ToBytes(wire.credential_blob()),
                           ToBytes(wire.encrypted_secret())};
}

}  // namespace sallyport::device

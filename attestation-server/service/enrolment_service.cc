#include "attestation-server/service/enrolment_service.h"

#include "attestation-server/service/status.h"
#include "attestation-server/service/wire.h"

namespace sallyport::server {
namespace {

// RunOnPool finishes `reactor` with what `work` returns, or at once when the pool is full.
void RunOnPool(WorkPool& pool, grpc::ServerUnaryReactor* reactor,
               std::function<grpc::Status()> work) {
  if (!pool.TryPost([reactor, work = std::move(work)] { reactor->Finish(work()); }))
    reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"));
}

grpc::Status BeginStatus(const Answer<IssuedChallenge>& answer, api::BeginResponse* response) {
  if (const auto* const refusal = std::get_if<Refusal>(&answer)) return RefusalStatus(*refusal);
  const IssuedChallenge& challenge = std::get<IssuedChallenge>(answer);
  ToWire(challenge, response->mutable_challenge());
  response->set_credential_blob(ToString(challenge.credential_blob));
  response->set_encrypted_secret(ToString(challenge.encrypted_secret));
  return grpc::Status::OK;
}

grpc::Status ProveStatus(const Answer<Admitted>& answer, api::ProveResponse* response) {
  if (const auto* const refusal = std::get_if<Refusal>(&answer)) return RefusalStatus(*refusal);
  const Admitted& admitted = std::get<Admitted>(answer);
  response->set_pending(admitted.pending);
  if (!admitted.pending) ToWire(admitted, response->mutable_certificate());
  if (admitted.recorded_floors)
    for (const uint64_t floor : *admitted.recorded_floors) response->add_recorded_floors(floor);
  return grpc::Status::OK;
}

}  // namespace

std::string SourceOf(const std::string& grpc_peer) {
  const size_t scheme = grpc_peer.find(':');
  const size_t port = grpc_peer.rfind(':');
  return scheme == std::string::npos || port <= scheme
             ? grpc_peer
             : grpc_peer.substr(scheme + 1, port - scheme - 1);
}

Channel EnrolmentService::ChannelOf(const grpc::CallbackServerContext& context) const {
  return Channel{SourceOf(context.peer()), leaves_.Hashes()};
}

grpc::ServerUnaryReactor* EnrolmentService::Begin(grpc::CallbackServerContext* context,
                                                  const api::BeginRequest* request,
                                                  api::BeginResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  RunOnPool(pool_, reactor, [this, channel = ChannelOf(*context), request, response] {
    const Result<BeginInput> input = FromWire(*request);
    if (!input) return ToStatus(input.error());
    return BeginStatus(flow_.Begin(channel, *input, clock_.Wall()), response);
  });
  return reactor;
}

grpc::ServerUnaryReactor* EnrolmentService::Prove(grpc::CallbackServerContext* context,
                                                  const api::ProveRequest* request,
                                                  api::ProveResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  RunOnPool(pool_, reactor, [this, channel = ChannelOf(*context), request, response] {
    const Result<ProveInput> input = FromWire(request->ticket(), request->evidence());
    if (!input) return ToStatus(input.error());
    const Answer<Admitted> answer = flow_.Prove(channel, *input, clock_.Wall());
    if (std::holds_alternative<Refusal>(answer))
      metrics_.CountRefusal("enrolment");
    else
      metrics_.CountEnrolment();
    return ProveStatus(answer, response);
  });
  return reactor;
}

}  // namespace sallyport::server

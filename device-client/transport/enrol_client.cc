#include "device-client/transport/enrol_client.h"

#include <chrono>

#include "device-client/transport/wire.h"

namespace sallyport::device {
namespace {

constexpr std::chrono::seconds kDeadline{30};  // a slow TPM is not in it: the calls are short

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
}

Result<std::optional<FloorCounts>> RecordedFloors(const api::ProveResponse& response) {
  if (response.recorded_floors().empty()) return std::optional<FloorCounts>();
  if (response.recorded_floors_size() != static_cast<int>(kFloorCounters))
    return Error{Reason::kMalformed, "not one floor per counter", "prove.recorded-floors"};
  FloorCounts out{};
  std::ranges::copy(response.recorded_floors(), out.begin());
  return std::optional(out);
}

}  // namespace

EnrolClient::EnrolClient(const std::string& address, const ServerTrust& trust)
    : stub_(api::Enrolment::NewStub(MakeChannel(address, trust, std::nullopt))) {}

Error EnrolClient::Failed(const grpc::Status& status) {
  failure_ = FailureOf(status);
  return failure_.error;
}

Result<BeginAnswer> EnrolClient::Begin(pki::Purpose purpose,
                                       const std::vector<Bytes>& ek_certificates,
                                       ByteView ek_public, ByteView ak_public,
                                       const std::optional<IakVoucher>& iak) {
  api::BeginRequest request;
  request.set_protocol_version(pki::kProtocolVersion);
  request.set_purpose(purpose == pki::Purpose::kEnrol ? api::PURPOSE_ENROL : api::PURPOSE_REATTEST);
  for (const Bytes& certificate : ek_certificates)
    request.add_ek_certificates(ToString(certificate));
  request.set_ek_public(ToString(ek_public));
  request.set_ak_public(ToString(ak_public));
  if (iak) {
    for (const Bytes& certificate : iak->chain) request.add_idevid_chain(ToString(certificate));
    request.set_iak_public(ToString(iak->iak_public));
    request.set_iak_attest(ToString(iak->certified.attest));
    request.set_iak_signature(ToString(iak->certified.signature));
  }
  grpc::ClientContext context;
  SetDeadline(context);
  api::BeginResponse response;
  const grpc::Status status = stub_->Begin(&context, request, &response);
  if (!status.ok()) return Failed(status);
  SP_TRY(const Sha256Digest leaf, ServerLeafHash(context));
  SP_TRY(Challenge challenge, FromWire(response.challenge()));
  return BeginAnswer{std::move(challenge), ToBytes(response.credential_blob()),
                     ToBytes(response.encrypted_secret()), leaf};
}

Result<ProveAnswer> EnrolClient::Prove(ByteView ticket, const Evidence& evidence) {
  api::ProveRequest request;
  request.set_ticket(ToString(ticket));
  ToWire(evidence, request.mutable_evidence());
  grpc::ClientContext context;
  SetDeadline(context);
  api::ProveResponse response;
  const grpc::Status status = stub_->Prove(&context, request, &response);
  if (!status.ok()) return Failed(status);
  ProveAnswer out;
  SP_TRY(out.recorded_floors, RecordedFloors(response));
  if (response.pending()) return out;
  SP_TRY(out.certificate, FromWire(response.certificate()));
  return out;
}

}  // namespace sallyport::device

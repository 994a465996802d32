#include "attestation-server/service/status.h"

namespace sallyport::server {
namespace {

grpc::StatusCode CodeOf(Reason reason) {
  switch (reason) {
    case Reason::kMalformed:
    case Reason::kUnsupported:
    case Reason::kInvalidArgument: return grpc::StatusCode::INVALID_ARGUMENT;
    case Reason::kTooLarge: return grpc::StatusCode::OUT_OF_RANGE;
    case Reason::kBadSignature:
    case Reason::kStaleNonce:
    case Reason::kReplayed:
    case Reason::kRollback:
    case Reason::kExpired:
    case Reason::kUntrusted:
    case Reason::kMismatch:
    case Reason::kPolicyDenied: return grpc::StatusCode::PERMISSION_DENIED;
    case Reason::kNotFound: return grpc::StatusCode::NOT_FOUND;
    case Reason::kAlreadyExists: return grpc::StatusCode::ALREADY_EXISTS;
    case Reason::kConflict: return grpc::StatusCode::ABORTED;
    case Reason::kUnauthenticated: return grpc::StatusCode::UNAUTHENTICATED;
    case Reason::kRateLimited:
    case Reason::kNoSpace: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Reason::kUnavailable: return grpc::StatusCode::UNAVAILABLE;
    case Reason::kInternal: return grpc::StatusCode::INTERNAL;
  }
  std::abort();
}

Reason ReasonOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT: return Reason::kInvalidArgument;
    case grpc::StatusCode::OUT_OF_RANGE: return Reason::kTooLarge;
    case grpc::StatusCode::PERMISSION_DENIED: return Reason::kPolicyDenied;
    case grpc::StatusCode::NOT_FOUND: return Reason::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS: return Reason::kAlreadyExists;
    case grpc::StatusCode::ABORTED: return Reason::kConflict;
    case grpc::StatusCode::UNAUTHENTICATED: return Reason::kUnauthenticated;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Reason::kRateLimited;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED: return Reason::kUnavailable;
    default: return Reason::kInternal;  // codes are gRPC's enum, open by its contract
  }
}

}  // namespace

grpc::Status ToStatus(const Error& error) { return {CodeOf(error.reason), error.ToString()}; }

Error FromStatus(const grpc::Status& status) {
  return Error{ReasonOf(status.error_code()), status.error_message()};
}

}  // namespace sallyport::server

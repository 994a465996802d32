// The one place where an Error becomes a gRPC status, and back on the CLI's side.
#pragma once

#include <grpcpp/support/status.h>

#include "pki/base/result.h"

namespace sallyport::server {

// ToStatus: the message is "<rule or reason>: <detail>". For callers that are allowed to know.
grpc::Status ToStatus(const Error& error);

// FromStatus is the inverse for clients: kUnavailable, kPolicyDenied, ... by status code.
Error FromStatus(const grpc::Status& status);

}  // namespace sallyport::server

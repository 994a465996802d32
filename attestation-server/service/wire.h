// The only conversions between protobuf and the flow's types. Reserved fields that are set are
// refused: a feature that is not there must not be silently ignored.
#pragma once

#include <grpcpp/support/status.h>

#include "attestation-server/api/v1/device.pb.h"
#include "attestation-server/api/v1/enrolment.pb.h"
#include "attestation-server/enrolment/messages.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

// FromWire: kMalformed or kUnsupported ("wire.reserved-field", "wire.enum", "wire.size").
Result<BeginInput> FromWire(const api::BeginRequest& wire);
Result<ProveInput> FromWire(const std::string& ticket, const api::Evidence& evidence);

void ToWire(const IssuedChallenge& challenge, api::Challenge* wire);
void ToWire(const Admitted& admitted, api::Certificate* wire);
void ToWire(const Refusal& refusal, api::Refusal* wire);

// RefusalStatus is `not-admitted` with the Refusal in its details.
grpc::Status RefusalStatus(const Refusal& refusal);

}  // namespace sallyport::server

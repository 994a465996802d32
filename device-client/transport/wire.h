// The only conversions between the agent's types and protobuf.
#pragma once

#include "attestation-server/api/v1/device.pb.h"
#include "attestation-server/api/v1/enrolment.pb.h"
#include "device-client/agent/evidence.h"
#include "ota/metadata/uptane.h"

namespace sallyport::device {

namespace api = ::sallyport::attestation::v1;

// FromWire: kMalformed when a field has the wrong size or is missing.
Result<Challenge> FromWire(const api::Challenge& wire);
Result<IssuedCertificate> FromWire(const api::Certificate& wire);
ota::DeviceManifest FromWire(const api::DeviceManifest& wire);

void ToWire(const Evidence& evidence, api::Evidence* wire);
void ToWire(const UpdateReport& report, api::UpdateReport* wire);

}  // namespace sallyport::device

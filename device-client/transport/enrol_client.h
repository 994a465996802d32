// The agent's side of the `enrol` listener: one channel per attempt, so that the server's leaf that
// T binds is the one of this connection.
#pragma once

#include <memory>

#include "attestation-server/api/v1/enrolment.grpc.pb.h"
#include "device-client/agent/evidence.h"
#include "device-client/tpm/tpm.h"
#include "device-client/transport/channel.h"

namespace sallyport::device {

struct BeginAnswer {
  Challenge challenge;
  Bytes credential_blob;
  Bytes encrypted_secret;
  Sha256Digest server_leaf_hash;
};

struct ProveAnswer {
  std::optional<IssuedCertificate> certificate;  // absent: waits for an operator
  std::optional<FloorCounts> recorded_floors;    // the highest that this TPM ever certified
};

// EnrolClient is used by one thread. After a failure, failure() has what the server said.
class EnrolClient {
 public:
  EnrolClient(const std::string& address, const ServerTrust& trust);
  // Begin: `iak` instead of `ek_certificates`, when the maker vouches for the TPM.
  Result<BeginAnswer> Begin(pki::Purpose purpose, const std::vector<Bytes>& ek_certificates,
                            ByteView ek_public, ByteView ak_public,
                            const std::optional<IakVoucher>& iak = std::nullopt);
  Result<ProveAnswer> Prove(ByteView ticket, const Evidence& evidence);
  const CallFailure& failure() const { return failure_; }

 private:
  Error Failed(const grpc::Status& status);

  std::unique_ptr<::sallyport::attestation::v1::Enrolment::Stub> stub_;
  CallFailure failure_;
};

}  // namespace sallyport::device

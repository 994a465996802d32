// gRPC channels of the agent: the server is whom the enrolment file names, under its server issuers
// only.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct ServerTrust {
  std::string anchors_pem;              // server issuers
  std::vector<std::string> server_ids;  // SPIFFE ids
};

// ClientIdentity: `key_reference` is PEM that OpenSSL decodes, here through the TPM key provider.
struct ClientIdentity {
  std::string key_reference;
  std::string chain_pem;
};

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const ServerTrust& trust,
                                           const std::optional<ClientIdentity>& identity);

// ServerLeafHash is SHA-256 of the DER leaf that the server showed on this call. Known once a reply
// or initial metadata has arrived; kUnavailable before.
Result<Sha256Digest> ServerLeafHash(const grpc::ClientContext& context);

// ErrorOf turns a status into an Error; a Refusal in its details gives the rule, the device's own
// events and `retry_after`.
struct CallFailure {
  Error error{Reason::kUnavailable, ""};
  Duration retry_after;
  std::string reference_id;
  std::vector<std::string> events;
};
CallFailure FailureOf(const grpc::Status& status);

}  // namespace sallyport::device

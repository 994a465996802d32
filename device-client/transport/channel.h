// gRPC channels of the agent: the server is whom the enrolment file names, under its server issuers
// only.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pki/base/digest.h"
#include "device-client/agent/trusted_time.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::device {

// DatedTrust judges the server by the time this device trusts instead of by its wall clock, which
// a dead battery sets to 1970. A bound that is not exact refutes what has ended by then, and cannot
// refute what has not begun.
struct DatedTrust {
  pki::RoleAnchors anchors;
  pki::TrustDomain trust_domain;
  std::function<TimeBound()> time;  // thread-safe
};

struct ServerTrust {
  std::string anchors_pem;                            // server issuers
  std::vector<std::string> server_ids;                // SPIFFE ids
  std::shared_ptr<const DatedTrust> dated = nullptr;  // null: gRPC judges, by the wall clock
};

// ClientIdentity: `key_reference` is PEM that OpenSSL decodes, here through the TPM key provider.
struct ClientIdentity {
  std::string key_reference;
  std::string chain_pem;
};

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const ServerTrust& trust,
                                           const std::optional<ClientIdentity>& identity);

// JudgeServer is the whole judgement of the chain that a server showed, leaf first. Errors of
// VerifyPeer; kMismatch, server.id, for a server that is not in `server_ids`. Pure.
Result<Unit> JudgeServer(std::string_view chain_pem, const std::vector<std::string>& server_ids,
                         const DatedTrust& trust);

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

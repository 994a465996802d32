// Policies as received: the source the operators wrote and the signed manifest that came with it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct PolicyRow {
  uint64_t version = 0;  // of the policy manifest
  std::string name;
  Sha256Digest manifest_hash = Sha256Digest::FromArray({});
  std::string manifest;  // policy/policy.json as signed
  std::string source;    // YAML
  std::string applied_by;
  UnixTime applied_at;
};

class Policies {
 public:
  explicit Policies(Connection& connection) : connection_(connection) {}
  // Apply makes `row` the policy in force and raises Counter::kPolicyEpoch. kRollback
  // ("policy.version") unless its version is above every stored one (the same bytes again are
  // accepted and change nothing).
  Result<Unit> Apply(const PolicyRow& row);
  Result<std::optional<PolicyRow>> InForce();
  Result<std::vector<PolicyRow>> List(int64_t limit);

 private:
  Connection& connection_;
};

}  // namespace sallyport::server

// Meta: facts of this deployment, and the counters that only rise within one incarnation.
#pragma once

#include <optional>
#include <string>

#include "attestation-server/store/connection.h"

namespace sallyport::server {

struct DeploymentFacts {
  std::string trust_domain;
  bool development = false;
  uint64_t incarnation = 1;
};

// InitialiseDeployment writes the facts once; kAlreadyExists ("meta.initialised") afterwards:
// `development` and the trust domain cannot be changed.
Result<Unit> InitialiseDeployment(Connection& connection, const DeploymentFacts& facts);
// kNotFound ("meta.uninitialised") before that.
Result<DeploymentFacts> ReadDeployment(Connection& connection);
// StartIncarnation is the first act after a restore; returns the new number.
Result<uint64_t> StartIncarnation(Connection& connection);

enum class Counter : uint8_t {
  kPolicyEpoch,     // the policy in force changed
  kReferenceEpoch,  // any reference set or assignment changed
  kIssuerEpoch,     // an issuer changed state
  kDirector,        // director metadata, of all devices
  kBundleSequence,
};
std::string_view CounterName(Counter counter);
// A counter that was never raised is 0.
Result<uint64_t> ReadCounter(Connection& connection, Counter counter);
// RaiseCounter adds one and returns the new value.
Result<uint64_t> RaiseCounter(Connection& connection, Counter counter);

// JudgedEpochs are the versions a verdict was judged under; the commit compares them again.
struct JudgedEpochs {
  uint64_t policy = 0;
  uint64_t reference = 0;
  uint64_t issuer = 0;
  auto operator<=>(const JudgedEpochs&) const = default;
};
Result<JudgedEpochs> ReadEpochs(Connection& connection);

// Settings are opaque texts of other parts (the director's root chain); kept here so that one
// backup has all.
Result<Unit> PutSetting(Connection& connection, std::string_view key, std::string_view value);
Result<std::optional<std::string>> FindSetting(Connection& connection, std::string_view key);

}  // namespace sallyport::server

// Deployment: a trust domain founded by the real command line in a temporary directory, with a real
// sallyportd on loopback.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation-server/server_keys.h"
#include "device-client/transport/channel.h"
#include "tests/node/child_process.h"
#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::testing_server {

// Of which listener; the position is its port's distance from the first.
enum class ListenerName : uint8_t { kEnrol, kDevice, kAdmin, kContent, kHttp };

struct DeploymentOptions {
  std::string evidence_lifetime = "1h";
  std::string class_lines = "";  // of the class `online`, as YAML
  bool maker = false;            // a maker of machines, whose IAK certificates open a second way in
};

// Deployment founds and starts when it is made, and ends the server with it.
class Deployment {
 public:
  explicit Deployment(DeploymentOptions options = {});

  int port(ListenerName listener) const { return base_port_ + static_cast<int>(listener); }
  std::string address(ListenerName listener) const {
    return "127.0.0.1:" + std::to_string(port(listener));
  }
  std::string dir() const { return directory_.path().string(); }
  // IsReady asks /readyz.
  bool IsReady() const;
  // Ask runs `sallyport` as the operator; what it printed, or kPolicyDenied with that when it did
  // not end with 0.
  Result<std::string> Ask(std::vector<std::string> arguments) const;
  // VendorDir has the keys of the TPM vendor whose devices may enrol.
  std::string VendorDir() const { return dir() + "/made"; }
  // MakerDir has those of the maker of machines.
  std::string MakerDir() const { return dir() + "/machine-maker"; }

  device::ServerTrust Trust() const;
  // Device and Server are signed by the issuers of the deployment; nobody enrolled this device.
  device::ClientIdentity Device();
  device::ClientIdentity Server();
  device::ClientIdentity Operator() const;

 private:
  Result<Unit> Found();
  Result<Unit> FoundMaker();
  Result<Unit> StartServer();
  std::string Read(const std::string& name) const;

  const DeploymentOptions options_;
  TemporaryDirectory directory_;
  int base_port_ = 0;
  SystemRandom random_;
  std::optional<server::ServerKeys> keys_;
  std::optional<pki::TrustBundle> bundle_;
  pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeyType::kP256);
  std::optional<node::ChildProcess> server_;
};

}  // namespace sallyport::testing_server

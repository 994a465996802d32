// A real sallyportd in a scratch directory, and devices with software TPMs that it admits.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device-client/transport/enrol_client.h"
#include "pki/base/file_system.h"
#include "pki/ca/enrolment_file.h"
#include "tests/fakes/fake_tpm_evidence.h"

namespace sallyport {

inline constexpr unsigned kBasePort = 15710;

// Die ends the benchmark, and the server with it.
[[noreturn]] void Die(const Error& error);

// ControlPlane is a founded trust domain with one reference, one token and a running server.
class ControlPlane {
 public:
  explicit ControlPlane(const std::string& evidence_lifetime);
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  pid_t server() const { return server_; }
  const FakeTpmVendor& vendor() const { return vendor_; }
  // Allow lists an endorsement key, so that its device needs no token and no operator.
  void Allow(const std::vector<pki::PublicKey>& eks);
  device::ServerTrust Trust() const;
  static std::string Address(unsigned listener) {
    return "127.0.0.1:" + std::to_string(kBasePort + listener);
  }
  // MemoryKib is a line of /proc/PID/status, "VmRSS" or "VmHWM".
  int64_t MemoryKib(std::string_view key) const;
  const std::string& root() const { return root_; }
  std::string image_repository() const { return root_ + "/cp/state/image"; }
  // TlsDirectory has key.pem, chain.pem and anchors.pem of the device listener.
  std::string tls_directory() const { return root_ + "/cp/run/device/live"; }
  void Write(const std::string& path, std::string_view text);

 private:
  void Tool(std::vector<std::string> arguments);
  void AskForPcrsOfTheLog();
  void Start();

  const std::string root_;
  mutable PosixFileSystem files_;
  FakeTpmVendor vendor_;
  std::optional<pki::EnrolmentFile> enrolment_;
  pid_t server_ = 0;
};

// Device enrols and holds what it was given.
class Device {
 public:
  explicit Device(const ControlPlane& plane) : plane_(plane), tpm_(plane.vendor()) {}

  void Enrol();
  void Keep(const device::IssuedCertificate& certificate);
  const pki::PublicKey& ek() const { return tpm_.ek().public_key(); }
  const pki::PrivateKey& tls_key() const { return tpm_.tls_key().key(); }
  const std::string& chain_pem() const { return chain_; }
  device::ClientIdentity Identity() const { return {tls_key().SealedPem("").value(), chain_}; }
  // The answer to a pushed challenge: quote and certification of the key of this boot.
  std::pair<Bytes, device::Evidence> Renewal(const device::Challenge& challenge,
                                             const Sha256Digest& leaf);

 private:
  const ControlPlane& plane_;
  FakeTpmDevice tpm_;
  std::string chain_;
};

}  // namespace sallyport

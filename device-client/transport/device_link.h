// The agent's long-lived stream and its unary companions over one mTLS channel.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "attestation-server/api/v1/device.grpc.pb.h"
#include "device-client/agent/evidence.h"
#include "device-client/transport/channel.h"
#include "ota/metadata/uptane.h"

namespace sallyport::device {

struct SignedTime {
  UnixTime time;
  uint64_t epoch = 0;
  uint64_t incarnation = 0;
  Bytes signature;  // unverified
};

struct PeerRevocation {
  std::string device_id;
  uint64_t min_epoch = 0;
};

// LinkHandler receives pushes on the link's reader thread, one at a time.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void OnTime(const SignedTime& time) = 0;
  virtual void OnChallenge(const Challenge& challenge, const Sha256Digest& server_leaf_hash) = 0;
  virtual void OnCertificate(const IssuedCertificate& certificate) = 0;
  virtual void OnRefusal(const CallFailure& refusal) = 0;
  virtual void OnRevocations(const std::vector<PeerRevocation>& revocations) = 0;
  virtual void OnManifestAvailable(uint64_t version) = 0;
  // OnClosed is the last call; refused: the server said that this device is not admitted any more.
  virtual void OnClosed(bool refused, const CallFailure& failure) = 0;
};

struct LinkHello {
  std::string agent_version;
  Bytes time_nonce;  // 16 bytes
  uint64_t manifest_version = 0;
  pki::BootSlot boot_slot = pki::BootSlot::kUnknown;
};

// DeviceLink: methods may be called from any thread. The destructor cancels and joins.
class DeviceLink {
 public:
  // Open starts the call; what happens is told to `handler`, which must outlive the link.
  DeviceLink(const std::string& address, const ServerTrust& trust, const ClientIdentity& identity,
             const LinkHello& hello, LinkHandler& handler);
  ~DeviceLink();
  DeviceLink(const DeviceLink&) = delete;
  DeviceLink& operator=(const DeviceLink&) = delete;

  void SendRenewal(ByteView ticket, const Evidence& evidence);
  void SendAck(uint64_t epoch, uint64_t manifest_version);
  void SendUpdateReport(const UpdateReport& report);
  Result<ota::DeviceManifest> GetManifest();
  void Cancel() { context_.TryCancel(); }

 private:
  void Send(const ::sallyport::attestation::v1::DeviceMessage& message);
  void ReadAll();
  void Handle(const ::sallyport::attestation::v1::ServerMessage& message);

  LinkHandler& handler_;
  std::unique_ptr<::sallyport::attestation::v1::Device::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<::sallyport::attestation::v1::DeviceMessage,
                                           ::sallyport::attestation::v1::ServerMessage>>
      stream_;
  std::mutex write_mutex_;  // gRPC allows one write at a time
  std::thread reader_;
};

}  // namespace sallyport::device

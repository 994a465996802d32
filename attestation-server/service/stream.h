// The long-lived stream of each device: what the server pushes, and when (architecture 6.6).
// StreamRegistry owns no device state: it asks StreamHost, per message, whether the device's lease
// holds.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "attestation-server/api/v1/device.pb.h"
#include "attestation-server/service/work_pool.h"
#include "pki/base/result.h"
#include "pki/base/time.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

// DeviceLease is what the store says of a device now.
struct DeviceLease {
  bool live = false;     // false: close the stream
  uint64_t epoch = 0;    // min_epoch(device)
  UnixTime renew_after;  // when a renewal falls due
  UnixTime valid_until;  // when the evidence runs out
  uint64_t manifest_version = 0;
};

// StreamHost is the server behind the streams. Called from gRPC threads and from the registry's
// timer; must be thread-safe and must not block for long, but for Renew.
class StreamHost {
 public:
  virtual ~StreamHost() = default;
  virtual Result<DeviceLease> Lease(const std::string& device_id) = 0;
  virtual Result<api::Challenge> MakeRenewalChallenge(const std::string& device_id) = 0;
  // Renew answers with a certificate or a refusal; it waits for a commit, on the registry's pool.
  virtual api::ServerMessage Renew(const std::string& device_id,
                                   const api::RenewRequest& request) = 0;
  virtual void OnHello(const std::string& device_id, const api::Hello& hello) = 0;
  virtual void OnAck(const std::string& device_id, const api::Ack& ack) = 0;
  virtual void OnUpdateReport(const std::string& device_id, const api::UpdateReport& report) = 0;
  virtual api::EpochPush SignTime(uint64_t epoch, const std::string& time_nonce) = 0;
  // Revocations of the devices in this device's slice.
  virtual api::RevocationPush Revocations(const std::string& device_id) = 0;
};

class DeviceStream;

// StreamRegistry: thread-safe. At most one stream per device: a new one ends the old.
class StreamRegistry {
 public:
  StreamRegistry(StreamHost& host, const Clock& clock);
  ~StreamRegistry();
  StreamRegistry(const StreamRegistry&) = delete;
  StreamRegistry& operator=(const StreamRegistry&) = delete;

  // Open makes the reactor of one call; gRPC deletes it when the call is done.
  grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* Open(
      grpc::CallbackServerContext* context, std::string device_id);
  // Push sends one message to a device; nothing happens when it has no stream.
  void Push(const std::string& device_id, const api::ServerMessage& message);
  // PushRevocation tells every other device that `device_id` is dead below `min_epoch`, and closes
  // its own stream.
  void PushRevocation(const std::string& device_id, uint64_t min_epoch);
  // WakeAll makes the timer read every lease anew now: after a change of policy or rollout.
  void WakeAll();
  // Wake does so for one device: after a commit that changed its record.
  void Wake(const std::string& device_id);
  bool IsOnline(const std::string& device_id) const;
  size_t size() const;
  // Shutdown ends every stream and the timer.
  void Shutdown();

 private:
  friend class DeviceStream;
  void Run();
  void Remove(const std::string& device_id, const DeviceStream* stream);

  StreamHost& host_;
  const Clock& clock_;
  mutable std::mutex streams_mutex_;  // guards all down to stopping_
  std::map<std::string, DeviceStream*> streams_;
  std::vector<std::string> woken_;  // to be polled before the next tick
  bool all_woken_ = false;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread timer_;
  WorkPool renewals_;  // last: its work uses all of the above
};

}  // namespace sallyport::server

#include "attestation-server/service/stream.h"

#include <algorithm>
#include <atomic>

#include "pki/base/log.h"

namespace sallyport::server {
namespace {

// How often a device hears its epoch and the time (architecture 6.6); its lease is read anew then,
// and when it is woken: what another process wrote is seen within this time.
constexpr Duration kEpochPushEvery = Seconds(10);
constexpr Duration kTickEvery = Milliseconds(500);      // how late a renewal push may be
constexpr size_t kQueuedMessagesMax = 64;               // a device that reads nothing is dropped
constexpr Duration kChallengeRetryAfter = Seconds(15);  // an unanswered challenge is sent again
constexpr unsigned kRenewalThreads = 16;  // renewals that wait together share one commit

}  // namespace

// DeviceStream: gRPC serialises reads; writes are queued here. The registry's mutex is never held
// while gRPC is called. Shared by gRPC, until OnDone, and by a renewal in work.
class DeviceStream final : public grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>,
                           public std::enable_shared_from_this<DeviceStream> {
 public:
  DeviceStream(StreamRegistry& registry, std::string device_id)
      : registry_(registry), device_id_(std::move(device_id)) {}

  void Start() {
    held_by_grpc_ = shared_from_this();
    ReadNext();
  }

  void Send(const api::ServerMessage& message) {
    const std::lock_guard lock(writes_mutex_);
    if (finished_) return;
    if (writes_.size() >= kQueuedMessagesMax)
      return FinishLocked(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "slow reader"));
    writes_.push_back(message);
    if (writes_.size() == 1) StartWrite(&writes_.front());
  }

  void Close(const grpc::Status& status) {
    const std::lock_guard lock(writes_mutex_);
    FinishLocked(status);
  }

  // MarkStale makes the next Poll read the lease.
  void MarkStale() { stale_ = true; }

  // Poll runs on the registry's timer.
  void Poll(UnixTime now) {
    if (stale_.exchange(false) || now >= next_epoch_push_) {
      const Result<DeviceLease> read = registry_.host_.Lease(device_id_);
      lease_ = read ? *read : DeviceLease{};
    }
    if (!lease_.live || now >= lease_.valid_until)
      return Close(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted"));
    if (!greeted_) return;
    if (now >= next_epoch_push_ || lease_.epoch != pushed_epoch_) PushEpoch(now);
    if (lease_.manifest_version != pushed_manifest_) PushManifest();
    if (answered_.exchange(false)) next_challenge_ = now;
    if (now >= lease_.renew_after && now >= next_challenge_) PushChallenge(now);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close(grpc::Status::OK);
    if (Handle(incoming_) == After::kReadNext) ReadNext();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(writes_mutex_);
    writes_.pop_front();
    if (!ok) return FinishLocked(grpc::Status::OK);
    if (!writes_.empty() && !finished_) StartWrite(&writes_.front());
  }

  void OnCancel() override { Close(grpc::Status::CANCELLED); }

  void OnDone() override {
    registry_.Remove(device_id_, this);
    const std::shared_ptr<DeviceStream> last = std::move(held_by_grpc_);
  }

 private:
  enum class After : uint8_t { kReadNext, kWait };

  // ReadNext does nothing on a finished stream: gRPC may have forgotten the call.
  void ReadNext() {
    const std::lock_guard lock(writes_mutex_);
    if (finished_) return;
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void FinishLocked(const grpc::Status& status) {
    if (finished_) return;
    finished_ = true;
    Finish(status);
  }

  After Handle(const api::DeviceMessage& message) {
    const Result<DeviceLease> lease = registry_.host_.Lease(device_id_);
    if (!lease || !lease->live) {
      Close(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted"));
      return After::kReadNext;
    }
    switch (message.message_case()) {
      case api::DeviceMessage::kHello: Greet(message.hello()); return After::kReadNext;
      case api::DeviceMessage::kRenewal: return Renew(message.renewal());
      case api::DeviceMessage::kAck:
        registry_.host_.OnAck(device_id_, message.ack());
        return After::kReadNext;
      case api::DeviceMessage::kUpdateReport:
        registry_.host_.OnUpdateReport(device_id_, message.update_report());
        return After::kReadNext;
      case api::DeviceMessage::kCheckpointEcho:
      case api::DeviceMessage::MESSAGE_NOT_SET: break;
    }
    Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "stream.message-unknown"));
    return After::kReadNext;
  }

  // Renew leaves gRPC's few threads to others: it waits for a commit. A renewal that finds the
  // queue full is dropped, and its challenge is sent again.
  After Renew(const api::RenewRequest& request) {
    const bool posted = registry_.renewals_.TryPost([self = shared_from_this(), request] {
      const api::ServerMessage answer = self->registry_.host_.Renew(self->device_id_, request);
      if (answer.has_certificate()) self->answered_ = true;
      self->Send(answer);
      self->ReadNext();
    });
    if (posted) return After::kWait;
    Log(LogLevel::kWarning, "renewal_shed", {{"device", device_id_}});
    return After::kReadNext;
  }

  void Greet(const api::Hello& hello) {
    constexpr size_t kNonceBytes = 16;
    if (hello.protocol_version() != 1 || hello.time_nonce().size() != kNonceBytes)
      return Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "stream.hello"));
    registry_.host_.OnHello(device_id_, hello);
    {
      const std::lock_guard lock(nonce_mutex_);
      time_nonce_ = hello.time_nonce();
    }
    greeted_ = true;
    api::ServerMessage message;
    *message.mutable_revocations() = registry_.host_.Revocations(device_id_);
    Send(message);
    registry_.Wake(device_id_);
  }

  std::string TimeNonce() {
    const std::lock_guard lock(nonce_mutex_);
    return time_nonce_;
  }

  void PushEpoch(UnixTime now) {
    api::ServerMessage message;
    *message.mutable_epoch() = registry_.host_.SignTime(lease_.epoch, TimeNonce());
    Send(message);
    pushed_epoch_ = lease_.epoch;
    next_epoch_push_ = now + kEpochPushEvery;
  }

  void PushManifest() {
    api::ServerMessage message;
    message.mutable_manifest()->set_version(lease_.manifest_version);
    Send(message);
    pushed_manifest_ = lease_.manifest_version;
  }

  void PushChallenge(UnixTime now) {
    next_challenge_ = now + kChallengeRetryAfter;
    const Result<api::Challenge> challenge = registry_.host_.MakeRenewalChallenge(device_id_);
    if (!challenge)
      return Log(LogLevel::kWarning, "renewal_challenge_failed",
                 {{"device", device_id_}, {"reason", std::string(challenge.error().name())}});
    api::ServerMessage message;
    *message.mutable_renew() = *challenge;
    Send(message);
  }

  StreamRegistry& registry_;
  const std::string device_id_;
  std::shared_ptr<DeviceStream> held_by_grpc_;
  api::DeviceMessage incoming_;

  std::mutex writes_mutex_;  // guards writes_, finished_
  std::deque<api::ServerMessage> writes_;
  bool finished_ = false;

  std::mutex nonce_mutex_;  // guards time_nonce_
  std::string time_nonce_;
  std::atomic<bool> greeted_ = false;
  std::atomic<bool> stale_ = true;
  std::atomic<bool> answered_ = false;  // the last challenge led to a certificate

  // Touched by the registry's timer only.
  DeviceLease lease_;
  uint64_t pushed_epoch_ = UINT64_MAX;
  uint64_t pushed_manifest_ = 0;
  UnixTime next_epoch_push_;
  UnixTime next_challenge_;
};

StreamRegistry::StreamRegistry(StreamHost& host, const Clock& clock)
    : host_(host), clock_(clock), timer_([this] { Run(); }), renewals_(kRenewalThreads) {}

StreamRegistry::~StreamRegistry() { Shutdown(); }

grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* StreamRegistry::Open(
    grpc::CallbackServerContext* /*context*/, std::string device_id) {
  const auto stream = std::make_shared<DeviceStream>(*this, device_id);
  {
    const std::lock_guard lock(streams_mutex_);
    DeviceStream*& slot = streams_[device_id];
    if (slot != nullptr)
      slot->Close(grpc::Status(grpc::StatusCode::ABORTED, "a newer stream of this device"));
    slot = stream.get();
  }
  stream->Start();
  return stream.get();
}

void StreamRegistry::Push(const std::string& device_id, const api::ServerMessage& message) {
  const std::lock_guard lock(streams_mutex_);
  const auto found = streams_.find(device_id);
  if (found != streams_.end()) found->second->Send(message);
}

void StreamRegistry::PushRevocation(const std::string& device_id, uint64_t min_epoch) {
  api::ServerMessage message;
  api::Revocation* const revocation = message.mutable_revocations()->add_revocations();
  revocation->set_device_id(device_id);
  revocation->set_min_epoch(min_epoch);
  const std::lock_guard lock(streams_mutex_);
  for (const auto& [id, stream] : streams_)
    if (id != device_id) stream->Send(message);
  const auto own = streams_.find(device_id);
  if (own != streams_.end())
    own->second->Close(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted"));
}

void StreamRegistry::WakeAll() {
  const std::lock_guard lock(streams_mutex_);
  for (const auto& [id, stream] : streams_) stream->MarkStale();
  all_woken_ = true;
  wake_.notify_one();
}

void StreamRegistry::Wake(const std::string& device_id) {
  const std::lock_guard lock(streams_mutex_);
  const auto found = streams_.find(device_id);
  if (found == streams_.end()) return;
  found->second->MarkStale();
  woken_.push_back(device_id);
  wake_.notify_one();
}

bool StreamRegistry::IsOnline(const std::string& device_id) const {
  const std::lock_guard lock(streams_mutex_);
  return streams_.contains(device_id);
}

size_t StreamRegistry::size() const {
  const std::lock_guard lock(streams_mutex_);
  return streams_.size();
}

void StreamRegistry::Remove(const std::string& device_id, const DeviceStream* stream) {
  const std::lock_guard lock(streams_mutex_);
  const auto found = streams_.find(device_id);
  if (found != streams_.end() && found->second == stream) streams_.erase(found);
}

// Run holds the mutex while it polls, so that no stream is deleted under it: OnDone waits in
// Remove. Devices that were woken alone are polled alone: a herd that renews must not make every
// renewal a walk over the fleet.
void StreamRegistry::Run() {
  std::unique_lock lock(streams_mutex_);
  Duration next_tick = clock_.Boot();
  while (!stopping_) {
    const bool called = wake_.wait_for(lock, std::chrono::milliseconds(kTickEvery.ms), [this] {
      return all_woken_ || !woken_.empty() || stopping_;
    });
    const UnixTime now = clock_.Wall();
    const std::vector<std::string> woken = std::exchange(woken_, {});
    if (std::exchange(all_woken_, false) || !called || clock_.Boot() >= next_tick) {
      for (const auto& [id, stream] : streams_) stream->Poll(now);
      next_tick = Duration{clock_.Boot().ms + kTickEvery.ms};
      continue;
    }
    for (const std::string& id : woken)
      if (const auto found = streams_.find(id); found != streams_.end()) found->second->Poll(now);
  }
}

void StreamRegistry::Shutdown() {
  {
    const std::lock_guard lock(streams_mutex_);
    if (stopping_) return;
    stopping_ = true;
    wake_.notify_one();
    for (const auto& [id, stream] : streams_)
      stream->Close(grpc::Status(grpc::StatusCode::UNAVAILABLE, "server is stopping"));
  }
  timer_.join();
}

}  // namespace sallyport::server

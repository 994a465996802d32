#include "attestation-server/service/stream.h"

#include <algorithm>

#include "pki/base/log.h"

namespace sallyport::server {
namespace {

constexpr Duration kEpochPushEvery = Seconds(10);       // architecture 6.6
constexpr std::chrono::milliseconds kTickEvery{500};    // how late a renewal push may be
constexpr size_t kQueuedMessagesMax = 64;               // a device that reads nothing is dropped
constexpr Duration kChallengeRetryAfter = Seconds(15);  // an unanswered challenge is sent again

}  // namespace

// DeviceStream: gRPC serialises reads; writes are queued here. The registry's mutex is never held
// while gRPC is called.
class DeviceStream final : public grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage> {
 public:
  DeviceStream(StreamRegistry& registry, std::string device_id)
      : registry_(registry), device_id_(std::move(device_id)) {}

  void Start() { StartRead(&incoming_); }

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

  // Poll runs on the registry's timer.
  void Poll(UnixTime now) {
    const Result<DeviceLease> lease = registry_.host_.Lease(device_id_);
    if (!lease || !lease->live)
      return Close(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted"));
    std::string nonce;
    {
      const std::lock_guard lock(state_mutex_);
      if (!greeted_) return;
      nonce = time_nonce_;
    }
    if (now >= next_epoch_push_ || lease->epoch != pushed_epoch_) PushEpoch(*lease, nonce, now);
    if (lease->manifest_version != pushed_manifest_) PushManifest(lease->manifest_version);
    if (now >= lease->renew_after && now >= next_challenge_) PushChallenge(now);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close(grpc::Status::OK);
    Handle(incoming_);
    incoming_.Clear();
    StartRead(&incoming_);
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
    delete this;
  }

 private:
  void FinishLocked(const grpc::Status& status) {
    if (finished_) return;
    finished_ = true;
    Finish(status);
  }

  void Handle(const api::DeviceMessage& message) {
    const Result<DeviceLease> lease = registry_.host_.Lease(device_id_);
    if (!lease || !lease->live)
      return Close(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not-admitted"));
    switch (message.message_case()) {
      case api::DeviceMessage::kHello: return Greet(message.hello());
      case api::DeviceMessage::kRenewal:
        return Send(registry_.host_.Renew(device_id_, message.renewal()));
      case api::DeviceMessage::kAck: return registry_.host_.OnAck(device_id_, message.ack());
      case api::DeviceMessage::kUpdateReport:
        return registry_.host_.OnUpdateReport(device_id_, message.update_report());
      case api::DeviceMessage::kCheckpointEcho:
      case api::DeviceMessage::MESSAGE_NOT_SET: break;
    }
    Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "stream.message-unknown"));
  }

  void Greet(const api::Hello& hello) {
    constexpr size_t kNonceBytes = 16;
    if (hello.protocol_version() != 1 || hello.time_nonce().size() != kNonceBytes)
      return Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "stream.hello"));
    registry_.host_.OnHello(device_id_, hello);
    {
      const std::lock_guard lock(state_mutex_);
      greeted_ = true;
      time_nonce_ = hello.time_nonce();
    }
    api::ServerMessage message;
    *message.mutable_revocations() = registry_.host_.Revocations(device_id_);
    Send(message);
    registry_.Wake();
  }

  void PushEpoch(const DeviceLease& lease, const std::string& nonce, UnixTime now) {
    api::ServerMessage message;
    *message.mutable_epoch() = registry_.host_.SignTime(lease.epoch, nonce);
    Send(message);
    pushed_epoch_ = lease.epoch;
    next_epoch_push_ = now + kEpochPushEvery;
  }

  void PushManifest(uint64_t version) {
    api::ServerMessage message;
    message.mutable_manifest()->set_version(version);
    Send(message);
    pushed_manifest_ = version;
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
  api::DeviceMessage incoming_;

  std::mutex writes_mutex_;  // guards writes_, finished_
  std::deque<api::ServerMessage> writes_;
  bool finished_ = false;

  std::mutex state_mutex_;  // guards greeted_, time_nonce_
  bool greeted_ = false;
  std::string time_nonce_;

  // Touched by the registry's timer only.
  uint64_t pushed_epoch_ = UINT64_MAX;
  uint64_t pushed_manifest_ = 0;
  UnixTime next_epoch_push_;
  UnixTime next_challenge_;
};

StreamRegistry::StreamRegistry(StreamHost& host, const Clock& clock)
    : host_(host), clock_(clock), timer_([this] { Run(); }) {}

StreamRegistry::~StreamRegistry() { Shutdown(); }

grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* StreamRegistry::Open(
    grpc::CallbackServerContext* /*context*/, std::string device_id) {
  auto* const stream =
      new DeviceStream(*this, device_id);  // deletes itself in OnDone, as gRPC's reactors do
  {
    const std::lock_guard lock(streams_mutex_);
    DeviceStream*& slot = streams_[device_id];
    if (slot != nullptr)
      slot->Close(grpc::Status(grpc::StatusCode::ABORTED, "a newer stream of this device"));
    slot = stream;
  }
  stream->Start();
  return stream;
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

void StreamRegistry::Wake() {
  const std::lock_guard lock(streams_mutex_);
  woken_ = true;
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

void StreamRegistry::Run() {
  std::unique_lock lock(streams_mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, kTickEvery, [this] { return woken_ || stopping_; });
    woken_ = false;
    lock.unlock();
    Tick();
    lock.lock();
  }
}

// Tick holds the mutex while it polls, so that no stream is deleted under it: OnDone waits in
// Remove.
void StreamRegistry::Tick() {
  const UnixTime now = clock_.Wall();
  const std::lock_guard lock(streams_mutex_);
  for (const auto& [id, stream] : streams_) stream->Poll(now);
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

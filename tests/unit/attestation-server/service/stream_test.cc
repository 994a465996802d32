// The device's stream over an in-process channel: what is pushed when, and what ends it.
#include "attestation-server/service/stream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <future>

#include "attestation-server/api/v1/device.grpc.pb.h"
#include "tests/fakes/fake_clock.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kStart = UnixTime::FromSeconds(1'790'000'000);

// Host is a server whose devices' leases the test writes.
class Host final : public StreamHost {
 public:
  Result<DeviceLease> Lease(const std::string& device_id) override {
    const std::lock_guard lock(mutex);
    ++leases_read;
    return leases[device_id];
  }
  Result<api::Challenge> MakeRenewalChallenge(const std::string& device_id) override {
    const std::lock_guard lock(mutex);
    if (refuse_challenges) return Error{Reason::kPolicyDenied, "", "not-admitted"};
    api::Challenge challenge;
    challenge.set_device_id(device_id);
    challenge.set_ticket("ticket " + std::to_string(++challenges));
    return challenge;
  }
  api::ServerMessage Renew(const std::string&, const api::RenewRequest& request) override {
    if (gate.valid()) gate.wait();
    api::ServerMessage answer;
    if (request.ticket() == "bad")
      answer.mutable_refusal()->set_rule("quote.extra-data");
    else
      answer.mutable_certificate()->set_epoch(1);
    return answer;
  }
  void OnHello(const std::string&, const api::Hello&) override { ++hellos; }
  void OnAck(const std::string&, const api::Ack& ack) override {
    const std::lock_guard lock(mutex);
    acknowledged = ack.epoch();
  }
  void OnUpdateReport(const std::string&, const api::UpdateReport& report) override {
    const std::lock_guard lock(mutex);
    reported = report.state();
  }
  api::EpochPush SignTime(uint64_t epoch, const std::string& time_nonce) override {
    api::EpochPush push;
    push.set_epoch(epoch);
    push.set_time_signature(time_nonce);
    return push;
  }
  api::RevocationPush Revocations(const std::string&) override { return {}; }

  void Put(const std::string& device_id, const DeviceLease& lease) {
    const std::lock_guard lock(mutex);
    leases[device_id] = lease;
  }

  std::mutex mutex;  // guards all but the gate
  std::map<std::string, DeviceLease> leases;
  int challenges = 0, leases_read = 0;
  std::atomic<int> hellos = 0;
  bool refuse_challenges = false;
  uint64_t acknowledged = 0;
  std::string reported;
  std::shared_future<void> gate;
};

// Service takes the device's name from metadata, where the listener takes it from the certificate.
class Service final : public api::Device::CallbackService {
 public:
  explicit Service(StreamRegistry& streams) : streams_(streams) {}
  grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* Stream(
      grpc::CallbackServerContext* context) override {
    const auto name = context->client_metadata().find("device");
    return streams_.Open(context, {name->second.data(), name->second.size()});
  }

 private:
  StreamRegistry& streams_;
};

class Caller {
 public:
  Caller(api::Device::Stub& stub, const std::string& device) {
    context_.AddMetadata("device", device);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub.Stream(&context_);
  }
  ~Caller() {
    context_.TryCancel();
    if (!finished_) (void)stream_->Finish();
  }
  Caller& Hello(const std::string& nonce = std::string(16, 'n'), uint32_t version = 1) {
    api::DeviceMessage message;
    message.mutable_hello()->set_protocol_version(version);
    message.mutable_hello()->set_time_nonce(nonce);
    (void)stream_->Write(message);
    return *this;
  }
  void Send(const api::DeviceMessage& message) { (void)stream_->Write(message); }
  void Renew(const std::string& ticket) {
    api::DeviceMessage message;
    message.mutable_renewal()->set_ticket(ticket);
    Send(message);
  }
  api::ServerMessage Next() {
    api::ServerMessage message;
    EXPECT_TRUE(stream_->Read(&message));
    return message;
  }
  api::ServerMessage::PushCase NextKind() { return Next().push_case(); }
  // End reads to the end of the call and returns its status.
  grpc::Status End() {
    for (api::ServerMessage message; stream_->Read(&message);) continue;
    finished_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<api::DeviceMessage, api::ServerMessage>> stream_;
  bool finished_ = false;
};

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = api::Device::NewStub(server_->InProcessChannel({}));
    host_.Put("cam-1", Live());
    host_.Put("cam-2", Live());
  }
  ~StreamTest() override {
    if (streams_) streams_->Shutdown();
    server_->Shutdown(std::chrono::system_clock::now());
  }
  static DeviceLease Live() { return {true, 3, kStart + Hours(1), kStart + Hours(2), 0}; }
  // Greeted is a stream that has had what every stream gets first.
  std::unique_ptr<Caller> Greeted(const std::string& device) {
    auto caller = std::make_unique<Caller>(*stub_, device);
    caller->Hello();
    EXPECT_EQ(caller->NextKind(), api::ServerMessage::kRevocations);
    EXPECT_EQ(caller->NextKind(), api::ServerMessage::kEpoch);
    return caller;
  }
  void Change(const std::string& device, const DeviceLease& lease) {
    host_.Put(device, lease);
    streams_->Wake(device);
  }

  Host host_;
  FakeClock clock_{kStart};
  std::unique_ptr<StreamRegistry> streams_ = std::make_unique<StreamRegistry>(host_, clock_);
  Service service_{*streams_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<api::Device::Stub> stub_;
};

TEST_F(StreamTest, GreetingIsAnsweredWithRevocationsEpochAndTime) {
  Caller caller(*stub_, "cam-1");
  caller.Hello();

  EXPECT_EQ(caller.NextKind(), api::ServerMessage::kRevocations);
  const api::ServerMessage epoch = caller.Next();
  EXPECT_EQ(epoch.epoch().epoch(), 3u);
  EXPECT_EQ(epoch.epoch().time_signature(), std::string(16, 'n')) << "over the device's nonce";
  EXPECT_EQ(host_.hellos, 1);
  EXPECT_TRUE(streams_->IsOnline("cam-1"));
}

TEST_F(StreamTest, GreetingWithoutNonceOrInAnotherVersionEndsTheCall) {
  for (const auto& [nonce, version] : {std::pair(std::string(15, 'n'), 1u),
                                       {std::string(17, 'n'), 1u},
                                       {std::string(), 1u},
                                       {std::string(16, 'n'), 0u},
                                       {std::string(16, 'n'), 2u}}) {
    Caller caller(*stub_, "cam-1");
    const grpc::Status status = caller.Hello(nonce, version).End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(), "stream.hello");
  }
  EXPECT_EQ(host_.hellos, 0);
}

TEST_F(StreamTest, DeviceWithoutALeaseIsNotAdmitted) {
  host_.Put("cam-1", {});
  Caller caller(*stub_, "cam-1");
  const grpc::Status status = caller.Hello().End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(host_.hellos, 0);
}

TEST_F(StreamTest, MessageWithoutMeaningEndsTheCall) {
  const auto caller = Greeted("cam-1");
  caller->Send({});
  EXPECT_EQ(caller->End().error_message(), "stream.message-unknown");
}

TEST_F(StreamTest, LostLeaseEndsTheCall) {
  const auto caller = Greeted("cam-1");
  Change("cam-1", {});
  EXPECT_EQ(caller->End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(StreamTest, EvidenceThatRunsOutEndsTheCallWithoutAnyoneSayingSo) {
  const auto caller = Greeted("cam-1");
  clock_.Advance(Hours(2));  // the next tick sees it
  EXPECT_EQ(caller->End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(StreamTest, ChallengeIsPushedWhenARenewalFallsDue) {
  const auto caller = Greeted("cam-1");
  DeviceLease due = Live();
  due.renew_after = kStart;
  Change("cam-1", due);
  const api::ServerMessage push = caller->Next();
  EXPECT_EQ(push.renew().ticket(), "ticket 1");
}

TEST_F(StreamTest, ChallengeIsPushedAgainWhenItWasNotAnsweredForALongTime) {
  const auto caller = Greeted("cam-1");
  DeviceLease due = Live();
  due.renew_after = kStart;
  Change("cam-1", due);
  EXPECT_EQ(caller->Next().renew().ticket(), "ticket 1");

  clock_.Advance(Seconds(9));
  streams_->WakeAll();
  clock_.Advance(Seconds(6));
  streams_->WakeAll();

  EXPECT_EQ(caller->NextKind(), api::ServerMessage::kEpoch) << "the time, every ten seconds";
  EXPECT_EQ(caller->Next().renew().ticket(), "ticket 2");
}

TEST_F(StreamTest, NextChallengeDoesNotWaitForTheLastOnesTimeout) {
  const auto caller = Greeted("cam-1");
  DeviceLease due = Live();
  due.renew_after = kStart;
  Change("cam-1", due);
  EXPECT_EQ(caller->Next().renew().ticket(), "ticket 1");
  DeviceLease renewed = Live();
  renewed.renew_after = kStart + Seconds(5);
  host_.Put("cam-1", renewed);
  caller->Renew("ticket 1");
  EXPECT_EQ(caller->NextKind(), api::ServerMessage::kCertificate);
  streams_->Wake("cam-1");

  clock_.Advance(Seconds(5));

  EXPECT_EQ(caller->Next().renew().ticket(), "ticket 2");
}

TEST_F(StreamTest, RefusedRenewalIsSaidAndTheStreamGoesOn) {
  const auto caller = Greeted("cam-1");
  caller->Renew("bad");
  EXPECT_EQ(caller->Next().refusal().rule(), "quote.extra-data");
  caller->Renew("good");
  EXPECT_EQ(caller->NextKind(), api::ServerMessage::kCertificate);
}

TEST_F(StreamTest, ChallengeThatCannotBeMadeEndsNothing) {
  const auto caller = Greeted("cam-1");
  host_.refuse_challenges = true;
  DeviceLease due = Live();
  due.renew_after = kStart;
  Change("cam-1", due);
  caller->Renew("good");
  EXPECT_EQ(caller->NextKind(), api::ServerMessage::kCertificate);
}

TEST_F(StreamTest, NewEpochAndNewManifestArePushedOnce) {
  const auto caller = Greeted("cam-1");
  DeviceLease changed = Live();
  changed.epoch = 4;
  changed.manifest_version = 7;
  Change("cam-1", changed);
  EXPECT_EQ(caller->Next().epoch().epoch(), 4u);
  EXPECT_EQ(caller->Next().manifest().version(), 7u);

  streams_->WakeAll();
  changed.manifest_version = 8;
  Change("cam-1", changed);

  EXPECT_EQ(caller->Next().manifest().version(), 8u);
}

TEST_F(StreamTest, SecondStreamOfADeviceEndsTheFirst) {
  const auto first = Greeted("cam-1");
  const auto second = Greeted("cam-1");
  EXPECT_EQ(first->End().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(streams_->IsOnline("cam-1"));
  second->Renew("good");
  EXPECT_EQ(second->NextKind(), api::ServerMessage::kCertificate);
}

TEST_F(StreamTest, RevocationReachesTheOthersAndEndsTheRevoked) {
  const auto revoked = Greeted("cam-1");
  const auto peer = Greeted("cam-2");

  streams_->PushRevocation("cam-1", 4);

  const api::ServerMessage push = peer->Next();
  ASSERT_EQ(push.revocations().revocations_size(), 1);
  EXPECT_EQ(push.revocations().revocations(0).device_id(), "cam-1");
  EXPECT_EQ(push.revocations().revocations(0).min_epoch(), 4u);
  EXPECT_EQ(revoked->End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(StreamTest, DeviceThatReadsNothingIsDroppedAndCostsBoundedMemory) {
  const auto slow = Greeted("cam-1");
  api::ServerMessage push;
  push.mutable_manifest()->set_version(7);

  for (int i = 0; i < 1000; ++i) streams_->Push("cam-1", push);

  EXPECT_EQ(slow->End().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto again = Greeted("cam-1");
  again->Renew("good");
  EXPECT_EQ(again->NextKind(), api::ServerMessage::kCertificate);
}

TEST_F(StreamTest, AcksAndReportsReachTheHost) {
  const auto caller = Greeted("cam-1");
  api::DeviceMessage ack, report;
  ack.mutable_ack()->set_epoch(9);
  report.mutable_update_report()->set_state("TRIAL");
  caller->Send(ack);
  caller->Send(report);
  caller->Renew("good");  // messages are taken in order
  EXPECT_EQ(caller->NextKind(), api::ServerMessage::kCertificate);
  EXPECT_EQ(host_.acknowledged, 9u);
  EXPECT_EQ(host_.reported, "TRIAL");
}

TEST_F(StreamTest, LeaseIsReadWhenItMayHaveChangedAndNotAtEachTick) {
  const auto caller = Greeted("cam-1");
  streams_->Push("cam-1", {});
  (void)caller->Next();
  const int before = host_.leases_read;
  const auto other = Greeted("cam-2");  // ticks go on meanwhile, and another device is polled
  EXPECT_LE(host_.leases_read - before, 3) << "the other's own: its greeting and its wakes";
}

TEST_F(StreamTest, CancelledCallDuringARenewalHarmsNobody) {
  std::promise<void> open;
  host_.gate = open.get_future().share();
  {
    const auto caller = Greeted("cam-1");
    caller->Renew("good");
  }
  const auto other = Greeted("cam-2");
  open.set_value();
  other->Renew("good");
  EXPECT_EQ(other->NextKind(), api::ServerMessage::kCertificate);
}

TEST_F(StreamTest, ShutdownEndsEveryStreamAndWaitsForRenewalsInWork) {
  std::promise<void> open;
  host_.gate = open.get_future().share();
  const auto caller = Greeted("cam-1");
  caller->Renew("good");
  streams_->Shutdown();
  EXPECT_EQ(caller->End().error_code(), grpc::StatusCode::UNAVAILABLE);
  server_->Shutdown(std::chrono::system_clock::now());

  open.set_value();
  streams_.reset();

  EXPECT_FALSE(host_.gate.valid() && host_.hellos == 0);
}

}  // namespace
}  // namespace sallyport::server

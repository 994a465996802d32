// The whole agent but what it does with its orders: a software TPM below, a server's two listeners
// above.
#include "device-client/agent/time_record.h"
#include "device-client/client.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "attestation-server/api/tls.h"
#include "pki/tpm/name.h"
#include "tests/integration/control_plane_stub.h"
#include "tests/node/vendor_ca.h"

namespace sallyport::device {
namespace {

using testing_server::Conduct;
using testing_server::ControlPlaneStub;
using testing_server::Seen;
namespace api = ::sallyport::attestation::v1;

// RecordingSinks remember what the agent was told.
class RecordingSinks final : public AgentSinks {
 public:
  struct Told {
    std::vector<TlsIdentity> identities;
    std::vector<PeerRevocation> revocations;
    std::vector<ota::DeviceManifest> manifests;
    std::optional<FloorCounts> recorded_floors;
    int attested = 0;
    int refused = 0;
    int streams = 0;
  };
  void OnIdentity(const TlsIdentity& identity, const IssuedCertificate&) override {
    Change([&](Told& told) { told.identities.push_back(identity); });
  }
  void OnAttested(const IssuedCertificate&) override {
    Change([](Told& told) { ++told.attested; });
  }
  void OnRecordedFloors(const FloorCounts& floors) override {
    Change([&](Told& told) { told.recorded_floors = floors; });
  }
  void OnRefused() override {
    Change([](Told& told) { ++told.refused; });
  }
  void OnStream(bool up) override {
    Change([up](Told& told) { told.streams += up ? 1 : 0; });
  }
  void OnRevocations(const std::vector<PeerRevocation>& revocations) override {
    Change([&](Told& told) { told.revocations = revocations; });
  }
  Result<uint64_t> OnManifest(const ota::DeviceManifest& manifest) override {
    Change([&](Told& told) { told.manifests.push_back(manifest); });
    return uint64_t{7};
  }
  uint64_t HeldManifestVersion() override { return 6; }
  BootClaim Boot() override { return {}; }

  bool WaitFor(const std::function<bool(const Told&)>& condition) {
    std::unique_lock lock(told_mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(told_); });
  }
  Told told() const {
    const std::lock_guard lock(told_mutex_);
    return told_;
  }

 private:
  void Change(const std::function<void(Told&)>& change) {
    const std::lock_guard lock(told_mutex_);
    change(told_);
    changed_.notify_all();
  }
  mutable std::mutex told_mutex_;
  std::condition_variable changed_;
  Told told_;
};

// WrongClock is this machine's clock with a wall clock that is off.
class WrongClock final : public Clock {
 public:
  UnixTime Wall() const override { return wall ? *wall : clock_.Wall(); }
  Duration Boot() const override { return clock_.Boot(); }
  std::optional<UnixTime> wall;

 private:
  RealClock clock_;
};

class AgentTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server::PrepareTls();
    std::signal(SIGPIPE, SIG_IGN);  // as the agent's own start does
  }

  AgentTest() {
    char name[] = "/tmp/sp-agent-XXXXXX";
    dir_ = ::mkdtemp(name);
    swtpm_.emplace(*node::SwTpm::Start(dir_ + "/tpm"));
    const node::VendorCa vendor = *node::VendorCa::Make(clock_.Wall() - Hours(1), random_);
    SP_CHECK(node::Manufacture(*swtpm_, vendor, clock_.Wall(), random_).has_value());
    SP_CHECK(WriteFileAtomically(files_, dir_ + "/log", AsBytes("the firmware's event log"))
                 .has_value());
    tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
    StartServer();
  }
  ~AgentTest() override {
    StopAgent();
    stub_.reset();
    tpm_.reset();
    swtpm_.reset();
    std::filesystem::remove_all(dir_);
  }

  void StartServer(const std::string& name = "control") {
    stub_.reset();
    stub_ = std::make_unique<ControlPlaneStub>(dir_, name);
  }
  void MakeAgent() {
    Config config;
    config.state = dir_ + "/state";
    config.event_log = dir_ + "/log";
    config.backoff_max = Seconds(1);
    const AgentState state = *LoadState(files_, config.state);
    client_ = std::make_unique<Client>(ClientParts{*tpm_, files_, agent_clock_, random_, sinks_},
                                       config, stub_->EnrolmentFile(), state);
  }
  void StartAgent() {
    MakeAgent();
    runner_ = std::thread([this] { EXPECT_TRUE(client_->Run(false).has_value()); });
  }
  void StopAgent() {
    if (client_) client_->Stop();
    if (runner_.joinable()) runner_.join();
    client_.reset();
  }
  void Reboot() {
    StopAgent();
    tpm_.reset();
    SP_CHECK(swtpm_->Reset().has_value());
    tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
  }
  bool StreamsAre(size_t count) {
    return stub_->WaitFor([=](const Seen& seen) {
      return seen.streams.size() == count && seen.hellos.size() == count;
    });
  }
  void PushTime() { stub_->PushTime(clock_.Wall()); }

  std::string dir_;
  RealClock clock_;
  WrongClock agent_clock_;
  SystemRandom random_;
  PosixFileSystem files_;
  RecordingSinks sinks_;
  std::optional<node::SwTpm> swtpm_;
  std::unique_ptr<Tpm> tpm_;
  std::unique_ptr<ControlPlaneStub> stub_;
  std::unique_ptr<Client> client_;
  std::thread runner_;
};

TEST_F(AgentTest, EnrolsWithProofsThatVerifyAndStaysConnected) {
  StartAgent();

  ASSERT_TRUE(StreamsAre(1));
  const Seen seen = stub_->seen();
  EXPECT_EQ(seen.complaints, std::vector<std::string>{});
  ASSERT_EQ(seen.proofs.size(), 1u);
  EXPECT_EQ(seen.proofs[0].token(), "secret-token");
  EXPECT_EQ(seen.proofs[0].event_log(), "the firmware's event log");
  EXPECT_EQ(seen.begins[0].ek_certificates_size(), 1);
  EXPECT_EQ(seen.streams[0], "spiffe://edge.example/device/" + stub_->device_id());
  EXPECT_EQ(seen.hellos[0].manifest_version(), 6u);
  EXPECT_EQ(seen.hellos[0].time_nonce().size(), 16u);
  EXPECT_EQ(sinks_.told().attested, 1);
  EXPECT_EQ(sinks_.told().streams, 0) << "nothing was heard over it yet";
  stub_->PushTime(clock_.Wall());
  EXPECT_TRUE(sinks_.WaitFor([](const auto& told) { return told.streams == 1; }));
  EXPECT_TRUE(client_->Alive());
  EXPECT_EQ(client_->status().tier, "attested");
}

TEST_F(AgentTest, PassesTheFloorsOnThatTheServerRecordedAndTakesNoOtherNumberOfThem) {
  stub_->Set({.recorded_floors = {3, 1}});
  StartAgent();
  ASSERT_TRUE(stub_->WaitFor([](const Seen& seen) { return !seen.proofs.empty(); }));
  stub_->Set({.recorded_floors = {3, 1, 7, 0, 0}});

  ASSERT_TRUE(StreamsAre(1));
  EXPECT_EQ(sinks_.told().recorded_floors, (FloorCounts{3, 1, 7, 0, 0}));
}

TEST_F(AgentTest, AWallClockThatIsDeadOrFarAheadKeepsItFromNothingAndTheServerCorrectsIt) {
  for (const UnixTime wall : {UnixTime{}, clock_.Wall() + Days(20'000)}) {
    agent_clock_.wall = wall;
    StartAgent();
    ASSERT_TRUE(stub_->WaitFor([](const Seen& seen) { return seen.hellos.size() == 1; }));
    EXPECT_FALSE(client_->time().Now().sure);
    PushTime();

    while (!client_->time().Now().sure) std::this_thread::yield();
    EXPECT_GT(client_->time().Now().now, clock_.Wall() - Minutes(1));
    EXPECT_LT(client_->time().Now().now, clock_.Wall() + Minutes(1));
    StopAgent();
    EXPECT_TRUE(*LoadTimeRecord(files_, dir_ + "/state"));
    std::filesystem::remove_all(dir_ + "/state");
    StartServer();
  }
}

TEST_F(AgentTest, NeverSendsTheTokenBeforeTheServerHasProvenItself) {
  StartAgent();

  ASSERT_TRUE(StreamsAre(1));
  EXPECT_EQ(stub_->seen().begins[0].SerializeAsString().find("secret-token"), std::string::npos);
}

TEST_F(AgentTest, RenewsOnTheStreamWithTheSameKey) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));

  stub_->PushChallenge();

  ASSERT_TRUE(sinks_.WaitFor([](const auto& told) { return told.identities.size() == 2; }));
  const Seen seen = stub_->seen();
  EXPECT_EQ(seen.complaints, std::vector<std::string>{});
  ASSERT_EQ(seen.renewals.size(), 1u);
  EXPECT_EQ(seen.renewals[0].tls_public(), seen.proofs[0].tls_public());
  EXPECT_EQ(seen.renewals[0].event_log(), "");
  EXPECT_EQ(seen.renewals[0].event_log_sha256(), seen.proofs[0].event_log_sha256());
  EXPECT_EQ(sinks_.told().identities[0].key, sinks_.told().identities[1].key);
  EXPECT_NE(sinks_.told().identities[0].chain_pem, sinks_.told().identities[1].chain_pem);
}

TEST_F(AgentTest, MovesItsConnectionToTheNewCertificateBeforeTheOldOneEnds) {
  Conduct conduct;
  conduct.lifetime = Seconds(4);
  stub_->Set(conduct);
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  PushTime();
  conduct.lifetime = Hours(1);
  stub_->Set(conduct);

  stub_->PushChallenge();

  EXPECT_TRUE(StreamsAre(2));
  EXPECT_EQ(stub_->seen().proofs.size(), 1u);
}

TEST_F(AgentTest, ReattestsWhenItsCertificateLapses) {
  Conduct conduct;
  conduct.lifetime = Seconds(2);
  stub_->Set(conduct);
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  conduct.lifetime = Hours(1);
  stub_->Set(conduct);
  PushTime();

  ASSERT_TRUE(StreamsAre(2));
  const Seen seen = stub_->seen();
  EXPECT_EQ(seen.complaints, std::vector<std::string>{});
  ASSERT_EQ(seen.begins.size(), 2u);
  EXPECT_EQ(seen.begins[1].purpose(), api::PURPOSE_REATTEST);
  EXPECT_NE(seen.proofs[1].tls_public(), seen.proofs[0].tls_public());
}

TEST_F(AgentTest, ReattestsWhenItsKeyWentWithTheConnectionToTheTpm) {
  tpm_.reset();
  tpm_ = *Tpm::Open(swtpm_->RelayTcti(), random_);
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  swtpm_->CutRelay();

  stub_->PushChallenge();  // finds the connection broken
  stub_->PushChallenge();  // finds the key gone

  ASSERT_TRUE(StreamsAre(2));
  const Seen seen = stub_->seen();
  EXPECT_EQ(seen.begins[1].purpose(), api::PURPOSE_REATTEST);
  EXPECT_EQ(seen.begins[1].ak_public(), seen.begins[0].ak_public());
  EXPECT_NE(seen.proofs[1].tls_public(), seen.proofs[0].tls_public());
}

TEST_F(AgentTest, ReattestsAfterAReboot) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  Reboot();

  StartAgent();

  ASSERT_TRUE(StreamsAre(2));
  const Seen seen = stub_->seen();
  EXPECT_EQ(seen.complaints, std::vector<std::string>{});
  EXPECT_EQ(seen.begins[1].purpose(), api::PURPOSE_REATTEST);
  EXPECT_EQ(seen.begins[1].ek_certificates_size(), 0);
  EXPECT_EQ(seen.begins[1].ak_public(), seen.begins[0].ak_public());
  EXPECT_EQ(seen.proofs[1].token(), "");
  EXPECT_EQ(seen.proofs[1].activation_proof(), "");
  EXPECT_EQ(seen.streams[0], seen.streams[1]);
}

TEST_F(AgentTest, ReattestsWhenTheServerEndsTheStreamWithARefusal) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));

  stub_->EndStreams(true);

  ASSERT_TRUE(StreamsAre(2));
  EXPECT_EQ(stub_->seen().begins.size(), 2u);
}

TEST_F(AgentTest, ReconnectsWithItsCertificateWhenTheStreamBreaks) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));

  stub_->EndStreams(false);

  ASSERT_TRUE(StreamsAre(2));
  EXPECT_EQ(stub_->seen().begins.size(), 1u);
}

TEST_F(AgentTest, FetchesAnAnnouncedManifestAndSaysWhatItObeys) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  api::ServerMessage message;
  message.mutable_manifest()->set_version(7);

  stub_->Push(message);

  ASSERT_TRUE(stub_->WaitFor([](const Seen& seen) { return seen.acks.size() == 1; }));
  EXPECT_EQ(stub_->seen().acks[0].manifest_version(), 7u);
  EXPECT_EQ(sinks_.told().manifests[0].targets, ToBytes("targets"));
}

TEST_F(AgentTest, PassesRevocationsOn) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));
  api::ServerMessage message;
  api::Revocation* const revocation = message.mutable_revocations()->add_revocations();
  revocation->set_device_id("peer");
  revocation->set_min_epoch(3);

  stub_->Push(message);

  ASSERT_TRUE(sinks_.WaitFor([](const auto& told) { return told.revocations.size() == 1; }));
  EXPECT_EQ(sinks_.told().revocations[0].min_epoch, 3u);
}

TEST_F(AgentTest, BelievesNoTimeThatTheTimeKeyDidNotSign) {
  StartAgent();
  ASSERT_TRUE(StreamsAre(1));

  stub_->PushTime(clock_.Wall() + Days(1), true);
  PushTime();  // in order, so that the forged one was judged when this one counts
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!client_->time().Now().sure && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();

  ASSERT_TRUE(client_->time().Now().sure);
  EXPECT_LT(client_->time().Now().now, clock_.Wall() + Hours(1));
}

TEST_F(AgentTest, OnceSaysWhyItWasRefused) {
  Conduct conduct;
  conduct.refuse_begin = true;
  stub_->Set(conduct);
  MakeAgent();

  const Result<Unit> run = client_->Run(true);

  ASSERT_FALSE(run.has_value());
  EXPECT_EQ(run.error().name(), "not-admitted");
  EXPECT_NE(run.error().detail.find("ref-1"), std::string::npos);
}

TEST_F(AgentTest, OnceEndsWithTheFirstCertificate) {
  MakeAgent();

  EXPECT_TRUE(client_->Run(true).has_value());
  EXPECT_EQ(LoadState(files_, dir_ + "/state")->device_id, stub_->device_id());
}

TEST_F(AgentTest, WaitsForAnOperatorWithoutACertificate) {
  Conduct conduct;
  conduct.pending = true;
  stub_->Set(conduct);
  StartAgent();

  ASSERT_TRUE(stub_->WaitFor([](const Seen& seen) { return seen.proofs.size() == 1; }));
  EXPECT_TRUE(stub_->seen().streams.empty());
  EXPECT_TRUE(sinks_.told().identities.empty());
}

TEST_F(AgentTest, SaysNothingToAServerThatItWasNotToldOf) {
  StartServer("impostor");
  MakeAgent();
  std::thread runner([this] { EXPECT_TRUE(client_->Run(false).has_value()); });

  const bool heard = [this] {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (client_->status().last_refusal.empty() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    return client_->status().last_refusal.empty() || !stub_->seen().begins.empty();
  }();

  EXPECT_FALSE(heard);
  client_->Stop();
  runner.join();
}

TEST_F(AgentTest, KeepsTryingWhenTheServerComesLater) {
  const Conduct refusing{
      .refuse_begin = true, .pending = false, .refuse_stream = false, .lifetime = Hours(1)};
  stub_->Set(refusing);
  StartAgent();
  ASSERT_TRUE(stub_->WaitFor([](const Seen& seen) { return seen.begins.size() == 1; }));

  stub_->Set({});

  EXPECT_TRUE(StreamsAre(1));
}

}  // namespace
}  // namespace sallyport::device

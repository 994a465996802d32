#include "device-client/update/update_worker.h"

#include <future>

#include "tests/fakes/fake_machine.h"
#include "tests/fakes/fake_random.h"
#include "tests/fakes/update_world.h"

namespace sallyport::device {
namespace {

constexpr std::chrono::seconds kPatience{30};

// A latch with a value: set by the worker's thread, awaited by the test.
class Signal {
 public:
  void Set() {
    if (!set_.exchange(true)) promise_.set_value();
  }
  [[nodiscard]] bool Await() {
    return promise_.get_future().wait_for(kPatience) == std::future_status::ready;
  }

 private:
  std::atomic<bool> set_ = false;
  std::promise<void> promise_;
};

class SignallingRebooter final : public Rebooter {
 public:
  Result<Unit> Reboot() override {
    asked.Set();
    return Unit{};
  }
  Signal asked;
};

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);
const TestRelease kThird = MakeTestRelease("3.0.0", 3);

class UpdateWorkerTest : public ::testing::Test {
 protected:
  UpdateWorkerTest() { world_.AddRelease(kNew); }
  UpdateWorkerParts Parts(Rebooter& rebooter, ReportFunction report) {
    return Parts(rebooter, source_, std::move(report));
  }
  UpdateWorkerParts Parts(Rebooter& rebooter, ota::PayloadSource& source, ReportFunction report) {
    return {machine_.Parts(installer_, source, rebooter, std::move(report)), random_};
  }

  UpdateWorld world_{kOld};
  ota::Installer installer_ = world_.MakeInstaller();
  ReleaseSource source_{kNew};
  FakeMachine machine_;
  FakeRandom random_;
};

TEST_F(UpdateWorkerTest, InstallsWhatWasAssignedAndCommitsWhatWasAttested) {
  SignallingRebooter rebooter;
  {
    UpdateWorker worker(Parts(rebooter, {}));
    worker.Assign(kNew.plan);
    ASSERT_TRUE(rebooter.asked.Await());
  }
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), ota::Slot::kB);
  Signal committed;
  SignallingRebooter unused;
  {
    UpdateWorker worker(Parts(unused, [&](const UpdateReport& report) {
      if (report.state == "COMMITTED") committed.Set();
    }));
    const HealthState passed{HealthAnswer::kPassed, ""};
    for (const HealthCheck check : {HealthCheck::kAgent, HealthCheck::kStream,
                                    HealthCheck::kAttestation, HealthCheck::kCertificate})
      worker.Hear({check, passed, kNew.plan.facts().release});
    ASSERT_TRUE(committed.Await());
  }
  EXPECT_EQ(world_.BootOrder(), "BA");
}

TEST_F(UpdateWorkerTest, InstallsWhatWaitedForTheFallbackAsSoonAsThatHasProvenItself) {
  world_.AddRelease(kThird);
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  ASSERT_TRUE(installer_.Arm());
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), ota::Slot::kB);
  ASSERT_TRUE(installer_.BeginTrial());
  ASSERT_TRUE(installer_.RollBack());
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), ota::Slot::kA);
  SignallingRebooter rebooter;
  ReleaseSource third(kThird);
  Signal held;
  UpdateWorker worker(Parts(rebooter, third, [&](const UpdateReport& report) {
    if (report.gate == "fallback") held.Set();
  }));
  worker.Assign(kThird.plan);
  ASSERT_TRUE(held.Await());
  const HealthState passed{HealthAnswer::kPassed, ""};
  for (const HealthCheck check : {HealthCheck::kAgent, HealthCheck::kStream,
                                  HealthCheck::kAttestation, HealthCheck::kCertificate})
    worker.Hear({check, passed, kOld.plan.facts().release});
  EXPECT_TRUE(rebooter.asked.Await()) << "and not a minute later";
}

// A source that never ends until the sink refuses.
class EndlessSource final : public ota::PayloadSource {
 public:
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t, uint64_t,
                     ota::ByteSink& sink) override {
    while (true) {
      started.Set();
      if (file == kThird.plan.facts().index) third.Set();
      SP_TRY(sink.Write({}));
    }
  }
  Signal started;
  Signal third;
};

TEST_F(UpdateWorkerTest, BreaksADownloadOffWhenItStops) {
  SignallingRebooter rebooter;
  EndlessSource endless;
  {
    UpdateWorker worker(Parts(rebooter, endless, {}));
    worker.Assign(kNew.plan);
    ASSERT_TRUE(endless.started.Await());
  }
  EXPECT_EQ(ota::StateName(installer_.Record()->state), "WRITING");
}

TEST_F(UpdateWorkerTest, ReportsAFailureAndKeepsGoing) {
  source_.File(kNew.plan.facts().uki.path)[0] ^= 1;
  SignallingRebooter rebooter;
  Signal failed;
  UpdateWorker worker(Parts(rebooter, [&](const UpdateReport& report) {
    if (report.gate == "install") failed.Set();
  }));
  worker.Assign(kNew.plan);
  EXPECT_TRUE(failed.Await());
}

TEST_F(UpdateWorkerTest, AWithdrawalBreaksTheDownloadOffAndCallsTheUpdateOff) {
  SignallingRebooter rebooter;
  EndlessSource endless;
  Signal cancelled;
  UpdateWorker worker(Parts(rebooter, endless, [&](const UpdateReport& report) {
    if (report.gate == "cancelled") cancelled.Set();
  }));
  worker.Assign(kNew.plan);
  ASSERT_TRUE(endless.started.Await());
  worker.Withdraw(kNew.plan.facts().release);
  EXPECT_TRUE(cancelled.Await());
}

TEST_F(UpdateWorkerTest, AnotherReleaseBreaksTheDownloadOffAndTheSameOneDoesNot) {
  SignallingRebooter rebooter;
  EndlessSource endless;
  UpdateWorker worker(Parts(rebooter, endless, {}));
  worker.Assign(kNew.plan);
  ASSERT_TRUE(endless.started.Await());
  worker.Assign(kNew.plan);
  worker.Assign(kThird.plan);
  EXPECT_TRUE(endless.third.Await());
}

}  // namespace
}  // namespace sallyport::device

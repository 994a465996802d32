#include "ota/install/installer.h"

#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/update_world.h"

namespace sallyport::ota {
namespace {

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2, 5, true);
const TestRelease kNewer = MakeTestRelease("3.0.0", 3);

class FakeFloor final : public MonotonicFloor {
 public:
  Result<uint64_t> Read() override {
    if (failure) return *failure;
    return value;
  }
  Result<Unit> Raise(uint64_t to) override {
    value = std::max(value, to);
    return Unit{};
  }
  uint64_t value = 0;
  std::optional<Error> failure;
};

class InstallerTest : public ::testing::Test {
 protected:
  InstallerTest() {
    world_.AddRelease(kNew);
    world_.AddRelease(kNewer);
  }
  std::string_view RuleOfInstall(const TestRelease& release) {
    const auto installed = installer_.Install(release.plan, source_);
    return installed ? "installed" : installed.error().name();
  }
  std::string_view State() { return StateName(installer_.Record()->state); }
  // Trial installs kNew and boots it.
  void Trial() {
    ASSERT_TRUE(installer_.Install(kNew.plan, source_));
    ASSERT_TRUE(installer_.Arm());
    ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);
    ASSERT_TRUE(installer_.BeginTrial());
  }

  UpdateWorld world_{kOld};
  FakeFloor floor_;
  Installer installer_ = world_.MakeInstaller(&floor_);
  ReleaseSource source_{kNew};
};

TEST_F(InstallerTest, PutsTheReleaseIntoTheOtherSlotAndLeavesTheRunningOneAlone) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));

  EXPECT_EQ(State(), "VERIFIED");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_TRUE(world_.HoldsRelease(Slot::kA, kOld));
  EXPECT_EQ(world_.BootOrder(), "A");
}

TEST_F(InstallerTest, CommitsOnlyFromTheTrialBoot) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  EXPECT_EQ(installer_.Commit(&kNew.plan).error().rule, "install.not-in-trial");
  ASSERT_TRUE(installer_.Arm());
  EXPECT_EQ(installer_.Commit(&kNew.plan).error().rule, "install.not-in-trial");
  EXPECT_EQ(installer_.BeginTrial().error().rule, "install.not-in-trial");
  ASSERT_EQ(world_.PowerOn(), Slot::kB);
  EXPECT_EQ(installer_.Commit(&kNew.plan).error().rule, "install.not-in-trial");
  ASSERT_TRUE(installer_.BeginTrial());
  ASSERT_TRUE(installer_.Commit(&kNew.plan));

  EXPECT_EQ(State(), "COMMITTED");
  EXPECT_EQ(world_.BootOrder(), "BA");
  EXPECT_EQ(*installer_.RunningRelease(), kNew.plan.facts().release);
}

TEST_F(InstallerTest, CommitsLocallyOnlyWhatAPlanAllowsAndOnlyFromTheTrialBoot) {
  const auto plan = [](const TestRelease& release, LocalCommit local) {
    return InstallPlanForTest::Make(release.plan.facts(), local);
  };
  const InstallPlan allowed = plan(kNew, LocalCommit::kAllowed);
  ASSERT_TRUE(installer_.Install(allowed, source_));
  EXPECT_EQ(installer_.CommitLocally(allowed).error().rule, "install.not-in-trial");
  Trial();
  EXPECT_EQ(installer_.CommitLocally(kNew.plan).error().rule, "install.not-local");
  EXPECT_EQ(installer_.CommitLocally(plan(kNewer, LocalCommit::kAllowed)).error().rule,
            "install.not-local");
  EXPECT_EQ(State(), "TRIAL");
  EXPECT_EQ(floor_.value, 0U);

  ASSERT_TRUE(installer_.CommitLocally(allowed));

  EXPECT_EQ(State(), "COMMITTED");
  EXPECT_EQ(world_.BootOrder(), "BA");
  EXPECT_EQ(floor_.value, 5U) << "a security release raises the floor whoever lets it commit";
}

TEST_F(InstallerTest, ReportsProgressUpToTheWholeImage) {
  std::vector<uint64_t> done;
  ASSERT_TRUE(installer_.Install(kNew.plan, source_,
                                 [&](const InstallProgress& p) { done.push_back(p.done); }));

  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_EQ(done.back(), kNew.image.size());
}

TEST_F(InstallerTest, ResumesAtTheCheckpointWhenTheSourceBreaksOff) {
  source_.BreakOffAfter(kNew.index.size() + kNew.payload.size() * 3 / 4);
  EXPECT_EQ(RuleOfInstall(kNew), "unavailable");
  EXPECT_EQ(State(), "WRITING");
  EXPECT_GT(installer_.Record()->resume_offset, 0u);
  EXPECT_FALSE(world_.files().Open("esp/sallyport/b.efi", OpenMode::kRead)) << "not even by hand";
  const uint64_t served = source_.served();

  source_.BreakOffAfter(UINT64_MAX);
  EXPECT_EQ(RuleOfInstall(kNew), "installed");

  const uint64_t everything = kNew.index.size() + kNew.payload.size() + kNew.uki.size();
  EXPECT_LT(source_.served() - served, everything);
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
}

const Error kLater{Reason::kUnavailable, "the window has closed", "test.later"};

// Segments have 4096 bytes, and every third one would be a checkpoint.
TEST_F(InstallerTest, StopsBehindTheSegmentAtHandWhenItMayNotGoOnAndRepeatsNothing) {
  for (uint64_t segments = 1; segments <= 3; ++segments) {
    uint64_t asked = 0;
    const auto stopped = installer_.Install(kNew.plan, source_, {}, [&]() -> Result<Unit> {
      if (++asked < segments) return Unit{};
      return kLater;
    });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().rule, "test.later");
    EXPECT_EQ(State(), "WRITING");
  }
  EXPECT_EQ(installer_.Record()->resume_offset, (1 + 2 + 3) * 4096u)
      << "each went on where the last stopped";

  const uint64_t before = source_.served();
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_LT(source_.served() - before,
            kNew.payload.size() * 2 / 3 + kNew.index.size() + kNew.uki.size())
      << "what was durable was not loaded again";
}

TEST_F(InstallerTest, StopsBeforeReadingBackAndBeforeWhatFollowsIt) {
  const uint64_t segments = kNew.plan.facts().image_length / 4096 + 1;
  for (const uint64_t last : {segments + 1, uint64_t{2}}) {
    uint64_t asked = 0;
    const auto stopped = installer_.Install(kNew.plan, source_, {}, [&]() -> Result<Unit> {
      if (++asked < last) return Unit{};
      return kLater;
    });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(State(), "WRITTEN");
    EXPECT_EQ(asked, last);
  }
  const uint64_t before = source_.served();
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  EXPECT_EQ(source_.served() - before, kNew.uki.size()) << "the image is there";
}

TEST_F(InstallerTest, ADegradedDeviceInstallsOnlyWhatSomebodyBrought) {
  EXPECT_EQ(installer_.Degrade().error().rule, "install.not-fallen-back");
  Trial();
  EXPECT_EQ(installer_.Degrade().error().rule, "install.not-fallen-back");
  ASSERT_TRUE(installer_.RollBack());
  EXPECT_EQ(installer_.Degrade().error().rule, "install.not-fallen-back") << "the target runs yet";
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kA);
  EXPECT_EQ(installer_.Recover().error().rule, "install.not-fallen-back");
  ASSERT_TRUE(installer_.Degrade());
  EXPECT_EQ(State(), "DEGRADED");
  EXPECT_EQ(*installer_.Judge(), BootAction::kNothing);

  ReleaseSource newer(kNewer);
  EXPECT_EQ(installer_.Install(kNewer.plan, newer).error().rule, "install.degraded");
  EXPECT_EQ(RuleOfInstall(kNew), "install.failed-before");
  EXPECT_EQ(RuleOfInstall(kOld), "installed") << "it runs already";
  EXPECT_EQ(State(), "DEGRADED");
  EXPECT_EQ(newer.served(), 0u);

  ASSERT_TRUE(installer_.Install(
      InstallPlanForTest::Make(kNewer.plan.facts(), LocalCommit::kRefused, PlanOrigin::kBrought),
      newer));
  EXPECT_EQ(State(), "VERIFIED");
}

TEST_F(InstallerTest, ADegradedDeviceThatRecoversInstallsAgain) {
  Trial();
  ASSERT_TRUE(installer_.RollBack());
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kA);
  ASSERT_TRUE(installer_.Degrade());
  ASSERT_TRUE(installer_.Recover());
  EXPECT_EQ(State(), "ROLLED_BACK");
  ReleaseSource newer(kNewer);
  EXPECT_TRUE(installer_.Install(kNewer.plan, newer));
}

TEST_F(InstallerTest, StartsAfreshForAnotherRelease) {
  source_.BreakOffAfter(kNew.index.size() + kNew.payload.size() / 2);
  EXPECT_EQ(RuleOfInstall(kNew), "unavailable");

  ReleaseSource newer(kNewer);
  ASSERT_TRUE(installer_.Install(kNewer.plan, newer));

  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNewer));
}

TEST_F(InstallerTest, SupersedesAnArmedReleaseAndDisarmsItFirst) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  ASSERT_TRUE(installer_.Arm());
  ReleaseSource newer(kNewer);
  newer.BreakOffAfter(kNewer.index.size() + 2000);
  EXPECT_FALSE(installer_.Install(kNewer.plan, newer));

  EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kA) << "a half-written slot must not boot";
}

TEST_F(InstallerTest, DoesNothingForAReleaseThatIsReadyOrRunning) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  const uint64_t before = world_.files().operations();
  EXPECT_EQ(RuleOfInstall(kNew), "installed");
  EXPECT_EQ(RuleOfInstall(kNew), "installed");
  EXPECT_EQ(world_.files().operations(), before);

  Trial();
  ASSERT_TRUE(installer_.Commit(&kNew.plan));
  EXPECT_EQ(RuleOfInstall(kNew), "installed");
  EXPECT_EQ(State(), "COMMITTED");
}

TEST_F(InstallerTest, CallsOffAnArmedUpdateWhenTheRunningReleaseIsWanted) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  ASSERT_TRUE(installer_.Arm());

  EXPECT_EQ(RuleOfInstall(kOld), "installed");

  EXPECT_EQ(State(), "FAILED");
  EXPECT_EQ(world_.PowerOn(), Slot::kA);
}

TEST_F(InstallerTest, KeepsTheWayBackWhileATrialRuns) {
  Trial();
  EXPECT_EQ(RuleOfInstall(kNewer), "install.trial-running");
}

TEST_F(InstallerTest, KeepsTheWayBackBeforeTheTrialIsRecorded) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  ASSERT_TRUE(installer_.Arm());
  ASSERT_EQ(world_.PowerOn(), Slot::kB);
  EXPECT_EQ(RuleOfInstall(kNewer), "install.trial-running");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kA, kOld));
}

TEST_F(InstallerTest, RollsBackARefusedTrialAndNeverInstallsTheReleaseAgain) {
  Trial();
  ASSERT_TRUE(installer_.RollBack());

  EXPECT_EQ(State(), "ROLLED_BACK");
  EXPECT_EQ(world_.PowerOn(), Slot::kA);
  EXPECT_EQ(RuleOfInstall(kNew), "install.failed-before");
  ReleaseSource newer(kNewer);
  EXPECT_TRUE(installer_.Install(kNewer.plan, newer));
}

TEST_F(InstallerTest, ArmsAtMostTwice) {
  ASSERT_TRUE(installer_.Install(kNew.plan, source_));
  EXPECT_TRUE(installer_.Arm());
  EXPECT_TRUE(installer_.Arm());
  EXPECT_EQ(installer_.Arm().error().rule, "install.not-ready");
}

TEST_F(InstallerTest, ArmsNothingThatIsNotVerified) {
  EXPECT_EQ(installer_.Arm().error().rule, "install.not-ready");
  source_.BreakOffAfter(3000);
  EXPECT_FALSE(installer_.Install(kNew.plan, source_));
  EXPECT_EQ(installer_.Arm().error().rule, "install.not-ready");
  EXPECT_EQ(installer_.RollBack().error().rule, "install.not-in-trial");
}

TEST_F(InstallerTest, AbandonsOnlyBeforeTheTrial) {
  EXPECT_EQ(installer_.Abandon().error().rule, "install.state");
  Trial();
  EXPECT_EQ(installer_.Abandon().error().rule, "install.state");
}

TEST_F(InstallerTest, RefusesAReleaseBelowTheFloorAndRaisesItWithASecurityRelease) {
  floor_.value = 6;
  EXPECT_EQ(RuleOfInstall(kNew), "install.below-floor");
  EXPECT_EQ(State(), "IDLE");
  floor_.value = 1;
  Trial();
  ASSERT_TRUE(installer_.Commit(&kNew.plan));
  EXPECT_EQ(floor_.value, 5u);
}

TEST_F(InstallerTest, RefusesAReleaseWhoseFloorCouldNotBeRaisedAtItsCommit) {
  const TestRelease far = MakeTestRelease("4.0.0", 4, kFloorRaiseMax + 1, true);
  EXPECT_EQ(RuleOfInstall(far), "install.floor-jump");
  EXPECT_EQ(State(), "IDLE");
}

TEST_F(InstallerTest, RefusesEveryReleaseWhileTheFloorCannotBeRead) {
  floor_.failure = Error{Reason::kNotFound, "injected", "floor.missing"};
  EXPECT_EQ(RuleOfInstall(kNew), "floor.missing");
  EXPECT_EQ(State(), "IDLE");
}

TEST_F(InstallerTest, LeavesTheFloorAloneForAnOrdinaryReleaseOrAnotherPlan) {
  Trial();
  ASSERT_TRUE(installer_.Commit(&kNewer.plan));
  EXPECT_EQ(floor_.value, 0u);
}

struct Spoiled {
  std::string file;
  std::string_view rule;
};

TEST_F(InstallerTest, FailsOnSpoiledFilesWithoutTouchingTheRunningSlot) {
  const InstallFacts& facts = kNew.plan.facts();
  for (const Spoiled& spoiled : {Spoiled{facts.index.path, "install.index"},
                                 Spoiled{facts.payload.path, "payload.data-digest"},
                                 Spoiled{facts.uki.path, "install.uki-digest"}}) {
    ReleaseSource source(kNew);
    source.File(spoiled.file)[10] ^= 1;
    const auto installed = installer_.Install(kNew.plan, source);
    ASSERT_FALSE(installed);
    EXPECT_EQ(installed.error().rule, spoiled.rule);
    EXPECT_EQ(State(), "FAILED");
    EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kA);
    EXPECT_EQ(world_.BootOrder(), "A");
  }
  EXPECT_EQ(RuleOfInstall(kNew), "installed") << "a failed attempt may be repeated";
}

TEST_F(InstallerTest, RefusesASourceThatSendsTooMuch) {
  class Endless final : public PayloadSource {
   public:
    Result<Unit> Fetch(const RemoteFile&, uint64_t, uint64_t length, ByteSink& sink) override {
      return sink.Write(Bytes(static_cast<size_t>(length) + 1));
    }
  } endless;
  const Error refused = installer_.Install(kNew.plan, endless).error();
  EXPECT_EQ(refused.rule, "install.source-length");
  EXPECT_EQ(refused.reason, Reason::kMismatch) << "it was not taken";
}

TEST_F(InstallerTest, TreatsAShortFileAsABrokenConnection) {
  source_.File(kNew.plan.facts().index.path).pop_back();
  EXPECT_EQ(RuleOfInstall(kNew), "install.source-length");
  EXPECT_EQ(State(), "WRITING");
}

TEST_F(InstallerTest, RefusesAnIndexOfAnotherImage) {
  const InstallFacts& facts = kNewer.plan.facts();
  ReleaseSource source(kNewer);
  source.File(facts.index.path) = ToBytes(kNew.index);
  EXPECT_EQ(installer_.Install(kNewer.plan, source).error().rule, "install.index");
}

// Signed, but not of what else was signed: nothing is fetched by a table that lies.
TEST_F(InstallerTest, RefusesASignedIndexThatLiesAboutTheImageOrThePayload) {
  using Change = void (*)(InstallFacts&);
  constexpr Change kChanges[] = {
      [](InstallFacts& facts) { ++facts.image_length; },
      [](InstallFacts& facts) { facts.image_sha256 = pki::Sha256(AsBytes("another image")); },
      [](InstallFacts& facts) { --facts.payload.length; },
      [](InstallFacts& facts) { ++facts.payload.length; }};
  for (const Change change : kChanges) {
    InstallFacts facts = kNewer.plan.facts();
    change(facts);
    ReleaseSource source(kNewer);
    const auto refused = installer_.Install(InstallPlanForTest::Make(facts), source);
    EXPECT_EQ(refused.error().rule, "install.index");
    EXPECT_EQ(source.served(), kNewer.index.size());
  }
}

TEST_F(InstallerTest, FailsWithNoSpaceWhenTheEspIsFull) {
  world_.files().LimitBytes(2 * UpdateWorld::kSlotSize + 40000);

  EXPECT_EQ(RuleOfInstall(kNew), "install.esp-space");

  EXPECT_EQ(State(), "FAILED");
  EXPECT_EQ(world_.BootOrder(), "AB") << "nothing was touched";
  world_.files().LimitBytes(UINT64_MAX);
  EXPECT_EQ(RuleOfInstall(kNew), "installed");
}

TEST_F(InstallerTest, FailsWithNoSpaceWhenTheSlotIsTooSmall) {
  const auto slot = *world_.files().Open("slots/b", OpenMode::kCreate);
  ASSERT_TRUE(slot->WriteAt(0, Bytes(UpdateWorld::kImageSize - 1)));

  EXPECT_EQ(RuleOfInstall(kNew), "install.slot-size");
  EXPECT_EQ(State(), "FAILED");
}

// A slot that stores something else than it was given.
class LyingSlots final : public BlockTargetOpener {
 public:
  class Target final : public BlockTarget {
   public:
    Result<uint64_t> Size() override { return UpdateWorld::kSlotSize; }
    Result<Unit> WriteAt(uint64_t, ByteView) override { return Unit{}; }
    Result<Unit> Sync() override { return Unit{}; }
    Result<Unit> DropCache() override { return Unit{}; }
    Result<Unit> ReadAt(uint64_t, std::span<uint8_t> out) override {
      std::ranges::fill(out, uint8_t{0});
      return Unit{};
    }
  };
  Result<std::unique_ptr<BlockTarget>> Open(const std::string&) override {
    return std::unique_ptr<BlockTarget>(std::make_unique<Target>());
  }
};

TEST_F(InstallerTest, FailsWhenTheSlotDoesNotReadBack) {
  LyingSlots slots;
  Installer installer({world_.files(), slots, world_.boot(), world_.record()}, world_.Config());

  EXPECT_EQ(installer.Install(kNew.plan, source_).error().rule, "install.image-digest");
  EXPECT_EQ(State(), "FAILED");
}

// The tree covers the first eight blocks of the image, without being in it: only the root counts.
TestRelease WithVerity(const TestRelease& release, bool right) {
  constexpr size_t kCovered = 8 * kVerityBlockSize;
  VerityHasher hasher({1, 2});
  hasher.Update(ByteView(release.image).first(kCovered));
  InstallFacts facts = release.plan.facts();
  facts.verity =
      VerityTree{right ? hasher.Root() : pki::Sha256(Bytes{1}), {1, 2}, kCovered, kCovered};
  TestRelease out = release;
  out.plan = InstallPlanForTest::Make(std::move(facts));
  return out;
}

TEST_F(InstallerTest, ComparesTheRootOfTheHashTreeWithTheSignedOne) {
  EXPECT_EQ(RuleOfInstall(WithVerity(kNew, false)), "install.verity-root");
  EXPECT_EQ(State(), "FAILED");
  EXPECT_EQ(RuleOfInstall(WithVerity(kNew, true)), "installed");
}

TEST_F(InstallerTest, KnowsTheRunningReleaseFromBesideItsKernelImage) {
  EXPECT_EQ(*installer_.RunningRelease(), kOld.plan.facts().release);
  ASSERT_TRUE(world_.files().Remove("esp/sallyport/a.efi.release"));
  EXPECT_EQ(*installer_.RunningRelease(), std::nullopt);
  ASSERT_TRUE(
      WriteFileAtomically(world_.files(), "esp/sallyport/a.efi.release", AsBytes("nonsense")));
  EXPECT_EQ(*installer_.RunningRelease(), std::nullopt);
}

}  // namespace
}  // namespace sallyport::ota

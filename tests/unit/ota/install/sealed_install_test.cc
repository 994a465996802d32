// Installations of sealed releases: in full, by delta, by chunks, and resumed.
#include "ota/install/installer.h"
#include "ota/payload/sealing.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/delta_release.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/sealed_release.h"

namespace sallyport::ota {
namespace {

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kPlain = MakeDeltaRelease("2.0.0", kOld);
const TestRelease kNew = SealForTest(kPlain, FakeContentKeys(7).seal());

class SealedInstallTest : public ::testing::Test {
 protected:
  SealedInstallTest() { world_.AddRelease(kNew); }
  std::string_view Install(const InstallPlan& plan) {
    const auto installed = installer_.Install(plan, source_);
    return installed ? "installed" : installed.error().name();
  }
  std::string_view Install() { return Install(kNew.plan); }
  InstallPlan WithoutDelta() {
    InstallFacts facts = kNew.plan.facts();
    facts.deltas.clear();
    return InstallPlanForTest::Make(facts);
  }
  std::string_view State() { return StateName(installer_.Record()->state); }
  Bytes TargetSlot() { return *ReadFile(world_.files(), "slots/b", 1 << 20); }
  bool Untouched() { return TargetSlot() == before_ && world_.BootOrder() == order_; }

  UpdateWorld world_{kOld};
  FakeContentKeys keys_{7};
  Installer installer_ = world_.MakeInstaller(nullptr, nullptr, &keys_);
  ReleaseSource source_{kNew};
  const Bytes before_ = TargetSlot();
  const std::string order_ = world_.BootOrder();
};

TEST_F(SealedInstallTest, InstallsByDelta) {
  EXPECT_EQ(Install(), "installed");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_EQ(keys_.asked, 1u);
}

TEST_F(SealedInstallTest, InstallsInFull) {
  EXPECT_EQ(Install(WithoutDelta()), "installed");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
}

TEST_F(SealedInstallTest, TakesDriftedAndSpoiledSegmentsFromTheFullPayload) {
  const auto slot = *world_.files().Open("slots/a", OpenMode::kReadWrite);
  ASSERT_TRUE(slot->WriteAt(5000, AsBytes("drift")));
  source_.File(DeltaPayload(kNew)).back() ^= 1;
  EXPECT_EQ(Install(), "installed");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
}

TEST_F(SealedInstallTest, ResumesAtTheCheckpointAndAsksForTheKeyAgain) {
  source_.BreakOffAfter(kNew.index.size() + kNew.payload.size() * 3 / 4);
  EXPECT_EQ(Install(WithoutDelta()), "unavailable");
  const uint64_t resumed = installer_.Record()->resume_offset;
  EXPECT_GT(resumed, 0u);
  const uint64_t served = source_.served();
  source_.BreakOffAfter(UINT64_MAX);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kAll), Slot::kA);
  Installer again = world_.MakeInstaller(nullptr, nullptr, &keys_);
  ASSERT_TRUE(again.Install(WithoutDelta(), source_));
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_LT(source_.served() - served, kNew.index.size() + kNew.payload.size() + kNew.uki.size());
  EXPECT_EQ(keys_.asked, 2u);
}

TEST_F(SealedInstallTest, TouchesNothingWithoutTheKey) {
  keys_.failure = Error{Reason::kUnavailable, "no server", "content-key.unreachable"};
  EXPECT_EQ(Install(), "content-key.unreachable");
  EXPECT_EQ(State(), "PLANNED") << "tried again later";
  EXPECT_TRUE(Untouched());
  keys_.failure = Error{Reason::kBadSignature, "not for this TPM", "tpm.credential"};
  EXPECT_EQ(Install(), "tpm.credential");
  EXPECT_EQ(State(), "FAILED");
  EXPECT_TRUE(Untouched());
  EXPECT_EQ(source_.served(), 0u);
}

TEST_F(SealedInstallTest, TouchesNothingWithAnotherKey) {
  FakeContentKeys wrong(8);
  Installer installer = world_.MakeInstaller(nullptr, nullptr, &wrong);
  EXPECT_EQ(installer.Install(kNew.plan, source_).error().rule, "install.content-key");
  EXPECT_TRUE(Untouched());
  EXPECT_EQ(source_.served(), 0u);
}

TEST_F(SealedInstallTest, IsRefusedWhereNothingOpensSealedReleases) {
  Installer installer = world_.MakeInstaller();
  EXPECT_EQ(installer.Install(kNew.plan, source_).error().rule, "install.sealed-support");
  EXPECT_TRUE(Untouched());
}

TEST_F(SealedInstallTest, RefusesAPlainPayloadUnderASealedRelease) {
  InstallFacts facts = kPlain.plan.facts();
  facts.deltas.clear();
  facts.content_key = keys_.seal().id();
  ReleaseSource plain(kPlain);
  EXPECT_EQ(installer_.Install(InstallPlanForTest::Make(facts), plain).error().rule,
            "payload.not-sealed");
}

TEST_F(SealedInstallTest, RefusesASealedPayloadUnderAPlainRelease) {
  InstallFacts facts = WithoutDelta().facts();
  facts.content_key.reset();
  EXPECT_EQ(Install(InstallPlanForTest::Make(facts)), "payload.sealed");
}

TEST_F(SealedInstallTest, RefusesPlainSegmentsUnderASealedTable) {
  TestRelease mixed = kPlain;
  InstallFacts facts = kPlain.plan.facts();
  facts.deltas.clear();
  facts.content_key = keys_.seal().id();
  const Bytes index = SealIndex(AsBytes(kPlain.index), keys_.seal());
  facts.index = {facts.index.path, index.size(), pki::Sha256(index)};
  mixed.index = ToString(index);
  ReleaseSource source(mixed);
  EXPECT_EQ(installer_.Install(InstallPlanForTest::Make(facts), source).error().rule,
            "payload.not-sealed");
}

TEST_F(SealedInstallTest, SurvivesAPowerCutAfterEveryOperation) {
  for (uint64_t cut = 0;; ++cut) {
    UpdateWorld world(kOld);
    world.AddRelease(kNew);
    ReleaseSource source(kNew);
    world.files().CutPowerAfter(cut);
    const bool whole =
        world.MakeInstaller(nullptr, nullptr, &keys_).Install(kNew.plan, source).has_value();
    ASSERT_EQ(world.PowerOn(PowerLoss::kOddSectors), Slot::kA);
    const auto installed = world.MakeInstaller(nullptr, nullptr, &keys_).Install(kNew.plan, source);
    ASSERT_TRUE(installed) << cut << ": " << installed.error().ToString();
    ASSERT_TRUE(world.HoldsRelease(Slot::kB, kNew)) << cut;
    if (whole) break;
  }
}

}  // namespace
}  // namespace sallyport::ota

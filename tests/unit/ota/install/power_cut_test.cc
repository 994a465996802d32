// A power cut after every single operation of a whole update, under four ideas of what storage
// loses: whatever boots is a verified slot, and the machine finishes the update or refuses it
// cleanly.
#include <cstdio>
#include <functional>

#include "tests/fakes/update_world.h"

namespace sallyport::ota {
namespace {

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);
constexpr int kBootsMax = 12;
constexpr PowerLoss kLosses[] = {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly,
                                 PowerLoss::kNothing};

enum class Fate : uint8_t {
  kGood,     // the trial is attested
  kRefused,  // the server refuses the trial's evidence
  kPanics,   // the new slot never comes up
};
enum class Next : uint8_t { kReboot, kDone };

// Life is what the agent does between two boots; any error is the power going away.
Result<Next> Life(UpdateWorld& world, Fate fate) {
  Installer installer = world.MakeInstaller();
  ReleaseSource source(kNew);
  SP_TRY(const BootAction action, installer.Judge());
  switch (action) {
    case BootAction::kAwaitAttestation:
      SP_TRY(installer.BeginTrial());
      if (fate == Fate::kRefused) {
        SP_TRY(installer.RollBack());
        return Next::kReboot;
      }
      SP_TRY(installer.Commit(&kNew.plan));
      return Next::kDone;
    case BootAction::kRollBack: SP_TRY(installer.RollBack()); break;
    case BootAction::kAbandon: SP_TRY(installer.Abandon()); break;
    case BootAction::kReboot: return Next::kReboot;
    case BootAction::kRetry: SP_TRY(installer.Arm()); return Next::kReboot;
    case BootAction::kNothing:
    case BootAction::kResumeInstall:
    case BootAction::kArm:
    case BootAction::kReportFallback: break;
  }
  SP_TRY(const UpdateRecord record, installer.Record());
  if (record.HasFailed(kNew.plan.facts().release)) return Next::kDone;
  if (record.state == UpdateState::kCommitted) return Next::kDone;
  SP_TRY(installer.Install(kNew.plan, source));
  SP_TRY(installer.Arm());
  return Next::kReboot;
}

class Drill {
 public:
  explicit Drill(Fate fate) : fate_(fate) { world_.AddRelease(kNew); }

  // Run plays the update with cuts after these numbers of operations (counted from each restart).
  void Run(const std::vector<uint64_t>& cuts, PowerLoss loss) {
    loss_ = loss;
    size_t next_cut = 0;
    for (int boot = 0; boot < kBootsMax; ++boot) {
      if (next_cut < cuts.size()) world_.files().CutPowerAfter(cuts[next_cut]);
      const auto life = Life(world_, fate_);
      if (life && *life == Next::kDone) return;
      if (world_.files().cut()) ++next_cut;
      if (!life && !world_.files().cut()) FAIL() << life.error().ToString();
      if (!Boot()) return;
    }
    FAIL() << "the machine never came to rest";
  }
  UpdateWorld& world() { return world_; }

 private:
  // Boot checks the invariant: what runs is complete, and never the slot being written.
  bool Boot() {
    std::optional<Slot> slot = world_.PowerOn(loss_);
    CheckBooted(slot);
    if (slot && fate_ == Fate::kPanics && world_.HoldsRelease(*slot, kNew)) {
      slot = world_.PowerOn(PowerLoss::kNothing);
      CheckBooted(slot);
    }
    return slot.has_value();
  }
  void CheckBooted(std::optional<Slot> slot) {
    ASSERT_TRUE(slot) << "nothing boots";
    ASSERT_TRUE(world_.HoldsRelease(*slot, kOld) || world_.HoldsRelease(*slot, kNew))
        << "unverified slot booted";
    const auto record = world_.record().Load();
    ASSERT_TRUE(record) << record.error().ToString();
    const bool unfinished =
        record->state == UpdateState::kWriting || record->state == UpdateState::kWritten;
    ASSERT_FALSE(unfinished && record->slot == *slot) << "the slot being written booted";
  }

  const Fate fate_;
  UpdateWorld world_{kOld};
  PowerLoss loss_ = PowerLoss::kAll;
};

void ExpectEnd(Drill& drill, Fate fate) {
  const auto record = drill.world().record().Load();
  ASSERT_TRUE(record);
  if (fate == Fate::kGood) {
    EXPECT_EQ(StateName(record->state), "COMMITTED");
    EXPECT_EQ(drill.world().BootOrder(), "BA");
    EXPECT_TRUE(drill.world().HoldsRelease(Slot::kB, kNew));
    EXPECT_TRUE(drill.world().HoldsRelease(Slot::kA, kOld)) << "the way back";
    return;
  }
  EXPECT_EQ(StateName(record->state), "ROLLED_BACK");
  EXPECT_TRUE(record->HasFailed(kNew.plan.facts().release));
  EXPECT_EQ(drill.world().BootOrder(), "A");
  EXPECT_EQ(drill.world().PowerOn(), Slot::kA);
}

// Operations counts the changing operations of one update without a cut.
uint64_t Operations(Fate fate) {
  Drill drill(fate);
  const uint64_t before = drill.world().files().operations();
  drill.Run({}, PowerLoss::kAll);
  return drill.world().files().operations() - before;
}

void CutEverywhere(Fate fate) {
  const uint64_t points = Operations(fate);
  for (const PowerLoss loss : kLosses) {
    for (uint64_t cut = 0; cut <= points; ++cut) {
      SCOPED_TRACE("cut after operation " + std::to_string(cut) + ", loss " +
                   std::to_string(static_cast<int>(loss)));
      Drill drill(fate);
      drill.Run({cut}, loss);
      ExpectEnd(drill, fate);
      if (::testing::Test::HasFailure()) return;
    }
  }
  std::printf("%llu cut points x %zu kinds of loss\n", static_cast<unsigned long long>(points + 1),
              std::size(kLosses));
}

TEST(PowerCut, AGoodReleaseIsCommittedWhereverTheCutFalls) { CutEverywhere(Fate::kGood); }

TEST(PowerCut, ARefusedReleaseIsRolledBackWhereverTheCutFalls) { CutEverywhere(Fate::kRefused); }

TEST(PowerCut, AReleaseThatPanicsIsRolledBackWhereverTheCutFalls) { CutEverywhere(Fate::kPanics); }

TEST(PowerCut, TwoCutsDoNotAddUpToDamage) {
  const uint64_t points = Operations(Fate::kGood);
  uint64_t pairs = 0;
  for (uint64_t first = 0; first <= points; first += 2) {
    for (uint64_t second = 0; second <= points; second += 3) {
      Drill drill(Fate::kGood);
      drill.Run({first, second}, kLosses[(first + second) % std::size(kLosses)]);
      const auto record = drill.world().record().Load();
      ASSERT_TRUE(record);
      // Both tries of the trial may have been cut away: then the release counts as failed, cleanly.
      const bool rolled_back =
          record->state == UpdateState::kRolledBack && drill.world().BootOrder() == "A";
      EXPECT_TRUE(rolled_back || record->state == UpdateState::kCommitted)
          << first << " then " << second;
      ++pairs;
    }
  }
  std::printf("%llu pairs of cut points\n", static_cast<unsigned long long>(pairs));
}

}  // namespace
}  // namespace sallyport::ota

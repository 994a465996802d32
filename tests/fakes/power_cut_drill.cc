#include "tests/fakes/power_cut_drill.h"

#include "tests/fakes/delta_release.h"

namespace sallyport {
namespace {

using ota::BootAction;
using ota::Slot;
using ota::UpdateState;

constexpr int kBootsMax = 12;

enum class Next : uint8_t { kReboot, kDone };

class Machine {
 public:
  Machine(const DrillReleases& releases, const DrillScenario& scenario,
          const std::vector<PowerCut>& cuts)
      : installed_(releases.installed),
        target_(scenario.delivery == Delivery::kDelta ? releases.delta : releases.target),
        scenario_(scenario),
        cuts_(cuts),
        world_(releases.installed, scenario.loader) {
    world_.AddRelease(target_);
    if (scenario.delivery == Delivery::kOverArmed)
      SP_CHECK(world_.boot().ArmOnce(Slot::kB).has_value());
  }

  DrillReport Play() {
    const uint64_t before = world_.files().operations();
    NextCut();
    for (int boot = 0; boot < kBootsMax; ++boot) {
      const Result<Next> life = Life();
      if (life && *life == Next::kDone && !world_.files().cut()) return End(before);
      if (!life && !world_.files().cut()) return Problem(life.error().ToString());
      if (!Boot()) return report_;
    }
    return Problem("the machine never came to rest");
  }

 private:
  DrillReport Problem(std::string what) {
    report_.problem = std::move(what);
    return report_;
  }

  void NextCut() {
    if (next_cut_ < cuts_.size()) world_.files().CutPowerAfter(cuts_[next_cut_].at);
  }

  // Life is what the agent does between two boots; an error is the power going away.
  Result<Next> Life() {
    ota::Installer installer = world_.MakeInstaller();
    SP_TRY(const BootAction action, installer.Judge());
    switch (action) {
      case BootAction::kAwaitAttestation: return Trial(installer);
      case BootAction::kRollBack: SP_TRY(installer.RollBack()); break;
      case BootAction::kAbandon: SP_TRY(installer.Abandon()); break;
      case BootAction::kReboot: return Next::kReboot;
      case BootAction::kRetry: SP_TRY(installer.Arm()); return Next::kReboot;
      case BootAction::kNothing:
      case BootAction::kResumeInstall:
      case BootAction::kArm:
      case BootAction::kReportFallback: break;
    }
    SP_TRY(const ota::UpdateRecord record, installer.Record());
    if (record.HasFailed(target_.plan.facts().release)) return Next::kDone;
    if (record.state == UpdateState::kCommitted) return Next::kDone;
    SP_TRY(Install(installer));
    SP_TRY(installer.Arm());
    return Next::kReboot;
  }

  Result<Next> Trial(ota::Installer& installer) {
    SP_TRY(installer.BeginTrial());
    if (scenario_.fate == Fate::kRefused) {
      SP_TRY(installer.RollBack());
      return Next::kReboot;
    }
    SP_TRY(installer.Commit(&target_.plan));
    return Next::kDone;
  }

  Result<Unit> Install(ota::Installer& installer) {
    ReleaseSource source(target_);
    if (scenario_.delivery == Delivery::kResumed && !broke_off_) {
      source.BreakOffAfter(target_.index.size() + target_.payload.size() / 2);
      const auto broken = installer.Install(target_.plan, source);
      if (world_.files().cut()) return broken;
      broke_off_ = true;
      source.BreakOffAfter(UINT64_MAX);
    }
    return installer.Install(target_.plan, source);
  }

  // Boot loses what the cut loses and starts a slot, and checks which. A release that panics lets
  // the machine start once more.
  [[nodiscard]] bool Boot() {
    const PowerCut first = cuts_.empty() ? PowerCut{0, PowerLoss::kAll} : cuts_.front();
    PowerLoss loss = first.loss;
    while (true) {
      const uint64_t cuts_before = world_.files().cuts();
      const bool was_cut = world_.files().cut();
      const std::optional<Slot> slot = world_.PowerOn(loss, first.seed);
      if (report_.phase.empty() && world_.files().cuts() > 0)
        report_.phase = Phase(world_.files().cut_path());
      if (was_cut || world_.files().cuts() > cuts_before) {
        ++next_cut_;
        NextCut();
      }
      if (!Check(slot)) return false;
      if (slot != Slot::kB || scenario_.fate != Fate::kPanics) return true;
      loss = PowerLoss::kNothing;
    }
  }

  [[nodiscard]] bool Check(std::optional<Slot> slot) {
    if (!slot) return Fail("nothing boots");
    if (!world_.HoldsRelease(*slot, installed_) && !world_.HoldsRelease(*slot, target_))
      return Fail("an unverified slot booted");
    const auto record = world_.record().Load();
    if (!record) return Fail(record.error().ToString());
    const bool unfinished =
        record->state == UpdateState::kWriting || record->state == UpdateState::kWritten;
    if (unfinished && record->slot == *slot) return Fail("the slot being written booted");
    trials_ += *slot == Slot::kB && record->state != UpdateState::kCommitted ? 1 : 0;
    // A cut between arming and the record that counts it gives one boot more.
    if (trials_ > ota::kTrialAttemptsMax + cuts_.size()) return Fail("tried too often");
    return true;
  }
  [[nodiscard]] bool Fail(std::string what) {
    Problem(std::move(what));
    return false;
  }

  static std::string Phase(const std::string& path) {
    if (path.starts_with("slots/")) return "image";
    if (path.starts_with("state")) return "record";
    if (path.starts_with("efivars") || path.starts_with("disk/") || path.find("grub") != path.npos)
      return "boot loader";
    return "kernel image";
  }

  DrillReport End(uint64_t before) {
    report_.operations = world_.files().operations() - before;
    const auto record = world_.record().Load();
    if (!record) return Problem(record.error().ToString());
    const bool committed = record->state == UpdateState::kCommitted;
    if (!committed && record->state != UpdateState::kRolledBack)
      return Problem("ended " + std::string(StateName(record->state)));
    report_.end = committed ? DrillEnd::kCommitted : DrillEnd::kRolledBack;
    // Two cuts may take both tries of a good release.
    const bool expected = committed == (scenario_.fate == Fate::kGood) ||
                          (scenario_.fate == Fate::kGood && cuts_.size() > 1);
    if (!expected) return Problem(committed ? "committed" : "rolled back");
    if (!world_.HoldsRelease(Slot::kA, installed_)) return Problem("no way back");
    const Slot last = committed ? Slot::kB : Slot::kA;
    if (world_.BootOrder().substr(0, 1) != SlotName(last)) return Problem("the wrong default");
    if (world_.PowerOn() != last) return Problem("the wrong slot boots in the end");
    return report_;
  }

  const TestRelease& installed_;
  const TestRelease& target_;
  const DrillScenario scenario_;
  const std::vector<PowerCut>& cuts_;
  UpdateWorld world_;
  size_t next_cut_ = 0;
  bool broke_off_ = false;
  size_t trials_ = 0;
  DrillReport report_;
};

}  // namespace

std::string_view DeliveryName(Delivery delivery) {
  switch (delivery) {
    case Delivery::kFull: return "full";
    case Delivery::kResumed: return "resumed";
    case Delivery::kOverArmed: return "over-armed";
    case Delivery::kDelta: return "delta";
  }
  std::abort();
}

std::string_view FateName(Fate fate) {
  switch (fate) {
    case Fate::kGood: return "good";
    case Fate::kRefused: return "refused";
    case Fate::kPanics: return "panics";
  }
  std::abort();
}

DrillReleases DrillReleases::Make(const TestSizes& sizes) {
  const TestRelease installed = MakeTestRelease("1.0.0", 1, 1, false, sizes);
  return {installed, MakeTestRelease("2.0.0", 2, 1, false, sizes),
          MakeDeltaRelease("2.0.0", installed)};
}

DrillReport Drill(const DrillReleases& releases, const DrillScenario& scenario,
                  const std::vector<PowerCut>& cuts) {
  return Machine(releases, scenario, cuts).Play();
}

}  // namespace sallyport

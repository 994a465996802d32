#include "tests/fakes/power_cut_drill.h"

#include "ota/install/state_record.h"
#include "tests/fakes/component_release.h"
#include "tests/fakes/delta_release.h"

namespace sallyport {
namespace {

using ota::BootAction;
using ota::Slot;
using ota::UpdateState;

constexpr uint32_t kTargetFirmware = 9;
constexpr uint32_t kSupersededFirmware = 8;
constexpr int kBootsMax = 14;
constexpr size_t kLargeImage = 300'000;

enum class Next : uint8_t { kReboot, kDone };

class Machine {
 public:
  Machine(const DrillReleases& releases, const DrillScenario& scenario,
          const std::vector<PowerCut>& cuts)
      : installed_(releases.Before(scenario.delivery)),
        target_(releases.Target(scenario.delivery)),
        superseded_(releases.superseded),
        scenario_(scenario),
        cuts_(cuts),
        world_(installed_, scenario.loader) {
    world_.AddRelease(target_);
    if (scenario.delivery == Delivery::kOverArmed)
      SP_CHECK(world_.boot().ArmOnce(Slot::kB).has_value());
    world_.firmware().Sign(CapsuleOf(kTargetFirmware), kTargetFirmware);
    if (scenario.delivery == Delivery::kSuperseding) ArmAnother();
    world_.firmware().on_offer = [this](const Bytes& capsule) { return JudgeOffer(capsule); };
  }

  DrillReport Play() {
    const uint64_t before = world_.files().operations();
    NextCut();
    for (int boot = 0; boot < kBootsMax; ++boot) {
      const Result<Next> life = Life();
      if (life && *life == Next::kDone && !world_.files().cut()) return End(before);
      if (!life && !world_.files().cut()) return Problem(life.error().ToString());
      if (Killed()) continue;
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

  // ArmAnother is an update to another release that only lacks the reboot.
  void ArmAnother() {
    world_.AddRelease(superseded_);
    world_.firmware().Sign(CapsuleOf(kSupersededFirmware), kSupersededFirmware);
    ota::Installer installer = MakeInstaller();
    ReleaseSource source(superseded_);
    SP_CHECK(installer.Install(superseded_.plan, source).has_value());
    SP_CHECK(installer.Arm().has_value());
  }

  ota::Installer MakeInstaller() {
    return world_.MakeInstaller(nullptr, &world_.firmware_update());
  }

  // Killed says whether only the agent ended, and lets the next one go on.
  [[nodiscard]] bool Killed() {
    const bool killed = world_.files().cut() && next_cut_ < cuts_.size() && cuts_[next_cut_].kill;
    if (!killed) return false;
    report_.phase = Phase(world_.files().cut_path());
    world_.files().Survive("efivars/");  // as Linux does (efi_variables.cc)
    ++next_cut_;
    NextCut();
    return true;
  }

  // Life is what the agent does between two boots; an error is the power going away.
  Result<Next> Life() {
    ota::Installer installer = MakeInstaller();
    SP_TRY(const BootAction action, installer.Judge());
    SP_TRY(const ota::UpdateRecord before, installer.Record());
    const bool other = before.state != UpdateState::kIdle && before.state != UpdateState::kFailed &&
                       before.state != UpdateState::kRolledBack &&
                       before.release != target_.plan.facts().release;
    if (other || called_off_) {
      SP_TRY(const Next next, CallOff(installer, before, action));
      if (next == Next::kReboot || called_off_) return next;
      return Begin(installer);
    }
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
    return Begin(installer);
  }

  Result<Next> Begin(ota::Installer& installer) {
    SP_TRY(Install(installer));
    called_off_ = scenario_.fate == Fate::kCalledOff;
    SP_TRY(installer.Arm());
    if (!called_off_) return Next::kReboot;
    SP_TRY(installer.Abandon());
    return Next::kDone;
  }

  // CallOff is what the agent does with a release that it finds it should not have.
  Result<Next> CallOff(ota::Installer& installer, const ota::UpdateRecord& record,
                       BootAction action) {
    if (action == BootAction::kAwaitAttestation) {
      SP_TRY(installer.BeginTrial());
      SP_TRY(installer.RollBack());
      return Next::kReboot;
    }
    if (record.state == UpdateState::kTrial)
      SP_TRY(installer.RollBack());
    else if (ota::Next(record.state, ota::UpdateEvent::kFail))
      SP_TRY(installer.Abandon());
    return Next::kDone;
  }

  Result<Next> Trial(ota::Installer& installer) {
    SP_TRY(installer.BeginTrial());
    const auto committed =
        scenario_.fate == Fate::kRefused
            ? Result<Unit>(Error{Reason::kPolicyDenied, "the server refuses this boot"})
            : installer.Commit(&target_.plan);
    if (committed) return Next::kDone;
    if (world_.files().cut()) return committed.error();
    SP_TRY(const ota::UpdateRecord record, installer.Record());
    if (!ota::DeservesAnotherBoot(committed.error(), record)) SP_TRY(installer.RollBack());
    return Next::kReboot;
  }

  Result<Unit> Install(ota::Installer& installer) {
    ReleaseSource source(target_);
    const bool in_parts =
        scenario_.delivery == Delivery::kDelta || scenario_.delivery == Delivery::kChunks;
    if (in_parts) source.Lose(target_.plan.facts().payload.path);
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
    if (!world_.firmware().problem().empty()) return Fail(world_.firmware().problem());
    if (!world_.HoldsRelease(*slot, installed_) && !world_.HoldsRelease(*slot, target_) &&
        !world_.HoldsRelease(*slot, superseded_))
      return Fail("an unverified slot booted");
    const auto record = Record();
    if (!record) return Fail(record.error().ToString());
    const bool unfinished =
        record->state == UpdateState::kWriting || record->state == UpdateState::kWritten;
    if (unfinished && record->slot == *slot) return Fail("the slot being written booted");
    trials_ += *slot == Slot::kB && record->state != UpdateState::kCommitted &&
                       record->release == target_.plan.facts().release
                   ? 1
                   : 0;
    // A cut between arming and the record that counts it gives one boot more.
    if (trials_ > ota::kTrialAttemptsMax + cuts_.size()) return Fail("tried too often");
    return true;
  }
  [[nodiscard]] bool Fail(std::string what) {
    Problem(std::move(what));
    return false;
  }

  // Record reads apart from the product's code, and without an operation that could be cut.
  Result<ota::UpdateRecord> Record() {
    const auto file = ReadFile(world_.files(), UpdateWorld::kRecordPath, 1 << 20);
    ota::UpdateRecord newest;
    if (!file) return newest;
    for (size_t at = 0; at + ota::kRecordSectorSize <= file->size(); at += ota::kRecordSectorSize) {
      const auto copy = ota::DecodeRecord(ByteView(*file).subspan(at, ota::kRecordSectorSize));
      if (copy && copy->seq > newest.seq) newest = *copy;
    }
    if (newest.seq == 0) return Error{Reason::kMalformed, "no copy of the record is whole"};
    return newest;
  }

  // JudgeOffer: firmware comes with a release that is installed, or not at all.
  std::string JudgeOffer(const Bytes& capsule) {
    const auto record = Record();
    if (!record) return record.error().ToString();
    const bool may = record->state == UpdateState::kVerified ||
                     record->state == UpdateState::kArmed || record->state == UpdateState::kTrial;
    const bool targets = record->release == target_.plan.facts().release;
    if (!may)
      return "firmware was handed a capsule in state " + std::string(StateName(record->state));
    if (capsule != CapsuleOf(targets ? kTargetFirmware : kSupersededFirmware))
      return "firmware was handed something else than the release's capsule";
    // What is lost with its kernel image was whole when the firmware was told.
    if (!world_.HoldsRelease(Slot::kB, targets ? target_ : superseded_) && !LostInARename())
      return "firmware was handed a capsule whose release is not installed";
    return "";
  }

  // LostInARename: systemd-boot counts in file names, and a rename on FAT may leave neither.
  [[nodiscard]] bool LostInARename() {
    const bool hit =
        report_.phase == "kernel image" ||
        (world_.files().cuts() > 0 && Phase(world_.files().cut_path()) == "kernel image");
    return hit && scenario_.loader == BootLoader::kSystemdBoot &&
           cuts_.back().loss == PowerLoss::kScattered;
  }

  static std::string Phase(const std::string& path) {
    if (path.starts_with("slots/")) return "image";
    if (path.starts_with("state")) return "update record";
    if (path.starts_with("apps/") || path.starts_with("maps/")) return "files";
    if (path.starts_with("esp/EFI/sallyport") || path.starts_with("esp/EFI/UpdateCapsule") ||
        path.find("OsIndications") != path.npos)
      return "firmware";
    if (path.starts_with("efivars") || path.starts_with("disk/") || path.find("grub") != path.npos)
      return "boot loader";
    return "kernel image";
  }

  DrillReport End(uint64_t before) {
    report_.operations = world_.files().operations() - before;
    const auto record = Record();
    if (!record) return Problem(record.error().ToString());
    const bool committed = record->state == UpdateState::kCommitted;
    const bool abandoned = called_off_ && record->state == UpdateState::kFailed;
    if (!committed && !abandoned && record->state != UpdateState::kRolledBack)
      return Problem("ended " + std::string(StateName(record->state)));
    report_.end = committed ? DrillEnd::kCommitted : DrillEnd::kRolledBack;
    // Two cuts may take both tries of a good release.
    const bool twice = std::ranges::count(cuts_, false, &PowerCut::kill) > 1;
    const bool may_fail = scenario_.fate != Fate::kGood || twice || LostInARename();
    const bool expected = committed ? scenario_.fate == Fate::kGood : may_fail;
    if (!expected) return Problem(committed ? "committed" : "rolled back");
    if (!world_.HoldsRelease(Slot::kA, installed_)) return Problem("no way back");
    const Slot last = committed ? Slot::kB : Slot::kA;
    if (world_.BootOrder().substr(0, 1) != SlotName(last)) return Problem("the wrong default");
    if (world_.PowerOn() != last) return Problem("the wrong slot boots in the end");
    if (committed && !world_.HoldsRelease(Slot::kB, target_)) return Problem("not all of it");
    if (!world_.firmware().problem().empty()) return Problem(world_.firmware().problem());
    if (const std::string left = world_.firmware().Left(); !left.empty())
      return Problem("left behind: " + left);
    const bool updated =
        target_.plan.facts().components.empty() || world_.firmware().version() == kTargetFirmware;
    if (committed && !updated) return Problem("committed without its firmware");
    return report_;
  }

  const TestRelease& installed_;
  const TestRelease& target_;
  const TestRelease& superseded_;
  const DrillScenario scenario_;
  const std::vector<PowerCut>& cuts_;
  UpdateWorld world_;
  size_t next_cut_ = 0;
  bool broke_off_ = false;
  bool called_off_ = false;
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
    case Delivery::kChunks: return "chunks";
    case Delivery::kComponents: return "components";
    case Delivery::kSuperseding: return "superseding";
  }
  std::abort();
}

std::string_view FateName(Fate fate) {
  switch (fate) {
    case Fate::kGood: return "good";
    case Fate::kRefused: return "refused";
    case Fate::kPanics: return "panics";
    case Fate::kCalledOff: return "called off";
  }
  std::abort();
}

DrillReleases DrillReleases::Make(const TestSizes& sizes) {
  const TestRelease installed = WithFiles(MakeTestRelease("1.0.0", 1, 1, false, sizes), 1);
  const TestRelease target = MakeTestRelease("2.0.0", 2, 1, false, sizes);
  const TestRelease large = MakeTestRelease("1.0.0", 3, 1, false, {kLargeImage, sizes.uki});
  return {
      installed,
      target,
      MakeDeltaRelease("2.0.0", installed),
      large,
      MakeChunkRelease("2.0.0", large),
      WithCapsule(WithFiles(target, 2), kTargetFirmware),
      WithCapsule(WithFiles(MakeTestRelease("1.9.0", 4, 1, false, sizes), 4), kSupersededFirmware)};
}

const TestRelease& DrillReleases::Before(Delivery delivery) const {
  return delivery == Delivery::kChunks ? large : installed;
}

const TestRelease& DrillReleases::Target(Delivery delivery) const {
  switch (delivery) {
    case Delivery::kFull:
    case Delivery::kResumed:
    case Delivery::kOverArmed: return target;
    case Delivery::kDelta: return delta;
    case Delivery::kChunks: return chunks;
    case Delivery::kComponents:
    case Delivery::kSuperseding: return components;
  }
  std::abort();
}

DrillReport Drill(const DrillReleases& releases, const DrillScenario& scenario,
                  const std::vector<PowerCut>& cuts) {
  return Machine(releases, scenario, cuts).Play();
}

}  // namespace sallyport

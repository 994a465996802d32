// Installer: puts one release into the inactive slot so that a power cut at any moment leaves a
// machine that boots a verified slot and can go on. It neither reboots nor decides when to.
#pragma once

#include <functional>
#include <string>

#include "ota/install/block_target.h"
#include "ota/install/boot_control.h"
#include "ota/install/component_files.h"
#include "ota/install/content_keys.h"
#include "ota/install/firmware_update.h"
#include "ota/install/image_origins.h"
#include "ota/install/image_writer.h"
#include "ota/install/install_plan.h"
#include "ota/install/monotonic_floor.h"
#include "ota/install/payload_source.h"
#include "ota/install/preflight.h"
#include "ota/install/state_record.h"
#include "ota/install/update_machine.h"
#include "ota/payload/segment_table.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// A checkpoint costs two syncs; less often, a cut repeats more of the download.
inline constexpr uint64_t kCheckpointBytes = 16u << 20;
// A kernel image above this would not fit an ordinary EFI system partition twice.
inline constexpr uint64_t kUkiSizeMax = 512u << 20;

struct InstallerConfig {
  SlotPaths slot_a;
  SlotPaths slot_b;
  std::string esp;  // a directory of the EFI system partition; its free space is what counts
  uint64_t checkpoint_bytes = kCheckpointBytes;
  ComponentPlaces components = {};
  MachineFiles machine = {};
};

struct InstallProgress {
  UpdateState state;
  uint64_t done;  // bytes of the image
  uint64_t total;
  ImageOrigins origins;  // of what this call of Install wrote
};
using ProgressFunction = std::function<void(const InstallProgress&)>;
// GoOnFunction is asked again and again while the target is written, read back and completed. Its
// error, which must be one that MayPass, ends the call at a checkpoint: the next one resumes there.
using GoOnFunction = std::function<Result<Unit>()>;

// InstallerParts are borrowed; `floor` (monotonic_floor.h) may be null, and so may `firmware` and
// `content_keys`, without which releases with capsules and sealed ones are refused.
struct InstallerParts {
  FileSystem& files;
  BlockTargetOpener& slots;
  BootControl& boot;
  RecordStore& record;
  MonotonicFloor* floor = nullptr;
  FirmwareUpdate* firmware = nullptr;
  ContentKeySource* content_keys = nullptr;
};

// One thread at a time.
class Installer {
 public:
  Installer(InstallerParts parts, InstallerConfig config);

  // Install brings the inactive slot to VERIFIED, from the beginning or from the last checkpoint of
  // the same release. Refusals without a change: kPolicyDenied install.failed-before, kRollback
  // install.below-floor, kPolicyDenied install.floor-jump (its commit could not raise the floor),
  // kConflict install.trial-running, kUnavailable install.degraded (unless somebody brought the
  // release), those of MonotonicFloor::Read. Errors that leave FAILED:
  // those of RunPreflight and kNoSpace from writing; kMismatch install.index,
  // install.image-digest, install.uki-digest; the payload rules; those of ContentKeySource, and
  // install.content-key (kMismatch: another key than the release names), for a sealed release.
  // Errors that MayPass leave the record as it is: call again to resume. When the release is the
  // running one, an update to another release that was not tried yet is abandoned.
  Result<Unit> Install(const InstallPlan& plan, PayloadSource& source,
                       const ProgressFunction& progress = {}, const GoOnFunction& go_on = {});
  // Arm makes the next boot the trial of a VERIFIED slot, or the retry of one that did not come up.
  // kConflict, install.not-ready, in any other state.
  Result<Unit> Arm();
  // BeginTrial records that the target slot runs.
  Result<Unit> BeginTrial();
  // Commit makes the running target the default, once the firmware is what the release wants
  // (kMismatch, install.firmware-version). `plan` raises the floor when its release demands
  // it; null when the plan is no longer at hand: then the floor stays. kConflict,
  // install.not-in-trial, unless the target slot runs its trial.
  Result<Unit> Commit(const InstallPlan* plan);
  // CommitLocally is Commit without a server's word. kPolicyDenied, install.not-local, unless
  // `plan` is the one on trial and allows it.
  Result<Unit> CommitLocally(const InstallPlan& plan);
  // RollBack makes the other slot the default and remembers the release as failed. The caller
  // reboots when the target is running.
  Result<Unit> RollBack();
  // Degrade and Recover record how the slot that an update fell back to does. kConflict,
  // install.not-fallen-back, unless that is what runs.
  Result<Unit> Degrade() { return JudgeFallback(UpdateEvent::kDegrade); }
  Result<Unit> Recover() { return JudgeFallback(UpdateEvent::kRecover); }
  // Abandon takes the target out of the boot order and records FAILED, for an update that was
  // called off or whose target is the running slot. kConflict, install.state, once the trial has
  // begun.
  Result<Unit> Abandon();

  // Preflight is the dry run: what an installation of `facts` into the other slot would find; null:
  // of a release without size and components. Changes nothing. Errors of RunningSlot.
  Result<std::vector<PreflightCheck>> Preflight(const InstallFacts* facts);

  // Judge says what this boot is. Errors of the record and of the firmware.
  Result<BootAction> Judge();
  Result<UpdateRecord> Record() { return parts_.record.Load(); }
  Result<Slot> RunningSlot() { return parts_.boot.RunningSlot(); }
  // RunningRelease is what was installed into the running slot; nullopt when nothing says so. A
  // claim, no proof.
  Result<std::optional<ReleaseDigest>> RunningRelease();

 private:
  struct Job;
  const SlotPaths& Paths(Slot slot) const {
    return slot == Slot::kA ? config_.slot_a : config_.slot_b;
  }
  Result<Unit> CheckPlan(const InstallPlan& plan, const UpdateRecord& record);
  Result<Unit> KeepRunning(const UpdateRecord& record, Slot running);
  Result<Unit> Run(Job& job);
  std::vector<PreflightCheck> CheckTarget(const SlotPaths& target, const PreflightNeeds& needs);
  Result<Unit> RemoveOldUki(const SlotPaths& paths);
  Result<Unit> WriteImage(Job& job);
  Result<Unit> ReadBackImage(const Job& job);
  Result<Unit> InstallUki(const Job& job);
  [[nodiscard]] bool IsGone(const std::vector<std::string>& entries);
  Result<Unit> CommitBy(UpdateEvent event, const InstallPlan* plan);
  Result<Unit> JudgeFallback(UpdateEvent event);
  Result<Unit> CheckComponents(const InstallFacts& facts, Slot target);
  Result<Unit> FindContentKey(Job& job);
  Result<Unit> InstallComponents(const Job& job);
  Result<Unit> WithdrawFirmware();
  Result<Unit> RaiseFloor(const InstallPlan* plan, const UpdateRecord& record);
  Result<Unit> Enter(UpdateRecord& record, UpdateEvent event);

  InstallerParts parts_;
  const InstallerConfig config_;
};

}  // namespace sallyport::ota

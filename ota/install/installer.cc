#include "ota/install/installer.h"

#include <algorithm>
#include <utility>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kReadBackChunk = 1 << 20;

bool Resumes(const UpdateRecord& record, const ReleaseDigest& release, Slot target) {
  const bool unfinished = record.state == UpdateState::kPlanned ||
                          record.state == UpdateState::kWriting ||
                          record.state == UpdateState::kWritten;
  return unfinished && record.release == release && record.slot == target;
}

bool IsVerified(const UpdateRecord& record) {
  return record.state == UpdateState::kVerified || record.state == UpdateState::kArmed;
}
bool OnTrial(const UpdateRecord& record, Slot running) {
  return IsVerified(record) && record.slot == running;
}
bool IsReady(const UpdateRecord& record, const ReleaseDigest& release, Slot target) {
  return IsVerified(record) && record.release == release && record.slot == target;
}

PreflightNeeds NeedsOf(const InstallFacts& facts) {
  return {facts.image_length, facts.uki.length + FirmwareUpdate::StagedBytes(facts)};
}

std::string ReleaseFile(const SlotPaths& paths) { return paths.uki + ".release"; }

}  // namespace

struct Installer::Job {
  const InstallFacts& facts;
  PayloadSource& source;
  const ProgressFunction& progress;
  const GoOnFunction& go_on;
  UpdateRecord record;
  const SlotPaths& paths;
  ImageOrigins origins = {};
  std::optional<pki::ContentSeal> seal = {};

  Result<Unit> MayGoOn() const { return go_on ? go_on() : Ok(); }

  void Report(uint64_t done) const {
    if (progress) progress({record.state, done, facts.image_length, origins});
  }
};

Installer::Installer(InstallerParts parts, InstallerConfig config)
    : parts_(parts), config_(std::move(config)) {}

Result<Unit> Installer::Enter(UpdateRecord& record, UpdateEvent event) {
  const std::optional<UpdateState> next = Next(record.state, event);
  if (!next)
    return Error{
        Reason::kConflict,
        std::string(EventName(event)) + " in state " + std::string(StateName(record.state)),
        "install.state"};
  record.state = *next;
  return parts_.record.Save(record);
}

Result<Unit> Installer::CheckPlan(const InstallPlan& plan, const UpdateRecord& record) {
  const InstallFacts& facts = plan.facts();
  if (record.HasFailed(facts.release))
    return Error{Reason::kPolicyDenied, "this release was rolled back before",
                 "install.failed-before"};
  if (facts.index.length > kIndexSizeMax)
    return Error{Reason::kTooLarge, "segment index", "install.index-size"};
  if (facts.uki.length > kUkiSizeMax)
    return Error{Reason::kTooLarge, "kernel image", "install.uki-size"};
  if (parts_.firmware == nullptr && FirmwareUpdate::StagedBytes(facts) != 0)
    return Error{Reason::kPolicyDenied, "no firmware is updated on this device",
                 "install.capsule-support"};
  if (parts_.content_keys == nullptr && facts.content_key)
    return Error{Reason::kPolicyDenied, "this device opens no sealed releases",
                 "install.sealed-support"};
  if (parts_.floor == nullptr) return Unit{};
  SP_TRY(const uint64_t floor, parts_.floor->Read());
  if (facts.rollback_index < floor)
    return Error{Reason::kRollback, "rollback index below the floor", "install.below-floor"};
  if (facts.security_floor && facts.rollback_index - floor > kFloorRaiseMax)
    return Error{Reason::kPolicyDenied, "the floor cannot be raised that far",
                 "install.floor-jump"};
  return Unit{};
}

Result<Unit> Installer::Install(const InstallPlan& plan, PayloadSource& source,
                                const ProgressFunction& progress, const GoOnFunction& go_on) {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  // The other slot is the only way back while the running one is unproven.
  if (record.state == UpdateState::kTrial || OnTrial(record, running))
    return Error{Reason::kConflict, "an update is on trial", "install.trial-running"};
  SP_TRY(CheckPlan(plan, record));
  SP_TRY(const std::optional<ReleaseDigest> running_release, RunningRelease());
  if (running_release == plan.facts().release) return KeepRunning(record, running);
  if (record.state == UpdateState::kDegraded && plan.origin() != PlanOrigin::kBrought)
    return Error{Reason::kUnavailable, "a degraded device installs nothing on its own",
                 "install.degraded"};
  const Slot target = Other(running);
  if (IsReady(record, plan.facts().release, target)) return Unit{};
  if (!Resumes(record, plan.facts().release, target)) {
    // Firmware of a release that is no longer wanted must not be taken at a reboot from here on.
    SP_TRY(WithdrawFirmware());
    record.release = plan.facts().release;
    record.slot = target;
    record.attempt = 0;
    record.resume_offset = 0;
    SP_TRY(Enter(record, UpdateEvent::kPlan));
  }
  Job job{plan.facts(), source, progress, go_on, std::move(record), Paths(target)};
  auto done = Run(job);
  // The first error is the one that matters, also when FAILED cannot be recorded.
  if (!done && !MayPass(done.error().reason))
    static_cast<void>(Enter(job.record, UpdateEvent::kFail).has_value());
  return done;
}

Result<Unit> Installer::KeepRunning(const UpdateRecord& record, Slot running) {
  const bool pending = Next(record.state, UpdateEvent::kFail).has_value();
  return pending && record.slot != running ? Abandon() : Ok();
}

Result<std::optional<ReleaseDigest>> Installer::RunningRelease() {
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  const auto text = ReadFile(parts_.files, ReleaseFile(Paths(running)), 2 * ReleaseDigest::kSize);
  if (!text && text.error().reason == Reason::kUnavailable) return text.error();
  const auto bytes = text ? HexDecode(AsText(*text)) : text;
  const auto digest = ReleaseDigest::FromView(bytes ? ByteView(*bytes) : ByteView());
  return digest ? std::optional(*digest) : std::nullopt;
}

Result<Unit> Installer::Run(Job& job) {
  if (job.record.state == UpdateState::kPlanned) {
    SP_TRY(FirstFailure(CheckTarget(job.paths, NeedsOf(job.facts))));
    SP_TRY(CheckComponents(job.facts, job.record.slot));
  }
  SP_TRY(FindContentKey(job));
  // 1. Nothing may choose the target from here on.
  SP_TRY(parts_.boot.Disarm(job.record.slot));
  if (job.record.state == UpdateState::kPlanned) SP_TRY(Enter(job.record, UpdateEvent::kDisarm));
  SP_TRY(RemoveOldUki(job.paths));
  // 2. The image, durable before the record says so.
  if (job.record.state == UpdateState::kWriting) SP_TRY(WriteImage(job));
  // 3. Both files read back from the medium; the kernel image last, because it is the entry point.
  SP_TRY(job.MayGoOn());
  SP_TRY(ReadBackImage(job));
  SP_TRY(job.MayGoOn());
  SP_TRY(InstallComponents(job));
  SP_TRY(InstallUki(job));
  SP_TRY(Enter(job.record, UpdateEvent::kReadBack));
  job.Report(job.facts.image_length);
  return Unit{};
}

std::vector<PreflightCheck> Installer::CheckTarget(const SlotPaths& target,
                                                   const PreflightNeeds& needs) {
  return RunPreflight({parts_.files, parts_.slots, parts_.boot, parts_.record.path(), target,
                       config_.esp, config_.machine, needs});
}

Result<std::vector<PreflightCheck>> Installer::Preflight(const InstallFacts* facts) {
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  const Slot target = Other(running);
  std::vector<PreflightCheck> checks =
      CheckTarget(Paths(target), facts != nullptr ? NeedsOf(*facts) : PreflightNeeds{});
  if (facts == nullptr) return checks;
  InstallFacts up_to_here = *facts;  // the files of one folder share its room
  up_to_here.components.clear();
  for (const RemoteComponent& component : facts->components) {
    up_to_here.components.push_back(component);
    const Result<Unit> found = CheckComponents(up_to_here, target);
    checks.push_back(ComponentCheck(component, found));
    if (!found) up_to_here.components.pop_back();
  }
  return checks;
}

Result<Unit> Installer::CheckComponents(const InstallFacts& facts, Slot target) {
  SP_TRY(CheckComponentFiles(parts_.files, config_.components, facts, target));
  if (parts_.firmware != nullptr) return parts_.firmware->Check(facts);
  if (FirmwareUpdate::StagedBytes(facts) == 0) return Unit{};
  return Error{Reason::kPolicyDenied, "no firmware is updated on this device",
               "install.capsule-support"};
}

Result<Unit> Installer::FindContentKey(Job& job) {
  const std::optional<pki::ContentKeyId>& wanted = job.facts.content_key;
  if (!wanted || job.record.state == UpdateState::kWritten) return Unit{};
  SP_TRY(job.seal, parts_.content_keys->Get(job.facts.release, *wanted));
  if (job.seal->id() != *wanted)
    return Error{Reason::kMismatch, "another key than the release names", "install.content-key"};
  return Unit{};
}

Result<Unit> Installer::InstallComponents(const Job& job) {
  SP_TRY(InstallComponentFiles(parts_.files, config_.components, job.facts, job.record.slot,
                               job.source));
  return parts_.firmware == nullptr ? Ok() : parts_.firmware->Stage(job.facts, job.source);
}

Result<Unit> Installer::WithdrawFirmware() {
  return parts_.firmware == nullptr ? Ok() : parts_.firmware->Withdraw();
}

// Without its kernel image a slot cannot be booted even by hand, and the space is free for the new
// one.
Result<Unit> Installer::RemoveOldUki(const SlotPaths& paths) {
  SP_TRY(const std::vector<std::string> entries, parts_.boot.Entries(paths.uki));
  for (const std::string& entry : entries) SP_TRY(RemoveIfThere(parts_.files, entry));
  SP_TRY(RemoveIfThere(parts_.files, ReleaseFile(paths)));
  return parts_.files.SyncDirectory(ParentDirectory(paths.uki));
}

Result<Unit> Installer::WriteImage(Job& job) {
  SP_TRY(const auto slot, parts_.slots.Open(job.paths.image));
  const std::string running = Paths(Other(job.record.slot)).image;
  const auto old = parts_.files.Open(running, OpenMode::kRead);
  SP_TRY(const std::optional<ReleaseDigest> running_release, RunningRelease());
  ImageWriter writer({.facts = job.facts,
                      .source = job.source,
                      .target = *slot,
                      .running = old ? old->get() : nullptr,
                      .running_release = running_release,
                      .checkpoint_bytes = config_.checkpoint_bytes,
                      .checkpoint =
                          [&](uint64_t durable) {
                            job.record.resume_offset = durable;
                            return Enter(job.record, UpdateEvent::kCheckpoint);
                          },
                      .progress =
                          [&](uint64_t done, const ImageOrigins& origins) {
                            job.origins = origins;
                            job.Report(done);
                          },
                      .go_on = job.go_on,
                      .seal = job.seal ? &*job.seal : nullptr});
  SP_TRY(writer.Write(job.record.resume_offset));
  SP_TRY(slot->Sync());
  job.record.resume_offset = job.facts.image_length;
  return Enter(job.record, UpdateEvent::kFinishWrite);
}

Result<Unit> Installer::ReadBackImage(const Job& job) {
  const InstallFacts& facts = job.facts;
  SP_TRY(const auto slot, parts_.slots.Open(job.paths.image));
  SP_TRY(slot->DropCache());
  pki::Hasher hash(pki::HashAlgorithm::kSha256);
  VerityHasher tree(facts.verity ? facts.verity->salt : Bytes());
  const uint64_t covered = facts.verity ? facts.verity->data_size : 0;
  Bytes chunk(kReadBackChunk);
  for (uint64_t at = 0; at < facts.image_length; at += chunk.size()) {
    chunk.resize(static_cast<size_t>(std::min<uint64_t>(kReadBackChunk, facts.image_length - at)));
    SP_TRY(slot->ReadAt(at, chunk));
    hash.Update(chunk);
    if (at < covered)
      tree.Update(ByteView(chunk).first(std::min<size_t>(chunk.size(), covered - at)));
  }
  if (!Equal(hash.Finish(), facts.image_sha256.view()))
    return Error{Reason::kMismatch, "the slot does not read back as the signed image",
                 "install.image-digest"};
  if (facts.verity && tree.Root() != facts.verity->root_hash)
    return Error{Reason::kMismatch, "the slot does not have the signed root hash",
                 "install.verity-root"};
  return Unit{};
}

Result<Unit> Installer::InstallUki(const Job& job) {
  const std::string temporary = job.paths.uki + ".tmp";
  SP_TRY(FetchFile(parts_.files, job.source, job.facts.uki, temporary, "install.uki-digest"));
  SP_TRY(WriteFileAtomically(parts_.files, ReleaseFile(job.paths),
                             AsBytes(HexEncode(job.facts.release))));
  SP_TRY(parts_.files.Rename(temporary, parts_.boot.NewEntry(job.paths.uki)));
  return parts_.files.SyncDirectory(ParentDirectory(job.paths.uki));
}

Result<Unit> Installer::Arm() {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  const bool tries_left = record.attempt < kTrialAttemptsMax;
  if (running == record.slot || !tries_left || !Next(record.state, UpdateEvent::kArm))
    return Error{Reason::kConflict, "state " + std::string(StateName(record.state)),
                 "install.not-ready"};
  // Before the boot is chosen: a cut in between must not start the target on the old firmware,
  // which would end its trial.
  if (parts_.firmware != nullptr) SP_TRY(parts_.firmware->Deliver());
  // BootNext before the record: ARMED then means that a boot of the target was due.
  SP_TRY(parts_.boot.ArmOnce(record.slot));
  ++record.attempt;
  return Enter(record, UpdateEvent::kArm);
}

Result<Unit> Installer::BeginTrial() {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  if (running != record.slot)
    return Error{Reason::kConflict, "the target is not running", "install.not-in-trial"};
  if (record.state == UpdateState::kTrial) return Unit{};
  return Enter(record, UpdateEvent::kBootTarget);
}

Result<Unit> Installer::RaiseFloor(const InstallPlan* plan, const UpdateRecord& record) {
  const bool demanded =
      plan != nullptr && plan->facts().release == record.release && plan->facts().security_floor;
  if (!demanded || parts_.floor == nullptr) return Unit{};
  return parts_.floor->Raise(plan->facts().rollback_index);
}

Result<Unit> Installer::Commit(const InstallPlan* plan) {
  return CommitBy(UpdateEvent::kAttest, plan);
}

Result<Unit> Installer::CommitLocally(const InstallPlan& plan) {
  SP_TRY(const UpdateRecord record, parts_.record.Load());
  if (plan.local_commit() != LocalCommit::kAllowed || plan.facts().release != record.release)
    return Error{Reason::kPolicyDenied, "the release on trial needs the server's word",
                 "install.not-local"};
  return CommitBy(UpdateEvent::kCommitLocally, &plan);
}

Result<Unit> Installer::CommitBy(UpdateEvent event, const InstallPlan* plan) {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  if (record.state != UpdateState::kTrial || running != record.slot)
    return Error{Reason::kConflict, "state " + std::string(StateName(record.state)),
                 "install.not-in-trial"};
  if (parts_.firmware != nullptr) SP_TRY(parts_.firmware->Confirm());
  SP_TRY(parts_.boot.MakeDefault(record.slot));
  // Irreversible, so after the default can no longer fall back by itself.
  SP_TRY(RaiseFloor(plan, record));
  SP_TRY(WithdrawFirmware());
  return Enter(record, event);
}

Result<Unit> Installer::RollBack() {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  if (!Next(record.state, UpdateEvent::kFallBack))
    return Error{Reason::kConflict, "state " + std::string(StateName(record.state)),
                 "install.not-in-trial"};
  SP_TRY(parts_.boot.Disarm(record.slot));
  SP_TRY(WithdrawFirmware());
  record.RememberFailed(record.release);
  return Enter(record, UpdateEvent::kFallBack);
}

Result<Unit> Installer::JudgeFallback(UpdateEvent event) {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  if (running == record.slot || !Next(record.state, event))
    return Error{Reason::kConflict, "state " + std::string(StateName(record.state)),
                 "install.not-fallen-back"};
  return Enter(record, event);
}

Result<Unit> Installer::Abandon() {
  SP_TRY(UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  if (!Next(record.state, UpdateEvent::kFail))
    return Error{Reason::kConflict, "state " + std::string(StateName(record.state)),
                 "install.state"};
  if (record.slot != running) SP_TRY(parts_.boot.Disarm(record.slot));
  SP_TRY(WithdrawFirmware());
  return Enter(record, UpdateEvent::kFail);
}

bool Installer::IsGone(const std::vector<std::string>& entries) {
  return std::ranges::all_of(entries, [this](const std::string& entry) {
    const auto file = parts_.files.Open(entry, OpenMode::kRead);
    return !file && file.error().reason == Reason::kNotFound;
  });
}

Result<BootAction> Installer::Judge() {
  SP_TRY(const UpdateRecord record, parts_.record.Load());
  SP_TRY(const Slot running, parts_.boot.RunningSlot());
  SP_TRY(const std::optional<Slot> next, parts_.boot.NextBoot());
  SP_TRY(const std::vector<std::string> entries, parts_.boot.Entries(Paths(record.slot).uki));
  return JudgeBoot({record.state, record.slot, record.attempt, running, next, !IsGone(entries)});
}

}  // namespace sallyport::ota

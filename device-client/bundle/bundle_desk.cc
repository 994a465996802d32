#include "device-client/bundle/bundle_desk.h"

#include <algorithm>
#include <chrono>

#include "device-client/bundle/bundle_folder.h"
#include "ota/install/update_machine.h"
#include "ota/metadata/install_plan_maker.h"
#include "ota/metadata/uptane.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};

// RecordingFetcher remembers what was fetched.
class RecordingFetcher final : public ota::Fetcher {
 public:
  explicit RecordingFetcher(ota::Fetcher& from) : from_(from) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    return Keep("metadata/" + file, from_.FetchMetadata(file, size_max));
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    return Keep("targets/" + path, from_.FetchTarget(path, size_max));
  }
  std::map<std::string, Bytes> fetched;

 private:
  Result<Bytes> Keep(const std::string& name, Result<Bytes> bytes) {
    if (bytes) fetched[name] = *bytes;
    return bytes;
  }
  ota::Fetcher& from_;
};

// ProofFetcher serves what was recorded.
class ProofFetcher final : public ota::Fetcher {
 public:
  explicit ProofFetcher(const std::map<std::string, Bytes>& proof) : proof_(proof) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    return Find("metadata/" + file, size_max);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    return Find("targets/" + path, size_max);
  }

 private:
  Result<Bytes> Find(const std::string& name, uint64_t size_max) const {
    const auto found = proof_.find(name);
    if (found == proof_.end()) return Error{Reason::kNotFound, name + " was not kept"};
    if (found->second.size() > size_max) return Error{Reason::kTooLarge, name};
    return found->second;
  }
  const std::map<std::string, Bytes>& proof_;
};

// Ended says whether nothing of `release` is left to be done without a new request.
bool Ended(const ota::UpdateRecord& update, const ReleaseDigest& release) {
  if (update.HasFailed(release)) return true;
  return update.release == release && update.state == ota::UpdateState::kFailed;
}

std::string DirectoryOf(const ota::Release& release) {
  return ota::ReleaseDirectory(release.product, release.version) + "/";
}

InstallAnswer Refused(const InstallRequest& request, const Error& error) {
  InstallAnswer out;
  out.id = request.id;
  out.error = {error.reason, std::string(error.rule), error.detail};
  return out;
}

}  // namespace

void BundleSource::Use(std::string prefix, const std::string& folder,
                       const Sha256Digest& statement) {
  const std::lock_guard lock(mutex_);
  prefix_ = std::move(prefix);
  folder_ = std::make_shared<BundleFolder>(folder, statement);
}

void BundleSource::Drop() {
  const std::lock_guard lock(mutex_);
  folder_.reset();
}

Result<Unit> BundleSource::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                                 ota::ByteSink& sink) {
  std::shared_ptr<ota::PayloadSource> folder;
  {
    const std::lock_guard lock(mutex_);
    if (folder_ && file.path.starts_with(prefix_)) folder = folder_;
  }
  return (folder ? *folder : network_).Fetch(file, offset, length, sink);
}

BundleDesk::BundleDesk(BundleDeskParts parts)
    : parts_(std::move(parts)),
      image_(parts_.files, parts_.state + "/manifest/image", ota::ImageRules(parts_.trust_domain)),
      updates_(parts_.files, parts_.state + "/update") {}

Result<ota::VerifiedBundle> BundleDesk::Verify(ota::Fetcher& bundle, std::string_view role,
                                               UnixTime now) {
  ota::BundleTaker taker{.hardware_id = parts_.hardware_id, .running = parts_.running};
  SP_TRY(taker.floors, parts_.floors.Floors());
  {
    const std::lock_guard lock(mutex_);
    taker.taken = record_.taken;
    taker.known_releases.push_back(record_.known_release);
  }
  taker.known_releases.push_back(parts_.manifest_release());
  const std::lock_guard lock(parts_.metadata_mutex);
  const auto known = image_.Initialise(parts_.image_root);
  if (!known && known.error().reason != Reason::kAlreadyExists) return known.error();
  return ota::VerifyUsbBundle(image_, bundle, role, taker, now);
}

// CheckUpdate refuses before the serial is spent what the installer would refuse afterwards.
Result<Unit> BundleDesk::CheckUpdate(const ReleaseDigest& release) {
  SP_TRY(const ota::UpdateRecord update, updates_.Load());
  if (update.state == ota::UpdateState::kTrial)
    return Error{Reason::kConflict, "an update is on trial: wait for its end",
                 "install.trial-running"};
  if (update.HasFailed(release))
    return Error{Reason::kPolicyDenied, "this release was rolled back before",
                 "install.failed-before"};
  return Ok();
}

// WriteDown spends the serial. From here on an older bundle is refused, and this one is resumed.
Result<Unit> BundleDesk::WriteDown(const InstallRequest& request, const ota::VerifiedBundle& bundle,
                                   std::map<std::string, Bytes> proof) {
  const ota::BundleStatement& statement = bundle.statement();
  const std::lock_guard lock(mutex_);
  BundleRecord next = record_;
  next.taken.insert_or_assign(statement.role,
                              ota::TakenBundle{statement.serial, bundle.statement_digest(), false});
  next.active = ActiveBundle{request.id,      request.folder, statement.role,
                             bundle.digest(), parts_.now(),   std::move(proof)};
  next.over_manifest = parts_.held_manifest();
  SP_TRY(SaveBundleRecord(parts_.files, parts_.state, next));
  record_ = std::move(next);
  over_manifest_ = record_.over_manifest;
  return Ok();
}

void BundleDesk::Begin(const ota::VerifiedBundle& bundle, const std::string& folder) {
  parts_.source.Use(DirectoryOf(bundle.release()), folder, bundle.statement_digest());
  parts_.floors.Obeyed(bundle);
  parts_.assign(ota::InstallPlanMaker::From(bundle));
}

Result<InstallAnswer> BundleDesk::Take(const InstallRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    if (unreadable_) return *unreadable_;
  }
  BundleFolder folder(request.folder);
  RecordingFetcher fetcher(folder);
  SP_TRY(const ota::VerifiedBundle bundle, Verify(fetcher, request.role, parts_.now()));
  SP_TRY(CheckUpdate(bundle.digest()));
  SP_TRY(WriteDown(request, bundle, std::move(fetcher.fetched)));
  const ota::BundleStatement& statement = bundle.statement();
  Log(LogLevel::kInfo, "bundle_taken",
      {{"role", statement.role},
       {"serial", std::to_string(statement.serial)},
       {"release", bundle.release().product + " " + bundle.release().version.text()}});
  InstallAnswer answer;
  answer.id = request.id;
  answer.role = statement.role;
  answer.serial = statement.serial;
  answer.product = bundle.release().product;
  answer.version = bundle.release().version.text();
  answer.release = bundle.digest();
  answer.commits_locally = statement.commit_locally;
  {
    const std::lock_guard lock(mutex_);
    SP_TRY(SaveAnswer(parts_.files, parts_.state, answer));
    answer_ = answer;
  }
  Begin(bundle, request.folder);
  return answer;
}

void BundleDesk::Look() {
  const auto request = LoadRequest(parts_.files, parts_.state);
  if (request && !*request) return;
  if (!request) {
    Log(LogLevel::kWarning, "install_request_unreadable", {{"reason", request.error().ToString()}});
  } else if (const Result<InstallAnswer> taken = Take(**request); !taken) {
    Log(LogLevel::kWarning, "bundle_refused", {{"reason", taken.error().ToString()}});
    const auto saved = SaveAnswer(parts_.files, parts_.state, Refused(**request, taken.error()));
    if (!saved)
      Log(LogLevel::kWarning, "install_not_answered", {{"reason", saved.error().ToString()}});
  }
  const Result<Unit> removed = RemoveRequest(parts_.files, parts_.state);
  if (!removed)
    Log(LogLevel::kWarning, "install_request_kept", {{"reason", removed.error().ToString()}});
}

void BundleDesk::Load() {
  const std::lock_guard lock(mutex_);
  Result<BundleRecord> record = LoadBundleRecord(parts_.files, parts_.state);
  if (!record) {
    Log(LogLevel::kError, "bundles_unreadable", {{"reason", record.error().ToString()}});
    unreadable_ = std::move(record).error().WithContext("the record of bundles");
    return;
  }
  record_ = *std::move(record);
  over_manifest_ = record_.over_manifest;
  if (!record_.active) return;
  const auto answer = LoadAnswer(parts_.files, parts_.state);
  if (answer && *answer && (*answer)->id == record_.active->request) answer_ = **answer;
}

void BundleDesk::Resume() {
  std::optional<ActiveBundle> active;
  {
    const std::lock_guard lock(mutex_);
    active = record_.active;
  }
  const Result<Unit> resumed = active ? TryResume(*active) : Ok();
  if (!resumed)
    Log(LogLevel::kWarning, "bundle_not_resumed", {{"reason", resumed.error().ToString()}});
}

Result<Unit> BundleDesk::TryResume(const ActiveBundle& active) {
  SP_TRY(const ota::UpdateRecord update, updates_.Load());
  if (Ended(update, active.release)) return Ok();
  // Time does not go back: a clock that the reboot has lost must not refuse what was taken.
  ProofFetcher proof(active.proof);
  SP_TRY(const ota::VerifiedBundle bundle,
         Verify(proof, active.role, std::max(parts_.now(), active.taken_at)));
  Begin(bundle, active.folder);
  return Ok();
}

void BundleDesk::Keep() {
  over_manifest_ = record_.over_manifest;
  const Result<Unit> saved = SaveBundleRecord(parts_.files, parts_.state, record_);
  if (!saved) Log(LogLevel::kError, "bundles_not_saved", {{"reason", saved.error().ToString()}});
}

void BundleDesk::Finish(bool committed) {
  parts_.source.Drop();
  ActiveBundle& active = *record_.active;
  if (const auto taken = record_.taken.find(active.role); taken != record_.taken.end())
    taken->second.finished = true;
  if (committed)
    for (const auto& [name, file] : active.proof)
      if (ota::ReleaseDigestOf(file) == active.release) record_.known_release = file;
  if (!committed) record_.over_manifest = 0;
  record_.active.reset();
  Keep();
}

void BundleDesk::OnReport(const UpdateReport& report) {
  const std::lock_guard lock(mutex_);
  if (!record_.active || report.release != record_.active->release) return;
  if (answer_) {
    answer_->state = report.state;
    answer_->percent = report.percent;
    answer_->gate = report.gate;
    answer_->detail = report.detail;
    const Result<Unit> saved = SaveAnswer(parts_.files, parts_.state, *answer_);
    if (!saved)
      Log(LogLevel::kWarning, "install_not_answered", {{"reason", saved.error().ToString()}});
  }
  if (report.state == ota::StateName(ota::UpdateState::kCommitted)) return Finish(true);
  if (report.state == ota::StateName(ota::UpdateState::kRolledBack)) return Finish(false);
  // What failed may be asked for again, but the server's word counts meanwhile.
  if (report.state != ota::StateName(ota::UpdateState::kFailed)) return;
  parts_.source.Drop();
  if (record_.over_manifest == 0) return;
  record_.over_manifest = 0;
  Keep();
}

void BundleDesk::Superseded(const ReleaseDigest& release) {
  const std::lock_guard lock(mutex_);
  if (!record_.active || record_.active->release == release) return;
  // What has failed waits for the next request, and is nobody's rival.
  const Result<ota::UpdateRecord> update = updates_.Load();
  if (!update || Ended(*update, record_.active->release)) return;
  Log(LogLevel::kInfo, "bundle_superseded", {{"folder", record_.active->folder}});
  if (answer_) {
    answer_->state = ota::StateName(ota::UpdateState::kFailed);
    answer_->gate = "superseded";
    answer_->detail = "the server assigned another release";
    static_cast<void>(SaveAnswer(parts_.files, parts_.state, *answer_).has_value());
  }
  // Not finished: it was never installed, and may be asked for again.
  parts_.source.Drop();
  record_.active.reset();
  record_.over_manifest = 0;
  Keep();
}

void BundleDesk::Start() {
  thread_ = std::thread([this] { Run(); });
}

void BundleDesk::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void BundleDesk::Run() {
  while (true) {
    Look();
    std::unique_lock lock(mutex_);
    if (stop_changed_.wait_for(lock, kLookEvery, [this] { return stopping_; })) return;
  }
}

}  // namespace sallyport::device

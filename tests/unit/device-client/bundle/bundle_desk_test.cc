#include "device-client/bundle/bundle_desk.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ota/metadata/uptane.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/fake_floor_counters.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::device {
namespace {

namespace fs = std::filesystem;
using ota::UpdateState;

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
constexpr PowerLoss kLosses[] = {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly,
                                 PowerLoss::kScattered, PowerLoss::kNothing};

class NoNetwork final : public ota::PayloadSource {
 public:
  Result<Unit> Fetch(const ota::RemoteFile&, uint64_t, uint64_t, ota::ByteSink&) override {
    return Error{Reason::kUnavailable, "there is no network", "test.network"};
  }
};

class CollectingSink final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    held += AsText(bytes);
    return Ok();
  }
  std::string held;
};

// A stick on disk, a device whose state is in memory and loses what a power cut loses.
class BundleDeskTest : public testing::Test {
 protected:
  BundleDeskTest() {
    char name[] = "/tmp/sp-desk-XXXXXX";
    dir_ = ::mkdtemp(name);
    repository_.set_development(true);
    repository_.PublishRoot();
    AddSampleRelease(repository_, "1.5.0", 1);
    release_.emplace(AddSampleRelease(repository_, "2.0.0", 2));
    repository_.Delegate("targets", {"usb", {"bundles/usb.json"}});
    repository_.edit = [](const std::string& role, JsonValue& body) {
      if (role != "targets") return;
      const auto limits = JsonValue::Object({{"serial_min", 1}, {"serial_max", 9}});
      body = ota::WithMember(body, {"sallyport"}, JsonValue::Object({}));
      body = ota::WithMember(body, {"sallyport", "bundles"}, JsonValue::Object({{"usb", limits}}));
    };
    EXPECT_TRUE(files_.MakeDirectories("/state"));
    EXPECT_TRUE(files_.SyncDirectory("/"));
    Pack(1);
    Start();
  }
  ~BundleDeskTest() override {
    desk_.reset();
    fs::remove_all(dir_);
  }
  // Pack writes a new bundle onto the stick.
  void Pack(uint64_t serial, bool commit_locally = true) {
    const Bytes json =
        ToBytes(ota::WriteBundleStatement({"usb", serial, kNow, kNow + Days(180),
                                           "releases/edge-os/2.0.0/release.json", commit_locally}));
    repository_.targets("usb")["bundles/usb.json"].content = json;
    ++repository_.role("usb").version;
    repository_.PublishNext();
    fs::remove_all(Stick());
    for (const auto& [name, bytes] : repository_.metadata) Put("metadata/" + name, bytes);
    for (const auto& [name, bytes] : repository_.served_targets) Put("targets/" + name, bytes);
    Put("metadata/bundle.json", json);
  }
  void Put(const std::string& name, ByteView bytes) {
    fs::create_directories(fs::path(Stick() + "/" + name).parent_path());
    std::ofstream(Stick() + "/" + name) << AsText(bytes);
  }
  std::string Stick() const { return dir_ + "/stick"; }
  ReleaseDigest Digest(const std::string& version) {
    return ota::ReleaseDigestOf(
        repository_.targets()["releases/edge-os/" + version + "/release.json"].content);
  }
  // Start is a new agent process.
  void Start() {
    desk_.reset();
    plans_.clear();
    source_.emplace(network_);
    floors_.emplace(counters_, files_, "/state/floors.json");
    desk_ = std::make_unique<BundleDesk>(BundleDeskParts{
        .files = files_,
        .state = "/state",
        .trust_domain = "edge.example",
        .image_root = repository_.metadata.at("1.root.json"),
        .hardware_id = "virtual-x86_64",
        .running = Digest(running_),
        .floors = *floors_,
        .source = *source_,
        .metadata_mutex = metadata_mutex_,
        .now = [this] { return now_; },
        .held_manifest = [this] { return held_manifest_; },
        .manifest_release = [] { return Bytes{}; },
        .assign = [this](ota::InstallPlan plan) { plans_.push_back(std::move(plan)); }});
    desk_->Load();
  }
  // BeginAnew is a device that knows of no bundle.
  void BeginAnew() {
    desk_.reset();
    files_ = MemoryFileSystem();
    EXPECT_TRUE(files_.MakeDirectories("/state"));
    Start();
  }
  void Restart() {
    Start();
    desk_->Resume();
  }
  // Ask lays a request down and lets the desk look; the rule of the answer, or "taken".
  std::string Ask(const std::string& role = "") {
    EXPECT_TRUE(SaveRequest(files_, "/state", {"id" + std::to_string(++asked_), Stick(), role}));
    desk_->Look();
    const InstallAnswer answer = Answer();
    EXPECT_EQ(answer.id, "id" + std::to_string(asked_));
    EXPECT_FALSE(*LoadRequest(files_, "/state")) << "it is answered";
    return answer.error ? answer.error->rule : "taken";
  }
  InstallAnswer Answer() { return **LoadAnswer(files_, "/state"); }
  BundleRecord Record() { return *LoadBundleRecord(files_, "/state"); }
  void Report(UpdateState state, const std::string& gate = "") {
    UpdateReport report;
    report.state = StateName(state);
    report.release = Digest("2.0.0");
    report.gate = gate;
    desk_->OnReport(report);
  }
  void SaveUpdate(UpdateState state, bool failed_before = false) {
    ota::UpdateRecord record;
    record.state = state;
    record.release = Digest("2.0.0");
    if (failed_before) record.RememberFailed(record.release);
    EXPECT_TRUE(ota::RecordStore(files_, "/state/update").Save(record));
  }

  std::string dir_;
  ota::TufRepository repository_{kNow, "edge.example"};
  std::optional<ota::Release> release_;
  MemoryFileSystem files_;
  FakeFloorCounters counters_;
  std::optional<DeviceFloors> floors_;
  NoNetwork network_;
  std::optional<BundleSource> source_;
  std::mutex metadata_mutex_;
  UnixTime now_ = kNow;
  uint64_t held_manifest_ = 0;
  std::string running_ = "1.5.0";
  std::vector<ota::InstallPlan> plans_;
  int asked_ = 0;
  std::unique_ptr<BundleDesk> desk_;
};

TEST_F(BundleDeskTest, WritesTheSerialDownAndHandsThePlanOver) {
  EXPECT_EQ(Ask(), "taken");
  ASSERT_EQ(plans_.size(), 1U);
  EXPECT_EQ(plans_[0].facts().release, Digest("2.0.0"));
  EXPECT_EQ(plans_[0].local_commit(), ota::LocalCommit::kAllowed);
  EXPECT_EQ(Record().taken.at("usb").serial, 1U);
  EXPECT_FALSE(Record().taken.at("usb").finished);
  EXPECT_EQ(Answer().product + Answer().version, "edge-os2.0.0");
  EXPECT_TRUE(Answer().commits_locally);
}

TEST_F(BundleDeskTest, ARefusedBundleSpendsNothingAndSaysWhy) {
  EXPECT_EQ(Ask("service"), "tuf.unknown-target");
  now_ = kNow + Days(180);
  EXPECT_EQ(Ask(), "bundle.expired");
  now_ = UnixTime{};
  EXPECT_EQ(Ask(), "bundle.clock");
  now_ = kNow;
  EXPECT_TRUE(Record().taken.empty());
  EXPECT_TRUE(plans_.empty());
  fs::remove(Stick() + "/metadata/bundle.json");
  EXPECT_EQ(Ask(), "");
  EXPECT_EQ(Answer().error->reason, Reason::kNotFound);
}

TEST_F(BundleDeskTest, TakesNothingWhileTheTpmsFloorsCannotBeRead) {
  counters_.failure = Error{Reason::kUnavailable, "injected", "tpm.gone"};
  EXPECT_EQ(Ask(), "tpm.gone");
  counters_.failure.reset();
  EXPECT_EQ(Ask(), "taken");
}

TEST_F(BundleDeskTest, ACommitHoldsOnToTheBundlesRepositoryInTheTpmAndAWipedDiskDoesNotHelp) {
  EXPECT_EQ(Ask(), "taken");
  const std::string older = dir_ + "/older";
  fs::copy(Stick(), older, fs::copy_options::recursive);
  Pack(2);
  EXPECT_EQ(Ask(), "taken");
  ASSERT_TRUE(floors_->Raise(2));  // the commit of a security release
  EXPECT_GT(floors_->Floors()->image_targets_version, 2U);

  BeginAnew();
  fs::remove_all(Stick());
  fs::rename(older, Stick());
  EXPECT_EQ(Ask(), "uptane.floor");
}

TEST_F(BundleDeskTest, ACutAtAnyMomentLosesNoSerialWhosePlanWasHandedOver) {
  for (uint64_t cut = 0;; ++cut) {
    ASSERT_LT(cut, 200U);
    for (const PowerLoss loss : kLosses) {
      BeginAnew();
      ASSERT_TRUE(SaveRequest(files_, "/state", {"id", Stick(), ""}));
      files_.CutPowerAfter(cut);
      desk_->Look();
      const bool handed_over = !plans_.empty();
      const bool whole = !files_.cut();
      files_.CutPowerAfter(UINT64_MAX);
      files_.Restart(loss, cut);
      Restart();
      if (handed_over) {
        EXPECT_EQ(Record().taken.at("usb").serial, 1U) << cut;
        EXPECT_EQ(plans_.size(), 1U) << "it goes on by itself; cut " << cut;
      }
      plans_.clear();
      EXPECT_EQ(Ask(), "taken") << "and for who asks again; cut " << cut;
      EXPECT_EQ(plans_.size(), 1U);
      if (whole && loss == std::end(kLosses)[-1]) return;
    }
  }
}

// Whatever was found after a start must be there after the next one too, also when an agent that
// was killed had not made it durable.
TEST_F(BundleDeskTest, AKilledAgentAndThenACutLoseNoSerialWhosePlanWasHandedOver) {
  for (uint64_t kill = 0;; ++kill) {
    ASSERT_LT(kill, 200U);
    for (const PowerLoss loss : kLosses) {
      BeginAnew();
      ASSERT_TRUE(SaveRequest(files_, "/state", {"id", Stick(), ""}));
      files_.CutPowerAfter(kill);
      desk_->Look();
      const bool whole = !files_.cut();
      files_.Survive("/efivars/");
      bool handed_over = !plans_.empty();
      Restart();
      handed_over = handed_over || !plans_.empty();
      files_.Restart(loss, kill);
      Restart();
      if (handed_over) {
        EXPECT_TRUE(Record().taken.contains("usb")) << kill;
        EXPECT_EQ(plans_.size(), 1U) << "it goes on by itself; kill " << kill;
      }
      if (whole && loss == std::end(kLosses)[-1]) return;
    }
  }
}

TEST_F(BundleDeskTest, ACutWhileTheEndIsWrittenDownIsMadeGoodByTheNextStart) {
  for (const UpdateState end : {UpdateState::kCommitted, UpdateState::kRolledBack}) {
    for (uint64_t cut = 0;; ++cut) {
      bool whole = false;
      for (const PowerLoss loss : kLosses) {
        BeginAnew();
        ASSERT_EQ(Ask(), "taken");
        SaveUpdate(end, end == UpdateState::kRolledBack);
        files_.CutPowerAfter(cut);
        Report(end);
        whole = !files_.cut();
        files_.Restart(loss, cut);
        Restart();
        EXPECT_EQ(Record().taken.at("usb").serial, 1U) << cut;
        Report(end);  // as the driver does at every start
        EXPECT_FALSE(Record().active) << cut;
        EXPECT_EQ(Ask(), "bundle.serial-used") << cut;
      }
      if (whole) break;
    }
  }
}

TEST_F(BundleDeskTest, GoesOnAfterARebootWithoutTheStickAndWithoutAClock) {
  ASSERT_EQ(Ask(), "taken");
  SaveUpdate(UpdateState::kTrial);
  fs::remove_all(Stick());
  running_ = "2.0.0";
  now_ = UnixTime{};
  Restart();
  ASSERT_EQ(plans_.size(), 1U);
  EXPECT_EQ(plans_[0].local_commit(), ota::LocalCommit::kAllowed);
  EXPECT_EQ(plans_[0].facts().rollback_index, 2U);
}

TEST_F(BundleDeskTest, WhatWasKeptIsVerifiedAgainAndNotBelieved) {
  ASSERT_EQ(Ask(), "taken");
  BundleRecord record = Record();
  Bytes& statement = record.active->proof.at("metadata/bundle.json");
  ASSERT_FALSE(statement.empty());
  const std::string altered = [&] {
    std::string text = ToString(statement);
    return text.replace(text.find("usb"), 3, "USB");
  }();
  statement = ToBytes(altered);
  ASSERT_TRUE(SaveBundleRecord(files_, "/state", record));
  Restart();
  EXPECT_TRUE(plans_.empty());
}

TEST_F(BundleDeskTest, IsTakenOnceWhenItWasCommitted) {
  ASSERT_EQ(Ask(), "taken");
  Report(UpdateState::kWriting);
  EXPECT_EQ(Ask(), "taken") << "the same command goes on";
  Report(UpdateState::kCommitted);
  EXPECT_EQ(Answer().state, "COMMITTED");
  EXPECT_FALSE(Record().active);
  EXPECT_EQ(ota::ReleaseDigestOf(Record().known_release), Digest("2.0.0"));
  EXPECT_EQ(Ask(), "bundle.serial-used");
  Pack(2);
  EXPECT_EQ(Ask(), "taken");
}

TEST_F(BundleDeskTest, IsNotTakenUpByItselfOnceItHasFailed) {
  ASSERT_EQ(Ask(), "taken");
  SaveUpdate(UpdateState::kFailed);
  Report(UpdateState::kFailed, "install");
  Restart();
  EXPECT_TRUE(plans_.empty());
  EXPECT_EQ(Ask(), "taken") << "a stick that could not be read may be cleaned and tried again";
  SaveUpdate(UpdateState::kRolledBack, true);
  Report(UpdateState::kRolledBack, "boot");
  Restart();
  EXPECT_TRUE(plans_.empty());
  EXPECT_EQ(Ask(), "bundle.serial-used");
  Pack(2);
  EXPECT_EQ(Ask(), "install.failed-before");
  EXPECT_EQ(Record().taken.at("usb").serial, 1U) << "not spent";
}

TEST_F(BundleDeskTest, WaitsForTheEndOfATrial) {
  SaveUpdate(UpdateState::kTrial);
  EXPECT_EQ(Ask(), "install.trial-running");
  EXPECT_TRUE(Record().taken.empty());
}

TEST_F(BundleDeskTest, AManifestThatWasHeldAlreadyAssignsNothingOverABundle) {
  held_manifest_ = 7;
  EXPECT_TRUE(desk_->AssignsAfter(7));
  ASSERT_EQ(Ask(), "taken");
  EXPECT_FALSE(desk_->AssignsAfter(7));
  EXPECT_TRUE(desk_->AssignsAfter(8));
  Report(UpdateState::kCommitted);
  Restart();
  EXPECT_FALSE(desk_->AssignsAfter(7)) << "across reboots, and once it is committed";
  Pack(2);
  ASSERT_EQ(Ask(), "taken");
  Report(UpdateState::kFailed, "install");
  EXPECT_TRUE(desk_->AssignsAfter(7)) << "what failed stands in nobody's way";
}

TEST_F(BundleDeskTest, TheServersNextWordSupersedesIt) {
  ASSERT_EQ(Ask(), "taken");
  desk_->Superseded(Digest("2.0.0"));
  EXPECT_TRUE(Record().active) << "the same release";
  desk_->Superseded(Digest("1.5.0"));
  EXPECT_FALSE(Record().active);
  EXPECT_EQ(Answer().state, "FAILED");
  EXPECT_EQ(Answer().gate, "superseded");
  Restart();
  EXPECT_TRUE(plans_.empty());
  EXPECT_EQ(Ask(), "taken") << "it was never installed";
}

TEST_F(BundleDeskTest, TellsWhoAskedHowFarItIs) {
  ASSERT_EQ(Ask(), "taken");
  UpdateReport report;
  report.state = "WRITING";
  report.percent = 40;
  report.release = Digest("1.5.0");
  desk_->OnReport(report);
  EXPECT_EQ(Answer().state, "") << "of another release";
  report.release = Digest("2.0.0");
  desk_->OnReport(report);
  EXPECT_EQ(Answer().state, "WRITING");
  EXPECT_EQ(Answer().percent, 40U);
}

TEST_F(BundleDeskTest, ADamagedRecordIsNotTakenForAnEmptyOne) {
  ASSERT_TRUE(WriteFileAtomically(files_, "/state/bundles", AsBytes("SPUB")));
  Restart();
  EXPECT_EQ(Ask(), "") << "nobody knows its serials";
  EXPECT_EQ(Answer().error->reason, Reason::kMalformed);
  EXPECT_TRUE(plans_.empty());
}

TEST_F(BundleDeskTest, AnUnreadableRequestIsThrownAway) {
  ASSERT_TRUE(WriteFileAtomically(files_, "/state/install-request.json", AsBytes("{")));
  desk_->Look();
  EXPECT_FALSE(*LoadRequest(files_, "/state"));
  EXPECT_TRUE(plans_.empty());
}

TEST_F(BundleDeskTest, FilesOfTheReleaseComeFromTheStickAndOthersFromTheNetwork) {
  ASSERT_EQ(Ask(), "taken");
  CollectingSink sink;
  const ota::RemoteFile& payload = plans_[0].facts().payload;
  ASSERT_TRUE(source_->Fetch(payload, 0, payload.length, sink));
  EXPECT_EQ(sink.held, "payload");
  const ota::RemoteFile other{"releases/edge-os/1.5.0/payload.bin", 7, payload.sha256};
  EXPECT_EQ(source_->Fetch(other, 0, 7, sink).error().name(), "test.network");
  fs::remove_all(Stick());
  EXPECT_EQ(source_->Fetch(payload, 0, payload.length, sink).error().name(), "bundle.folder-gone");
  Report(UpdateState::kFailed, "install");
  EXPECT_EQ(source_->Fetch(payload, 0, payload.length, sink).error().name(), "test.network")
      << "a stick whose files are bad is not in the way of the server's";
}

}  // namespace
}  // namespace sallyport::device

// Whole updates on a virtual node: the real installer and driver over its slots, variables and EFI
// system partition, its own firmware and TPM saying what came of it.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "attestation-server/evidence/replay.h"
#include "device-client/update/device_floors.h"
#include "device-client/update/update_driver.h"
#include "device-client/update/update_machinery.h"
#include "ota/measure/uki.h"
#include "ota/payload/pack.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/fake_machine.h"
#include "tests/fakes/fake_random.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/node/virtual_node.h"

namespace sallyport::device {
namespace {

using node::BootOutcome;
using node::BootReport;
using node::Slot;
using node::VirtualNode;

constexpr UnixTime kNow = UnixTime::FromSeconds(1795000000);
constexpr uint64_t kSlotBytes = 1 << 20;
constexpr uint64_t kFileMax = 16 << 20;

// The content server's files, on disk.
class DirectorySource final : public ota::PayloadSource {
 public:
  explicit DirectorySource(std::string directory) : directory_(std::move(directory)) {}
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override {
    SP_TRY(const Bytes bytes, ReadFile(files_, directory_ + "/" + file.path, kFileMax));
    return sink.Write(
        ByteView(bytes).subspan(static_cast<size_t>(offset), static_cast<size_t>(length)));
  }

 private:
  PosixFileSystem files_;
  const std::string directory_;
};

class NoRebooter final : public Rebooter {
 public:
  Result<Unit> Reboot() override { return Unit{}; }
};

class UpdateNodeTest : public ::testing::Test {
 protected:
  UpdateNodeTest() {
    char name[] = "/tmp/sp-update-XXXXXX";
    dir_ = ::mkdtemp(name);
    const auto vendor = node::VendorCa::Make(kNow, random_);
    EXPECT_TRUE(vendor && vendor->Save(files_, dir_ + "/vendor"));
    source_.emplace(dir_);
    MakeRelease("1.0.0");
    const node::NodeSpec spec{"cam-1",         kSlotBytes, dir_ + "/vendor", At("1.0.0.efi"),
                              At("1.0.0.img"), "",         Seconds(1)};
    EXPECT_TRUE(VirtualNode::Create(dir_ + "/cam-1", spec, kNow, random_));
    node_.emplace(*VirtualNode::Open(dir_ + "/cam-1"));
  }
  ~UpdateNodeTest() override {
    tpm_.reset();
    node_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::string At(const std::string& name) const { return dir_ + "/" + name; }

  // MakeRelease builds slot image, UKI, payload and index of a version.
  void MakeRelease(const std::string& version, const std::string& fault = "") {
    std::ofstream(At(version + ".img")) << std::string(200'000, 'r') << version;
    const std::string command = std::string(SALLYPORT_SOURCE_DIR) +
                                "/tests/node/make_uki.sh --version " + version + " --image " +
                                At(version + ".img") + " --out " + At(version + ".efi") +
                                (fault.empty() ? "" : " --fault " + fault);
    ASSERT_EQ(std::system(command.c_str()), 0);
    const auto image = *files_.Open(At(version + ".img"), OpenMode::kRead);
    const auto payload = *files_.Open(At(version + ".payload"), OpenMode::kCreate);
    const auto table = ota::PackImage(*image, *payload, {.segment_size = 65536, .level = 3});
    ASSERT_TRUE(table);
    ASSERT_TRUE(WriteFileAtomically(files_, At(version + ".json"), AsBytes(table->ToJson())));
  }
  ota::RemoteFile Remote(const std::string& name) {
    const Bytes bytes = *ReadFile(files_, At(name), kFileMax);
    return {name, bytes.size(), pki::Sha256(bytes)};
  }
  ota::InstallPlan Plan(const std::string& version, uint64_t rollback_index = 1,
                        bool security_floor = false) {
    const ota::RemoteFile image = Remote(version + ".img");
    return ota::InstallPlanForTest::Make(
        {ReleaseDigest::FromArray(pki::Sha256(AsBytes(version)).array()), "edge-os", version,
         rollback_index, security_floor, image.length, image.sha256, Remote(version + ".efi"),
         Remote(version + ".json"), Remote(version + ".payload")});
  }

  BootReport PowerOn() {
    tpm_.reset();
    return *node_->PowerOn(random_);
  }
  // StartAgent is a new agent process: its driver, and what it waits for in this boot.
  UpdateStep StartAgent() {
    tpm_.reset();
    tpm_ = *Tpm::Open(node_->tpm()->tcti(), random_);
    counters_.emplace(*tpm_);
    floors_.emplace(*counters_, files_, node_->dir() + "/state/floors.json");
    machinery_ = *UpdateMachinery::Make(
        files_,
        UpdatePaths{node_->SlotPath(Slot::kA), node_->SlotPath(Slot::kB), node_->dir() + "/esp",
                    node_->EfiVariablesDir(), node_->dir() + "/state"},
        &*floors_);
    around_.Configure({});
    driver_.emplace(around_.Parts(machinery_->installer(), *source_, rebooter_,
                                  [this](const UpdateReport& report) { last_ = report; }));
    return *driver_->Boot();
  }
  // Digests of the events of `pcr` and `type` in this boot's log.
  std::vector<Sha256Digest> Events(uint32_t pcr, server::EventType type) {
    const Bytes bytes = *ReadFile(files_, node_->EventLogPath(), server::kLogBytesMax);
    std::vector<Sha256Digest> out;
    const auto log = server::ParseEventLog(bytes);
    for (const server::Event& event : log->events)
      if (event.pcr == pcr && event.type == type)
        out.push_back(*Sha256Digest::FromView(event.digest(server::Bank::kSha256)));
    return out;
  }

  PosixFileSystem files_;
  FakeRandom random_;
  FakeMachine around_;
  NoRebooter rebooter_;
  std::string dir_;
  std::optional<DirectorySource> source_;
  std::optional<VirtualNode> node_;
  std::unique_ptr<Tpm> tpm_;
  std::optional<TpmFloorCounters> counters_;
  std::optional<DeviceFloors> floors_;
  std::unique_ptr<UpdateMachinery> machinery_;
  std::optional<UpdateDriver> driver_;
  UpdateReport last_;
};

TEST_F(UpdateNodeTest, GoesFromAToBAndMeasuresWhatTheReleasePredicted) {
  MakeRelease("2.0.0");
  ASSERT_EQ(PowerOn().slot, Slot::kA);
  ASSERT_EQ(StartAgent(), UpdateStep::kSettled);

  ASSERT_EQ(*driver_->Assign(Plan("2.0.0")), UpdateStep::kRebooting);
  const BootReport trial = PowerOn();

  ASSERT_EQ(trial.outcome, BootOutcome::kRunning) << trial.detail;
  EXPECT_EQ(trial.slot, Slot::kB);
  const auto predicted = ota::MeasureUki(*ReadFile(files_, At("2.0.0.efi"), kFileMax));
  EXPECT_EQ(Events(4, server::EventType::kBootServicesApplication),
            predicted->pcr4_secure_boot_off);
  EXPECT_EQ(Events(11, server::EventType::kIpl), predicted->pcr11);
  ASSERT_EQ(StartAgent(), UpdateStep::kTrial);
  EXPECT_EQ(*machinery_->installer().RunningRelease(), Plan("2.0.0").facts().release);
  HearHealthy(*driver_, Plan("2.0.0").facts().release);
  ASSERT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(last_.state, "COMMITTED");
  EXPECT_EQ(PowerOn().slot, Slot::kB);
}

TEST_F(UpdateNodeTest, RollsBackAReleaseThatPanicsTwice) {
  MakeRelease("2.0.0", "panic");
  PowerOn();
  StartAgent();
  ASSERT_EQ(*driver_->Assign(Plan("2.0.0")), UpdateStep::kRebooting);
  ASSERT_EQ(PowerOn().outcome, BootOutcome::kPanicked);

  ASSERT_EQ(PowerOn().slot, Slot::kA);
  ASSERT_EQ(StartAgent(), UpdateStep::kRebooting) << "the second try";
  ASSERT_EQ(PowerOn().outcome, BootOutcome::kPanicked);
  ASSERT_EQ(PowerOn().slot, Slot::kA);
  EXPECT_EQ(StartAgent(), UpdateStep::kSettled);

  EXPECT_EQ(last_.state, "ROLLED_BACK");
  EXPECT_EQ(last_.gate, "boot");
  EXPECT_EQ(driver_->Assign(Plan("2.0.0")).error().rule, "install.failed-before");
}

TEST_F(UpdateNodeTest, GoesBackAtOnceWhenTheServerRefusesTheTrial) {
  MakeRelease("2.0.0");
  PowerOn();
  StartAgent();
  ASSERT_EQ(*driver_->Assign(Plan("2.0.0")), UpdateStep::kRebooting);
  ASSERT_EQ(PowerOn().slot, Slot::kB);
  ASSERT_EQ(StartAgent(), UpdateStep::kTrial);

  HearRefused(*driver_);
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);

  EXPECT_EQ(PowerOn().slot, Slot::kA);
  EXPECT_EQ(StartAgent(), UpdateStep::kSettled);
}

TEST_F(UpdateNodeTest, WipingTheStateBringsNoReleaseBackFromBelowTheFloorThatACommitRaised) {
  MakeRelease("2.0.0");
  MakeRelease("3.0.0");
  PowerOn();
  StartAgent();
  ASSERT_EQ(*driver_->Assign(Plan("2.0.0", 5, true)), UpdateStep::kRebooting);
  ASSERT_EQ(PowerOn().slot, Slot::kB);
  ASSERT_EQ(StartAgent(), UpdateStep::kTrial);
  EXPECT_EQ(*floors_->Read(), 0u) << "not before the commit";
  const ota::InstallPlan committed = Plan("2.0.0", 5, true);
  ASSERT_EQ(*driver_->Assign(committed), UpdateStep::kTrial);
  HearHealthy(*driver_, committed.facts().release);
  ASSERT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(*floors_->Read(), 5u);

  for (const char* name : {"update", "floors.json"})
    ASSERT_TRUE(files_.Remove(node_->dir() + "/state/" + name)) << name;
  PowerOn();
  StartAgent();
  EXPECT_EQ(driver_->Assign(Plan("3.0.0", 4)).error().rule, "install.below-floor");
  EXPECT_EQ(last_.gate, "install");
  EXPECT_NE(last_.detail.find("install.below-floor"), std::string::npos);
  EXPECT_EQ(*driver_->Assign(Plan("3.0.0", 5)), UpdateStep::kRebooting) << "at the floor";
}

}  // namespace
}  // namespace sallyport::device

// The rollback floors in a real (software) TPM: what survives which attack, and what it costs.
#include <cstdlib>
#include <filesystem>

#include "device-client/agent/time_record.h"
#include "device-client/update/device_floors.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/node/swtpm.h"
#include "tests/unit/ota/metadata/manifest_fixture.h"

namespace sallyport::device {
namespace {

using ota::kNow;

constexpr const char* kBaseIndex = "0x0180A500";
constexpr const char* kRollbackIndex = "0x0180A501";

class FloorsTest : public ota::ManifestFixture {
 protected:
  FloorsTest() {
    char name[] = "/tmp/sp-tpm-XXXXXX";
    dir_ = ::mkdtemp(name);
    swtpm_.emplace(*node::SwTpm::Start(dir_));
    Open();
  }
  ~FloorsTest() override {
    tpm_.reset();
    swtpm_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Open() {
    tpm_.reset();
    tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
    counters_.emplace(*tpm_);
    floors_of_tpm_.emplace(*counters_, disk_, "/state/floors.json");
  }
  // Tool runs a tpm2-tools command while the agent is away.
  int Tool(const std::string& command) {
    tpm_.reset();
    const int status =
        std::system(("tpm2_" + command + " -T " + swtpm_->tcti() + " > /dev/null 2>&1").c_str());
    Open();
    return status;
  }
  void UndefineAll() {
    for (const char last : {'0', '1', '2', '3', '4', '5'})
      ASSERT_EQ(Tool("nvundefine -C o 0x0180A50" + std::string(1, last)), 0);
  }
  void WipeDisk() {
    disk_ = MemoryFileSystem();
    Open();
  }
  std::string Rule() {
    const auto floors = floors_of_tpm_->Floors();
    return floors ? "held" : std::string(floors.error().name());
  }
  // Receive judges `manifest` and what `image` serves on the disk as it is now.
  std::string Receive(const ota::DeviceManifest& manifest, ota::TufRepository& image) {
    ota::ManifestVerifier verifier(disk_, "/state",
                                   {ota::kDevice, "edge.example", "virtual-x86_64"});
    EXPECT_TRUE(verifier.Provision(first_image_root_, first_director_root_));
    const auto floors = floors_of_tpm_->Floors();
    if (!floors) return std::string(floors.error().name());
    const auto verified = verifier.Verify(manifest, image, *floors, kNow);
    if (!verified) return std::string(verified.error().name());
    floors_of_tpm_->Obeyed(*verified);
    return "obeyed";
  }

  const Bytes first_image_root_ = image_.CurrentRoot();
  const Bytes first_director_root_ = director_.CurrentRoot();
  std::string dir_;
  SystemRandom random_;
  MemoryFileSystem disk_;
  std::optional<node::SwTpm> swtpm_;
  std::unique_ptr<Tpm> tpm_;
  std::optional<TpmFloorCounters> counters_;
  std::optional<DeviceFloors> floors_of_tpm_;
};

TEST_F(FloorsTest, SurviveAWipedDiskAPowerCycleAndAPowerCut) {
  ASSERT_TRUE(floors_of_tpm_->Raise(3));
  WipeDisk();
  EXPECT_EQ(*floors_of_tpm_->Read(), 3u);

  tpm_.reset();
  ASSERT_TRUE(swtpm_->Reset());
  Open();
  EXPECT_EQ(*floors_of_tpm_->Read(), 3u);
  ASSERT_TRUE(floors_of_tpm_->Raise(4));

  tpm_.reset();
  swtpm_->CutPower();
  ASSERT_TRUE(swtpm_->PowerOn());
  Open();
  EXPECT_EQ(*floors_of_tpm_->Read(), 4u);
}

TEST_F(FloorsTest, AWipedDiskDoesNotBringOldMetadataOrReleasesBack) {
  const ota::DeviceManifest old_manifest = director_.Manifest(slice_);
  ota::TufRepository old_image = image_;
  image_.PublishNext();
  ASSERT_EQ(Receive(director_.Manifest(slice_), image_), "obeyed");
  ASSERT_TRUE(floors_of_tpm_->Raise(2));

  WipeDisk();
  EXPECT_EQ(Receive(old_manifest, old_image), "uptane.floor");
  WipeDisk();
  EXPECT_EQ(Receive(director_.Manifest(slice_), image_), "obeyed") << "at the floor";
  ASSERT_TRUE(floors_of_tpm_->Raise(3));
  WipeDisk();
  EXPECT_EQ(Receive(director_.Manifest(slice_), image_), "uptane.release-rollback");
}

TEST_F(FloorsTest, RefreshesDoNotWriteToTheTpm) {
  ASSERT_EQ(Receive(director_.Manifest(slice_), image_), "obeyed");
  const FloorReading before = *counters_->Read();

  for (int i = 0; i < 20; ++i) {
    director_.PublishNext();
    ASSERT_EQ(Receive(director_.Manifest(slice_), image_), "obeyed");
  }
  const FloorReading after = *counters_->Read();
  EXPECT_EQ(after.floors, before.floors);
  EXPECT_EQ(after.base, before.base);
}

TEST_F(FloorsTest, ClearingTheTpmIsNoticedAndNotHealed) {
  ASSERT_TRUE(floors_of_tpm_->Raise(3));
  ASSERT_EQ(Tool("clear -c l"), 0);

  EXPECT_EQ(Rule(), "floor.missing");
  EXPECT_EQ(Rule(), "floor.missing");
}

TEST_F(FloorsTest, CountersMadeAnewGoOnFromTheHighestAndAreNoticed) {
  ASSERT_TRUE(floors_of_tpm_->Raise(3));
  const Bytes first_base = counters_->Read()->base;
  UndefineAll();
  ASSERT_TRUE(counters_->Make());

  EXPECT_GT(counters_->Read()->base, first_base);
  EXPECT_EQ(Rule(), "floor.changed");
  ASSERT_TRUE(disk_.Remove("/state/floors.json"));
  Open();
  EXPECT_EQ(Rule(), "held") << "the operator has adopted them";
}

TEST_F(FloorsTest, AnOwnerPasswordKeepsOthersFromUndefiningAndTheAgentNeedsNone) {
  ASSERT_TRUE(floors_of_tpm_->Raise(1));
  ASSERT_EQ(Tool("changeauth -c o secret"), 0);

  EXPECT_NE(Tool(std::string("nvundefine -C o ") + kRollbackIndex), 0);
  EXPECT_TRUE(floors_of_tpm_->Raise(2));
  EXPECT_EQ(*floors_of_tpm_->Read(), 2u);
}

TEST_F(FloorsTest, TheBaseCannotBeWrittenAgain) {
  ASSERT_EQ(Rule(), "held");
  EXPECT_NE(Tool("nvwrite " + std::string(kBaseIndex) + " -i /dev/zero"), 0);
  EXPECT_EQ(Rule(), "held");
}

TEST_F(FloorsTest, ACounterThatIsGoneIsNotMadeAnewBesideASealedBase) {
  ASSERT_TRUE(floors_of_tpm_->Raise(3));
  ASSERT_EQ(Tool(std::string("nvundefine -C o ") + kRollbackIndex), 0);

  EXPECT_EQ(Rule(), "floor.missing");
  WipeDisk();
  EXPECT_EQ(Rule(), "floor.missing");
}

TEST_F(FloorsTest, AnIndexOfOtherAttributesIsForeign) {
  ASSERT_EQ(Rule(), "held");
  ASSERT_EQ(Tool(std::string("nvundefine -C o ") + kRollbackIndex), 0);
  ASSERT_EQ(Tool("nvdefine " + std::string(kRollbackIndex) + " -C o -s 8"), 0);
  EXPECT_EQ(Rule(), "floor.foreign");

  ASSERT_EQ(Tool(std::string("nvundefine -C o ") + kBaseIndex), 0);
  ASSERT_EQ(Tool("nvdefine " + std::string(kBaseIndex) + " -C o -s 40"), 0);
  EXPECT_EQ(Rule(), "floor.foreign");
  WipeDisk();
  EXPECT_EQ(Rule(), "floor.foreign");
}

// A cut between any two commands of Make: what it left is finished, at zero.
TEST_F(FloorsTest, AnUnfinishedMakeIsFinished) {
  ASSERT_EQ(Rule(), "held");
  ASSERT_EQ(Tool(std::string("nvundefine -C o ") + kBaseIndex), 0);
  ASSERT_EQ(Tool("nvundefine -C o 0x0180A505"), 0);
  EXPECT_EQ(counters_->Read().error().name(), "floor.missing");
  WipeDisk();

  EXPECT_EQ(*floors_of_tpm_->Read(), 0u);
  ASSERT_TRUE(floors_of_tpm_->Raise(1));
  EXPECT_EQ(*floors_of_tpm_->Read(), 1u);
}

TEST_F(FloorsTest, ReadingManyTimesUsesUpNothing) {
  for (int i = 0; i < 200; ++i) ASSERT_EQ(Rule(), "held");
}

// What the estimate of trusted time stands on.
TEST_F(FloorsTest, TheTpmsClockGoesOnOverAPowerCycleCanBeSetAheadAndBeginsAnewWhenCleared) {
  const pki::ClockInfo first = *tpm_->ReadClock();
  const TimeRecord record{kNow, first.clock_ms, first.reset_count};
  tpm_.reset();
  ASSERT_TRUE(swtpm_->Reset());
  Open();
  const UnixTime later = EstimateTime(record, *tpm_->ReadClock());
  EXPECT_GE(later, kNow);
  EXPECT_LT(later, kNow + Minutes(5));

  ASSERT_EQ(Tool("setclock " + std::to_string(first.clock_ms + 3'600'000)), 0);
  EXPECT_GE(EstimateTime(record, *tpm_->ReadClock()), kNow + Hours(1));
  ASSERT_EQ(Tool("clear -c l"), 0);
  EXPECT_EQ(
      EstimateTime({kNow, first.clock_ms + 3'600'000, first.reset_count + 1}, *tpm_->ReadClock()),
      kNow);
}

}  // namespace
}  // namespace sallyport::device

#include "device-client/update/device_floors.h"

#include <future>

#include "tests/fakes/fake_floor_counters.h"
#include "tests/unit/ota/metadata/manifest_fixture.h"

namespace sallyport::device {
namespace {

using ota::kNow;

// One device: its TPM, its disk (files_ of the fixture), and manifests of a server.
class DeviceFloorsTest : public ota::ManifestFixture {
 protected:
  DeviceFloors Fresh() { return {counters_, files_, "/state/floors.json"}; }
  std::string RuleOf(DeviceFloors& floors) {
    const auto read = floors.Floors();
    return read ? "held" : std::string(read.error().name());
  }
  // Receive judges today's manifest with the floors of the TPM, as the agent does.
  std::string Receive(DeviceFloors& floors, ota::ManifestVerifier& verifier) {
    const auto held = floors.Floors();
    if (!held) return std::string(held.error().name());
    const auto manifest = verifier.Verify(director_.Manifest(slice_), image_, *held, kNow);
    if (!manifest) return std::string(manifest.error().name());
    floors.Obeyed(*manifest);
    return "obeyed";
  }
  // WipedDevice has an empty disk: a verifier that was provisioned with the first roots again.
  std::unique_ptr<ota::ManifestVerifier> WipedDevice(MemoryFileSystem& disk) {
    auto out = std::make_unique<ota::ManifestVerifier>(
        disk, "/state", ota::ManifestIdentity{ota::kDevice, "edge.example", "virtual-x86_64"});
    EXPECT_TRUE(out->Provision(first_image_root_, first_director_root_));
    return out;
  }

  const Bytes first_image_root_ = image_.CurrentRoot();
  const Bytes first_director_root_ = director_.CurrentRoot();
  FakeFloorCounters counters_;
  DeviceFloors floors_of_tpm_ = Fresh();
};

TEST_F(DeviceFloorsTest, BeginAtZeroWhereverTheTpmsCountersBegan) {
  const ota::ManifestFloors floors = *floors_of_tpm_.Floors();

  EXPECT_EQ(floors.rollback_index, 0u);
  EXPECT_EQ(floors.image_root_version, 0u);
  EXPECT_EQ(floors.image_targets_version, 0u);
  EXPECT_EQ(floors.director_version, 0u);
}

TEST_F(DeviceFloorsTest, RaiseHoldsOnToTheObeyedManifestAndTheRollbackIndex) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  ASSERT_TRUE(floors_of_tpm_.Raise(7));

  const ota::ManifestFloors floors = *Fresh().Floors();
  EXPECT_EQ(floors.rollback_index, 7u);
  EXPECT_EQ(floors.image_root_version, 1u);
  EXPECT_EQ(floors.image_targets_version,
            verifier_.VerifyStored({}, kNow)->image_targets_version());
  EXPECT_EQ(floors.director_version, uint64_t{1} << 32);
}

TEST_F(DeviceFloorsTest, RaisingToALowerIndexWritesNothing) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  const uint64_t writes = counters_.writes;

  ASSERT_TRUE(floors_of_tpm_.Raise(6));
  EXPECT_EQ(counters_.writes, writes);
  EXPECT_EQ(*floors_of_tpm_.Read(), 7u);
}

TEST_F(DeviceFloorsTest, AThousandRefreshesWriteNothingToTheTpm) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  const uint64_t writes = counters_.writes;

  for (int i = 0; i < 1000; ++i) {
    if (i % 100 == 0) director_.PublishNext();
    ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  }
  EXPECT_EQ(counters_.writes, writes);
}

TEST_F(DeviceFloorsTest, WipingTheStateDirectoryDoesNotBringOldMetadataBack) {
  const ota::DeviceManifest old_manifest = director_.Manifest(slice_);
  ota::TufRepository old_image = image_;
  image_.PublishNext();
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  ASSERT_TRUE(floors_of_tpm_.Raise(2));

  MemoryFileSystem wiped;
  DeviceFloors after(counters_, wiped, "/state/floors.json");
  const auto floors = after.Floors();
  ASSERT_TRUE(floors);
  const auto replayed = WipedDevice(wiped)->Verify(old_manifest, old_image, *floors, kNow);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().name(), "uptane.floor");
  const auto today = WipedDevice(wiped)->Verify(director_.Manifest(slice_), image_, *floors, kNow);
  EXPECT_TRUE(today) << today.error().ToString();
}

TEST_F(DeviceFloorsTest, WipingTheStateDirectoryDoesNotBringAnOldReleaseBack) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  ASSERT_TRUE(floors_of_tpm_.Raise(3));  // the sample release has rollback index 2

  MemoryFileSystem wiped;
  DeviceFloors after(counters_, wiped, "/state/floors.json");
  EXPECT_EQ(Receive(after, *WipedDevice(wiped)), "uptane.release-rollback");
}

TEST_F(DeviceFloorsTest, AReleaseAtTheFloorMayComeBack) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  ASSERT_TRUE(floors_of_tpm_.Raise(2));

  director_.PublishNext();
  EXPECT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
}

TEST_F(DeviceFloorsTest, MissingCountersAreRefusedAndNotMadeAnew) {
  ASSERT_EQ(RuleOf(floors_of_tpm_), "held");
  counters_.Undefine();

  EXPECT_EQ(RuleOf(floors_of_tpm_), "floor.missing");
  DeviceFloors restarted = Fresh();
  EXPECT_EQ(RuleOf(restarted), "floor.missing");
  EXPECT_EQ(restarted.status().state, "floor.missing");
  EXPECT_FALSE(counters_.made);
  EXPECT_EQ(restarted.Read().error().name(), "floor.missing");
  EXPECT_EQ(restarted.Raise(1).error().name(), "floor.missing");
}

TEST_F(DeviceFloorsTest, CountersMadeAnewByAnotherAreRefusedUntilTheOperatorAdoptsThem) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  counters_.Undefine();
  ASSERT_TRUE(counters_.Make());

  EXPECT_EQ(RuleOf(floors_of_tpm_), "floor.changed");
  DeviceFloors restarted = Fresh();
  EXPECT_EQ(RuleOf(restarted), "floor.changed");
  ASSERT_TRUE(files_.Remove("/state/floors.json"));
  DeviceFloors adopted = Fresh();
  EXPECT_EQ(RuleOf(adopted), "held");
  EXPECT_EQ(*adopted.Read(), 0u);
}

TEST_F(DeviceFloorsTest, AFailingTpmIsARefusalAndNotZero) {
  counters_.failure = Error{Reason::kUnavailable, "injected", "tpm.nv-read"};
  EXPECT_EQ(RuleOf(floors_of_tpm_), "tpm.nv-read");
  EXPECT_EQ(floors_of_tpm_.status().state, "tpm.nv-read");

  counters_.failure.reset();
  EXPECT_EQ(RuleOf(floors_of_tpm_), "held");
  EXPECT_EQ(floors_of_tpm_.status().state, "held");
}

TEST_F(DeviceFloorsTest, ADamagedFileIsARefusal) {
  for (const std::string text :
       {"", "{}", R"({"sallyport":"floors/v2","base":"00"})", R"({"sallyport":"floors/v1"})",
        R"({"sallyport":"floors/v1","base":"0"})",
        R"({"base":"","sallyport":"floors/v1","x":1})"}) {
    ASSERT_TRUE(files_.MakeDirectories("/state"));
    ASSERT_TRUE(WriteFileAtomically(files_, "/state/floors.json", AsBytes(text)));
    DeviceFloors floors = Fresh();
    EXPECT_FALSE(floors.Floors()) << text;
    EXPECT_FALSE(counters_.made) << text;
  }
}

TEST_F(DeviceFloorsTest, APowerCutWhileAdoptingIsFinishedByTheNextStart) {
  for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly})
    for (uint64_t operations = 0;; ++operations) {
      MemoryFileSystem files;
      FakeFloorCounters counters;
      ASSERT_TRUE(files.MakeDirectories("/state"));
      files.CutPowerAfter(operations);
      const bool adopted = DeviceFloors(counters, files, "/state/floors.json").Floors().has_value();
      files.Restart(loss);
      ASSERT_TRUE(files.MakeDirectories("/state"));
      const auto again = DeviceFloors(counters, files, "/state/floors.json").Floors();
      ASSERT_TRUE(again) << operations << ": " << again.error().ToString();
      if (adopted) break;
    }
}

TEST_F(DeviceFloorsTest, AJumpBeyondTheLimitRaisesNothing) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  const uint64_t writes = counters_.writes;

  EXPECT_EQ(floors_of_tpm_.Raise(ota::kFloorRaiseMax + 1).error().name(), "floor.jump");
  EXPECT_EQ(counters_.writes, writes);
}

TEST_F(DeviceFloorsTest, AVersionFarAheadIsFollowedInSteps) {
  image_.role("targets").version = 1000;
  image_.Publish();
  director_.PublishNext();
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");

  ASSERT_TRUE(floors_of_tpm_.Raise(1));
  EXPECT_EQ(floors_of_tpm_.Floors()->image_targets_version, kAnchorRaiseMax);
  ASSERT_TRUE(floors_of_tpm_.Raise(1));
  EXPECT_EQ(floors_of_tpm_.Floors()->image_targets_version, 2 * kAnchorRaiseMax);
}

TEST_F(DeviceFloorsTest, ACutWhileRaisingLeavesTheIndexForLastAndIsFinishedByTheNextCommit) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  counters_.increments_left = 4;
  EXPECT_EQ(floors_of_tpm_.Raise(7).error().name(), "tpm.nv-increment");
  EXPECT_LT(*floors_of_tpm_.Read(), 7u);
  EXPECT_EQ(floors_of_tpm_.Floors()->image_root_version, 1u);

  counters_.increments_left = UINT64_MAX;
  DeviceFloors restarted = Fresh();
  ASSERT_TRUE(restarted.Raise(7));
  EXPECT_EQ(*restarted.Read(), 7u);
}

// The director's floor over restores of the server, of which each starts counting anew.
class DirectorFloorTest : public DeviceFloorsTest {
 protected:
  uint64_t RaisedBy(uint32_t incarnation, uint32_t counter) {
    State(ota::kDevice, "edge.example", static_cast<int>(incarnation));
    for (const char* role : {"timestamp", "snapshot", "targets"})
      director_.role(role).version = static_cast<int64_t>((uint64_t{incarnation} << 32) | counter);
    director_.Publish();
    EXPECT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
    EXPECT_TRUE(floors_of_tpm_.Raise(0));
    return floors_of_tpm_.Floors()->director_version;
  }
  static uint64_t Version(uint64_t incarnation, uint64_t counter) {
    return incarnation << 32 | counter;
  }
};

TEST_F(DirectorFloorTest, FollowsTheCounterInStepsAndNeverPassesIt) {
  EXPECT_EQ(RaisedBy(1, kDirectorStep - 1), Version(1, 0));
  EXPECT_EQ(RaisedBy(1, kDirectorStep), Version(1, kDirectorStep));
  EXPECT_EQ(RaisedBy(1, 3 * kDirectorStep + 5), Version(1, 3 * kDirectorStep));
}

TEST_F(DirectorFloorTest, OfANewIncarnationWaitsUntilItsVersionsHavePassedTheStep) {
  ASSERT_EQ(RaisedBy(1, 3 * kDirectorStep), Version(1, 3 * kDirectorStep));

  EXPECT_EQ(RaisedBy(2, 5), Version(1, 3 * kDirectorStep));
  EXPECT_EQ(RaisedBy(2, 3 * kDirectorStep + 1), Version(2, 3 * kDirectorStep));
}

// ---- Adoption

class AdoptionTest : public DeviceFloorsTest {
 protected:
  std::string Adopt(bool begin_at_zero = false) {
    DeviceFloors tool = Fresh();
    const auto adopted = tool.Adopt(begin_at_zero);
    if (!adopted) return std::string(adopted.error().name());
    last_ = *adopted;
    return "adopted";
  }
  Adoption last_{};
};

TEST_F(AdoptionTest, AfterAClearGivesBackWhatTheServerRecorded) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  ASSERT_TRUE(floors_of_tpm_.Recorded({7, 2, 3, 1, 0}));
  counters_.Undefine();
  const uint64_t writes = counters_.writes;

  EXPECT_EQ(Adopt(), "adopted");
  EXPECT_TRUE(last_.recorded);
  EXPECT_EQ(*Fresh().Read(), 7u);
  EXPECT_EQ(Fresh().Floors()->image_targets_version, 3u);
  EXPECT_EQ(counters_.writes, writes + kFloorCounters) << "no write per count";
}

TEST_F(AdoptionTest, ARunningAgentTakesThemUpByItself) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  ASSERT_TRUE(floors_of_tpm_.Recorded({7, 0, 0, 0, 0}));
  counters_.Undefine();
  ASSERT_TRUE(counters_.Make());
  EXPECT_EQ(RuleOf(floors_of_tpm_), "floor.changed");

  ASSERT_EQ(Adopt(), "adopted");
  EXPECT_EQ(RuleOf(floors_of_tpm_), "held");
  EXPECT_EQ(*floors_of_tpm_.Read(), 7u);
}

TEST_F(AdoptionTest, FloorsThatAreWholeAreLeftAlone) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  EXPECT_EQ(Adopt(), "floor.held");
  EXPECT_EQ(Adopt(true), "floor.held");
  ASSERT_TRUE(floors_of_tpm_.Recorded({6, 0, 0, 0, 0}));
  EXPECT_EQ(Adopt(), "floor.held") << "lower than what is held";
  EXPECT_EQ(*floors_of_tpm_.Read(), 7u);
}

// The owner cleared the TPM, and somebody wiped the disk: the agent began anew, the server knows.
TEST_F(AdoptionTest, FloorsBelowThoseRecordedAreGivenBackAndNoneIsLowered) {
  ASSERT_TRUE(floors_of_tpm_.Raise(2));
  ASSERT_TRUE(floors_of_tpm_.Recorded({1, 9, 0, 0, 0}));

  EXPECT_EQ(Adopt(), "adopted");
  EXPECT_EQ(last_.floors, (FloorCounts{2, 9, 0, 0, 0}));
  EXPECT_EQ(*Fresh().Read(), 2u);
  EXPECT_EQ(Fresh().Floors()->image_root_version, 9u);
}

TEST_F(AdoptionTest, WithoutARecordTheyBeginAtZeroOnlyWhenAsked) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  counters_.Undefine();

  EXPECT_EQ(Adopt(), "floor.unrecorded");
  EXPECT_FALSE(counters_.made);
  EXPECT_EQ(Adopt(true), "adopted");
  EXPECT_FALSE(last_.recorded);
  EXPECT_EQ(*Fresh().Read(), 0u);
}

TEST_F(AdoptionTest, AskingForZeroDoesNotForgetWhatWasRecorded) {
  ASSERT_TRUE(floors_of_tpm_.Raise(7));
  ASSERT_TRUE(floors_of_tpm_.Recorded({7, 0, 0, 0, 0}));
  counters_.Undefine();

  EXPECT_EQ(Adopt(true), "adopted");
  EXPECT_EQ(*Fresh().Read(), 7u);
}

TEST_F(AdoptionTest, FloorsOfAnotherTpmAreRefused) {
  ASSERT_TRUE(floors_of_tpm_.Recorded({1000, 0, 0, 0, 0}));
  EXPECT_EQ(Adopt(), "floor.other-tpm");
}

TEST_F(AdoptionTest, ATpmThatFailsAndADamagedRecordAreRefusals) {
  counters_.failure = Error{Reason::kUnavailable, "injected", "tpm.nv-read"};
  EXPECT_EQ(Adopt(true), "tpm.nv-read");
  counters_.failure = Error{Reason::kMismatch, "injected", "floor.foreign"};
  EXPECT_EQ(Adopt(true), "floor.foreign");
  counters_.failure.reset();
  for (const std::string text : {"", "{}", R"({"sallyport":"recorded-floors/v1","floors":"00"})",
                                 R"({"sallyport":"floors/v1","floors":""})"}) {
    ASSERT_TRUE(files_.MakeDirectories("/state"));
    ASSERT_TRUE(WriteFileAtomically(files_, "/state/floors.json.recorded", AsBytes(text)));
    EXPECT_NE(Adopt(true), "adopted") << text;
  }
}

TEST_F(AdoptionTest, APowerCutIsFinishedByTheNextCall) {
  for (uint64_t operations = 0;; ++operations) {
    MemoryFileSystem files;
    FakeFloorCounters counters;
    ASSERT_TRUE(files.MakeDirectories("/state"));
    const auto floors = [&] { return DeviceFloors(counters, files, "/state/floors.json"); };
    ASSERT_TRUE(floors().Raise(5));
    ASSERT_TRUE(floors().Recorded({5, 0, 0, 0, 0}));
    counters.Undefine();
    files.CutPowerAfter(operations);
    const bool adopted = floors().Adopt(false).has_value();
    files.Restart(PowerLoss::kAll);
    const auto again = floors().Adopt(false);
    EXPECT_TRUE(again || again.error().name() == "floor.held") << operations;
    ASSERT_EQ(*floors().Read(), 5u) << operations;
    if (adopted) break;
  }
}

// ---- Waiting

TEST_F(DeviceFloorsTest, StatusAndManifestsDoNotWaitForARaise) {
  ASSERT_EQ(Receive(floors_of_tpm_, verifier_), "obeyed");
  uint64_t answered = 0;
  counters_.on_increment = [&] {
    const auto asked = std::async(std::launch::async, [&] {
      return floors_of_tpm_.status().state == "held" && floors_of_tpm_.Floors().has_value();
    });
    ASSERT_EQ(asked.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    ++answered;
  };

  ASSERT_TRUE(floors_of_tpm_.Raise(300));
  EXPECT_GE(answered, 300u);
  counters_.on_increment = nullptr;
  EXPECT_EQ(*floors_of_tpm_.Read(), 300u);
}

TEST_F(DeviceFloorsTest, TwoRaisesAtOnceDoNotCountTwice) {
  ASSERT_TRUE(floors_of_tpm_.Raise(1));
  std::future<bool> other;
  counters_.on_increment = [&] {
    if (!other.valid())
      other = std::async(std::launch::async, [&] { return floors_of_tpm_.Raise(50).has_value(); });
  };
  ASSERT_TRUE(floors_of_tpm_.Raise(50));
  ASSERT_TRUE(other.get());
  EXPECT_EQ(*floors_of_tpm_.Read(), 50u);
}

}  // namespace
}  // namespace sallyport::device

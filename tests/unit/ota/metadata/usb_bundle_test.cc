// What a device takes of a bundle, and what a refused one leaves behind: nothing.
#include "ota/metadata/usb_bundle.h"

#include <gtest/gtest.h>

#include "ota/metadata/install_plan_maker.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
const std::string kRelease = "releases/edge-os/2.0.0/release.json";

// A repository that delegates bundles to the role `usb`, and a device that runs 1.5.0.
class UsbBundleTest : public testing::Test {
 protected:
  UsbBundleTest() {
    stick_.set_development(true);
    stick_.PublishRoot();
    AddSampleRelease(stick_, "1.5.0", 1);
    release_ = AddSampleRelease(stick_, "2.0.0", 2);
    stick_.Delegate("targets", {"usb", {"bundles/usb.json"}});
    Limits(1, 9);
    State(1);
    EXPECT_TRUE(device_.Initialise(stick_.metadata.at("1.root.json")));
    taker_.running = Digest("1.5.0");
  }
  void Limits(int min, int max) {
    stick_.edit = [min, max](const std::string& role, JsonValue& body) {
      if (role != "targets") return;
      const auto limits = JsonValue::Object({{"serial_min", min}, {"serial_max", max}});
      body = WithMember(body, {"sallyport"}, JsonValue::Object({}));
      body = WithMember(body, {"sallyport", "bundles"}, JsonValue::Object({{"usb", limits}}));
    };
  }
  // State publishes a statement of the role, and lays it into the bundle.
  void State(uint64_t serial, UnixTime made_at = kNow, Duration life = Days(180)) {
    statement_ = {"usb", serial, made_at, made_at + life, kRelease};
    Publish();
  }
  void Publish() {
    const Bytes json = ToBytes(WriteBundleStatement(statement_));
    stick_.targets("usb")["bundles/usb.json"].content = json;
    ++stick_.role("usb").version;
    stick_.PublishNext();
    stick_.metadata["bundle.json"] = json;
  }
  ReleaseDigest Digest(const std::string& version) {
    return ReleaseDigestOf(
        stick_.targets()["releases/edge-os/" + version + "/release.json"].content);
  }
  Result<VerifiedBundle> Verify(UnixTime now = kNow) {
    return VerifyUsbBundle(device_, stick_, "", taker_, now);
  }
  std::string Rule(UnixTime now = kNow) {
    const auto verified = Verify(now);
    return verified ? "ok" : std::string(verified.error().name());
  }
  // Held is all that the device's store holds.
  std::map<std::string, Bytes> Held() {
    std::map<std::string, Bytes> out;
    const auto names = files_.List("/device");
    for (const std::string& name : *names)
      out[name] = *ReadFile(files_, "/device/" + name, 1 << 24);
    return out;
  }

  TufRepository stick_{kNow, "edge.example"};
  std::optional<Release> release_;
  BundleStatement statement_;
  MemoryFileSystem files_;
  MetadataClient device_{files_, "/device", ImageRules("edge.example")};
  BundleTaker taker_{.hardware_id = "virtual-x86_64"};
};

TEST_F(UsbBundleTest, BecomesAPlanThatCommitsLocallyOnlyWhenTheStatementSaysSo) {
  const auto with_server = Verify();
  ASSERT_TRUE(with_server) << with_server.error().ToString();
  EXPECT_EQ(InstallPlanMaker::From(*with_server).local_commit(), LocalCommit::kRefused);
  EXPECT_EQ(InstallPlanMaker::From(*with_server).facts().release, Digest("2.0.0"));
  EXPECT_EQ(InstallPlanMaker::From(*with_server).facts().payload.path,
            "releases/edge-os/2.0.0/payload.bin");
  EXPECT_EQ(InstallPlanMaker::From(*with_server).origin(), PlanOrigin::kBrought);
  statement_.commit_locally = true;
  Publish();
  EXPECT_EQ(InstallPlanMaker::From(*Verify()).local_commit(), LocalCommit::kAllowed);
}

TEST_F(UsbBundleTest, MovesTheStoreForwardOnlyOnceEverythingHasPassed) {
  const auto fresh = Held();
  taker_.hardware_id = "other-board";
  EXPECT_EQ(Rule(), "uptane.hardware");
  EXPECT_EQ(Held(), fresh);
  taker_.hardware_id = "virtual-x86_64";
  EXPECT_EQ(Rule(), "ok");
  EXPECT_EQ(Held().size(), 5U) << "root, timestamp, snapshot, targets and the role";
}

// Somebody who holds an old, validly signed repository writes a statement of his own: it makes the
// expired timestamp pass, and must not leave a trace for that.
TEST_F(UsbBundleTest, AStatementThatNobodySignedPoisonsNothing) {
  const auto fresh = Held();
  BundleStatement chosen = statement_;
  chosen.made_at = kNow - Hours(1);
  chosen.expires = kNow + Days(300);
  stick_.metadata["bundle.json"] = ToBytes(WriteBundleStatement(chosen));
  EXPECT_EQ(Rule(kNow + Days(100)), "bundle.statement");
  EXPECT_EQ(Held(), fresh);
  chosen.role = "stranger";
  stick_.metadata["bundle.json"] = ToBytes(WriteBundleStatement(chosen));
  EXPECT_EQ(Rule(kNow + Days(100)), "tuf.unknown-target");
  EXPECT_EQ(Held(), fresh);
}

TEST_F(UsbBundleTest, ANewRootInARefusedBundleIsNotKept) {
  stick_.RotateKeys("timestamp");
  stick_.role("root").version = 2;
  stick_.PublishRoot();
  State(20);
  const auto fresh = Held();
  EXPECT_EQ(Rule(), "bundle.serial-limit");
  EXPECT_EQ(Held(), fresh);
  State(2);
  EXPECT_EQ(Rule(), "ok");
  EXPECT_EQ(Held().at("root.json"), stick_.metadata.at("2.root.json"));
}

TEST_F(UsbBundleTest, AdoptsInAnOrderThatACutLeavesWhole) {
  ASSERT_EQ(Rule(), "ok");
  stick_.RotateKeys("timestamp");
  stick_.role("root").version = 2;
  stick_.PublishRoot();
  State(2);
  const auto before = Held();
  for (uint64_t cut = 0;; ++cut) {
    ASSERT_LT(cut, 100U);
    for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kNothing}) {
      MemoryFileSystem files;
      ASSERT_TRUE(files.MakeDirectories("/device"));
      for (const auto& [name, bytes] : before)
        ASSERT_TRUE(WriteFileAtomically(files, "/device/" + name, bytes));
      MetadataClient device(files, "/device", ImageRules("edge.example"));
      files.CutPowerAfter(cut);
      const bool done = VerifyUsbBundle(device, stick_, "", taker_, kNow).has_value();
      files.CutPowerAfter(UINT64_MAX);
      files.Restart(loss);
      const auto again = VerifyUsbBundle(device, stick_, "", taker_, kNow);
      EXPECT_TRUE(again) << cut << " " << again.error().ToString();
      if (done && loss == PowerLoss::kNothing) return;
    }
  }
}

TEST_F(UsbBundleTest, IsTakenOnceAndResumedOnlyByTheSameBytes) {
  const Sha256Digest digest = Verify()->statement_digest();
  taker_.taken.insert({"usb", {1, digest, false}});
  EXPECT_EQ(Rule(), "ok") << "the installation was interrupted";
  taker_.taken.at("usb").finished = true;
  EXPECT_EQ(Rule(), "bundle.serial-used");
  taker_.taken.at("usb") = {1, pki::Sha256(AsBytes("another statement")), false};
  EXPECT_EQ(Rule(), "bundle.serial-used");
  taker_.taken.at("usb") = {2, digest, false};
  EXPECT_EQ(Rule(), "bundle.serial-used");
  State(3);
  EXPECT_EQ(Rule(), "ok");
  taker_.taken.clear();
  taker_.taken.insert({"other", {9, digest, true}});
  EXPECT_EQ(Rule(), "ok") << "serials are counted by role";
}

TEST_F(UsbBundleTest, AWipedStateBringsNothingBackFromBelowTheTpmsFloors) {
  const TrustedMetadata held = *MetadataClient(device_).Draft().Refresh(stick_, kNow);
  const uint64_t targets = held.top().version;
  taker_.floors.image_targets_version = targets;
  taker_.floors.image_root_version = 1;
  taker_.floors.rollback_index = 2;
  EXPECT_EQ(Rule(), "ok") << "at the floors";
  taker_.floors.image_targets_version = targets + 1;
  EXPECT_EQ(Rule(), "uptane.floor");
  taker_.floors.image_targets_version = targets;
  taker_.floors.image_root_version = 2;
  EXPECT_EQ(Rule(), "uptane.floor");
  taker_.floors.image_root_version = 1;
  taker_.floors.rollback_index = 3;
  EXPECT_EQ(Rule(), "uptane.release-rollback");
}

TEST_F(UsbBundleTest, IsJudgedByNoClockThatIsKnownToBeWrong) {
  State(2, kNow, Days(10));
  EXPECT_EQ(Rule(kNow - kBundleClockSkew), "ok");
  EXPECT_EQ(Rule(kNow - kBundleClockSkew - Milliseconds(1)), "bundle.clock");
  EXPECT_EQ(Rule(UnixTime{}), "bundle.clock");
  EXPECT_EQ(Rule(kNow + Days(10) - Milliseconds(1)), "ok");
  EXPECT_EQ(Rule(kNow + Days(10)), "bundle.expired");
  EXPECT_NE(Verify(kNow + Days(10)).error().detail.find("set the clock"), std::string::npos);
}

TEST_F(UsbBundleTest, LivesNoLongerThanABundleMay) {
  State(2, kNow, kBundleLifeMax);
  EXPECT_EQ(Rule(), "ok");
  State(3, kNow, Days(401));
  EXPECT_EQ(Rule(), "bundle.life");
  State(4, kNow, Seconds(0));
  EXPECT_EQ(Rule(), "bundle.expired");
}

TEST_F(UsbBundleTest, GoesOnlyOnTheProductAndTheVersionsThatItIsFor) {
  taker_.running = std::nullopt;
  EXPECT_EQ(Rule(), "bundle.running-unknown");
  taker_.running = ReleaseDigestOf(AsBytes("never heard of"));
  EXPECT_EQ(Rule(), "bundle.running-unknown");
  AddSampleRelease(stick_, "0.9.0", 1);
  Publish();
  taker_.running = Digest("0.9.0");
  EXPECT_EQ(Rule(), "bundle.min-version");
  Release other = *release_;
  other.product = "other-os";
  const Bytes json = ToBytes(WriteRelease(other));
  taker_.running = ReleaseDigestOf(json);
  taker_.known_releases = {ToBytes("not a release"), json};
  EXPECT_EQ(Rule(), "bundle.product");
}

TEST_F(UsbBundleTest, KnowsAWithdrawnReleaseThatRunsByTheDevicesOwnCopy) {
  const Bytes json = stick_.targets()["releases/edge-os/1.5.0/release.json"].content;
  std::erase_if(stick_.targets(), [](const auto& target) {
    return target.first.find("/1.5.0/") != std::string::npos;
  });
  Publish();
  EXPECT_EQ(Rule(), "bundle.running-unknown");
  taker_.known_releases = {json};
  EXPECT_EQ(Rule(), "ok");
}

TEST_F(UsbBundleTest, BringsNoReleaseWhoseFilesTargetsDoesNotSign) {
  stick_.targets()["releases/edge-os/2.0.0/payload.bin"].content = ToBytes("another payload");
  Publish();
  EXPECT_EQ(Rule(), "uptane.release-file");
  stick_.targets().erase("releases/edge-os/2.0.0/payload.bin");
  Publish();
  EXPECT_EQ(Rule(), "uptane.release-unsigned");
  stick_.targets().erase(kRelease);
  Publish();
  EXPECT_EQ(Rule(), "bundle.release");
}

TEST_F(UsbBundleTest, ARoleThatWasAskedForMustBeTheOneThatSigned) {
  EXPECT_TRUE(VerifyUsbBundle(device_, stick_, "usb", taker_, kNow));
  const auto other = VerifyUsbBundle(device_, stick_, "service", taker_, kNow);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().name(), "tuf.unknown-target");
}

TEST_F(UsbBundleTest, BringsNoSealedReleaseBecauseItBringsNoKey) {
  Release sealed = *release_;
  sealed.content_key = pki::ContentKeyId::FromArray({7});
  stick_.targets()[kRelease].content = ToBytes(WriteRelease(sealed));
  ++stick_.role("targets").version;
  Publish();
  EXPECT_EQ(Rule(), "bundle.sealed");
}

}  // namespace
}  // namespace sallyport::ota

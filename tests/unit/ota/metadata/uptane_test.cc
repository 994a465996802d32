#include "ota/metadata/uptane.h"

#include <gtest/gtest.h>

#include "ota/metadata/install_plan_maker.h"
#include "tests/unit/ota/metadata/manifest_fixture.h"

namespace sallyport::ota {
namespace {

class Manifest : public ManifestFixture {};

TEST_F(Manifest, CarriesReleaseSliceAndPolicyOnceVerified) {
  const auto manifest = Verify();

  ASSERT_TRUE(manifest) << manifest.error().ToString();
  ASSERT_TRUE(manifest->release());
  EXPECT_EQ(manifest->release()->release().version.text(), "2.0.0");
  EXPECT_EQ(manifest->release()->digest(), ReleaseDigestOf(image_.targets()[kReleasePath].content));
  EXPECT_EQ(manifest->slice(), slice_);
  EXPECT_EQ(manifest->policy_manifest(), ToBytes("policy manifest"));
  EXPECT_EQ(manifest->version(), static_cast<uint64_t>(kFirst));
  EXPECT_EQ(manifest->rollout(), "r1");
  EXPECT_EQ(manifest->expires(), kNow + Days(1));
}

TEST_F(Manifest, MakesThePlanOfTheInstaller) {
  const auto manifest = Verify();
  const InstallFacts facts = InstallPlanMaker::From(*manifest->release()).facts();

  EXPECT_EQ(facts.release, manifest->release()->digest());
  EXPECT_EQ(facts.version, "2.0.0");
  EXPECT_EQ(InstallPlanMaker::From(*manifest->release()).origin(), PlanOrigin::kAssigned);
  EXPECT_EQ(facts.rollback_index, 2U);
  EXPECT_EQ(facts.image_length, release_->image.length);
  EXPECT_EQ(facts.uki.path, release_->uki.path);
  EXPECT_EQ(facts.payload.sha256, release_->image.payload.sha256);
  EXPECT_EQ(facts.install_by, UnixTime::FromSeconds(1'800'000'000));
}

TEST_F(Manifest, IsVerifiedAgainFromStorageWithoutANetwork) {
  EXPECT_EQ(StoredRule(), "not-found");
  ASSERT_EQ(Rule(), "ok");
  EXPECT_EQ(StoredRule(), "ok");
  EXPECT_EQ(StoredRule(kNow + Days(1)), "tuf.expired");
}

TEST_F(Manifest, IsAcceptedAgainUnchanged) {
  ASSERT_EQ(Rule(), "ok");
  EXPECT_EQ(Rule(), "ok");
}

TEST_F(Manifest, OfAnotherDeviceIsRefused) {
  State(std::string(52, 'b'), "edge.example", 1);
  Assign();
  EXPECT_EQ(Rule(), "uptane.foreign-device");
}

TEST_F(Manifest, OfAnotherTrustDomainIsRefused) {
  State(kDevice, "other.example", 1);
  Assign();
  EXPECT_EQ(Rule(), "uptane.foreign-domain");
}

TEST_F(Manifest, WhoseVersionContradictsItsIncarnationIsRefused) {
  State(kDevice, "edge.example", 2);
  Assign();
  EXPECT_EQ(Rule(), "uptane.incarnation");
}

TEST_F(Manifest, WithoutAStatementIsRefused) {
  director_.set_statement(JsonValue());
  Assign();
  EXPECT_EQ(Rule(), "json.type");
}

TEST_F(Manifest, OlderThanTheHeldOneIsRefusedAndTheHeldOneStays) {
  const DeviceManifest old = director_.Manifest(slice_);
  director_.PublishNext();
  ASSERT_EQ(Rule(), "ok");
  EXPECT_EQ(verifier_.Verify(old, image_, floors_, kNow).error().name(), "tuf.rollback");
  EXPECT_EQ(verifier_.VerifyStored(floors_, kNow)->version(), static_cast<uint64_t>(kFirst) + 1);
}

TEST_F(Manifest, OfEqualVersionButOtherContentIsRefused) {
  ASSERT_EQ(Rule(), "ok");
  director_.role("timestamp").expires = kNow + Days(3);
  director_.Publish();
  EXPECT_EQ(Rule(), "tuf.equal-version-differs");
}

TEST_F(Manifest, BelowTheFloorsOfTheTpmIsRefused) {
  floors_ = {.director_version = static_cast<uint64_t>(kFirst) + 1};
  EXPECT_EQ(Rule(), "uptane.floor");
  floors_ = {.image_root_version = 2};
  EXPECT_EQ(Rule(), "uptane.floor");
  floors_ = {.image_targets_version = 9};
  EXPECT_EQ(Rule(), "uptane.floor");
  floors_ = {.rollback_index = 3};
  EXPECT_EQ(Rule(), "uptane.release-rollback");
  floors_ = {.rollback_index = 2};
  EXPECT_EQ(Rule(), "ok");
}

TEST_F(Manifest, ForOtherHardwareIsRefused) {
  ManifestVerifier other(files_, "/other", {kDevice, "edge.example", "toaster"});
  ASSERT_TRUE(other.Provision(image_.CurrentRoot(), director_.CurrentRoot()));
  EXPECT_EQ(other.Verify(director_.Manifest(slice_), image_, floors_, kNow).error().name(),
            "uptane.hardware");
}

TEST_F(Manifest, WithAReleaseTheImageRepositoryDoesNotSignIsRefused) {
  image_.targets().erase(kReleasePath);
  image_.PublishNext();
  EXPECT_EQ(Rule(), "uptane.release-unsigned");
}

TEST_F(Manifest, WithAReleaseSignedByAnotherRoleIsRefused) {
  image_.Delegate("targets", {"helper", {"releases/*/*/*"}});
  image_.targets("helper")[kReleasePath] = image_.targets()[kReleasePath];
  image_.targets().erase(kReleasePath);
  image_.PublishNext();
  EXPECT_EQ(Rule(), "uptane.release-unsigned");
}

TEST_F(Manifest, IsRefusedUnlessBothRepositoriesAgreeOnLengthDigestAndHardware) {
  auto& target = director_.targets()[kReleasePath];
  const auto good = target;
  target.content.push_back(' ');
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
  target = good;
  target.content.back() ^= 1;
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
  target = good;
  target.custom =
      WithMember(good.custom, {"hardware"}, JsonValue::Strings({"virtual-x86_64", "toaster"}));
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
  target = good;
  target.custom = WithMember(good.custom, {"version"}, "3.0.0");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
}

TEST_F(Manifest, WhoseReleaseContradictsItsMetadataIsRefused) {
  image_.targets()[kReleasePath].custom = WithMember(image_.targets()[kReleasePath].custom,
                                                     {"hardware"}, JsonValue::Strings({"toaster"}));
  image_.PublishNext();
  Assign();
  EXPECT_EQ(Rule(), "uptane.release-content");
}

TEST_F(Manifest, WhoseReleaseNamesAFileTheRepositoryHasOtherwiseIsRefused) {
  image_.targets()["releases/edge-os/2.0.0/uki.efi"].content = ToBytes("another uki");
  image_.PublishNext();
  EXPECT_EQ(Rule(), "uptane.release-file");
}

TEST_F(Manifest, WithForeignOrMissingSliceBytesIsRefused) {
  for (const char* bytes : {"other", ""}) {
    slice_ = ToBytes(bytes);
    EXPECT_NE(Rule(), "ok");
  }
}

TEST_F(Manifest, WithASliceThatNobodySignedIsRefused) {
  director_.targets().erase("slice.json");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.slice-unsigned");
}

TEST_F(Manifest, WithAThirdOrUnknownTargetIsRefused) {
  director_.targets()["extra"].content = ToBytes("x");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.director-targets");
  director_.targets().erase("slice.json");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.director-targets");
}

TEST_F(Manifest, WhoseDirectorDelegatesIsRefused) {
  director_.Delegate("targets", {"helper", {"*"}});
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.director-delegates");
}

TEST_F(Manifest, WithoutAPolicyManifestUnderThePolicyRoleIsRefused) {
  image_.targets("policy").clear();
  image_.PublishNext();
  EXPECT_EQ(Rule(), "tuf.unknown-target");
}

TEST_F(Manifest, WhosePolicyWasSignedByTheReleaseRoleIsRefused) {
  image_.targets()["policy/policy.json"].content = ToBytes("policy manifest");
  image_.PublishNext();
  EXPECT_EQ(Rule(), "uptane.policy-role");
}

TEST_F(Manifest, BeforeTheFirstPolicyCarriesNone) {
  TufRepository image(kNow, "edge.example");
  image.set_development(true);
  image.PublishRoot();
  ManifestVerifier verifier(files_, "/fresh", {kDevice, "edge.example", "virtual-x86_64"});
  ASSERT_TRUE(verifier.Provision(image.CurrentRoot(), director_.CurrentRoot()));
  director_.targets().erase(kReleasePath);
  director_.Publish();

  const auto manifest = verifier.Verify(director_.Manifest(slice_), image, floors_, kNow);
  ASSERT_TRUE(manifest) << manifest.error().ToString();
  EXPECT_FALSE(manifest->policy_manifest());
  EXPECT_FALSE(manifest->release());
}

TEST_F(Manifest, FollowsTheDirectorsRootAndRecoversFromFastForward) {
  for (const char* role : {"timestamp", "snapshot", "targets"})
    director_.role(role).version = kFirst + 1000;
  director_.Publish();
  ASSERT_EQ(Rule(), "ok");
  for (const char* role : {"timestamp", "snapshot", "targets"})
    director_.role(role).version = kFirst + 1;
  director_.RotateKeys("timestamp");
  director_.RotateKeys("snapshot");
  director_.role("root").version = 2;
  director_.PublishRoot();
  director_.Publish();
  EXPECT_EQ(Rule(), "ok");
  EXPECT_EQ(StoredRule(), "ok");
}

TEST_F(Manifest, StateSurvivesAPowerCutAtEveryStep) {
  ASSERT_EQ(Rule(), "ok");
  image_.PublishNext();
  director_.PublishNext();
  for (uint64_t step = 0;; ++step) {
    files_.CutPowerAfter(step);
    const bool done = Rule() == "ok";
    files_.Restart();
    ASSERT_EQ(StoredRule(), "ok") << "cut after " << step;
    if (done) break;
  }
}

TEST_F(Manifest, StateIsRefusedWithAnyBitFlipped) {
  ASSERT_EQ(Rule(), "ok");
  const std::string path = "/state/verified-state";
  const Bytes good = ReadFile(files_, path, 1 << 20).value();
  for (size_t i = 0; i < good.size(); i += 5) {
    Bytes bad = good;
    bad[i] ^= static_cast<uint8_t>(1 << (i % 5));  // bit 5 only changes the case of hex
    ASSERT_TRUE(WriteFileAtomically(files_, path, bad));
    EXPECT_NE(StoredRule(), "ok") << "byte " << i;
  }
}

TEST_F(Manifest, StateIsRefusedAtEveryTruncation) {
  ASSERT_EQ(Rule(), "ok");
  const Bytes good = ReadFile(files_, "/state/verified-state", 1 << 20).value();
  for (size_t size = 0; size < good.size(); size += 7)
    EXPECT_FALSE(DecodeBundle(ByteView(good).first(size))) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(DecodeBundle(longer));
}

}  // namespace
}  // namespace sallyport::ota

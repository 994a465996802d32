// Manifests over a real store: what a device is told, and when it has news.
#include "attestation-server/director/manifests.h"

#include "attestation-server/store/meta.h"
#include "attestation-server/store/policies.h"
#include "attestation-server/store/rollouts.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/attestation-server/director/site_policy.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

// SameSite is the site policy with a grant for peers of one site only.
std::string SameSite() {
  std::string out(kSitePolicy);
  out.insert(out.find("expires:"), "same: site, ");
  return out;
}

class ManifestsTest : public StoreTest {
 protected:
  ManifestsTest() {
    Open();
    for (uint8_t i = 1; i <= 3; ++i) {
      DeviceRecord device = MakeDevice(i);
      device.attested_at = kNow;
      device.valid_until = kNow + Hours(1);
      if (i == 3) device.placement.site = "oslo";
      Do([&](Connection& c) { return Devices(c).Insert(device); });
      ids_.push_back(device.id);
    }
    manifests_ =
        std::make_unique<Manifests>(ManifestParts{*database_, signer_, zones_},
                                    ManifestTerms{"edge.example", 1, Hours(24), {ToBytes("root")}});
  }
  template <typename Body>
  void Do(Body body) {
    ASSERT_TRUE(
        Write([&](Transaction& t) -> Result<Unit> { return body(t.connection()); }).has_value());
  }
  void Apply(std::string_view source, uint64_t version) {
    const std::string manifest = ManifestOf(source, static_cast<int64_t>(version));
    Do([&](Connection& c) {
      return Policies(c).Apply({version, "site", pki::Sha256(AsBytes(manifest)), manifest,
                                std::string(source), "alice", kNow});
    });
    manifests_->Invalidate();
  }
  uint64_t Generation(size_t device, UnixTime now = kNow) {
    return manifests_->Generation(ids_[device], now).value();
  }
  std::string SliceOf(size_t device, UnixTime now = kNow) {
    const auto manifest = manifests_->For(ids_[device], now);
    return manifest ? ToString(manifest->slice) : std::string(manifest.error().name());
  }

  static pki::PrivateKey NewKey() {
    return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  }
  std::vector<std::string> ids_;
  policy::ZoneLookup zones_ = Zones();
  LocalDirectorSigner signer_{"edge.example", NewKey(), NewKey(), NewKey()};
  std::unique_ptr<Manifests> manifests_;
};

TEST_F(ManifestsTest, WithoutAPolicyTheSliceIsEmptyAndNothingIsAllowed) {
  EXPECT_EQ(SliceOf(0), "");
  EXPECT_GT(Generation(0), 0u) << "a device without policy is told so too";
}

TEST_F(ManifestsTest, SliceNamesThePeersThatAPolicyLetsIn) {
  Apply(SameSite(), 1);
  const std::string slice = SliceOf(0);
  EXPECT_NE(slice.find(ids_[1]), std::string::npos);
  EXPECT_EQ(slice.find(ids_[2]), std::string::npos) << "of another site";
}

TEST_F(ManifestsTest, NamesNoReleaseThatWasWithdrawn) {
  ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
  const std::string json = ota::WriteRelease(ota::AddSampleRelease(repository, "2.0.0", 2));
  const ReleaseDigest digest = ota::ReleaseDigestOf(AsBytes(json));
  const std::string path = "releases/edge-os/2.0.0/release.json";
  Do([&](Connection& c) -> Result<Unit> {
    SP_TRY(PutRelease(c, {digest, "edge-os", "2.0.0", path, json, kNow}));
    RolloutRow rollout;
    rollout.name = "v2";
    rollout.release = digest;
    rollout.state = RolloutState::kComplete;
    RolloutDeviceRow device;
    device.rollout = "v2";
    device.device_id = ids_[0];
    device.assigned = true;
    return Rollouts(c).Insert(rollout, {device});
  });
  const auto named = [&] {
    const auto manifest = manifests_->For(ids_[0], kNow);
    return ToString(manifest->targets).find(path) != std::string::npos;
  };
  EXPECT_TRUE(named());
  Do([&](Connection& c) { return SetWithdrawn(c, digest, true); });
  manifests_->Invalidate();
  EXPECT_FALSE(named()) << "the device would refuse all of the manifest";
}

TEST_F(ManifestsTest, AskingAgainMakesNothingNew) {
  Apply(SameSite(), 1);
  const auto first = manifests_->For(ids_[0], kNow);
  const auto second = manifests_->For(ids_[0], kNow + Minutes(1));
  EXPECT_EQ(first->targets, second->targets);
  EXPECT_EQ(first->slice, second->slice);
}

TEST_F(ManifestsTest, NewPolicyIsNewsForThoseItConcerns) {
  Apply(SameSite(), 1);
  const uint64_t camera = Generation(0);
  std::string wider(SameSite());
  wider.replace(wider.find("tcp/8554"), 8, "tcp/8555");

  Apply(wider, 2);

  EXPECT_GT(Generation(0), camera);
}

TEST_F(ManifestsTest, ChangeThatDoesNotConcernADeviceIsNoNews) {
  Apply(SameSite(), 1);
  const uint64_t oslo = Generation(2);
  Do([&](Connection& c) -> Result<Unit> {
    DeviceRecord device = *Devices(c).Find(ids_[0]).value();
    device.endpoint = "192.0.2.9:15008";
    return Devices(c).Update(device);
  });
  manifests_->Invalidate();

  EXPECT_EQ(Generation(2), oslo);
  EXPECT_GT(Generation(1), 0u);
}

TEST_F(ManifestsTest, QuarantinedPeerLeavesTheSlice) {
  Apply(SameSite(), 1);
  const uint64_t before = Generation(0);
  ASSERT_NE(SliceOf(0).find(ids_[1]), std::string::npos);
  Do([&](Connection& c) -> Result<Unit> {
    DeviceRecord device = *Devices(c).Find(ids_[1]).value();
    device.state = DeviceState::kQuarantined;
    device.causes = {QuarantineCause::kOperator};
    ++device.epoch;
    return Devices(c).Update(device);
  });
  manifests_->Invalidate();

  EXPECT_GT(Generation(0), before);
}

TEST_F(ManifestsTest, HalfOfTheLeaseIsNewsByItself) {
  Apply(SameSite(), 1);
  const uint64_t before = Generation(0);
  EXPECT_GT(Generation(0, kNow + Hours(12)), before);
}

TEST_F(ManifestsTest, VersionsNeverRepeat) {
  Apply(SameSite(), 1);
  std::set<std::string> seen;
  for (int half = 0; half < 4; ++half)
    seen.insert(ToString(manifests_->For(ids_[0], kNow + Hours(12 * half))->targets));
  seen.insert(ToString(manifests_->For(ids_[1], kNow)->targets));
  EXPECT_EQ(seen.size(), 5u);
}

TEST_F(ManifestsTest, PolicyInForceThatNoLongerReadsGivesNobodyAnything) {
  Apply(SameSite(), 1);
  Do([&](Connection& c) -> Result<Unit> {
    SP_TRY(c.Execute("UPDATE policies SET source = 'sallyport: policy/v1'"));
    return Unit{};
  });
  manifests_->Invalidate();

  EXPECT_EQ(SliceOf(0), "policy.stale");
  EXPECT_EQ(manifests_->Generation(ids_[0], kNow).error().rule, "policy.stale");
}

TEST_F(ManifestsTest, SignedRulesAndStoredSourceMustAgree) {
  Apply(SameSite(), 1);
  std::string wider(SameSite());
  wider.replace(wider.find("same: site, "), 12, "");
  Do([&](Connection& c) -> Result<Unit> {
    SP_TRY(c.Execute("UPDATE policies SET source = :source", {wider}));
    return Unit{};
  });
  manifests_->Invalidate();

  EXPECT_FALSE(manifests_->For(ids_[0], kNow).has_value());
}

TEST_F(ManifestsTest, NewsLastUntilTheDeviceHoldsTheManifestThatCarriesThem) {
  EXPECT_EQ(manifests_->NewsOf(ids_[0]), std::nullopt) << "nobody asked";
  Apply(SameSite(), 1);
  static_cast<void>(Generation(0));
  EXPECT_EQ(manifests_->NewsOf(ids_[0])->since, kNow);
  EXPECT_EQ(manifests_->NewsOf(ids_[0])->version, 0u) << "it has not asked";
  const auto manifest = manifests_->For(ids_[0], kNow + Minutes(1));
  const uint64_t version = manifests_->NewsOf(ids_[0])->version;
  EXPECT_NE(ToString(manifest->targets).find("\"version\":" + std::to_string(version)),
            std::string::npos);
  EXPECT_EQ(manifests_->NewsOf(ids_[0])->since, kNow);

  std::string wider(SameSite());
  wider.replace(wider.find("tcp/8554"), 8, "tcp/8555");
  Apply(wider, 2);
  static_cast<void>(Generation(0, kNow + Hours(1)));
  EXPECT_EQ(manifests_->NewsOf(ids_[0])->since, kNow + Hours(1));
  EXPECT_EQ(manifests_->NewsOf(ids_[0])->version, 0u);
}

TEST_F(ManifestsTest, KeepsNoMoreDevicesThanToldAndTellsAForgottenOneAnew) {
  ManifestTerms terms{"edge.example", 1, Hours(24), {ToBytes("root")}};
  terms.devices_max = 2;
  manifests_ = std::make_unique<Manifests>(ManifestParts{*database_, signer_, zones_}, terms);
  Apply(SameSite(), 1);
  const uint64_t first = Generation(0);
  static_cast<void>(Generation(1));
  EXPECT_EQ(Generation(0), first) << "used last";
  static_cast<void>(Generation(2));
  EXPECT_EQ(manifests_->NewsOf(ids_[1]), std::nullopt) << "used longest ago";
  EXPECT_EQ(Generation(0), first);
  EXPECT_GT(Generation(1), first) << "a number that no stream has pushed before";
  EXPECT_NE(SliceOf(1), "");
}

TEST_F(ManifestsTest, ForgetsADeviceThatWasCutOff) {
  Apply(SameSite(), 1);
  const auto manifest = manifests_->For(ids_[0], kNow);
  manifests_->Forget(ids_[0]);
  EXPECT_EQ(manifests_->NewsOf(ids_[0]), std::nullopt);
  EXPECT_NE(manifests_->For(ids_[0], kNow)->targets, manifest->targets) << "signed anew";
}

TEST_F(ManifestsTest, ANewDirectorRootIsNewsForEveryDevice) {
  Apply(SameSite(), 1);
  const uint64_t before = Generation(0);
  ASSERT_EQ(manifests_->For(ids_[0], kNow)->root_chain.size(), 1u);
  manifests_->AddDirectorRoot(ToBytes("root 2"));
  EXPECT_GT(Generation(0), before);
  EXPECT_EQ(manifests_->For(ids_[0], kNow)->root_chain,
            (std::vector<Bytes>{ToBytes("root"), ToBytes("root 2")}));
}

}  // namespace
}  // namespace sallyport::server

// The store's devices as policy and manifests see them: who is known, and what is said of each.
#include "attestation-server/director/inventory.h"

#include "attestation-server/director/manifests.h"
#include "attestation-server/store/policies.h"
#include "attestation-server/store/rollouts.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/attestation-server/director/site_policy.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

constexpr const char* kReleasePath = "releases/edge-os/2.0.0/release.json";

pki::PrivateKey NewKey() { return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value(); }

class InventoryTest : public StoreTest {
 protected:
  InventoryTest() {
    for (uint8_t i = 1; i <= 2; ++i) {
      devices_.push_back(MakeDevice(i));
      Keep(devices_.back());
    }
  }
  void Keep(const DeviceRecord& device) {
    ASSERT_TRUE(
        Write([&](Transaction& t) { return Devices(t.connection()).Insert(device); }).has_value());
  }
  // PutInForce stores `source` with the manifest that was signed for kSitePolicy.
  void PutInForce(std::string_view source) {
    PolicyRow row;
    row.version = 1;
    row.name = "site";
    row.manifest = ManifestOf(kSitePolicy, 1);
    row.manifest_hash = pki::Sha256(AsBytes(row.manifest));
    row.source = source;
    row.applied_by = "alice";
    row.applied_at = kNow;
    ASSERT_TRUE(
        Write([&](Transaction& t) { return Policies(t.connection()).Apply(row); }).has_value());
    manifests_.Invalidate();
  }
  void Report(size_t device, UpdateState state) {
    ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                  SP_TRY(auto row, FindAssignment(t.connection(), devices_[device].id));
                  row->state = state;
                  return Rollouts(t.connection()).UpdateDevice(*row);
                }).has_value());
    manifests_.Invalidate();
  }
  void AssignRelease(size_t device) {
    ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
    ReleaseRow release;
    release.json = ota::WriteRelease(ota::AddSampleRelease(repository, "2.0.0", 2));
    release.digest = ReleaseDigest::FromView(pki::Sha256(AsBytes(release.json)).view()).value();
    release.product = "edge-os";
    release.version = "2.0.0";
    release.path = kReleasePath;
    release.created_at = kNow;
    RolloutRow rollout;
    rollout.name = "v2";
    rollout.release = release.digest;
    rollout.state = RolloutState::kCanary;
    rollout.created_by = "alice";
    rollout.created_at = rollout.changed_at = kNow;
    RolloutDeviceRow assignment;
    assignment.rollout = "v2";
    assignment.device_id = devices_[device].id;
    assignment.wave = RolloutWave::kCanary;
    assignment.assigned = true;
    ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                  SP_TRY(PutRelease(t.connection(), release));
                  return Rollouts(t.connection()).Insert(rollout, {assignment});
                }).has_value());
    manifests_.Invalidate();
  }
  uint64_t Generation(size_t device, UnixTime now = kNow) {
    const Result<uint64_t> generation = manifests_.Generation(devices_[device].id, now);
    EXPECT_TRUE(generation.has_value()) << generation.error().ToString();
    return generation ? *generation : 0;
  }
  ota::DeviceManifest Manifest(size_t device, UnixTime now = kNow) {
    auto manifest = manifests_.For(devices_[device].id, now);
    EXPECT_TRUE(manifest.has_value()) << manifest.error().ToString();
    return manifest ? *std::move(manifest) : ota::DeviceManifest{};
  }

  template <typename T>
  static Reason ReasonOf(const Result<T>& result) {
    EXPECT_FALSE(result.has_value());
    return result ? Reason::kInternal : result.error().reason;
  }

  std::vector<DeviceRecord> devices_;
  policy::ZoneLookup zones_ = Zones();
  LocalDirectorSigner signer_{"edge.example", NewKey(), NewKey(), NewKey()};
  Manifests manifests_{{Open(), signer_, zones_},
                       {"edge.example", 1, Hours(24), {ToBytes("root")}}};
};

TEST_F(InventoryTest, ManifestsAreForKnownDevicesOnlyWithAndWithoutAPolicy) {
  const std::string unknown(52, 'z');
  EXPECT_EQ(ReasonOf(manifests_.For(unknown, kNow)), Reason::kNotFound);
  EXPECT_EQ(ReasonOf(manifests_.Generation(unknown, kNow)), Reason::kNotFound);
  PutInForce(kSitePolicy);
  EXPECT_EQ(ReasonOf(manifests_.For(unknown, kNow)), Reason::kNotFound);
}

TEST_F(InventoryTest, AssignedReleaseIsNewsForThatDeviceAlone) {
  const uint64_t first = Generation(0);
  const uint64_t second = Generation(1);
  AssignRelease(0);
  EXPECT_GT(Generation(0), first);
  EXPECT_EQ(Generation(1), second);
  EXPECT_NE(AsText(Manifest(0).targets).find(kReleasePath), std::string_view::npos);
  EXPECT_EQ(AsText(Manifest(1).targets).find(kReleasePath), std::string_view::npos);
}

// Its reference values close with the failure, so that another attempt would not be admitted.
TEST_F(InventoryTest, AFailedAttemptEndsTheAssignment) {
  for (const UpdateState state : {UpdateState::kFailed, UpdateState::kRolledBack}) {
    SCOPED_TRACE(TextOf(state));
    if (state == UpdateState::kFailed) AssignRelease(0);
    Report(0, UpdateState::kWriting);
    EXPECT_NE(AsText(Manifest(0).targets).find(kReleasePath), std::string_view::npos);
    Report(0, state);
    EXPECT_EQ(AsText(Manifest(0).targets).find(kReleasePath), std::string_view::npos);
  }
}

TEST_F(InventoryTest, LoadsEveryDevicePastThePage) {
  ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                for (int i = 0; i < 1000; ++i) {
                  DeviceRecord device = MakeDevice(3);
                  device.name = "more-" + std::to_string(i);
                  device.tpm.ek_spki_hash = pki::Sha256(AsBytes(device.name));
                  device.tpm.ak_name = ToBytes(device.name);
                  std::string id = std::to_string(i);
                  for (char& c : id) c = static_cast<char>('b' + (c - '0'));
                  device.id = "z" + std::string(51 - id.size(), 'a') + id;
                  SP_TRY(Devices(t.connection()).Insert(device));
                }
                return Unit{};
              }).has_value());
  Snapshot snapshot = database_->Read().value();
  EXPECT_EQ(LoadDevices(snapshot.connection()).value().size(), 1002u);
}

TEST_F(InventoryTest, LeavesRetiredDevicesOutButTellsPeersOfThem) {
  devices_[1].state = DeviceState::kRetired;
  EXPECT_EQ(InventoryOf(devices_, kNow).devices.size(), 1u);
  const std::vector<policy::DeviceFacts> facts = FactsOf(devices_);
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_EQ(facts[1].state, policy::DeviceState::kRetired);
}

TEST_F(InventoryTest, CountsEvidenceOnlyWhileItIsWorthSomething) {
  DeviceRecord device = devices_[0];
  const auto age = [&](UnixTime now) { return InventoryOf({device}, now).devices[0].attested; };
  EXPECT_FALSE(age(kNow)) << "never attested";
  device.attested_at = kNow;
  device.valid_until = kNow + Hours(1);
  EXPECT_EQ(age(kNow + Minutes(5)), Minutes(5));
  EXPECT_FALSE(age(kNow + Hours(1))) << "ran out";
  device.posture = Posture::kFailing;
  EXPECT_FALSE(age(kNow + Minutes(5)));
}

TEST_F(InventoryTest, FactsCarryTheEpochAndNoFloorOfTier) {
  devices_[0].epoch = 7;
  devices_[0].tier = pki::Tier::kMeasured;
  devices_[0].endpoint = "192.0.2.7:7443";
  const policy::DeviceFacts fact = FactsOf({devices_[0]}).front();
  EXPECT_EQ(fact.min_epoch, 7u);
  EXPECT_EQ(fact.tier, policy::Tier::kNone);
  EXPECT_EQ(fact.endpoint, "192.0.2.7:7443");
}

}  // namespace
}  // namespace sallyport::server

// Who is let in by a certificate, and what a device is told of the others, from the store.
#include "attestation-server/service/fleet.h"

#include "tests/fakes/fake_clock.h"
#include "tests/unit/attestation-server/store/store_fixture.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::server {
namespace {

class FleetTest : public StoreTest {
 protected:
  FleetTest() {
    Open();
    device_.id = world_.device.text();
    device_.incarnation = world_.extension.incarnation;
    device_.epoch = world_.extension.epoch;
    device_.valid_until = world_.now + Hours(1);
    manifests_ =
        std::make_unique<Manifests>(ManifestParts{*database_, signer_, zones_},
                                    ManifestTerms{"edge.example", 1, Hours(24), {ToBytes("root")}});
    fleet_ = std::make_unique<Fleet>(FleetParts{*database_, *manifests_, leaves_, metrics_, clock_},
                                     pki::StatementSigner::Make("time", NewKey()).value(),
                                     pki::BundleOf(world_.hierarchy, world_.domain, 1), 7);
  }
  void Keep(const DeviceRecord& device) {
    ASSERT_TRUE(
        Write([&](Transaction& t) { return Devices(t.connection()).Insert(device); }).has_value());
  }
  pki::VerifiedPeer Peer() {
    const pki::IssuedLeaf leaf = world_.Device();
    serial_ = HexEncode(leaf.serial);
    return pki::VerifyPeer(leaf.der, {}, world_.anchors, pki::Role::kDevice, world_.domain,
                           world_.now)
        .value();
  }
  std::string Rule() {
    const auto let_in = fleet_->OnAuthenticated(Peer());
    return let_in.has_value() ? "let in" : std::string(let_in.error().name());
  }
  std::string RuleWith(const DeviceRecord& device) {
    Keep(device);
    return Rule();
  }
  static pki::PrivateKey NewKey() {
    return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  }

  pki::World world_;
  DeviceRecord device_ = MakeDevice(1);
  FakeClock clock_{world_.now};
  std::string serial_;
  policy::ZoneLookup zones_ = [](std::string_view name) { return policy::ZoneRule::Parse(name); };
  LocalDirectorSigner signer_{"edge.example", NewKey(), NewKey(), NewKey()};
  ServerLeaves leaves_;
  Metrics metrics_;
  std::unique_ptr<Manifests> manifests_;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(FleetTest, LetsALiveDeviceIn) { EXPECT_EQ(RuleWith(device_), "let in"); }

TEST_F(FleetTest, KnowsNoStranger) { EXPECT_EQ(Rule(), "lease.unknown"); }

TEST_F(FleetTest, RefusesACertificateOfASupersededEpoch) {
  ++device_.epoch;
  EXPECT_EQ(RuleWith(device_), "lease.epoch");
}

TEST_F(FleetTest, RefusesACertificateOfAnEarlierIncarnation) {
  ++device_.incarnation;
  device_.epoch = 0;
  EXPECT_EQ(RuleWith(device_), "lease.epoch");
}

TEST_F(FleetTest, RefusesEveryStateButActive) {
  device_.state = DeviceState::kQuarantined;
  device_.causes = {QuarantineCause::kOperator};
  EXPECT_EQ(RuleWith(device_), "lease.state");
}

TEST_F(FleetTest, RefusesAFailingPosture) {
  device_.posture = Posture::kFailing;
  EXPECT_EQ(RuleWith(device_), "lease.posture");
}

TEST_F(FleetTest, RefusesWhenTheEvidenceHasRunOut) {
  Keep(device_);
  clock_.Advance(Milliseconds(3'599'999));
  EXPECT_EQ(Rule(), "let in");
  clock_.Advance(Milliseconds(1));
  EXPECT_EQ(Rule(), "lease.expired");
  EXPECT_FALSE(fleet_->Lease(device_.id)->live);
}

TEST_F(FleetTest, FirstUseOfANewCertificateMakesItTheCurrentOne) {
  const pki::VerifiedPeer peer = Peer();
  device_.current_key = KeySlot{Bytes(34, 1), "old", world_.now + Hours(1)};
  device_.next_key = KeySlot{Bytes(34, 2), serial_, world_.now + Hours(1)};
  Keep(device_);

  ASSERT_TRUE(fleet_->OnAuthenticated(peer).has_value());

  // The writer takes work in order: this waits for the promotion.
  ASSERT_TRUE(Write([](Transaction&) -> Result<Unit> { return Unit{}; }).has_value());
  Snapshot snapshot = database_->Read().value();
  const DeviceRecord stored = *Devices(snapshot.connection()).Find(device_.id).value();
  EXPECT_EQ(stored.current_key->serial, serial_);
  EXPECT_FALSE(stored.next_key.has_value());
}

TEST_F(FleetTest, LeaseSaysEpochAndWhenTheRenewalFallsDue) {
  device_.renew_after = world_.now + Minutes(30);
  Keep(device_);

  const auto lease = fleet_->Lease(device_.id);

  ASSERT_TRUE(lease.has_value());
  EXPECT_TRUE(lease->live);
  EXPECT_EQ(lease->epoch, device_.epoch);
  EXPECT_EQ(lease->renew_after, device_.renew_after);
  EXPECT_EQ(lease->valid_until, device_.valid_until);
  EXPECT_FALSE(fleet_->Lease("nobody")->live);
}

TEST_F(FleetTest, TellsADeviceOfTheDeadOthersAndNotOfItself) {
  Keep(device_);
  for (const auto& [fill, state] : {std::pair<uint8_t, DeviceState>{2, DeviceState::kQuarantined},
                                    {3, DeviceState::kRetired},
                                    {4, DeviceState::kActive}}) {
    DeviceRecord other = MakeDevice(fill);
    other.state = state;
    other.epoch = fill;
    Keep(other);
  }

  EXPECT_EQ(fleet_->Revocations(device_.id).revocations_size(), 2);
  const api::RevocationPush told = fleet_->Revocations(MakeDevice(2).id);
  ASSERT_EQ(told.revocations_size(), 1);
  EXPECT_EQ(told.revocations(0).device_id(), MakeDevice(3).id);
  EXPECT_EQ(told.revocations(0).min_epoch(), 3u);
}

TEST_F(FleetTest, SignedTimeIsOfThisIncarnationAndOverTheNonce) {
  const api::EpochPush push = fleet_->SignTime(42, "nonce");
  EXPECT_EQ(push.epoch(), 42u);
  EXPECT_EQ(push.incarnation(), 7u);
  EXPECT_EQ(push.time_ms(), world_.now.ms);
  EXPECT_NE(push.time_signature(), fleet_->SignTime(42, "other").time_signature());
}

TEST_F(FleetTest, BundleIsWhatTheTrustDomainTrusts) {
  EXPECT_TRUE(pki::ParseTrustBundle(fleet_->Bundle().json()).has_value());
}

}  // namespace
}  // namespace sallyport::server

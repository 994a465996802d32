#include "attestation-server/store/devices.h"

#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

class DevicesTest : public StoreTest {
 protected:
  DevicesTest() { Open(); }
  Result<Unit> Insert(const DeviceRecord& device) {
    return Write([&](Transaction& t) { return Devices(t.connection()).Insert(device); });
  }
  Result<Unit> Update(const DeviceRecord& device) {
    return Write([&](Transaction& t) { return Devices(t.connection()).Update(device); });
  }
  DeviceRecord Find(const std::string& id) {
    auto snapshot = database_->Read();
    return Devices(snapshot.value().connection()).Find(id).value().value();
  }
  LeaseRow Lease(const std::string& id) {
    auto snapshot = database_->Read();
    return ReadLease(snapshot.value().connection(), id).value().value();
  }
};

// FullDevice has a value of its own in every field that may be absent.
DeviceRecord FullDevice() {
  DeviceRecord device = MakeDevice(1);
  device.tpm.ek_model = "m";
  device.tpm.ek_version = "v";
  device.tpm.vendor_chain = true;
  device.causes = {QuarantineCause::kPosture, QuarantineCause::kTpmChanged};
  device.tier = pki::Tier::kMeasured;
  device.reason = "pcr.value";
  device.boot = BootRecord{
      BootId::FromArray(HashOf(3).array()), 4, 5, 6, 7, true, "0011223344556677", HashOf(8)};
  device.failed_boot = BootId::FromArray(HashOf(9).array());
  device.current_key = KeySlot{Bytes(34, 1), "aa", UnixTime{10}};
  device.next_key = KeySlot{Bytes(34, 2), "bb", UnixTime{11}};
  device.key_protection = pki::KeyProtection::kTpmNullHierarchy;
  device.attested_at = UnixTime{12};
  device.renew_after = UnixTime{13};
  device.last_seen = UnixTime{14};
  device.epoch = 15;
  device.manifest_version = 16;
  device.policy_version = 17;
  device.issuer_epoch = 18;
  device.reference_set = HashOf(19);
  device.evidence_hash = HashOf(20);
  device.running_release = ReleaseDigest::FromArray(HashOf(21).array());
  device.running_slot = "B";
  device.endpoint = "10.0.0.1:15008";
  return device;
}

TEST_F(DevicesTest, EveryFieldComesBackAsWritten) {
  const DeviceRecord device = FullDevice();
  ASSERT_TRUE(Insert(device).has_value());

  const DeviceRecord read = Find(device.id);

  EXPECT_EQ(read.name, device.name);
  EXPECT_EQ(read.trust_domain, device.trust_domain);
  EXPECT_EQ(read.placement, device.placement);
  EXPECT_EQ(read.tpm.ek_spki_hash, device.tpm.ek_spki_hash);
  EXPECT_EQ(read.tpm.ek_manufacturer, device.tpm.ek_manufacturer);
  EXPECT_EQ(read.tpm.ek_model, "m");
  EXPECT_EQ(read.tpm.ek_version, "v");
  EXPECT_TRUE(read.tpm.vendor_chain);
  EXPECT_EQ(read.tpm.ak_public, device.tpm.ak_public);
  EXPECT_EQ(read.tpm.ak_name, device.tpm.ak_name);
  EXPECT_EQ(read.provenance.kind, ProvenanceKind::kToken);
  EXPECT_EQ(read.provenance.id, "token-1");
  EXPECT_EQ(read.provenance.address, "192.0.2.1");
  EXPECT_EQ(read.state, DeviceState::kActive);
  EXPECT_EQ(read.causes, device.causes);
  EXPECT_EQ(read.tier, pki::Tier::kMeasured);
  EXPECT_EQ(read.posture, Posture::kPassing);
  EXPECT_EQ(read.reason, "pcr.value");
  ASSERT_TRUE(read.boot.has_value());
  EXPECT_EQ(read.boot->id, device.boot->id);
  EXPECT_EQ(read.boot->generation, 4u);
  EXPECT_EQ(read.boot->reset_count, 5u);
  EXPECT_EQ(read.boot->restart_count, 6u);
  EXPECT_EQ(read.boot->clock_ms, 7u);
  EXPECT_TRUE(read.boot->clock_safe);
  EXPECT_EQ(read.boot->firmware_version, "0011223344556677");
  EXPECT_EQ(read.boot->log_hash, HashOf(8));
  EXPECT_EQ(read.failed_boot, device.failed_boot);
  EXPECT_EQ(read.current_key->serial, "aa");
  EXPECT_EQ(read.current_key->tls_name, Bytes(34, 1));
  EXPECT_EQ(read.current_key->not_after, UnixTime{10});
  EXPECT_EQ(read.next_key->serial, "bb");
  EXPECT_EQ(read.key_protection, pki::KeyProtection::kTpmNullHierarchy);
  EXPECT_EQ(read.attested_at, UnixTime{12});
  EXPECT_EQ(read.valid_until, device.valid_until);
  EXPECT_EQ(read.renew_after, UnixTime{13});
  EXPECT_EQ(read.last_seen, UnixTime{14});
  EXPECT_EQ(read.epoch, 15u);
  EXPECT_EQ(read.incarnation, 1u);
  EXPECT_EQ(read.manifest_version, 16u);
  EXPECT_EQ(read.policy_version, 17u);
  EXPECT_EQ(read.issuer_epoch, 18u);
  EXPECT_EQ(read.reference_set, device.reference_set);
  EXPECT_EQ(read.evidence_hash, device.evidence_hash);
  EXPECT_EQ(read.running_release, device.running_release);
  EXPECT_EQ(read.running_slot, "B");
  EXPECT_EQ(read.endpoint, device.endpoint);
  EXPECT_EQ(read.created_at, device.created_at);
}

TEST_F(DevicesTest, AbsentFieldsComeBackAbsent) {
  ASSERT_TRUE(Insert(MakeDevice(1)).has_value());

  const DeviceRecord read = Find(MakeDevice(1).id);

  EXPECT_FALSE(read.boot.has_value());
  EXPECT_FALSE(read.failed_boot.has_value());
  EXPECT_FALSE(read.current_key.has_value());
  EXPECT_FALSE(read.next_key.has_value());
  EXPECT_FALSE(read.reference_set.has_value());
  EXPECT_FALSE(read.running_release.has_value());
}

TEST_F(DevicesTest, FindsByNameAkAndEk) {
  const DeviceRecord device = MakeDevice(1);
  ASSERT_TRUE(Insert(device).has_value());
  ASSERT_TRUE(Insert(MakeDevice(2)).has_value());
  auto snapshot = database_->Read();
  Devices devices(snapshot.value().connection());

  EXPECT_EQ(devices.FindByName("cam-1").value()->id, device.id);
  EXPECT_EQ(devices.FindByAk(device.tpm.ak_name).value()->id, device.id);
  EXPECT_EQ(devices.FindByEk(device.tpm.ek_spki_hash).value()->id, device.id);
  EXPECT_FALSE(devices.FindByName("cam-3").value().has_value());
  EXPECT_EQ(devices.List("", 10).value().size(), 2u);
  EXPECT_EQ(devices.List("cam-1", 10).value().front().name, "cam-2");
}

TEST_F(DevicesTest, OneEkOneAkOneNameBelongToOneDevice) {
  ASSERT_TRUE(Insert(MakeDevice(1)).has_value());
  for (int field = 0; field < 4; ++field) {
    DeviceRecord other = MakeDevice(2);
    if (field == 0) other.id = MakeDevice(1).id;
    if (field == 1) other.name = "cam-1";
    if (field == 2) other.tpm.ek_spki_hash = HashOf(1);
    if (field == 3) other.tpm.ak_name = Bytes(34, 1);

    const Result<Unit> refused = Insert(other);

    ASSERT_FALSE(refused.has_value()) << field;
    EXPECT_EQ(refused.error().reason, Reason::kAlreadyExists);
  }
}

TEST_F(DevicesTest, UpdateAgainstAnOldRevisionIsAConflict) {
  ASSERT_TRUE(Insert(MakeDevice(1)).has_value());
  DeviceRecord mine = Find(MakeDevice(1).id);
  DeviceRecord theirs = mine;
  theirs.epoch = 5;
  ASSERT_TRUE(Update(theirs).has_value());
  mine.epoch = 3;

  const Result<Unit> refused = Update(mine);

  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().reason, Reason::kConflict);
  EXPECT_EQ(Find(mine.id).epoch, 5u);
}

TEST_F(DevicesTest, TouchDoesNotDisturbCompareAndSet) {
  ASSERT_TRUE(Insert(MakeDevice(1)).has_value());
  const DeviceRecord before = Find(MakeDevice(1).id);
  ASSERT_TRUE(Write([&](Transaction& t) {
                return TouchDevice(t.connection(), before.id, UnixTime{99}, 4);
              }).has_value());

  EXPECT_TRUE(Update(before).has_value());
}

TEST_F(DevicesTest, NextKeyBecomesCurrentOnlyForItsOwnSerial) {
  DeviceRecord device = MakeDevice(1);
  device.current_key = KeySlot{Bytes(34, 1), "aa", UnixTime{10}};
  device.next_key = KeySlot{Bytes(34, 2), "bb", UnixTime{11}};
  ASSERT_TRUE(Insert(device).has_value());

  ASSERT_TRUE(Write([&](Transaction& t) {
                return PromoteKey(t.connection(), device.id, "zz");
              }).has_value());
  EXPECT_EQ(Find(device.id).current_key->serial, "aa");
  ASSERT_TRUE(Write([&](Transaction& t) {
                return PromoteKey(t.connection(), device.id, "bb");
              }).has_value());

  EXPECT_EQ(Find(device.id).current_key->serial, "bb");
  EXPECT_FALSE(Find(device.id).next_key.has_value());
}

TEST_F(DevicesTest, PassingTurnsIntoExpiredWhenItIsRead) {
  const DeviceRecord device = MakeDevice(1);
  EXPECT_EQ(PostureAt(device, UnixTime::FromSeconds(1999)), Posture::kPassing);
  EXPECT_EQ(PostureAt(device, UnixTime::FromSeconds(2000)), Posture::kExpired);
}

TEST_F(DevicesTest, LeaseHoldsForCertificatesOfItsEpochAndLater) {
  DeviceRecord device = MakeDevice(1);
  device.epoch = 3;
  ASSERT_TRUE(Insert(device).has_value());
  const LeaseRow lease = Lease(device.id);
  const UnixTime now = UnixTime::FromSeconds(1500);

  EXPECT_TRUE(CheckLease(lease, 1, 3, now).has_value());
  EXPECT_TRUE(CheckLease(lease, 1, 4, now).has_value());
  EXPECT_TRUE(CheckLease(lease, 2, 0, now).has_value());
  EXPECT_EQ(CheckLease(lease, 1, 2, now).error().rule, "lease.epoch");
  EXPECT_EQ(CheckLease(lease, 0, 9, now).error().rule, "lease.epoch");
  EXPECT_EQ(CheckLease(lease, 1, 3, UnixTime::FromSeconds(2000)).error().rule, "lease.expired");
}

TEST_F(DevicesTest, LeaseEndsWithStateAndPosture) {
  LeaseRow lease;
  lease.state = DeviceState::kQuarantined;
  lease.posture = Posture::kPassing;
  lease.valid_until = UnixTime{100};
  EXPECT_EQ(CheckLease(lease, 0, 0, UnixTime{1}).error().rule, "lease.state");
  lease.state = DeviceState::kActive;
  lease.posture = Posture::kFailing;
  EXPECT_EQ(CheckLease(lease, 0, 0, UnixTime{1}).error().rule, "lease.posture");
}

TEST_F(DevicesTest, AWordOutsideTheVocabularyIsRefusedByTheSchema) {
  ASSERT_TRUE(Insert(MakeDevice(1)).has_value());
  const Result<Unit> refused = Write([](Transaction& t) -> Result<Unit> {
    SP_TRY(t.connection().Execute("UPDATE devices SET state = 'trusted'"));
    return Unit{};
  });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().rule, "store.constraint");
}

}  // namespace
}  // namespace sallyport::server

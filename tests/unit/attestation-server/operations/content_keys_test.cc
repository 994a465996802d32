// Who gets the key of a sealed release, and that nobody else does.
#include "attestation-server/operations/content_keys.h"

#include "attestation-server/operations/rollouts.h"
#include "attestation-server/store/audit.h"
#include "attestation-server/store/content_keys.h"
#include "ota/metadata/release.h"
#include "pki/tpm/ek_template.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

constexpr const char* kPath = "releases/edge-os/2.0.0/release.json";

class ContentKeyTest : public OperationsTest {
 protected:
  ContentKeyTest() {
    device_.tpm.ek_spki_hash = pki::Sha256(ek_.public_key().spki());
    Keep(device_);
    release_ = Publish("2.0.0", pki::ContentSeal(*pki::ContentKey::FromView(key_)).id());
    plain_ = Publish("1.0.0", std::nullopt);
  }
  ReleaseDigest Publish(const std::string& version, std::optional<pki::ContentKeyId> key) {
    ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
    ota::Release release = ota::AddSampleRelease(repository, version, 2);
    release.content_key = key;
    const std::string json = ota::WriteRelease(release);
    SP_CHECK(Write([&](Transaction& t) {
               return RecordRelease(t, "releases/edge-os/" + version + "/release.json",
                                    AsBytes(json), now_);
             }).has_value());
    return ota::ReleaseDigestOf(AsBytes(json));
  }
  void Assign(const ReleaseDigest& release, UpdateState state = UpdateState::kIdle,
              bool assigned = true) {
    RolloutRow row;
    row.name = "v" + std::to_string(++rollouts_);
    row.release = release;
    row.state = RolloutState::kCanary;
    row.created_at = now_ + Minutes(rollouts_);
    RolloutDeviceRow member;
    member.rollout = row.name;
    member.device_id = device_.id;
    member.assigned = assigned;
    member.state = state;
    ASSERT_TRUE(
        Write([&](Transaction& t) { return Rollouts(t.connection()).Insert(row, {member}); }));
  }
  void Add() { ASSERT_EQ(RuleOf(keys_.Add(alice_.who, key_, now_)), "accepted"); }
  void Sql(const std::string& text) {
    ASSERT_TRUE(Write([&](Transaction& t) { return t.connection().RunScript(text); }));
  }
  Bytes EkPublic() const { return pki::EkPublicFromKey(ek_.public_key())->Marshal(); }
  Result<WrappedContentKey> Ask(const ReleaseDigest& release) {
    return keys_.Deliver(device_.id, {release, EkPublic()}, now_);
  }
  std::string Rule() { return RuleOf(Ask(release_)); }
  std::string AuditText() {
    Snapshot snapshot = database_->Read().value();
    std::string out;
    const std::vector<AuditEntry> entries = ReadAudit(snapshot.connection(), 0, 1000).value();
    for (const AuditEntry& entry : entries)
      out += entry.event + " " + entry.record.value_or("") + "\n";
    return out;
  }

  const Bytes key_ = Bytes(32, 0xA7);
  SoftEk ek_;
  DeviceRecord device_ = MakeDevice(1);
  ReleaseDigest release_ = ReleaseDigest::FromArray({});
  ReleaseDigest plain_ = ReleaseDigest::FromArray({});
  int rollouts_ = 0;
  FakeClock clock_{now_};
  ContentKeyOperations keys_{Parts(), pki::AeadKey::Generate(random_)};
};

TEST_F(ContentKeyTest, ReachesTheTpmOfTheDeviceThatIsAssignedTheReleaseAndNoOther) {
  Add();
  Assign(release_);

  const auto wrapped = Ask(release_);

  ASSERT_TRUE(wrapped) << wrapped.error().ToString();
  EXPECT_EQ(wrapped->id, pki::ContentSeal(*pki::ContentKey::FromView(key_)).id());
  const pki::MadeCredential& made = wrapped->credential;
  EXPECT_EQ(ek_.Activate(made.credential_blob, made.encrypted_secret, device_.tpm.ak_name), key_);
  EXPECT_FALSE(ek_.Activate(made.credential_blob, made.encrypted_secret, Bytes(34, 9)));
  EXPECT_FALSE(SoftEk().Activate(made.credential_blob, made.encrypted_secret, device_.tpm.ak_name));
}

TEST_F(ContentKeyTest, IsAuditedWithoutTheKey) {
  Add();
  Assign(release_);
  ASSERT_EQ(Rule(), "accepted");

  const std::string audit = AuditText();
  EXPECT_NE(audit.find("content-key.added"), std::string::npos);
  const size_t delivered = audit.find("content-key.delivered");
  ASSERT_NE(delivered, std::string::npos);
  for (const std::string& part : {device_.id, HexEncode(release_)})
    EXPECT_NE(audit.find(part, delivered), std::string::npos);
  EXPECT_EQ(audit.find(HexEncode(key_)), std::string::npos);
  EXPECT_EQ(audit.find(Base64Encode(key_)), std::string::npos);
}

TEST_F(ContentKeyTest, IsKeptSealedAndBoundToItsId) {
  Add();
  EXPECT_EQ(Count("SELECT COUNT(*) FROM content_keys WHERE box LIKE '%a7a7a7a7%'"), 0);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM content_keys"), 1);
  Add();
  EXPECT_EQ(Count("SELECT COUNT(*) FROM content_keys"), 1);

  Assign(release_);
  Sql("UPDATE content_keys SET box = 'ff' || substr(box, 3)");
  EXPECT_EQ(Rule(), "content-key.forged");
  ContentKeyOperations other(Parts(), pki::AeadKey::Generate(random_));
  EXPECT_EQ(RuleOf(other.Deliver(device_.id, {release_, EkPublic()}, now_)), "content-key.forged");
}

TEST_F(ContentKeyTest, IsTakenOnlyForAReleaseThatIsPublishedHere) {
  EXPECT_EQ(RuleOf(keys_.Add(alice_.who, Bytes(32, 1), now_)), "content-key.no-release");
  EXPECT_EQ(RuleOf(keys_.Add(alice_.who, Bytes(31, 0xA7), now_)), "content-key.size");
  EXPECT_EQ(RuleOf(keys_.Add(alice_.who, {}, now_)), "content-key.size");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM content_keys"), 0);
}

TEST_F(ContentKeyTest, IsRefusedWhileNobodyHasGivenIt) {
  Assign(release_);
  EXPECT_EQ(Rule(), "content-key.missing");
}

TEST_F(ContentKeyTest, IsRefusedToADeviceWithoutThisAssignment) {
  Add();
  EXPECT_EQ(Rule(), "content-key.not-assigned") << "none";
  Assign(release_, UpdateState::kIdle, false);
  EXPECT_EQ(Rule(), "content-key.not-assigned") << "its wave has not begun";
  Assign(release_);
  EXPECT_EQ(Rule(), "accepted");
  Assign(plain_);
  EXPECT_EQ(Rule(), "content-key.not-assigned") << "another release by now";
}

TEST_F(ContentKeyTest, IsRefusedForAnAttemptThatFailedAndForAWithdrawnRelease) {
  Add();
  Assign(release_, UpdateState::kRolledBack);
  EXPECT_EQ(Rule(), "content-key.not-assigned");
  Assign(release_);
  Sql("UPDATE releases SET withdrawn = 1 WHERE digest = '" + HexEncode(release_) + "'");
  EXPECT_EQ(Rule(), "content-key.not-assigned");
}

TEST_F(ContentKeyTest, IsRefusedForAnAbortedRollout) {
  Add();
  Assign(release_);
  Sql("UPDATE rollouts SET state = 'aborted'");
  EXPECT_EQ(Rule(), "content-key.not-assigned");
}

TEST_F(ContentKeyTest, IsRefusedForAReleaseThatIsNotSealed) {
  Assign(plain_);
  EXPECT_EQ(RuleOf(Ask(plain_)), "content-key.not-sealed");
}

TEST_F(ContentKeyTest, IsRefusedToQuarantinedFailingAndUnknownDevices) {
  Add();
  Assign(release_);
  Sql("UPDATE devices SET state = 'quarantined', quarantine_causes = 'operator'");
  EXPECT_EQ(Rule(), "lease.state");
  Sql("UPDATE devices SET state = 'active', quarantine_causes = '', posture = 'failing'");
  EXPECT_EQ(Rule(), "lease.posture");
  Sql("UPDATE devices SET posture = 'passing', valid_until = 1");
  EXPECT_EQ(Rule(), "lease.expired");
  EXPECT_EQ(RuleOf(keys_.Deliver("nobody", {release_, EkPublic()}, now_)), "lease.unknown");
}

TEST_F(ContentKeyTest, IsWrappedToTheEnrolledEndorsementKeyAlone) {
  Add();
  Assign(release_);
  const SoftEk other;
  const auto deliver = [&](const Bytes& ek_public) {
    return RuleOf(keys_.Deliver(device_.id, {release_, ek_public}, now_));
  };
  EXPECT_EQ(deliver(pki::EkPublicFromKey(other.public_key())->Marshal()), "content-key.ek");
  pki::PublicArea signing = *pki::EkPublicFromKey(ek_.public_key());
  signing.symmetric_bits.reset();
  EXPECT_NE(deliver(signing.Marshal()), "accepted");
  EXPECT_NE(deliver({}), "accepted");
  EXPECT_NE(deliver(Bytes(2000, 1)), "accepted");
}

TEST_F(ContentKeyTest, IsNotAskedForInALoop) {
  Add();
  Assign(release_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Rule(), "accepted");
  EXPECT_EQ(Rule(), "content-key.rate");
  now_ = now_ + Minutes(1);
  EXPECT_EQ(Rule(), "accepted");
}

TEST_F(ContentKeyTest, MustBeThereBeforeARolloutIs) {
  RolloutOperations rollouts(Parts(), clock_, [] {});
  const RolloutOrder order{"r", kPath, {device_.name}, {}};
  EXPECT_EQ(RuleOf(rollouts.Create(alice_.who, order)), "rollout.content-key");
  Add();
  EXPECT_EQ(RuleOf(rollouts.Create(alice_.who, order)), "accepted");
}

}  // namespace
}  // namespace sallyport::server

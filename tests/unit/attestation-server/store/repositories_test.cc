// The smaller repositories: what each refuses, and that what is written comes back.
#include <atomic>
#include <thread>

#include "attestation-server/store/authority.h"
#include "attestation-server/store/evidence_blobs.h"
#include "attestation-server/store/floors.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/limits.h"
#include "attestation-server/store/meta.h"
#include "attestation-server/store/policies.h"
#include "attestation-server/store/references.h"
#include "attestation-server/store/rollouts.h"
#include "attestation-server/store/tokens.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

class RepositoriesTest : public StoreTest {
 protected:
  RepositoriesTest() { Open(); }
  // Do runs `body` in one transaction and requires that it commits.
  template <typename Body>
  void Do(Body body) {
    const Result<Unit> done =
        Write([&](Transaction& t) -> Result<Unit> { return body(t.connection()); });
    ASSERT_TRUE(done.has_value()) << done.error().ToString();
  }
  template <typename Body>
  std::string Refusal(Body body) {
    const Result<Unit> done =
        Write([&](Transaction& t) -> Result<Unit> { return body(t.connection()); });
    return done.has_value() ? "" : std::string(done.error().name());
  }
};

TokenRecord MakeToken() {
  TokenRecord token;
  token.id = "t1";
  token.secret_hash = HashOf(1);
  token.name = "berlin";
  token.profile = "default";
  token.placement = {"berlin", "online", {"a", "b"}};
  token.uses_max = 2;
  token.expires_at = UnixTime{100};
  token.created_by = "admin";
  return token;
}

TEST_F(RepositoriesTest, TokenIsSpentAsOftenAsItAllows) {
  Do([](Connection& c) { return Tokens(c).Insert(MakeToken()); });
  const auto spend = [](Connection& c) { return Tokens(c).Spend("t1", UnixTime{50}); };
  Do(spend);
  Do(spend);
  EXPECT_EQ(Refusal(spend), "token.spent");
}

TEST_F(RepositoriesTest, TokenCannotBeSpentAtItsEnd) {
  Do([](Connection& c) { return Tokens(c).Insert(MakeToken()); });
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Spend("t1", UnixTime{100}); }),
            "token.spent");
}

TEST_F(RepositoriesTest, RevokedTokenCannotBeSpent) {
  Do([](Connection& c) { return Tokens(c).Insert(MakeToken()); });
  Do([](Connection& c) { return Tokens(c).Revoke("t1"); });
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Spend("t1", UnixTime{50}); }),
            "token.spent");
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Revoke("t2"); }), "token.unknown");
}

TEST_F(RepositoriesTest, ATokenIsRevokedByItsNameToo) {
  TokenRecord nameless = MakeToken();
  nameless.id = "t2";
  nameless.name = "";
  nameless.secret_hash = HashOf(2);
  Do([](Connection& c) { return Tokens(c).Insert(MakeToken()); });
  Do([&](Connection& c) { return Tokens(c).Insert(nameless); });
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Revoke(""); }), "token.unknown");
  Do([](Connection& c) { return Tokens(c).Revoke("berlin"); });
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Spend("t1", UnixTime{50}); }),
            "token.spent");
  EXPECT_EQ(Refusal([](Connection& c) { return Tokens(c).Spend("t2", UnixTime{50}); }), "");
}

TEST_F(RepositoriesTest, TokenIsFoundByTheHashOfItsSecretOnly) {
  Do([](Connection& c) { return Tokens(c).Insert(MakeToken()); });
  Do([](Connection& c) -> Result<Unit> {
    const auto found = Tokens(c).FindBySecret(HashOf(1)).value();
    EXPECT_EQ(found->placement, MakeToken().placement);
    EXPECT_EQ(found->uses_max, 2);
    EXPECT_FALSE(found->ek_spki_hash.has_value());
    EXPECT_FALSE(Tokens(c).FindBySecret(HashOf(2)).value().has_value());
    EXPECT_EQ(Tokens(c).List("", 10).value().size(), 1u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, EkListReplacesAndRemoves) {
  ListedEk entry;
  entry.ek_spki_hash = HashOf(5);
  entry.placement.site = "berlin";
  Do([&](Connection& c) { return EkList(c).Put(entry); });
  entry.placement.site = "paris";
  Do([&](Connection& c) { return EkList(c).Put(entry); });
  Do([](Connection& c) -> Result<Unit> {
    EXPECT_EQ(EkList(c).Find(HashOf(5)).value()->placement.site, "paris");
    return EkList(c).Remove(HashOf(5));
  });
  EXPECT_EQ(Refusal([](Connection& c) { return EkList(c).Remove(HashOf(5)); }), "ek.unlisted");
}

TEST_F(RepositoriesTest, DeploymentIsChosenOnce) {
  EXPECT_EQ(Refusal([](Connection& c) -> Result<Unit> {
              SP_TRY(ReadDeployment(c));
              return Unit{};
            }),
            "meta.uninitialised");
  Do([](Connection& c) { return InitialiseDeployment(c, {"edge.example", false, 1}); });
  EXPECT_EQ(
      Refusal([](Connection& c) { return InitialiseDeployment(c, {"edge.example", true, 1}); }),
      "meta.initialised");
  Do([](Connection& c) -> Result<Unit> {
    EXPECT_FALSE(ReadDeployment(c).value().development);
    EXPECT_EQ(StartIncarnation(c).value(), 2u);
    EXPECT_EQ(ReadDeployment(c).value().incarnation, 2u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, CountersOnlyRise) {
  Do([](Connection& c) -> Result<Unit> {
    EXPECT_EQ(ReadCounter(c, Counter::kDirector).value(), 0u);
    EXPECT_EQ(RaiseCounter(c, Counter::kDirector).value(), 1u);
    EXPECT_EQ(RaiseCounter(c, Counter::kDirector).value(), 2u);
    EXPECT_EQ(ReadCounter(c, Counter::kPolicyEpoch).value(), 0u);
    SP_TRY(PutSetting(c, "root", "x"));
    EXPECT_EQ(FindSetting(c, "root").value(), "x");
    EXPECT_FALSE(FindSetting(c, "other").value().has_value());
    return Unit{};
  });
}

ReferenceRow MakeReference(uint8_t fill, ReferenceState state, bool of_release) {
  ReferenceRow row;
  row.id = HashOf(fill);
  row.device_class = "online";
  row.state = state;
  row.json = "{}";
  if (of_release) row.release = ReleaseDigest::FromArray(HashOf(fill).array());
  return row;
}

TEST_F(RepositoriesTest, ADeviceIsJudgedByItsClassAndByWhatWasAssignedToIt) {
  Do([](Connection& c) -> Result<Unit> {
    References references(c);
    SP_TRY(Devices(c).Insert(MakeDevice(1)));
    SP_TRY(Devices(c).Insert(MakeDevice(2)));
    SP_TRY(references.Insert(MakeReference(1, ReferenceState::kActive, false)));
    SP_TRY(references.Insert(MakeReference(2, ReferenceState::kCandidate, false)));
    SP_TRY(references.Insert(MakeReference(3, ReferenceState::kActive, true)));
    SP_TRY(references.Insert(MakeReference(4, ReferenceState::kRetired, true)));
    SP_TRY(references.Assign(MakeDevice(1).id, ReferenceRole::kPending, HashOf(3)));
    SP_TRY(references.Assign(MakeDevice(1).id, ReferenceRole::kRecovery, HashOf(4)));

    const auto assigned = references.ForDevice(MakeDevice(1).id, "online").value();
    EXPECT_EQ(assigned.size(),
              2u);  // 1 by class, 3 by assignment; never a candidate or a retired one
    const auto other = references.ForDevice(MakeDevice(2).id, "online").value();
    EXPECT_EQ(other.size(), 1u);
    EXPECT_EQ(references.ForDevice(MakeDevice(2).id, "edge").value().size(), 0u);
    EXPECT_EQ(DeviceReferences(c, MakeDevice(1).id, ReferenceRole::kPending).value(),
              std::vector<Sha256Digest>{HashOf(3)});
    SP_TRY(references.Withdraw(MakeDevice(1).id, ReferenceRole::kPending));
    EXPECT_EQ(references.ForDevice(MakeDevice(1).id, "online").value().size(), 1u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, EveryChangeOfReferencesRaisesTheirEpoch) {
  Do([](Connection& c) -> Result<Unit> {
    References references(c);
    SP_TRY(Devices(c).Insert(MakeDevice(1)));
    uint64_t last = ReadCounter(c, Counter::kReferenceEpoch).value();
    const auto risen = [&] {
      const uint64_t now = ReadCounter(c, Counter::kReferenceEpoch).value();
      return std::exchange(last, now) < now;
    };
    SP_TRY(references.Insert(MakeReference(1, ReferenceState::kCandidate, false)));
    EXPECT_TRUE(risen());
    SP_TRY(references.SetState(HashOf(1), ReferenceState::kActive));
    EXPECT_TRUE(risen());
    SP_TRY(references.Assign(MakeDevice(1).id, ReferenceRole::kCommitted, HashOf(1)));
    EXPECT_TRUE(risen());
    SP_TRY(references.Withdraw(MakeDevice(1).id, ReferenceRole::kCommitted));
    EXPECT_TRUE(risen());
    return Unit{};
  });
  EXPECT_EQ(Refusal([](Connection& c) {
              return References(c).SetState(HashOf(9), ReferenceState::kActive);
            }),
            "reference.unknown");
}

TEST_F(RepositoriesTest, AnAssignmentNamesAnExistingSetAndDevice) {
  EXPECT_EQ(Refusal([](Connection& c) {
              return References(c).Assign("nobody", ReferenceRole::kPending, HashOf(1));
            }),
            "store.constraint");
}

PolicyRow MakePolicy(uint64_t version, uint8_t fill) {
  PolicyRow row;
  row.version = version;
  row.name = "site";
  row.manifest_hash = HashOf(fill);
  row.manifest = "{}";
  row.source = "sallyport: policy/v1";
  return row;
}

TEST_F(RepositoriesTest, PolicyVersionsOnlyRise) {
  Do([](Connection& c) { return Policies(c).Apply(MakePolicy(3, 1)); });
  Do([](Connection& c) { return Policies(c).Apply(MakePolicy(3, 1)); });
  EXPECT_EQ(Refusal([](Connection& c) { return Policies(c).Apply(MakePolicy(3, 2)); }),
            "policy.version");
  EXPECT_EQ(Refusal([](Connection& c) { return Policies(c).Apply(MakePolicy(2, 2)); }),
            "policy.version");
  Do([](Connection& c) -> Result<Unit> {
    EXPECT_EQ(ReadCounter(c, Counter::kPolicyEpoch).value(), 1u);
    SP_TRY(Policies(c).Apply(MakePolicy(4, 2)));
    EXPECT_EQ(Policies(c).InForce().value()->version, 4u);
    EXPECT_EQ(Policies(c).List(10).value().size(), 2u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, RolloutRemembersItsDevicesAndAssignments) {
  const ReleaseDigest release = ReleaseDigest::FromArray(HashOf(7).array());
  Do([&](Connection& c) -> Result<Unit> {
    SP_TRY(Devices(c).Insert(MakeDevice(1)));
    SP_TRY(PutRelease(c, {release, "edge-os", "2.0.0", "releases/edge-os/2.0.0/release.json", "{}",
                          UnixTime{1}}));
    SP_TRY(PutRelease(c, {release, "edge-os", "2.0.0", "releases/edge-os/2.0.0/release.json", "{}",
                          UnixTime{1}}));
    RolloutRow rollout;
    rollout.name = "r1";
    rollout.release = release;
    RolloutDeviceRow device;
    device.rollout = "r1";
    device.device_id = MakeDevice(1).id;
    device.wave = RolloutWave::kCanary;
    SP_TRY(Rollouts(c).Insert(rollout, {device}));
    EXPECT_FALSE(FindAssignment(c, device.device_id).value().has_value());
    device.assigned = true;
    device.state = UpdateState::kWriting;
    device.percent = 40;
    SP_TRY(Rollouts(c).UpdateDevice(device));
    EXPECT_EQ(FindAssignment(c, device.device_id).value()->percent, 40u);
    EXPECT_EQ(Rollouts(c).DevicesOf("r1").value().front().state, UpdateState::kWriting);
    EXPECT_EQ(FindReleaseByPath(c, "releases/edge-os/2.0.0/release.json").value()->digest, release);
    EXPECT_EQ(FindRelease(c, release).value()->version, "2.0.0");
    rollout.state = RolloutState::kAborted;
    SP_TRY(Rollouts(c).Update(rollout));
    EXPECT_FALSE(FindAssignment(c, device.device_id).value().has_value());
    EXPECT_EQ(Rollouts(c).Update(rollout).error().rule, "rollout.changed");
    EXPECT_EQ(Rollouts(c).Find("r1").value()->state, RolloutState::kAborted);
    EXPECT_EQ(Rollouts(c).List("", 10).value().size(), 1u);
    device.device_id = "other";
    EXPECT_EQ(Rollouts(c).UpdateDevice(device).error().rule, "rollout.device");
    return Unit{};
  });
  EXPECT_EQ(Refusal([&](Connection& c) {
              return PutRelease(c, {ReleaseDigest::FromArray(HashOf(8).array()), "edge-os", "2.0.0",
                                    "releases/edge-os/2.0.0/release.json", "{}", UnixTime{1}});
            }),
            "store.unique");
}

TEST_F(RepositoriesTest, CountsTheReleasesThatActiveDevicesRun) {
  const auto release = [](uint8_t number) {
    return ReleaseDigest::FromArray(HashOf(number).array());
  };
  Do([&](Connection& c) -> Result<Unit> {
    for (const uint8_t number : {uint8_t{1}, uint8_t{2}}) {
      const std::string version = std::to_string(number) + ".0";
      SP_TRY(PutRelease(c, {release(number), "edge-os", version,
                            "releases/edge-os/" + version + "/release.json", "{}", UnixTime{1}}));
    }
    const std::optional<ReleaseDigest> running[] = {release(1), release(2), release(2),
                                                    release(2), release(9), std::nullopt};
    for (uint8_t i = 0; i < std::size(running); ++i) {
      DeviceRecord device = MakeDevice(static_cast<uint8_t>(i + 1));
      device.running_release = running[i];
      device.state = i == 3 ? DeviceState::kRetired : DeviceState::kActive;
      SP_TRY(Devices(c).Insert(device));
    }
    const auto counted = CountRunning(c, 10).value();
    EXPECT_EQ(counted.size(), 2u);
    EXPECT_EQ(counted[0].version, "2.0");
    EXPECT_EQ(counted[0].devices, 2);
    EXPECT_EQ(counted[1].version, "1.0");
    EXPECT_EQ(CountRunning(c, 1).value().size(), 1u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, IssuersAndApprovals) {
  Do([](Connection& c) -> Result<Unit> {
    SP_TRY(Issuers(c).Insert(
        {"ab", IssuerRole::kDevice, IssuerState::kActive, "PEM", UnixTime{9}, UnixTime{1}}));
    SP_TRY(Issuers(c).SetState("ab", IssuerState::kTainted));
    EXPECT_EQ(Issuers(c).List().value().front().state, IssuerState::kTainted);
    EXPECT_EQ(ReadCounter(c, Counter::kIssuerEpoch).value(), 2u);
    EXPECT_EQ(Issuers(c).SetState("cd", IssuerState::kPruned).error().rule, "issuer.unknown");
    const ApprovalRow approval{"rollout", HashOf(1), "op-a", UnixTime{100}, {1}, {2}, UnixTime{5}};
    SP_TRY(RecordApproval(c, approval));
    SP_TRY(RecordApproval(c, approval));
    SP_TRY(RecordApproval(c, {"rollout", HashOf(1), "op-a", UnixTime{120}, {1}, {3}, UnixTime{6}}));
    SP_TRY(RecordApproval(c, {"rollout", HashOf(1), "op-b", UnixTime{90}, {1}, {2}, UnixTime{5}}));
    EXPECT_EQ(ApprovalsFor(c, "rollout", HashOf(1), UnixTime{50}).value().size(), 2u);
    EXPECT_EQ(ApprovalsFor(c, "rollout", HashOf(1), UnixTime{95}).value().size(), 1u);
    EXPECT_EQ(ApprovalsFor(c, "policy", HashOf(1), UnixTime{50}).value().size(), 0u);
    return Unit{};
  });
}

TEST_F(RepositoriesTest, IssuanceComesBackAndIsPruned) {
  Do([](Connection& c) -> Result<Unit> {
    SP_TRY(Devices(c).Insert(MakeDevice(1)));
    CertificateRow certificate;
    certificate.serial = "0a";
    certificate.device_id = MakeDevice(1).id;
    certificate.tls_name = Bytes(34, 3);
    certificate.not_after = UnixTime{50};
    SP_TRY(InsertCertificate(c, certificate));
    EXPECT_EQ(InsertCertificate(c, certificate).error().reason, Reason::kAlreadyExists);
    EXPECT_EQ(ListCertificates(c, certificate.device_id, 10).value().front().tls_name,
              Bytes(34, 3));
    VerdictRow verdict;
    verdict.id = "v1";
    verdict.device_id = certificate.device_id;
    verdict.purpose = "renew";
    verdict.rule = "pcr.value";
    verdict.diff = "[]";
    verdict.checks = "[]";
    verdict.judged_at = UnixTime{40};
    SP_TRY(InsertVerdict(c, verdict));
    EXPECT_EQ(ListVerdicts(c, certificate.device_id, 10).value().front().rule, "pcr.value");
    EXPECT_EQ(CountSameFailure(c, "pcr.value", "[]", UnixTime{0}).value(), 1);
    EXPECT_EQ(CountSameFailure(c, "pcr.value", "[1]", UnixTime{0}).value(), 0);
    SP_TRY(SpendTicket(c, TicketId::FromArray({}), certificate.device_id, "renew", UnixTime{40}));
    EXPECT_TRUE(FindSpentTicket(c, TicketId::FromArray({})).value().has_value());
    EXPECT_EQ(PruneHistory(c, UnixTime{40} + kSpentTicketsKept).value(), 0);
    EXPECT_EQ(PruneHistory(c, UnixTime{41} + kSpentTicketsKept).value(), 1);
    EXPECT_EQ(PruneHistory(c, UnixTime{60} + kHistoryKept).value(), 1);  // the failure stays
    EXPECT_EQ(ListVerdicts(c, certificate.device_id, 10).value().size(), 1u);
    verdict.id = "v2";
    verdict.passed = true;
    SP_TRY(InsertVerdict(c, verdict));
    verdict.id = "v3";
    verdict.evidence_hash = HashOf(1);
    SP_TRY(InsertVerdict(c, verdict));
    EXPECT_EQ(PruneHistory(c, UnixTime{60} + kHistoryKept).value(), 1);  // the renewal
    EXPECT_TRUE(FindVerdict(c, "v1").value() && FindVerdict(c, "v3").value());
    EXPECT_FALSE(FindVerdict(c, "v2").value().has_value());
    EXPECT_FALSE(FindSpentTicket(c, TicketId::FromArray({})).value().has_value());
    return Unit{};
  });
}

TEST_F(RepositoriesTest, BlobsAreStoredOnceAndCheckedWhenRead) {
  MemoryFileSystem files;
  EvidenceBlobs blobs(files, "/evidence");
  const Sha256Digest hash = blobs.Put(Bytes{1, 2, 3}).value();
  const uint64_t operations = files.operations();
  EXPECT_EQ(blobs.Put(Bytes{1, 2, 3}).value(), hash);
  EXPECT_EQ(files.operations(), operations);
  EXPECT_EQ(blobs.Get(hash).value(), (Bytes{1, 2, 3}));
  EXPECT_EQ(blobs.Get(HashOf(1)).error().reason, Reason::kNotFound);
  const std::string hex = HexEncode(hash);
  ASSERT_TRUE(
      WriteFileAtomically(files, "/evidence/" + hex.substr(0, 2) + "/" + hex, Bytes{1, 2, 4})
          .has_value());
  EXPECT_EQ(blobs.Get(hash).error().rule, "evidence.blob");
  EXPECT_EQ(blobs.Put(Bytes(kEvidenceBlobMax + 1)).error().rule, "evidence.size");
}

// Devices of one image boot together and send the same log at the same moment.
TEST_F(RepositoriesTest, OneBlobMayComeFromManyDevicesAtOnce) {
  PosixFileSystem files;
  for (uint8_t round = 0; round < 20; ++round) {
    EvidenceBlobs blobs(files, directory_ + "/evidence");
    std::atomic<int> refused = 0;
    {
      std::vector<std::jthread> devices;
      for (int i = 0; i < 8; ++i)
        devices.emplace_back([&] {
          if (!blobs.Put(Bytes(4096, round)).has_value()) ++refused;
        });
    }
    ASSERT_EQ(refused, 0);
  }
}

TEST_F(RepositoriesTest, FaultOfTheBlobStoreIsOursAndNotTheDevices) {
  PosixFileSystem files;
  EvidenceBlobs blobs(files, "/proc/evidence");
  const auto put = blobs.Put(Bytes{1});
  EXPECT_EQ(put.error().reason, Reason::kUnavailable);
  EXPECT_EQ(put.error().rule, "evidence.store");
}

TEST_F(RepositoriesTest, FloorsComeBackAsWrittenAndTheLastWriteHolds) {
  const DeviceRecord device = MakeDevice(1);
  Do([&](Connection& c) { return Devices(c).Insert(device); });
  FloorsRow row{.device_id = device.id,
                .floors = {1, 2, 3, 4, 5},
                .highest = {UINT64_MAX, 2, 3, 4, 5},
                .counts = {6, 7, 8, 9, 10},
                .generation = 3,
                .certified_at = UnixTime{1000},
                .finding = "floors.absent",
                .finding_since = UnixTime{2000}};
  auto snapshot = [&] { return database_->Read(); };
  EXPECT_EQ(*FindFloors(snapshot()->connection(), device.id), std::nullopt);
  Do([&](Connection& c) { return PutFloors(c, row); });
  EXPECT_EQ(*FindFloors(snapshot()->connection(), device.id), row);
  EXPECT_EQ(*CountFloorFindings(snapshot()->connection()), 1);
  row.finding.clear();
  row.finding_since = {};
  Do([&](Connection& c) { return PutFloors(c, row); });
  EXPECT_EQ(*FindFloors(snapshot()->connection(), device.id), row);
  EXPECT_EQ(*CountFloorFindings(snapshot()->connection()), 0);
  row.device_id = "nobody";
  EXPECT_NE(Refusal([&](Connection& c) { return PutFloors(c, row); }), "");
}

}  // namespace
}  // namespace sallyport::server

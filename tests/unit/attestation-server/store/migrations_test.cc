#include "attestation-server/store/migrations.h"

#include "attestation-server/store/content_keys.h"
#include "attestation-server/store/floors.h"
#include "attestation-server/store/meta.h"
#include "attestation-server/store/references.h"
#include "attestation-server/store/rollouts.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

using MigrationsTest = StoreTest;

// OldDevice is an active device as the first schema held it.
std::string OldDevice(const std::string& id, const std::string& ek, const std::string& token) {
  return "INSERT INTO devices VALUES ('" + id + "','" + id + "','edge.example','s','online','','" +
         ek + "','','','',1,'','" + id + "','token','" + token +
         "','','active','','attested','passing','',NULL,0,0,0,0,1,'',NULL,NULL,NULL,NULL,NULL,"
         "NULL,NULL,NULL,0,0,0,0,0,1,1,0,0,0,NULL,NULL,NULL,'A','',0,0);";
}

TEST_F(MigrationsTest, AreNumberedWithoutGaps) {
  int64_t expected = 1;
  for (const Migration& migration : Migrations()) EXPECT_EQ(migration.version, expected++);
}

// A device of before the profile column is of the profile of its token or of its EK's entry.
TEST_F(MigrationsTest, ADeviceOfBeforeFindsItsProfile) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  ASSERT_TRUE(Migrate(**connection, Migrations().first(1)).has_value());
  const auto run = [&](const std::string& sql) {
    const auto done = (*connection)->RunScript(sql);
    ASSERT_TRUE(done.has_value()) << done.error().ToString();
  };
  run("INSERT INTO tokens VALUES ('t1','h','n','by-token','s','c','','',NULL,1,1,0,1,0,0,'o');"
      "INSERT INTO ek_allow VALUES ('ek2','','by-list','s','c','',0,'o');" +
      OldDevice("d1", "ek1", "t1") + OldDevice("d2", "ek2", "") + OldDevice("d3", "ek3", ""));

  ASSERT_TRUE(Migrate(**connection, Migrations()).has_value());

  for (const auto& [id, profile] :
       {std::pair("d1", "by-token"), std::pair("d2", "by-list"), std::pair("d3", "")}) {
    const auto row =
        (*connection)
            ->QueryOne("SELECT profile, tpm_kind, null_name FROM devices WHERE id = :id", "ttt",
                       {std::string_view(id)});
    EXPECT_EQ(row.value()->Text(0), profile);
    EXPECT_EQ(row.value()->Text(1), "unknown");
    EXPECT_EQ(row.value()->Text(2), "unknown");
  }
}

TEST_F(MigrationsTest, AReleaseOfBeforeIsNotWithdrawn) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  ASSERT_TRUE(Migrate(**connection, Migrations().first(5)).has_value());
  ASSERT_TRUE((*connection)
                  ->RunScript("INSERT INTO releases VALUES ('d','edge-os','1.0.0','p','{}',1);")
                  .has_value());

  ASSERT_TRUE(Migrate(**connection, Migrations()).has_value());

  const auto row = (*connection)->QueryOne("SELECT withdrawn FROM releases", "i", {});
  EXPECT_EQ(row.value()->Integer(0), 0);
}

TEST_F(MigrationsTest, AReportOfBeforeSaysNothingOfTheImage) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(1)).has_value());
  const std::string digest(64, '0');
  const auto done =
      c.RunScript(OldDevice("d1", "ek1", "") + "INSERT INTO releases VALUES ('" + digest +
                  "','edge-os','1','p','{}',1);INSERT INTO rollouts VALUES ('r','" + digest +
                  "','draft','draft','','o',1,1,1);INSERT INTO rollout_devices VALUES "
                  "('r','d1','rest',0,'IDLE','','','',0,0);");
  ASSERT_TRUE(done.has_value()) << done.error().ToString();

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  EXPECT_EQ(Rollouts(c).DevicesOf("r")->at(0).origins, "");
}

TEST_F(MigrationsTest, AStoreOfBeforeHasNoContentKeysAndMayGetThem) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(6)).has_value());

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  const auto id = pki::ContentKeyId::FromArray(HashOf(3).array());
  EXPECT_FALSE(FindContentKey(c, id)->has_value());
  ASSERT_TRUE(PutContentKey(c, {id, Bytes(72, 5), "alice", UnixTime{7}}).has_value());
  ASSERT_TRUE(PutContentKey(c, {id, Bytes(72, 6), "bob", UnixTime{8}}).has_value());
  EXPECT_EQ(FindContentKey(c, id).value()->box, Bytes(72, 5)) << "the first stays";
  EXPECT_EQ(FindContentKey(c, id).value()->added_by, "alice");
}

TEST_F(MigrationsTest, ADeviceOfBeforeHasNoFloorsAndMayGetThem) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(3)).has_value());
  const DeviceRecord device = MakeDevice(1);
  ASSERT_TRUE(Devices(c).Insert(device).has_value());

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  EXPECT_EQ(*FindFloors(c, device.id), std::nullopt);
  EXPECT_TRUE(PutFloors(c, {.device_id = device.id}).has_value());
}

TEST_F(MigrationsTest, EveryOldSchemaReachesTheNewestOne) {
  for (size_t old = 0; old <= Migrations().size(); ++old) {
    auto connection = Connection::Open(directory_ + "/old-" + std::to_string(old) + ".db",
                                       ConnectionMode::kWriter);
    ASSERT_TRUE(connection.has_value());
    ASSERT_TRUE(Migrate(**connection, Migrations().first(old)).has_value());

    ASSERT_TRUE(Migrate(**connection, Migrations()).has_value());

    EXPECT_EQ(SchemaVersion(**connection).value(), Migrations().back().version);
  }
}

TEST_F(MigrationsTest, DataOfAnOldSchemaSurvivesALaterMigration) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  ASSERT_TRUE(Migrate(**connection, Migrations()).has_value());
  ASSERT_TRUE(InitialiseDeployment(**connection, {"edge.example", true, 1}).has_value());
  std::vector<Migration> later(Migrations().begin(), Migrations().end());
  const int64_t next = later.back().version + 1;
  later.push_back({next, "later", "ALTER TABLE meta ADD COLUMN note TEXT NOT NULL DEFAULT '';"});

  ASSERT_TRUE(Migrate(**connection, later).has_value());

  EXPECT_EQ(SchemaVersion(**connection).value(), next);
  EXPECT_EQ(ReadDeployment(**connection).value().trust_domain, "edge.example");
}

TEST_F(MigrationsTest, ReferencesOfTheFirstSchemaKeepTheirDevicesAndMayNowBeOwn) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(1)).has_value());
  const DeviceRecord device = MakeDevice(1);
  ASSERT_TRUE(c.RunScript(OldDevice(device.id, HexEncode(HashOf(1)), "")).has_value());
  ASSERT_TRUE(c.Execute("INSERT INTO reference_sets (id, device_class, state, json, created_at) "
                        "VALUES (:id, 'online', 'active', '{}', 1)",
                        {HashOf(1)})
                  .has_value());
  ASSERT_TRUE(c.Execute("INSERT INTO device_reference_sets (device_id, role, reference_id) VALUES "
                        "(:device, 'recovery', :id)",
                        {device.id, HashOf(1)})
                  .has_value());

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  EXPECT_EQ(DeviceReferences(c, device.id, ReferenceRole::kRecovery).value(),
            std::vector<Sha256Digest>{HashOf(1)});
  EXPECT_EQ(References(c).Find(HashOf(1)).value()->scope, ReferenceScope::kClass);
  EXPECT_EQ(References(c).ForDevice(device.id, "online").value().size(), 2u);
  EXPECT_TRUE(References(c).Assign(device.id, ReferenceRole::kOwn, HashOf(1)).has_value());
}

TEST_F(MigrationsTest, RolloutsOfTheFirstSchemaGoOnWithoutALog) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(1)).has_value());
  const DeviceRecord device = MakeDevice(1);
  ASSERT_TRUE(c.RunScript(OldDevice(device.id, HexEncode(HashOf(1)), "")).has_value());
  ASSERT_TRUE(c.RunScript("INSERT INTO releases (digest, product, version, path, json, created_at) "
                          "VALUES ('" +
                          HexEncode(HashOf(2)) +
                          "', 'p', '1', 'x', '{}', 1);"
                          "INSERT INTO rollouts (name, release_digest, state, resume_state, why, "
                          "created_by, created_at, changed_at, revision) VALUES ('v1', '" +
                          HexEncode(HashOf(2)) +
                          "', 'halted', 'draft', '', 'alice', 1, 1, 0);"
                          "INSERT INTO rollout_devices (rollout, device_id, wave, assigned, state, "
                          "slot, gate, detail, percent, reported_at) VALUES ('v1', '" +
                          device.id + "', 'canary', 1, 'ROLLED_BACK', 'B', 'boot', '', 100, 1);")
                  .has_value());

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  RolloutDeviceRow row = Rollouts(c).DevicesOf("v1").value().at(0);
  EXPECT_EQ(row.gate, "boot");
  EXPECT_EQ(row.log_tail, "");
  row.log_tail = "panic";
  ASSERT_TRUE(Rollouts(c).UpdateDevice(row).has_value());
  EXPECT_EQ(Rollouts(c).DevicesOf("v1").value().at(0).log_tail, "panic");
}

TEST_F(MigrationsTest, DevicesOfOldRolloutsMayBeDegraded) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  Connection& c = **connection;
  ASSERT_TRUE(Migrate(c, Migrations().first(1)).has_value());
  const DeviceRecord device = MakeDevice(1);
  ASSERT_TRUE(c.RunScript(OldDevice(device.id, HexEncode(HashOf(1)), "")).has_value());
  ASSERT_TRUE(Migrate(c, Migrations().first(8)).has_value());
  ASSERT_TRUE(c.RunScript("INSERT INTO releases (digest, product, version, path, json, created_at) "
                          "VALUES ('" +
                          HexEncode(HashOf(2)) +
                          "', 'p', '1', 'x', '{}', 1);"
                          "INSERT INTO rollouts (name, release_digest, state, resume_state, why, "
                          "created_by, created_at, changed_at, revision) VALUES ('v1', '" +
                          HexEncode(HashOf(2)) +
                          "', 'halted', 'draft', '', 'alice', 1, 1, 0), ('v2', '" +
                          HexEncode(HashOf(2)) +
                          "', 'ramp', 'draft', '', 'alice', 2, 2, 0);"
                          "INSERT INTO rollout_devices (rollout, device_id, wave, assigned, state, "
                          "slot, gate, detail, percent, reported_at, log_tail) VALUES ('v1', '" +
                          device.id +
                          "', 'canary', 1, 'ROLLED_BACK', 'B', 'boot', 'why', 100, 1, 'panic'), "
                          "('v2', '" +
                          device.id + "', 'rest', 1, 'IDLE', '', '', '', 0, 1, '');")
                  .has_value());

  ASSERT_TRUE(Migrate(c, Migrations()).has_value());

  RolloutDeviceRow row = Rollouts(c).DevicesOf("v1").value().at(0);
  EXPECT_EQ(row.gate + row.detail + row.log_tail, "bootwhypanic");
  EXPECT_EQ(CountDegraded(c).value(), 0);
  row.state = UpdateState::kDegraded;
  ASSERT_TRUE(Rollouts(c).UpdateDevice(row).has_value());
  EXPECT_TRUE(HasFailed(Rollouts(c).DevicesOf("v1").value().at(0)));
  EXPECT_EQ(CountDegraded(c).value(), 1);

  RolloutDeviceRow next = Rollouts(c).DevicesOf("v2").value().at(0);
  next.state = UpdateState::kPlanned;
  ASSERT_TRUE(Rollouts(c).UpdateDevice(next).has_value());
  EXPECT_EQ(CountDegraded(c).value(), 1) << "it is told of another release, and installs nothing";
  next.state = UpdateState::kWriting;
  ASSERT_TRUE(Rollouts(c).UpdateDevice(next).has_value());
  EXPECT_EQ(CountDegraded(c).value(), 0);
}

TEST_F(MigrationsTest, AFailingMigrationChangesNothing) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  const std::vector<Migration> broken{
      {1, "broken", "CREATE TABLE half (a TEXT); CREATE TABEL nonsense;"}};

  ASSERT_FALSE(Migrate(**connection, broken).has_value());

  EXPECT_EQ(SchemaVersion(**connection).value(), 0);
  EXPECT_TRUE(Migrate(**connection, Migrations()).has_value());
  EXPECT_FALSE((*connection)->Query("SELECT a FROM half", "t").has_value());
}

TEST_F(MigrationsTest, RefusesAFileOfANewerProgram) {
  auto connection = Connection::Open(path(), ConnectionMode::kWriter);
  ASSERT_TRUE(Migrate(**connection, Migrations()).has_value());
  ASSERT_TRUE((*connection)
                  ->Execute("INSERT INTO schema_migrations (version, name) VALUES (999, 'future')")
                  .has_value());

  const auto opened = Database::Open(path(), random_);

  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().rule, "store.newer-schema");
}

}  // namespace
}  // namespace sallyport::server

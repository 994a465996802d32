// The cases of the public tuf-conformance suite: thresholds, key types and key rotation.
#include "tests/conformance/suite.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

class SuiteKeys : public Suite {};

TEST_F(SuiteKeys, FewerSignaturesThanTheThresholdAreRefused) {
  repo_.roles["snapshot"].threshold = 3;
  for (int i = 0; i < 2; ++i) repo_.AddKey("snapshot", repo_.NewKey());
  repo_.Publish({"root", "targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["snapshot"].signers.pop_back();
  repo_.Publish({"targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("snapshot"), 2);
}

TEST_F(SuiteKeys, AThresholdAboveTheNumberOfKeysIsNeverReached) {
  ASSERT_EQ(Init(), 0);
  for (int i = 0; i < 4; ++i) repo_.AddKey("snapshot", repo_.NewKey());
  repo_.roles["snapshot"].threshold = 6;
  repo_.Publish({"root", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 2, timestamp 2");
}

TEST_F(SuiteKeys, RepeatedSignaturesOfOneKeyCountOnce) {
  ASSERT_EQ(Init(), 0);
  repo_.AddKey("snapshot", repo_.NewKey());
  repo_.roles["snapshot"].threshold = 6;
  repo_.Publish({"root", "snapshot", "timestamp"});
  const JsonValue document = Parsed("snapshot");
  std::vector<JsonValue> signatures = *document.Find("signatures")->if_array();
  for (int i = 0; i < 8; ++i) signatures.push_back(signatures[1]);
  SetMember("snapshot", {"signatures"}, JsonValue::Array(signatures));
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("snapshot"), 0);
}

TEST_F(SuiteKeys, OneKeyUnderManyIdsCountsOnce) {
  ASSERT_EQ(Init(), 0);
  RepositorySimulator::Key key = repo_.roles["snapshot"].keys.front();
  for (int i = 0; i < 3; ++i) {
    key.id += "'";
    repo_.AddKey("snapshot", key);
  }
  repo_.roles["snapshot"].threshold = 2;
  repo_.Publish({"root", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 2, timestamp 2");
}

TEST_F(SuiteKeys, ASecondSignatureOfOneKeyIdRefusesTheDocument) {
  ASSERT_EQ(Init(), 0);
  std::vector<JsonValue> signatures = *Parsed("snapshot").Find("signatures")->if_array();
  signatures.push_back(signatures[0]);
  SetMember("snapshot", {"signatures"}, JsonValue::Array(signatures));
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("snapshot"), 0);
}

TEST_F(SuiteKeys, AnInvalidSignatureBesideEnoughValidOnesIsIgnored) {
  ASSERT_EQ(Init(), 0);
  const JsonValue old = *Parsed("timestamp").Find("signatures")->if_array()->front().Find("sig");
  repo_.AddKey("timestamp", repo_.NewKey());
  for (const JsonValue& wrong : {old, JsonValue(""), JsonValue("no hex"), JsonValue("00")}) {
    repo_.Publish({"root", "timestamp"});
    std::vector<JsonValue> signatures = *Parsed("timestamp").Find("signatures")->if_array();
    signatures[0] = WithMember(signatures[0], {"sig"}, wrong);
    SetMember("timestamp", {"signatures"}, JsonValue::Array(signatures));
    EXPECT_EQ(Refresh(), 0) << WriteJson(wrong);
  }
  EXPECT_EQ(Version("timestamp"), 5);
}

class OfType : public Suite, public testing::WithParamInterface<pki::KeyType> {};

TEST_P(OfType, KeysSignRootsAndTheirWrongSignaturesAreRefused) {
  ASSERT_EQ(Init(), 0);
  repo_.AddKey("root", repo_.NewKey(GetParam()));
  ++repo_.roles["root"].threshold;
  repo_.Publish({"root"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Version("root"), 2);

  const JsonValue before = *Parsed("root").Find("signatures")->if_array()->at(1).Find("sig");
  repo_.Publish({"root"});
  std::vector<JsonValue> signatures = *Parsed("root").Find("signatures")->if_array();
  signatures[1] = WithMember(signatures[1], {"sig"}, before);
  SetMember("root", {"signatures"}, JsonValue::Array(signatures));
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("root"), 2);
}

INSTANTIATE_TEST_SUITE_P(Types, OfType,
                         testing::Values(pki::KeyType::kRsa, pki::KeyType::kP256,
                                         pki::KeyType::kEd25519));

TEST_F(SuiteKeys, TheOldNameOfAnEcdsaKeyTypeIsUnderstood) {
  ASSERT_EQ(Init(), 0);
  RepositorySimulator::Key key = repo_.NewKey();
  key.json = WithMember(key.json, {"keytype"}, "ecdsa-sha2-nistp256");
  repo_.AddKey("root", key);
  repo_.roles["root"].threshold = 2;
  repo_.Publish({"root"});
  EXPECT_EQ(Refresh(), 0);
  repo_.roles["root"].signers.pop_back();
  repo_.Publish({"root"});
  EXPECT_EQ(Refresh(), 1);
}

// One version of a role: the keys listed, the threshold, the keys that sign.
struct KeySet {
  std::vector<size_t> keys;
  int64_t threshold;
  std::vector<size_t> signers;
};

class Rotation : public Suite {
 protected:
  Rotation() {
    for (int i = 0; i < 10; ++i) keys_.push_back(repo_.NewKey(pki::KeyType::kEd25519));
  }
  void Use(const std::string& role, const KeySet& set) {
    repo_.roles[role].keys.clear();
    repo_.roles[role].signers.clear();
    repo_.roles[role].threshold = set.threshold;
    for (const size_t i : set.keys) repo_.roles[role].keys.push_back(keys_[i]);
    for (const size_t i : set.signers) repo_.roles[role].signers.push_back(keys_[i]);
  }
  std::vector<RepositorySimulator::Key> keys_;
};

struct RootCase {
  const char* what;
  std::vector<KeySet> versions;
  bool accepted = true;
};

const RootCase kRootCases[] = {
    {"one key replaced", {{{1}, 1, {1}}, {{2}, 1, {2, 1}}, {{2}, 1, {2}}}},
    {"signatures of unlisted keys",
     {{{1}, 1, {3, 1, 4}}, {{2}, 1, {3, 2, 1, 4}}, {{2}, 1, {3, 2, 4}}}},
    {"three of five in other combinations",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}},
      {{0, 1, 2, 3, 4}, 3, {0, 4, 1}},
      {{0, 1, 2, 3, 4}, 3, {0, 1, 3}},
      {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}}},
    {"one of five replaced", {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 1}}}},
    {"one of five replaced in two steps",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}},
      {{0, 1, 3, 4, 5}, 3, {0, 2, 4, 5}},
      {{0, 1, 3, 4, 5}, 3, {0, 4, 5}}}},
    {"all of five replaced in two steps",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}},
      {{5, 6, 7, 8, 9}, 3, {0, 2, 4, 5, 6, 7}},
      {{5, 6, 7, 8, 9}, 3, {5, 6, 7}}}},
    {"threshold raised", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {1, 2}}}},
    {"threshold lowered", {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1, 2}}, {{1, 2, 3}, 1, {1}}}},
    {"threshold raised with a new key", {{{1}, 1, {1}}, {{1, 2}, 2, {1, 2}}}},
    {"not signed by the old key", {{{1}, 1, {1}}, {{2}, 1, {2, 3, 4}}}, false},
    {"not signed by the new key", {{{1}, 1, {1}}, {{2}, 1, {1, 3, 4}}}, false},
    {"not signed by three new keys",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 2, 4}}},
     false},
    {"not signed by three old keys",
     {{{0, 1, 2, 3, 4}, 3, {0, 2, 4}}, {{0, 1, 3, 4, 5}, 3, {0, 4, 5}}},
     false},
    {"raised threshold not reached", {{{1, 2, 3}, 1, {1}}, {{1, 2, 3}, 2, {2}}}, false},
    {"lowered threshold, old one not reached",
     {{{1, 2, 3}, 2, {1, 2}}, {{1, 2, 3}, 1, {1}}},
     false},
};

class RootRotation : public Rotation, public testing::WithParamInterface<RootCase> {};

TEST_P(RootRotation, NeedsTheThresholdsOfTheOldAndOfTheNewRoot) {
  repo_.Unpublish("root");
  for (const KeySet& version : GetParam().versions) {
    Use("root", version);
    repo_.Publish({"root"});
  }
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Refresh(), GetParam().accepted ? 0 : 1) << GetParam().what;
  const std::vector<Bytes>& roots = repo_.published.at("root");
  EXPECT_EQ(Stored("root"), roots[roots.size() - (GetParam().accepted ? 1 : 2)]) << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(Cases, RootRotation, testing::ValuesIn(kRootCases));

struct RoleCase {
  const char* what;
  KeySet set;
  bool accepted = true;
};

const RoleCase kRoleCases[] = {
    {"one key replaced", {{2}, 1, {2}}},
    {"signatures of unlisted keys", {{1}, 1, {3, 1, 4}}},
    {"not signed by the new key", {{2}, 1, {1, 3, 4}}, false},
    {"three signatures, one of a key that left", {{0, 1, 3, 4, 5}, 3, {0, 2, 4}}, false},
    {"two signatures of three", {{0, 1, 3, 4, 5}, 3, {0, 4}}, false},
    {"first combination", {{0, 1, 2, 3, 4}, 3, {0, 2, 4}}},
    {"second combination", {{0, 1, 2, 3, 4}, 3, {0, 4, 1}}},
    {"third combination", {{0, 1, 2, 3, 4}, 3, {0, 1, 3}}},
    {"fourth combination", {{0, 1, 2, 3, 4}, 3, {1, 2, 3}}},
    {"fifth combination", {{0, 1, 2, 3, 4}, 3, {2, 3, 4}}},
};

class RoleRotation : public Rotation, public testing::WithParamInterface<RoleCase> {};

TEST_P(RoleRotation, NeedsTheThresholdOfTheNewRoot) {
  ASSERT_EQ(Init(), 0);
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    Use(role, GetParam().set);
    repo_.Publish({"root", "targets", "snapshot", "timestamp"});
    EXPECT_EQ(Refresh(), GetParam().accepted ? 0 : 1) << GetParam().what << ", " << role;
    EXPECT_EQ(Stored(role) == Published(role), GetParam().accepted) << role;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RoleRotation, testing::ValuesIn(kRoleCases));

class Rollback : public Suite, public testing::WithParamInterface<bool> {};

TEST_F(SuiteKeys, ATimestampIsNotRolledBack) {
  ASSERT_EQ(Init(), 0);
  repo_.Publish({"timestamp"});
  ASSERT_EQ(Refresh(), 0);
  repo_.Unpublish("timestamp");
  repo_.Publish({"timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("timestamp"), 2);
  EXPECT_EQ(repo_.metadata_requests.back(), "timestamp");
}

TEST_P(Rollback, OfTheSnapshotIsRefused) {
  ASSERT_EQ(Init(), 0);
  repo_.metadata_hashes = GetParam();
  repo_.Publish({"snapshot", "timestamp"});
  ASSERT_EQ(Refresh(), 0);
  repo_.Unpublish("snapshot");
  repo_.Publish({"snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
  EXPECT_EQ(repo_.metadata_requests.back(), "timestamp");
}

TEST_P(Rollback, OfTheTargetsIsRefused) {
  ASSERT_EQ(Init(), 0);
  repo_.metadata_hashes = GetParam();
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Refresh(), 0);
  repo_.Unpublish("targets");
  repo_.Publish({"targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("snapshot"), 2);
  EXPECT_EQ(Version("targets"), 2);
}

INSTANTIATE_TEST_SUITE_P(WithDigests, Rollback, testing::Bool());

class FastForward : public Suite {
 protected:
  // Attack publishes 99 more versions of `role` and lets the client see them.
  void Attack(const std::string& role, const std::vector<std::string>& then) {
    ASSERT_EQ(Init(), 0);
    for (int i = 0; i < 99; ++i) repo_.Publish({role});
    repo_.Publish(then);
    ASSERT_EQ(Refresh(), 0);
    ASSERT_EQ(Version(role), 100);
    repo_.Unpublish(role);
  }
};

TEST_F(FastForward, OfTargetsEndsWithNewSnapshotKeys) {
  Attack("targets", {"snapshot", "timestamp"});
  repo_.RotateKeys("snapshot");
  repo_.Publish({"root", "targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Version("targets"), 1);
}

TEST_F(FastForward, OfSnapshotEndsWithNewSnapshotAndTimestampKeys) {
  Attack("snapshot", {"timestamp"});
  repo_.RotateKeys("snapshot");
  repo_.RotateKeys("timestamp");
  repo_.Publish({"root", "targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Version("snapshot"), 1);
}

TEST_F(FastForward, OfTimestampEndsWithNewTimestampKeys) {
  Attack("timestamp", {});
  repo_.RotateKeys("timestamp");
  repo_.Publish({"root", "timestamp"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Version("timestamp"), 1);
}

TEST_F(FastForward, OfTargetsStaysWithoutNewKeys) {
  Attack("targets", {"snapshot", "timestamp"});
  repo_.Publish({"root", "targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Version("targets"), 100);
}

}  // namespace
}  // namespace sallyport::ota

// The cases of the public tuf-conformance suite: the workflow of one refresh.
#include "tests/conformance/suite.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

using Requests = std::vector<std::string>;
const Requests kFirstRefresh = {"root 2", "timestamp", "snapshot 1", "targets 1"};
const std::vector<std::string> kAllRoles = {"root", "targets", "snapshot", "timestamp"};
constexpr const char* kFour = "root 1, snapshot 1, targets 1, timestamp 1";

class Basic : public Suite {};

TEST_F(Basic, ARefreshAsksForEachRoleOnceAndStoresWhatItGot) {
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(repo_.metadata_requests, kFirstRefresh);
  for (const std::string& role : kAllRoles) EXPECT_EQ(Stored(role), Published(role)) << role;
}

TEST_F(Basic, ADownloadRefreshesFirst) {
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Download("nonexistent artifact"), 1);
  EXPECT_EQ(repo_.metadata_requests, kFirstRefresh);
  EXPECT_EQ(Trusted(), kFour);
}

TEST_F(Basic, AnInitialRootWithoutVersionIsNeverUsed) {
  const std::string text = ToString(Published("root"));
  const size_t at = text.find(",\"version\":1");
  ASSERT_NE(at, std::string::npos);
  InitWith(AsBytes(text.substr(0, at) + text.substr(at + 12)));
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(repo_.metadata_requests, Requests{});
}

TEST_F(Basic, AnInitialRootThatIsNotSignedIsNeverUsed) {
  const RepositorySimulator other(now_);
  const JsonValue foreign = ParseJson(AsText(other.published.at("root").back())).value();
  SetMember("root", {"signatures"}, *foreign.Find("signatures"));
  InitWith(Published("root"));
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(repo_.metadata_requests, Requests{});
}

TEST_F(Basic, InitialisingAgainKeepsWhatIsTrusted) {
  ASSERT_EQ(Init(), 0);
  repo_.Publish({"root"});
  ASSERT_EQ(Refresh(), 0);
  EXPECT_EQ(Init(), 0);
  EXPECT_EQ(Version("root"), 2);
}

struct RoleAndTrust {
  const char* role;
  const char* trusted;
};

class Unsigned : public Suite, public testing::WithParamInterface<RoleAndTrust> {};

TEST_P(Unsigned, ARoleStopsTheRefreshAfterItsPredecessors) {
  repo_.roles.at(GetParam().role).signers.clear();
  repo_.Publish(kAllRoles);
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), GetParam().trusted);
}

INSTANTIATE_TEST_SUITE_P(
    Roles, Unsigned,
    testing::Values(RoleAndTrust{"root", "root 1"}, RoleAndTrust{"timestamp", "root 2"},
                    RoleAndTrust{"snapshot", "root 2, timestamp 2"},
                    RoleAndTrust{"targets", "root 2, snapshot 2, timestamp 2"}));

class OtherVersion : public Suite, public testing::WithParamInterface<RoleAndTrust> {};

TEST_P(OtherVersion, ThanTheFileNameSaysIsRefused) {
  ++repo_.roles.at(GetParam().role).version;
  repo_.Publish(kAllRoles);
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), GetParam().trusted);
}

INSTANTIATE_TEST_SUITE_P(
    Roles, OtherVersion,
    testing::Values(RoleAndTrust{"root", "root 1"}, RoleAndTrust{"snapshot", "root 2, timestamp 2"},
                    RoleAndTrust{"targets", "root 2, snapshot 2, timestamp 2"}));

TEST_F(Basic, ATimestampThatChangesUnderItsVersionIsIgnored) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  const Bytes first = Stored("timestamp");
  repo_.timestamp_meta = RepositorySimulator::Meta(100);
  repo_.Unpublish("timestamp");
  repo_.Publish({"timestamp"});

  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(repo_.metadata_requests.back(), "timestamp");
  EXPECT_EQ(Stored("timestamp"), first);
}

TEST_F(Basic, DigestsOfMetadataAreChecked) {
  repo_.metadata_hashes = true;
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Refresh(), 0);

  repo_.Publish({"targets"});
  repo_.snapshot_meta["targets"] =
      WithMember(repo_.snapshot_meta["targets"], {"hashes", "sha256"}, std::string(64, '4'));
  repo_.Publish({"snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 1, snapshot 3, targets 2, timestamp 3");
}

TEST_F(Basic, MetadataIsStoredAsReceived) {
  repo_.published.at("timestamp").back().push_back(' ');
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  EXPECT_EQ(Stored("timestamp"), Published("timestamp"));
}

TEST_F(Basic, UnknownMembersAreSignedAndIgnored) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.AddKey("root", repo_.NewKey(pki::KeyType::kP256,
                                    {{"extra-field", JsonValue::Object({{"a", 1}, {"b", 2}})}}));
  repo_.edit = [](const std::string& role, JsonValue& body) {
    body = WithMember(body, {"custom-field"}, "value");
    if (role == "root") body = WithMember(body, {"roles", "root", "another-field"}, "value");
  };
  repo_.Publish(kAllRoles);
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Trusted(), "root 2, snapshot 2, targets 2, timestamp 2");
}

TEST_F(Basic, AMisleadingKeyIdHashAlgorithmChangesNothing) {
  ASSERT_EQ(Init(), 0);
  repo_.roles["snapshot"].keys.clear();
  repo_.roles["snapshot"].signers.clear();
  repo_.AddKey("snapshot", repo_.NewKey(pki::KeyType::kP256, {{"keyid_hash_algorithms", "md5"}}));
  repo_.Publish({"root", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Trusted(), "root 2, snapshot 2, targets 1, timestamp 2");
}

TEST_F(Basic, AMissingSnapshotKeepsTheNewTimestamp) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.timestamp_meta = RepositorySimulator::Meta(2);
  repo_.Publish({"timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(repo_.metadata_requests.back(), "snapshot 2");
  EXPECT_EQ(Trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
}

TEST_F(Basic, MissingTargetsKeepTheNewTimestampAndSnapshot) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.snapshot_meta["targets"] = RepositorySimulator::Meta(2);
  repo_.Publish({"snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(repo_.metadata_requests.back(), "targets 2");
  EXPECT_EQ(Trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
}

TEST_F(Basic, AMissingTimestampEndsTheRefresh) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.Unpublish("timestamp");
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(repo_.metadata_requests.back(), "timestamp");
  EXPECT_EQ(Trusted(), kFour);
}

TEST_F(Basic, ASnapshotIsNoTimestamp) {
  ASSERT_EQ(Init(), 0);
  repo_.AddKey("snapshot", repo_.roles["timestamp"].keys.front());
  repo_.snapshot_meta = {{"snapshot", RepositorySimulator::Meta(1)}};
  repo_.Publish({"root", "snapshot"});
  repo_.published["timestamp"].push_back(repo_.published["snapshot"].back());
  repo_.published["snapshot"].pop_back();
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 2");
}

TEST_F(Basic, ARepositoryWithoutConsistentSnapshotsIsServedByPlainNames) {
  repo_.consistent_snapshot = false;
  repo_.AddArtifact("targets", "dir/file", "content");
  repo_.Unpublish("root");
  repo_.Publish({"root", "targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Download("dir/file"), 0);
  EXPECT_EQ(repo_.metadata_requests, (Requests{"root 2", "timestamp", "snapshot", "targets"}));
  EXPECT_EQ(repo_.artifact_requests, Requests{"dir/file"});
}

class Expiry : public Suite {};

TEST_F(Expiry, OfTheRootEndsTheRefreshAfterItIsStored) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.Publish({"root"});
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["root"].expires = now_ - Days(1);
  repo_.Publish({"root", "targets"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 3, snapshot 1, targets 1, timestamp 1");
}

TEST_F(Expiry, OfTheTimestampLeavesEverything) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["timestamp"].expires = now_ - Days(5);
  repo_.Publish({"timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), kFour);
}

TEST_F(Expiry, OfTheSnapshotKeepsTheTimestamp) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["snapshot"].expires = now_ - Days(5);
  repo_.Publish({"snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 1, snapshot 1, targets 1, timestamp 2");
}

TEST_F(Expiry, OfTheTargetsKeepsTimestampAndSnapshot) {
  ASSERT_EQ(Init(), 0);
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["targets"].expires = now_ - Days(5);
  repo_.Publish({"targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 1);
  EXPECT_EQ(Trusted(), "root 1, snapshot 2, targets 1, timestamp 2");
}

TEST_F(Expiry, OfTheHeldRootDoesNotStopItsSuccessor) {
  ASSERT_EQ(Init(), 0);
  repo_.roles["root"].expires = now_ + Days(7);
  repo_.Publish({"root"});
  ASSERT_EQ(Refresh(), 0);
  EXPECT_EQ(RefreshAfter(Days(8)), 1);
  repo_.roles["root"].expires = now_ + Days(21);
  repo_.Publish({"root"});
  EXPECT_EQ(RefreshAfter(Days(18)), 0);
  EXPECT_EQ(Version("root"), 3);
}

TEST_F(Expiry, OfTheHeldTimestampDoesNotStopItsSuccessor) {
  ASSERT_EQ(Init(), 0);
  repo_.roles["timestamp"].expires = now_ + Days(7);
  repo_.Publish({"timestamp"});
  ASSERT_EQ(Refresh(), 0);
  repo_.roles["timestamp"].expires = now_ + Days(21);
  repo_.Publish({"targets", "snapshot", "timestamp"});
  EXPECT_EQ(RefreshAfter(Days(18)), 0);
  EXPECT_EQ(Trusted(), "root 1, snapshot 2, targets 2, timestamp 3");
}

TEST_F(Expiry, OfTheHeldTimestampWithoutSuccessorEndsTheRefresh) {
  ASSERT_EQ(Init(), 0);
  repo_.roles["timestamp"].expires = now_ + Days(7);
  repo_.Publish({"timestamp"});
  ASSERT_EQ(Refresh(), 0);
  EXPECT_EQ(RefreshAfter(Days(8)), 1);
}

class DelegatedExpiry : public Suite {
 protected:
  void Delegate(UnixTime expires) {
    ASSERT_EQ(Init(), 0);
    repo_.AddDelegation("targets", {"delegated", {"delegatedpath/*"}});
    repo_.roles["delegated"].expires = expires;
    repo_.AddArtifact("delegated", "delegatedpath/first", "first");
    repo_.AddArtifact("delegated", "delegatedpath/second", "second");
    repo_.Publish({"delegated", "targets", "snapshot", "timestamp"});
  }
};

TEST_F(DelegatedExpiry, BeforeTheFirstUseIsRefusedAndNotStored) {
  Delegate(now_ - Days(1));
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Download("delegatedpath/first"), 1);
  EXPECT_EQ(Downloaded(), Requests{});
  EXPECT_EQ(Trusted(), "root 1, snapshot 2, targets 2, timestamp 2");
}

TEST_F(DelegatedExpiry, AfterTheFirstUseEndsItsUse) {
  Delegate(now_ + Days(7));
  EXPECT_EQ(Download("delegatedpath/first"), 0);
  EXPECT_EQ(DownloadAfter(Days(18), "delegatedpath/second"), 1);
}

TEST_F(DelegatedExpiry, DoesNotStopItsSuccessor) {
  Delegate(now_ + Days(7));
  EXPECT_EQ(Download("delegatedpath/first"), 0);
  repo_.roles["delegated"].expires = now_ + Days(21);
  repo_.Publish({"delegated", "snapshot", "timestamp"});
  EXPECT_EQ(DownloadAfter(Days(18), "delegatedpath/second"), 0);
}

}  // namespace
}  // namespace sallyport::ota

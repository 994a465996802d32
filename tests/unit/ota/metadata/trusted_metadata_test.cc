// The TUF workflow against an in-memory repository under attack. Every case goes through
// MetadataClient, so that the order of checks and what is stored are tested together.
#include "ota/metadata/trusted_metadata.h"

#include <gtest/gtest.h>

#include "pki/crypto/hash.h"
#include "tests/unit/ota/metadata/workflow_fixture.h"

namespace sallyport::ota {
namespace {

class Workflow : public WorkflowFixture {
 protected:
  using WorkflowFixture::WorkflowFixture;
};

TEST_F(Workflow, FirstRefreshTrustsAndStoresTheFourRoles) {
  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(Held(), "1.1.1.1");
  EXPECT_EQ(repository_.fetched, (std::vector<std::string>{"2.root.json", "timestamp.json",
                                                           "1.snapshot.json", "1.targets.json"}));
}

TEST_F(Workflow, UnchangedRepositoryCostsTwoRequests) {
  ASSERT_EQ(Refresh(), "ok");
  repository_.fetched.clear();

  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(repository_.fetched, (std::vector<std::string>{"2.root.json", "timestamp.json"}));
}

TEST_F(Workflow, RefusesWithoutATrustedRoot) {
  MetadataClient other(files_, "/other", {});
  EXPECT_EQ(other.Refresh(repository_, kNow).error().reason, Reason::kNotFound);
}

TEST_F(Workflow, NeverReplacesTheFirstRoot) {
  EXPECT_EQ(client_.Initialise(repository_.CurrentRoot()).error().reason, Reason::kAlreadyExists);
}

TEST_F(Workflow, RefusesUnsignedMetadataOfEachRole) {
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    TufRepository fresh(kNow, "");
    MetadataClient client(files_, std::string("/u-") + role, {});
    ASSERT_TRUE(client.Initialise(fresh.CurrentRoot()));
    fresh.RotateKeys(role);
    fresh.PublishNext();
    EXPECT_EQ(client.Refresh(fresh, kNow).error().name(), "tuf.threshold") << role;
  }
}

TEST_F(Workflow, KeepsWhatItHasWhenALaterRoleIsRefused) {
  ASSERT_EQ(Refresh(), "ok");
  repository_.RotateKeys("targets");
  repository_.PublishNext();

  EXPECT_EQ(Refresh(), "tuf.threshold");
  EXPECT_EQ(Held(), "1.2.2.1");
}

TEST_F(Workflow, CountsOneKeyOnceHoweverManyIdsItHas) {
  const auto& key = repository_.role("targets").keys.front();
  repository_.edit = [&](const std::string& name, JsonValue& body) {
    if (name != "root") return;
    body = WithMember(body, {"keys", "alias"}, KeyToJson(key.public_key()));
    body = WithMember(body, {"roles", "targets", "keyids"},
                      JsonValue::Strings({KeyId(key.public_key()), "alias"}));
    body = WithMember(body, {"roles", "targets", "threshold"}, 2);
  };
  PublishRoot();
  const JsonValue body =
      ParseJson(AsText(repository_.metadata["1.targets.json"]))->Find("signed")[0];
  const std::string sig = HexEncode(key.Sign(AsBytes(CanonicalJson(body))).value());
  std::vector<JsonValue> twice;
  for (const std::string& id : {KeyId(key.public_key()), std::string("alias")})
    twice.push_back(JsonValue::Object({{"keyid", id}, {"sig", sig}}));
  const SignedDocument document =
      SignedDocument::Parse(AsBytes(WriteJson(JsonValue::Object(
                                {{"signed", body}, {"signatures", JsonValue::Array(twice)}}))),
                            kTargetsSizeMax)
          .value();
  const Root root =
      Root::Parse(SignedDocument::Parse(repository_.CurrentRoot(), kRootSizeMax)->TrustAnchor())
          .value();

  EXPECT_EQ(document.CountSignatures(root.keys(Role::kTargets)), 1U);
  EXPECT_EQ(document.Verify(root.keys(Role::kTargets), "targets").error().name(), "tuf.threshold");
}

TEST_F(Workflow, RefusesADocumentWithTwoSignaturesOfOneKeyId) {
  auto& keys = repository_.role("timestamp").keys;
  keys.push_back(keys.front());
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "tuf.duplicate-signature");
}

TEST_F(Workflow, RefusesAThresholdBelowOneAndRepeatedKeyIds) {
  for (const int threshold : {0, -1}) {
    TufRepository fresh(kNow, "");
    fresh.role("snapshot").threshold = threshold;
    fresh.PublishRoot();
    EXPECT_EQ(TrustedMetadata::Start(fresh.CurrentRoot(), kNow, {}).error().name(),
              "tuf.threshold-zero");
  }
  TufRepository fresh(kNow, "");
  fresh.role("targets").keys.push_back(fresh.role("targets").keys.front());
  fresh.PublishRoot();
  EXPECT_EQ(TrustedMetadata::Start(fresh.CurrentRoot(), kNow, {}).error().name(),
            "tuf.duplicate-keyid");
}

TEST_F(Workflow, NeedsEveryKeyOfAHigherThreshold) {
  repository_.RotateKeys("targets", 3);
  repository_.role("targets").threshold = 2;
  PublishRoot();
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");

  auto& keys = repository_.role("targets").keys;
  keys.erase(keys.begin() + 1, keys.end());
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "tuf.threshold");
}

TEST_F(Workflow, FollowsTheRootChainOneVersionAtATime) {
  for (int i = 0; i < 3; ++i) {
    repository_.RotateKeys("root");
    PublishRoot();
  }
  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(Held(), "4.1.1.1");
}

TEST_F(Workflow, RefusesARootThatItsPredecessorDidNotSign) {
  TufRepository attacker(kNow, "");
  ++attacker.role("root").version;
  attacker.PublishRoot();
  repository_.metadata["2.root.json"] = attacker.CurrentRoot();

  EXPECT_EQ(Refresh(), "tuf.threshold");
  EXPECT_EQ(Held(), "1.0.0.0");
}

TEST_F(Workflow, RefusesARootThatDoesNotSignItself) {
  const auto old_keys = repository_.role("root").keys;
  repository_.RotateKeys("root");
  PublishRoot();
  const auto body = ParseJson(AsText(repository_.CurrentRoot()))->Find("signed")[0];
  repository_.metadata["2.root.json"] = TufRepository::Sign(body, old_keys);
  EXPECT_EQ(Refresh(), "tuf.threshold");
}

TEST_F(Workflow, RefusesARootThatSkipsOrRepeatsAVersion) {
  for (const int version : {3, 1}) {
    TufRepository fresh(kNow, "");
    MetadataClient client(files_, "/skip" + std::to_string(version), {});
    ASSERT_TRUE(client.Initialise(fresh.CurrentRoot()));
    fresh.role("root").version = version;
    fresh.PublishRoot();
    fresh.metadata["2.root.json"] = fresh.CurrentRoot();
    EXPECT_EQ(client.Refresh(fresh, kNow).error().name(), "tuf.version-not-next") << version;
  }
}

TEST_F(Workflow, AcceptsAnExpiredRootThatHasASuccessor) {
  repository_.role("root").expires = kNow - Days(1);
  PublishRoot();
  EXPECT_EQ(Refresh(), "tuf.expired");
  repository_.role("root").expires = kNow + Days(1);
  PublishRoot();
  EXPECT_EQ(Refresh(), "ok");
}

TEST_F(Workflow, RefusesEachRoleFromTheSecondItExpires) {
  const UnixTime end = kNow + Hours(1);
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    TufRepository fresh(kNow, "");
    MetadataClient client(files_, std::string("/e-") + role, {});
    fresh.role(role).expires = end;
    fresh.PublishRoot();
    fresh.Publish();
    ASSERT_TRUE(client.Initialise(fresh.CurrentRoot()));
    EXPECT_TRUE(client.Refresh(fresh, end - Seconds(1))) << role;
    EXPECT_EQ(client.Refresh(fresh, end).error().name(), "tuf.expired") << role;
  }
}

TEST_F(Workflow, RefusesToGoOnWithAFrozenTimestamp) {
  ASSERT_EQ(Refresh(), "ok");
  EXPECT_EQ(Refresh(kNow + Days(1)), "tuf.expired");
}

TEST_F(Workflow, RefusesRollbackOfTheTimestamp) {
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  repository_.role("timestamp").version = 1;
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.rollback");
  EXPECT_EQ(Held(), "1.2.2.2");
}

TEST_F(Workflow, RefusesRollbackOfTheSnapshot) {
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  repository_.role("timestamp").version = 3;
  repository_.role("snapshot").version = 1;
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.snapshot-rollback");
}

TEST_F(Workflow, RefusesRollbackOfTheTargets) {
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  repository_.PublishNext();
  repository_.role("targets").version = 1;
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.targets-rollback");
}

TEST_F(Workflow, RefusesASnapshotThatForgetsARole) {
  repository_.Delegate("targets", {"extra", {"extra/*"}});
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  repository_.role("extra").listed = false;
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "tuf.removed-role");
}

TEST_F(Workflow, RefusesTwoStatementsUnderOneVersion) {
  ASSERT_EQ(Refresh(), "ok");
  repository_.role("timestamp").expires = kNow + Days(2);
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.equal-version-differs");
}

TEST_F(Workflow, RefusesTwoSnapshotsAndTwoTargetsUnderOneVersion) {
  ASSERT_EQ(Refresh(), "ok");
  repository_.role("timestamp").version = 2;
  repository_.role("snapshot").expires = kNow + Days(2);
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.equal-version-differs");

  repository_.role("snapshot").version = 2;
  repository_.role("targets").expires = kNow + Days(2);
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.equal-version-differs");
}

class PlainTuf : public Workflow {
 protected:
  PlainTuf() : Workflow({.equal_version_is_identical = false}) {}
};

TEST_F(PlainTuf, IgnoresASecondTimestampOfOneVersion) {
  ASSERT_EQ(Refresh(), "ok");
  const Bytes held = client_.Stored("timestamp", kTimestampSizeMax).value();
  repository_.role("timestamp").expires = kNow + Days(2);
  repository_.Publish();

  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(client_.Stored("timestamp", kTimestampSizeMax).value(), held);
}

TEST_F(Workflow, RecoversFromFastForwardWhenTheKeysRotate) {
  for (const char* role : {"timestamp", "snapshot", "targets"})
    repository_.role(role).version = 1'000'000;
  repository_.Publish();
  ASSERT_EQ(Refresh(), "ok");
  for (const char* role : {"timestamp", "snapshot", "targets"}) repository_.role(role).version = 2;
  repository_.Publish();
  ASSERT_EQ(Refresh(), "tuf.rollback");

  repository_.RotateKeys("timestamp");
  repository_.RotateKeys("snapshot");
  PublishRoot();
  repository_.Publish();

  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(Held(), "2.2.2.2");
}

TEST_F(Workflow, NewKeysOfEitherOnlineRoleDropWhatBothHadStored) {
  for (const std::string rotated : {"timestamp", "snapshot"}) {
    TufRepository fresh(kNow, "");
    MetadataClient client(files_, "/rotate-" + rotated, {});
    ASSERT_TRUE(client.Initialise(fresh.CurrentRoot()));
    fresh.role("targets").version = fresh.role("snapshot").version = 1'000'000;
    fresh.Publish();
    ASSERT_TRUE(client.Refresh(fresh, kNow));
    fresh.role("targets").version = 2;
    fresh.RotateKeys(rotated);
    fresh.role("root").version = 2;
    fresh.PublishRoot();
    fresh.role("timestamp").version = fresh.role("snapshot").version = 2;
    fresh.Publish();
    const auto after = client.Refresh(fresh, kNow);
    ASSERT_TRUE(after) << rotated << ": " << after.error().ToString();
    EXPECT_EQ(after->top().version, 2U);
  }
}

TEST_F(Workflow, RecoversFromFastForwardAfterAPowerCutAtEveryStep) {
  for (uint64_t step = 0;; ++step) {
    TufRepository fresh(kNow, "");
    MemoryFileSystem files;
    MetadataClient client(files, "/tuf", {});
    ASSERT_TRUE(client.Initialise(fresh.CurrentRoot()));
    fresh.RotateKeys("timestamp", 2);
    fresh.role("root").version = 2;
    fresh.PublishRoot();
    fresh.role("timestamp").version = 1'000'000;
    fresh.Publish();
    ASSERT_TRUE(client.Refresh(fresh, kNow));
    fresh.role("timestamp").keys.erase(fresh.role("timestamp").keys.begin());
    fresh.role("root").version = 3;
    fresh.PublishRoot();
    fresh.role("timestamp").version = 2;
    fresh.Publish();

    files.CutPowerAfter(step);
    const bool done = client.Refresh(fresh, kNow).has_value();
    files.Restart();
    ASSERT_TRUE(client.Refresh(fresh, kNow)) << "cut after " << step << " operations";
    if (done) break;
  }
}

TEST_F(Workflow, AddingAKeyDoesNotDropTheRollbackFloor) {
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  auto& keys = repository_.role("timestamp").keys;
  keys.push_back(pki::PrivateKey::Generate(pki::KeyType::kEd25519).value());
  PublishRoot();
  repository_.role("timestamp").version = 1;
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.rollback");
}

TEST_F(Workflow, RefusesMixAndMatch) {
  const Bytes old_targets = repository_.metadata["1.targets.json"];
  const Bytes old_snapshot = repository_.metadata["1.snapshot.json"];
  repository_.targets()["a"].content = ToBytes("a");
  repository_.PublishNext();

  const Bytes snapshot = std::exchange(repository_.metadata["2.snapshot.json"], old_snapshot);
  EXPECT_EQ(Refresh(), "tuf.digest");
  EXPECT_EQ(Held(), "1.2.0.0");
  repository_.metadata["2.snapshot.json"] = snapshot;
  repository_.metadata["2.targets.json"] = old_targets;
  EXPECT_EQ(Refresh(), "tuf.length");
  EXPECT_EQ(Held(), "1.2.2.0");
}

TEST_F(Workflow, ChecksLengthAndDigestBeforeItParses) {
  Bytes& snapshot = repository_.metadata["1.snapshot.json"];
  snapshot = Bytes(snapshot.size(), '{');
  EXPECT_EQ(Refresh(), "tuf.digest");
}

TEST_F(Workflow, RefusesASnapshotOfAnotherVersionThanListed) {
  repository_.edit = [](const std::string& role, JsonValue& body) {
    if (role == "timestamp") body = WithMember(body, {"meta", "snapshot.json", "version"}, 2);
  };
  repository_.PublishNext();
  repository_.PublishNext();
  repository_.metadata["2.snapshot.json"] = repository_.metadata["3.snapshot.json"];
  EXPECT_EQ(Refresh(), "tuf.version-mismatch");
}

TEST_F(Workflow, RefusesAFileOfAnotherVersionThanListed) {
  repository_.edit = [](const std::string& name, JsonValue& body) {
    if (name == "snapshot")
      body = WithMember(body, {"meta", "targets.json"}, JsonValue::Object({{"version", 1}}));
    if (name == "targets") body = WithMember(body, {"version"}, 7);
  };
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.version-mismatch");
}

TEST_F(Workflow, RefusesAnotherTypeUnderARolesName) {
  EditNext("timestamp", {"_type"}, "snapshot");
  EXPECT_EQ(Refresh(), "tuf.wrong-type");
}

TEST_F(Workflow, RefusesAnotherSpecification) {
  for (const char* version : {"2.0.0", "1x", "", "10.0"}) {
    EditNext("timestamp", {"spec_version"}, version);
    EXPECT_EQ(Refresh(), "tuf.spec-version") << version;
  }
}

TEST_F(Workflow, RefusesTimesInAnyOtherForm) {
  for (const char* text :
       {"2030-01-01T00:00:00+00:00", "2030-01-01", "2030-01-01T00:00:00.5Z", "tomorrow"}) {
    EditNext("timestamp", {"expires"}, text);
    EXPECT_EQ(Refresh(), "tuf.expires") << text;
  }
}

TEST_F(Workflow, RefusesMetadataThatIsTooLong) {
  repository_.metadata["timestamp.json"].resize(kTimestampSizeMax + 1, ' ');
  EXPECT_EQ(Refresh(), "fetch.size");
}

TEST_F(Workflow, RefusesEveryTruncationAndEveryFlippedBit) {
  const Bytes good = repository_.metadata["timestamp.json"];
  for (size_t size = 0; size < good.size(); ++size) {
    repository_.metadata["timestamp.json"].assign(good.begin(),
                                                  good.begin() + static_cast<ptrdiff_t>(size));
    ASSERT_NE(Refresh(), "ok") << size;
  }
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 0x01;
    auto trusted = TrustedMetadata::Start(repository_.CurrentRoot(), kNow, {}).value();
    ASSERT_TRUE(trusted.CloseRoots());
    // Only the spelling of the signature's hex can change without meaning anything.
    if (trusted.AddTimestamp(bad)) {
      EXPECT_EQ(trusted.timestamp().version, 1U) << "byte " << i;
    }
  }
}

TEST_F(Workflow, ServesRepositoriesWithoutConsistentSnapshots) {
  repository_.set_consistent_snapshot(false);
  PublishRoot();
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(Held(), "2.2.2.2");
}

TEST_F(Workflow, StoredFilesThatNoLongerVerifyAreFetchedAgain) {
  ASSERT_EQ(Refresh(), "ok");
  ASSERT_TRUE(WriteFileAtomically(files_, "/tuf/snapshot.json", AsBytes("{}")));
  ASSERT_TRUE(WriteFileAtomically(files_, "/tuf/targets.json", AsBytes("")));
  EXPECT_EQ(Refresh(), "ok");
  EXPECT_EQ(Held(), "1.1.1.1");
}

class Product : public Workflow {
 protected:
  Product() : Workflow() {}
  static std::string Start(TufRepository& repository) {
    const auto trusted = TrustedMetadata::Start(repository.CurrentRoot(), kNow,
                                                {.product = ProductRules{"edge.example"}});
    return trusted ? "ok" : std::string(trusted.error().name());
  }
};

TEST_F(Product, RefusesLowThresholdsOutsideDevelopment) {
  TufRepository repository(kNow, "edge.example");
  EXPECT_EQ(Start(repository), "tuf.threshold-too-low");
  repository.set_development(true);
  repository.PublishRoot();
  EXPECT_EQ(Start(repository), "ok");
}

TEST_F(Product, RefusesAForeignOrMissingProfile) {
  TufRepository foreign(kNow, "other.example");
  EXPECT_EQ(Start(foreign), "tuf.profile");
  EXPECT_EQ(Start(repository_), "tuf.profile");
}

TEST_F(Product, RefusesToSwitchDevelopmentOnLater) {
  TufRepository repository(kNow, "edge.example");
  for (const char* role : {"root", "targets"}) {
    repository.RotateKeys(role, 2);
    repository.role(role).threshold = 2;
  }
  repository.PublishRoot();
  auto trusted = TrustedMetadata::Start(repository.CurrentRoot(), kNow,
                                        {.product = ProductRules{"edge.example"}})
                     .value();
  repository.set_development(true);
  ++repository.role("root").version;
  repository.PublishRoot();
  EXPECT_EQ(trusted.AddRoot(repository.CurrentRoot()).error().name(), "tuf.development-switched");
}

}  // namespace
}  // namespace sallyport::ota

// Bugs that other update systems had, one test each (docs/metadata.md names the rest of them).
#include <gtest/gtest.h>

#include "ota/metadata/client.h"
#include "ota/metadata/limits.h"
#include "tests/unit/ota/metadata/manifest_fixture.h"

namespace sallyport::ota {
namespace {

class PastBug : public testing::Test {
 protected:
  PastBug() { EXPECT_TRUE(client_.Initialise(repository_.CurrentRoot())); }
  std::string Refresh() {
    const auto trusted = client_.Refresh(repository_, kNow);
    return trusted ? "ok" : std::string(trusted.error().name());
  }
  // SetSignatures replaces the signatures of a served file.
  void SetSignatures(const std::string& file, std::vector<JsonValue> signatures) {
    Bytes& bytes = repository_.metadata.at(file);
    bytes = ToBytes(WriteJson(WithMember(ParseJson(AsText(bytes)).value(), {"signatures"},
                                         JsonValue::Array(std::move(signatures)))));
  }
  Bytes Stored(const std::string& role) { return client_.Stored(role, kRootSizeMax).value(); }

  TufRepository repository_{kNow, ""};
  MemoryFileSystem files_;
  MetadataClient client_{files_, "/tuf", {}};
};

TEST_F(PastBug, LengthsBeyondFourGibibytesAreNotCutShort) {
  const Bytes bytes = ToBytes("7 bytes");
  for (const uint64_t wrap : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62}) {
    const TargetFile file{wrap + bytes.size(), Digests::Of(bytes), {}};
    EXPECT_EQ(file.Check(bytes, "payload").error().name(), "tuf.length") << wrap;
  }
}

TEST_F(PastBug, KeysThatAMessageBringsAlongCountForNothing) {
  const auto stranger = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  const std::string id = KeyId(stranger.public_key());
  // Listed among the keys of the root, but of no role; and carried by the document itself.
  repository_.edit = [&](const std::string& role, JsonValue& body) {
    if (role != "timestamp")
      body = WithMember(body, {"keys", id}, KeyToJson(stranger.public_key()));
  };
  repository_.role("root").version = 2;
  repository_.PublishRoot();
  repository_.role("timestamp").keys = {stranger};
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "tuf.threshold");
}

TEST_F(PastBug, AnUnverifiedRootIsNeverStored) {
  const Bytes first = Stored("root");
  repository_.RotateKeys("root");
  repository_.role("root").version = 2;
  TufRepository evil(kNow, "");
  evil.role("root").version = 2;
  evil.PublishRoot();
  repository_.metadata["2.root.json"] = evil.metadata["2.root.json"];
  EXPECT_EQ(Refresh(), "tuf.threshold");
  EXPECT_EQ(Stored("root"), first);
}

TEST_F(PastBug, ARefusedTimestampIsNeverStored) {
  ASSERT_EQ(Refresh(), "ok");
  const Bytes first = Stored("timestamp");
  repository_.role("timestamp").expires = kNow - Seconds(1);
  repository_.PublishNext();
  EXPECT_EQ(Refresh(), "tuf.expired");
  EXPECT_EQ(Stored("timestamp"), first);
}

TEST_F(PastBug, ADelegatedRoleIsNotRolledBack) {
  repository_.Delegate("targets", {"team", {"team/*"}});
  repository_.PublishNext();
  repository_.PublishNext();
  ASSERT_EQ(Refresh(), "ok");
  repository_.PublishNext();
  repository_.role("team").version = 1;
  repository_.Publish();
  EXPECT_EQ(Refresh(), "tuf.targets-rollback");
}

TEST_F(PastBug, ADocumentWithoutSignaturesIsRefused) {
  for (const char* file : {"timestamp.json", "1.snapshot.json", "1.targets.json"}) {
    TufRepository repository(kNow, "");
    MetadataClient client(files_, std::string("/unsigned-") + file, {});
    ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
    repository_.metadata = repository.metadata;
    SetSignatures(file, {});
    EXPECT_FALSE(client.Refresh(repository_, kNow)) << file;
  }
  SetSignatures("1.root.json", {});
  EXPECT_EQ(TrustedMetadata::Start(repository_.metadata["1.root.json"], kNow, {}).error().name(),
            "tuf.threshold");
}

TEST_F(PastBug, ZeroSignaturesOfEveryKeyReachNoThreshold) {
  // r = s = 0 in DER, an Ed25519 signature of zeros, and RSA's zero.
  for (const std::string& zero : {std::string("3006020100020100"), std::string(128, '0'),
                                  std::string(512, '0'), std::string()}) {
    for (const pki::KeyType type :
         {pki::KeyType::kP256, pki::KeyType::kEd25519, pki::KeyType::kRsa}) {
      TufRepository repository(kNow, "");
      repository.role("timestamp").keys = {pki::PrivateKey::Generate(type).value()};
      repository.PublishRoot();
      repository.Publish();
      MetadataClient client(files_, "/zero-" + std::to_string(static_cast<int>(type)) + zero, {});
      ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
      const std::string id = KeyId(repository.role("timestamp").keys[0].public_key());
      repository_.metadata = repository.metadata;
      SetSignatures("timestamp.json", {JsonValue::Object({{"keyid", id}, {"sig", zero}})});
      EXPECT_EQ(client.Refresh(repository_, kNow).error().name(), "tuf.threshold") << zero;
    }
  }
}

TEST_F(PastBug, ARoleWithoutKeysReachesNoThreshold) {
  repository_.edit = [](const std::string& role, JsonValue& body) {
    if (role == "root")
      body = WithMember(body, {"roles", "timestamp", "keyids"}, JsonValue::Strings({}));
  };
  repository_.role("root").version = 2;
  repository_.PublishRoot();
  EXPECT_EQ(Refresh(), "tuf.threshold");
}

class PastBugOfInstallers : public ManifestFixture {};

TEST_F(PastBugOfInstallers, AFileThatTheSignedListLacksIsNoFileWithoutDigest) {
  for (const char* part : {"uki.efi", "index.json", "payload.bin"}) {
    TufRepository image = image_;
    image.targets().erase("releases/edge-os/2.0.0/" + std::string(part));
    image.PublishNext();
    ManifestVerifier verifier(files_, std::string("/lacks-") + part,
                              {kDevice, "edge.example", "virtual-x86_64"});
    ASSERT_TRUE(verifier.Provision(image.CurrentRoot(), director_.CurrentRoot()));
    EXPECT_EQ(verifier.Verify(director_.Manifest(slice_), image, floors_, kNow).error().name(),
              "uptane.release-unsigned")
        << part;
  }
}

}  // namespace
}  // namespace sallyport::ota

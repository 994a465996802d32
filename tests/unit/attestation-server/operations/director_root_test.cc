// The director's root goes through the service: taken as a device would take it, durable before
// anybody is told, and followed by a device that holds an old one.
#include "attestation-server/director/manifests.h"
#include "attestation-server/operations/publication.h"
#include "ota/repository/change_roles.h"
#include "tests/unit/attestation-server/director/site_policy.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::server {
namespace {

struct Founded final : ota::RepositoryFixture {
  void TestBody() override {}
  using RepositoryFixture::fetcher_;
  using RepositoryFixture::files_;
  using RepositoryFixture::Key;
  using RepositoryFixture::options_;
  using RepositoryFixture::PublishNow;
};

class DirectorRootTest : public OperationsTest {
 protected:
  DirectorRootTest() {
    now_ = kNow;
    DeviceRecord device = MakeDevice(1);
    device.attested_at = kNow;
    device.valid_until = kNow + Hours(1);
    Keep(device);
    device_ = device.id;
    EXPECT_TRUE(repository_.files_.MakeDirectories("/copy/director"));
    EXPECT_TRUE(
        WriteFileAtomically(repository_.files_, "/copy/director/1.root.json", RootOnDisk(1)));
    first_image_root_ =
        ReadFile(repository_.files_, "/repo/metadata/1.root.json", ota::kRootSizeMax).value();
  }
  static pki::PublicKey PublicOf(const ota::Signer& signer) { return signer.key.public_key(); }
  ota::Signer Online(const std::string& name) {
    return ota::LoadSigner(repository_.files_, "/keys/online/director-" + name + ".pem",
                           repository_.options_.online_passphrase)
        .value();
  }
  Bytes RootOnDisk(int version) {
    return ReadFile(repository_.files_, "/repo/director/" + std::to_string(version) + ".root.json",
                    ota::kRootSizeMax)
        .value();
  }
  std::vector<std::string> RootsOnDisk() {
    std::vector<std::string> out = repository_.files_.List("/repo/director").value();
    std::erase_if(out, [](const std::string& name) { return !name.ends_with(".root.json"); });
    return out;
  }
  // Draft is the operators' next root, in their own copy.
  Bytes Draft(const std::vector<ota::RoleChange>& changes, const std::vector<ota::Signer>& signers,
              UnixTime expires = kNow + Days(365)) {
    EXPECT_TRUE(ota::StageRoot(copy_, changes, expires));
    for (const ota::Signer& signer : signers)
      EXPECT_TRUE(ota::SignStaged(copy_, "root", signer).has_value());
    return copy_.Staged("root")->bytes;
  }
  ota::RoleChange ReplaceRootKey(const std::string& name) {
    fresh_.push_back(
        ota::CreateKeyFile(repository_.files_, "/keys/" + name + "-new.pem", {}).value());
    return {ota::Role::kRoot, {PublicOf(fresh_.back())}, {repository_.Key(name).id}, std::nullopt};
  }
  std::string Publish(ByteView root, UnixTime now = kNow) {
    return RuleOf(operations_.PublishDirectorRoot(alice_.who, root, now));
  }
  // Obeys says whether a device (with what `disk` holds) takes today's manifest.
  std::string Obeys(MemoryFileSystem& disk) {
    ota::ManifestVerifier verifier(disk, "/state", {device_, "edge.example", "virtual-x86_64"});
    EXPECT_TRUE(verifier.Provision(first_image_root_, first_director_root_));
    const auto manifest = manifests_.For(device_, kNow);
    EXPECT_TRUE(manifest) << manifest.error().ToString();
    chain_ = manifest->root_chain.size();
    const auto verified = verifier.Verify(*manifest, repository_.fetcher_, {}, kNow);
    return verified ? "obeyed" : verified.error().ToString();
  }

  Founded repository_;
  std::string device_;
  Bytes first_image_root_;
  const Bytes first_director_root_ = RootOnDisk(1);
  ota::RepositoryFolder copy_ = ota::RepositoryFolder::Director(repository_.files_, "/copy");
  std::vector<ota::Signer> fresh_;
  size_t chain_ = 0;
  bool durable_when_told_ = false;
  policy::ZoneLookup zones_ = Zones();
  LocalDirectorSigner signer_{"edge.example", Online("targets").key, Online("snapshot").key,
                              Online("timestamp").key};
  Manifests manifests_{{*database_, signer_, zones_},
                       {"edge.example", 1, Hours(24), {first_director_root_}}};
  PublicationOperations operations_{
      Parts(),
      {repository_.files_,
       "/repo",
       "edge.example",
       ota::LoadOnlineKeys(repository_.files_, "/keys", repository_.options_.online_passphrase)
           .value(),
       {PublicOf(Online("targets")), PublicOf(Online("snapshot")), PublicOf(Online("timestamp")),
        [this](const Bytes& root) {
          durable_when_told_ = RootOnDisk(static_cast<int>(RootsOnDisk().size())) == root;
          manifests_.AddDirectorRoot(root);
        }}},
      zones_,
      [] {}};
};

TEST_F(DirectorRootTest, ARotationReachesADeviceThatHoldsTheOldRoot) {
  ASSERT_TRUE(repository_.PublishNow());
  MemoryFileSystem online;
  EXPECT_EQ(Obeys(online), "obeyed");
  const uint64_t before = manifests_.Generation(device_, kNow).value();

  const Bytes second =
      Draft({ReplaceRootKey("root-3")}, {repository_.Key("root-1"), repository_.Key("root-2")});
  ASSERT_EQ(Publish(second), "accepted");
  EXPECT_TRUE(durable_when_told_);
  EXPECT_GT(manifests_.Generation(device_, kNow).value(), before) << "devices are told";
  EXPECT_EQ(Obeys(online), "obeyed");
  EXPECT_EQ(chain_, 2u);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'director-root.published'"), 1);

  ASSERT_TRUE(ota::PublishDirectorRoot(copy_, "edge.example", kNow));
  const Bytes third =
      Draft({ReplaceRootKey("root-2")}, {repository_.Key("root-1"), fresh_.front()});
  ASSERT_EQ(Publish(third), "accepted");
  EXPECT_EQ(Obeys(online), "obeyed");
  MemoryFileSystem was_off;
  EXPECT_EQ(Obeys(was_off), "obeyed") << "from the first root over the chain";
  EXPECT_EQ(chain_, 3u);
}

TEST_F(DirectorRootTest, RefusesWhatADeviceWouldNotFollow) {
  const ota::RoleChange change = ReplaceRootKey("root-3");
  EXPECT_EQ(Publish(Draft({change}, {repository_.Key("root-1")})), "tuf.threshold");
  EXPECT_EQ(Publish(Draft({}, {repository_.Key("root-1"), fresh_.front()})), "tuf.threshold")
      << "of the old root only one";
  EXPECT_EQ(Publish(first_director_root_), "director-root.held");
  EXPECT_NE(Publish(ToBytes("{}")), "accepted");
  EXPECT_NE(Publish({}), "accepted");
  EXPECT_EQ(RootsOnDisk().size(), 1u);
  EXPECT_FALSE(ota::RepositoryFolder::Director(repository_.files_, "/repo").Staged("root"));
}

TEST_F(DirectorRootTest, RefusesAVersionThatIsSkippedAnExpiredOneAndTheSameTwice) {
  const Bytes second = Draft({}, {repository_.Key("root-1"), repository_.Key("root-2")});
  EXPECT_EQ(Publish(second, kNow + Days(366)), "tuf.expired");
  ASSERT_TRUE(ota::PublishDirectorRoot(copy_, "edge.example", kNow));
  const Bytes third = Draft({}, {repository_.Key("root-1"), repository_.Key("root-2")});
  EXPECT_NE(Publish(third), "accepted") << "2 is missing";
  EXPECT_EQ(Publish(second), "accepted");
  EXPECT_EQ(Publish(second), "director-root.held");
  EXPECT_EQ(Publish(third), "accepted");
}

TEST_F(DirectorRootTest, RefusesARootThatDoesNotNameTheKeysOfThisService) {
  const ota::Signer other = ota::CreateKeyFile(repository_.files_, "/keys/t.pem", {}).value();
  const Bytes foreign =
      Draft({{ota::Role::kTimestamp, {PublicOf(other)}, {Online("timestamp").id}, std::nullopt}},
            {repository_.Key("root-1"), repository_.Key("root-2")});
  EXPECT_EQ(Publish(foreign), "director-root.keys");
  EXPECT_EQ(RootsOnDisk().size(), 1u);
}

}  // namespace
}  // namespace sallyport::server

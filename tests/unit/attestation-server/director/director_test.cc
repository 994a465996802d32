#include "attestation-server/director/director.h"

#include <gtest/gtest.h>

#include "ota/metadata/uptane.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
const std::string kDevice(52, 'a');

pki::PrivateKey NewKey() { return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value(); }

class DirectorTest : public testing::Test {
 protected:
  DirectorTest() {
    image_.set_development(true);
    image_.PublishRoot();
    ota::AddSampleRelease(image_, "2.0.0", 2);
    image_.PublishNext();
    const ota::RoleSpec root{{root_.public_key()}, 1};
    const ota::RootSpec spec{.version = 1,
                             .expires = kNow + Days(365),
                             .profile = {true, "edge.example"},
                             .root = root,
                             .timestamp = {{timestamp_.public_key()}, 1},
                             .snapshot = {{snapshot_.public_key()}, 1},
                             .targets = {{targets_.public_key()}, 1}};
    const ota::Signer signer(root_);
    director_root_ = ota::WriteSigned(ota::RootBody(spec), {&signer}).value();
    EXPECT_TRUE(verifier_.Provision(image_.CurrentRoot(), director_root_));
  }
  AssignedRelease Assigned(const std::string& rollout = "r1") {
    return AssignRelease(image_.targets()["releases/edge-os/2.0.0/release.json"].content, rollout)
        .value();
  }
  Result<ota::VerifiedManifest> Verify(const DirectorMetadata& metadata, UnixTime now = kNow) {
    return verifier_.Verify(
        {{director_root_}, metadata.timestamp, metadata.snapshot, metadata.targets, slice_}, image_,
        {}, now);
  }

  pki::PrivateKey root_ = NewKey(), targets_ = NewKey(), snapshot_ = NewKey(),
                  timestamp_ = NewKey();
  ota::TufRepository image_{kNow, "edge.example"};
  Bytes director_root_;
  Bytes slice_ = ToBytes("slice");
  uint32_t counter_ = 0;
  MemoryFileSystem files_;
  ota::ManifestVerifier verifier_{files_, "/state", {kDevice, "edge.example", "virtual-x86_64"}};
  LocalDirectorSigner signer_{"edge.example", targets_, snapshot_, timestamp_};
  Director director_{signer_,
                     [this](const std::string&) { return Director::Version{3, ++counter_}; },
                     Hours(24), 2};
};

TEST_F(DirectorTest, MakesMetadataThatTheDeviceBelieves) {
  const auto metadata = director_.MetadataFor({kDevice, Assigned(), slice_}, kNow);
  ASSERT_TRUE(metadata);
  const auto manifest = Verify(*metadata);

  ASSERT_TRUE(manifest) << manifest.error().ToString();
  EXPECT_EQ(manifest->incarnation(), 3U);
  EXPECT_EQ(manifest->version(), (uint64_t{3} << 32) + 1);
  EXPECT_EQ(manifest->rollout(), "r1");
  EXPECT_EQ(manifest->slice(), slice_);
  EXPECT_LE(manifest->expires(), kNow + Hours(24));
  EXPECT_GT(manifest->expires(), kNow + Hours(21));
}

TEST_F(DirectorTest, MakesMetadataWithoutReleaseOrSlice) {
  slice_.clear();
  const auto manifest = Verify(*director_.MetadataFor({kDevice, std::nullopt, {}}, kNow));
  ASSERT_TRUE(manifest) << manifest.error().ToString();
  EXPECT_FALSE(manifest->release());
  EXPECT_FALSE(manifest->slice());
}

TEST_F(DirectorTest, AnswersTheSameQuestionWithTheSameBytes) {
  const auto first = director_.MetadataFor({kDevice, Assigned(), slice_}, kNow);
  const auto second = director_.MetadataFor({kDevice, Assigned(), slice_}, kNow + Minutes(1));
  EXPECT_EQ(first->targets, second->targets);
  EXPECT_EQ(counter_, 1U);
}

TEST_F(DirectorTest, SignsAnewWhenAnythingChanges) {
  ASSERT_TRUE(director_.MetadataFor({kDevice, Assigned(), slice_}, kNow));
  slice_ = ToBytes("other");
  ASSERT_TRUE(director_.MetadataFor({kDevice, Assigned(), slice_}, kNow));
  ASSERT_TRUE(director_.MetadataFor({kDevice, Assigned("r2"), slice_}, kNow));
  ASSERT_TRUE(director_.MetadataFor({kDevice, std::nullopt, slice_}, kNow));
  EXPECT_EQ(counter_, 4U);
  ASSERT_TRUE(director_.MetadataFor({kDevice, std::nullopt, slice_}, kNow + Hours(3)));
  EXPECT_EQ(counter_, 5U);
  director_.Forget(kDevice);
  const auto metadata = director_.MetadataFor({kDevice, std::nullopt, slice_}, kNow + Hours(3));
  EXPECT_EQ(counter_, 6U);
  EXPECT_TRUE(Verify(*metadata));
}

TEST_F(DirectorTest, MadeForOneDeviceIsRefusedByAnother) {
  const auto metadata = director_.MetadataFor({std::string(52, 'b'), Assigned(), slice_}, kNow);
  EXPECT_EQ(Verify(*metadata).error().name(), "uptane.foreign-device");
}

TEST_F(DirectorTest, KeepsNoMoreEntriesThanAllowed) {
  for (const char c : {'b', 'c', 'd'})
    ASSERT_TRUE(director_.MetadataFor({std::string(52, c), std::nullopt, {}}, kNow));
  ASSERT_TRUE(director_.MetadataFor({std::string(52, 'b'), std::nullopt, {}}, kNow));
  EXPECT_EQ(counter_, 4U);
  ASSERT_TRUE(director_.MetadataFor({std::string(52, 'd'), std::nullopt, {}}, kNow));
  EXPECT_EQ(counter_, 4U);
}

// The cache is first in, first out and counts devices, so a fleet larger than it costs signatures
// and no memory; nothing of it ever becomes a file.
TEST_F(DirectorTest, AFleetLargerThanTheCacheIsServedDeviceByDevice) {
  constexpr uint32_t kDevices = 300;  // the fixture's cache holds two
  const auto ask = [&](uint32_t device) {
    ASSERT_TRUE(
        director_.MetadataFor({"device-" + std::to_string(device), std::nullopt, {}}, kNow));
  };
  for (uint32_t device = 0; device < kDevices; ++device) ask(device);
  EXPECT_EQ(counter_, kDevices);
  ask(kDevices - 1);
  EXPECT_EQ(counter_, kDevices);
  ask(0);
  EXPECT_EQ(counter_, kDevices + 1);
}

TEST_F(DirectorTest, SignsNothingWithoutAVersion) {
  Director director(
      signer_,
      [](const std::string&) -> Result<Director::Version> {
        return Error{Reason::kConflict, "no"};
      },
      Hours(1), 1);
  EXPECT_EQ(director.MetadataFor({kDevice, std::nullopt, {}}, kNow).error().reason,
            Reason::kConflict);
}

TEST(AssignRelease, RefusesWhatIsNoRelease) { EXPECT_FALSE(AssignRelease(AsBytes("{}"), "")); }

}  // namespace
}  // namespace sallyport::server

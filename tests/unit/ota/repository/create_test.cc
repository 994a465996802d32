#include "ota/repository/create.h"

#include "ota/measure/uki.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/segment_table.h"
#include "pki/crypto/hash.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class CreateTest : public RepositoryFixture {
 protected:
  std::string Rule(const ReleaseInputs& inputs) {
    const auto release = CreateRelease(folder_, inputs, kNow + Days(90));
    return release ? "ok" : std::string(release.error().name());
  }
};

TEST_F(CreateTest, StatesWhatTheUkiWillMeasureAndWhatTheImageIs) {
  const auto release = CreateRelease(folder_, Inputs(), kNow + Days(90)).value();
  const auto measured = MeasureUki(ReadFile(files_, "/in/uki.efi", 1 << 20).value()).value();

  EXPECT_EQ(release.measurements.pcr4_secure_boot_off, measured.pcr4_secure_boot_off);
  EXPECT_EQ(release.measurements.pcr4_secure_boot_on, measured.pcr4_secure_boot_on);
  EXPECT_EQ(release.measurements.pcr11_events, measured.pcr11);
  EXPECT_EQ(release.image.length, 20'000U);
  EXPECT_EQ(release.image.sha256, pki::Sha256(Bytes(20'000, 7)));
  const auto index =
      ReadFile(files_, folder_.TargetFilePath(release.image.index.path, release.image.index.sha256),
               1 << 20);
  const auto table = SegmentTable::Parse(*index);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->payload_length(), release.image.payload.length);
}

TEST_F(CreateTest, CutsLargeImagesIntoChunks) {
  EXPECT_FALSE(CreateRelease(folder_, Inputs(), kNow + Days(90))->chunks) << "20,000 bytes";
  Write("/in/root.img", Bytes(9 << 20, 7));
  const auto release = CreateRelease(folder_, Inputs("2.0.1"), kNow + Days(90)).value();
  ASSERT_TRUE(release.chunks);
  const auto index = ReadFile(
      files_, folder_.TargetFilePath(release.chunks->index.path, release.chunks->index.sha256),
      1 << 20);
  const auto table = ChunkTable::Parse(*index);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->image_sha256(), release.image.sha256);
  EXPECT_EQ(table->payload_length(), release.chunks->payload.length);
}

TEST_F(CreateTest, RefusesAVersionThatIsStagedOrPublished) {
  ASSERT_EQ(Rule(Inputs()), "ok");
  EXPECT_EQ(Rule(Inputs()), "release.exists");
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());
  EXPECT_EQ(Rule(Inputs()), "release.exists");
  EXPECT_EQ(Rule(Inputs("2.0.1")), "ok");
}

TEST_F(CreateTest, KeepsEarlierReleasesAndDropsSignaturesOfTheDraft) {
  ASSERT_EQ(Rule(Inputs()), "ok");
  SignBoth("targets");
  ASSERT_EQ(Rule(Inputs("2.0.1")), "ok");
  EXPECT_EQ(StatusOf(folder_, "targets")->signatures, 0U);
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());
  EXPECT_EQ(Refresh()->top().targets.size(), 8U);
}

TEST_F(CreateTest, RefusesBadNamesAndFiles) {
  ReleaseInputs inputs = Inputs();
  inputs.product = "../x";
  EXPECT_EQ(Rule(inputs), "release.product");
  inputs = Inputs();
  inputs.hardware = {};
  EXPECT_EQ(Rule(inputs), "release.hardware");
  inputs = Inputs();
  inputs.hardware = {"Toaster!"};
  EXPECT_EQ(Rule(inputs), "release.hardware");
  inputs = Inputs();
  inputs.uki_path = "/in/root.img";
  EXPECT_NE(Rule(inputs), "ok");
  inputs = Inputs();
  inputs.image_path = "/in/absent";
  EXPECT_EQ(Rule(inputs), "not-found");
  EXPECT_EQ(folder_.Staged("targets").error().reason, Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport::ota

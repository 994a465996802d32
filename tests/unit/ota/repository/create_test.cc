#include "ota/repository/create.h"

#include "ota/measure/uki.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/sealing.h"
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

TEST_F(CreateTest, SealsTablesFullPayloadDeltasAndChunks) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  Bytes image(9 << 20, 7);
  Write("/in/root.img", image);
  ASSERT_EQ(Rule(Inputs("1.9.0")), "ok");
  Write("/in/old.img", image);
  std::ranges::copy(AsBytes("something new"), image.begin() + 5000);
  Write("/in/root.img", image);
  ReleaseInputs inputs = Inputs();
  inputs.seal = &seal;
  inputs.from = {"/in/old.img"};
  const auto created = CreateRelease(folder_, inputs, kNow + Days(90));
  ASSERT_TRUE(created) << created.error().ToString();
  EXPECT_EQ(created->content_key, seal.id());
  const auto open = [&](const ReleaseFile& file) {
    return *OpenIndex(*ReadFile(files_, folder_.TargetFilePath(file.path, file.sha256), 1 << 20),
                      &seal);
  };
  const SegmentTable full = *SegmentTable::Parse(open(created->image.index));
  const SegmentTable delta = *SegmentTable::Parse(open(created->deltas.front().index));
  EXPECT_EQ(full.form(), PayloadForm::kSealed);
  EXPECT_EQ(full.payload_length(), created->image.payload.length);
  EXPECT_EQ(full.image_sha256(), pki::Sha256(image));
  EXPECT_EQ(delta.form(), PayloadForm::kSealed);
  EXPECT_EQ(delta.payload_length(), created->deltas.front().payload.length);
  EXPECT_EQ(ChunkTable::Parse(open(created->chunks->index))->form(), PayloadForm::kSealed);
  EXPECT_FALSE(files_.Open(folder_.ScratchPath("plain.bin"), OpenMode::kRead)) << "left behind";
}

TEST_F(CreateTest, SealsNothingBesideAComponentThatWouldLieOpen) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  Write("/in/app.img", ToBytes("an application"));
  ReleaseInputs inputs = Inputs();
  inputs.seal = &seal;
  inputs.components = {{"app", "/in/app.img"}};
  EXPECT_EQ(Rule(inputs), "release.sealed-component");
}

TEST_F(CreateTest, StartsNoDeltaFromTheNameOfASealedRelease) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  ReleaseInputs sealed = Inputs();
  sealed.seal = &seal;
  ASSERT_EQ(Rule(sealed), "ok");
  ReleaseInputs next = Inputs("2.0.1");
  next.from = {"edge-os/2.0.0"};
  EXPECT_EQ(Rule(next), "release.from-sealed");
  next.from = {"/in/root.img"};
  EXPECT_EQ(Rule(next), "ok");
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

TEST_F(CreateTest, AWithdrawnReleaseLeavesTargetsAndNothingElse) {
  ASSERT_EQ(Rule(Inputs()), "ok");
  ASSERT_EQ(Rule(Inputs("2.0.1")), "ok");
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());
  const std::string path = "releases/edge-os/2.0.0/uki.efi";
  const TargetFile uki = *Refresh()->top().Find(path);

  ASSERT_TRUE(
      WithdrawRelease(folder_, "edge-os", ReleaseVersion::Parse("2.0.0").value(), kNow + Days(90)));
  EXPECT_NE(Refresh()->top().Find(path), nullptr) << "not before it is signed and published";
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());

  const TrustedMetadata seen = *Refresh();
  EXPECT_EQ(seen.top().targets.size(), 4U);
  EXPECT_NE(seen.top().Find("releases/edge-os/2.0.1/release.json"), nullptr);
  EXPECT_NE(seen.top().FindDelegation("policy"), nullptr);
  EXPECT_TRUE(files_.Open("/repo/targets/" + ConsistentPath(path, HexEncode(*uki.digests.sha256())),
                          OpenMode::kRead))
      << "files stay: who holds the older metadata may still be fetching them";
  EXPECT_EQ(Rule(Inputs()), "ok") << "it may be made again";
}

TEST_F(CreateTest, WithdrawsOnlyWhatIsThereAndNotItsNeighbours) {
  ASSERT_EQ(Rule(Inputs("2.0.10")), "ok");
  for (const char* const version : {"2.0.1", "2", "2.0"})
    EXPECT_EQ(
        WithdrawRelease(folder_, "edge-os", ReleaseVersion::Parse(version).value(), kNow + Days(90))
            .error()
            .name(),
        "release.unknown");
  EXPECT_TRUE(
      WithdrawRelease(folder_, "edge-os", ReleaseVersion::Parse("2.0.10").value(), kNow + Days(90)))
      << "a draft may be taken back too";
  EXPECT_TRUE(DraftTargets(*folder_.Staged("targets"))->targets.empty());
}

}  // namespace
}  // namespace sallyport::ota

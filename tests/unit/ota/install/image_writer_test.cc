#include "ota/install/image_writer.h"

#include <set>

#include "tests/fakes/delta_release.h"

namespace sallyport::ota {
namespace {

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeDeltaRelease("2.0.0", kOld);

// CountingSource knows how much of which file was asked for.
class CountingSource final : public PayloadSource {
 public:
  explicit CountingSource(const TestRelease& release) : release_source(release) {}
  Result<Unit> Fetch(const RemoteFile& file, uint64_t offset, uint64_t length,
                     ByteSink& sink) override {
    if (missing.contains(file.path)) return Error{Reason::kNotFound, file.path};
    fetched[file.path] += length;
    return release_source.Fetch(file, offset, length, sink);
  }
  ReleaseSource release_source;
  std::map<std::string, uint64_t> fetched;
  std::set<std::string> missing;
};

class DeltaInstallTest : public ::testing::Test {
 protected:
  DeltaInstallTest() { world_.AddRelease(kNew); }

  std::string_view Install() {
    const auto installed = installer_.Install(kNew.plan, source_);
    return installed ? "installed" : installed.error().name();
  }
  void ExpectInstalled() {
    EXPECT_EQ(Install(), "installed");
    EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  }
  Bytes& File(const std::string& path) { return source_.release_source.File(path); }
  uint64_t FullBytes() { return source_.fetched[kNew.plan.facts().payload.path]; }
  uint64_t DeltaBytes() { return source_.fetched[DeltaPayload(kNew)]; }
  void Drift(uint64_t at) {
    const auto slot = *world_.files().Open("slots/a", OpenMode::kReadWrite);
    ASSERT_TRUE(slot->WriteAt(at, AsBytes("drift")));
  }

  UpdateWorld world_{kOld};
  Installer installer_ = world_.MakeInstaller();
  CountingSource source_{kNew};
};

TEST_F(DeltaInstallTest, TakesTheDeltaOfTheRunningReleaseAndNothingElse) {
  ExpectInstalled();

  EXPECT_EQ(DeltaBytes(), kNew.more.at(DeltaPayload(kNew)).size());
  EXPECT_EQ(FullBytes(), 0u);
  EXPECT_LT(DeltaBytes(), kNew.payload.size() / 2);
}

TEST_F(DeltaInstallTest, TakesTheFullPayloadWhenAnotherReleaseRuns) {
  ASSERT_TRUE(WriteFileAtomically(world_.files(), "esp/sallyport/a.efi.release",
                                  AsBytes(std::string(64, '0'))));
  ExpectInstalled();
  EXPECT_EQ(DeltaBytes(), 0u);
}

TEST_F(DeltaInstallTest, TakesTheFullPayloadWhenNothingSaysWhatRuns) {
  ASSERT_TRUE(world_.files().Remove("esp/sallyport/a.efi.release"));
  ExpectInstalled();
  EXPECT_EQ(DeltaBytes(), 0u);
}

TEST_F(DeltaInstallTest, TakesOnlyTheDriftedSegmentsFromTheFullPayload) {
  Drift(5000);

  ExpectInstalled();

  EXPECT_GT(FullBytes(), 0u);
  EXPECT_LT(FullBytes(), kNew.payload.size() / 2);
}

TEST_F(DeltaInstallTest, NeedsNoDeltaSegmentWhereTheWholeSlotDrifted) {
  for (uint64_t at = 0; at < UpdateWorld::kImageSize; at += 4000) Drift(at);
  ExpectInstalled();
}

TEST_F(DeltaInstallTest, DoesWithoutARunningSlotThatCannotBeRead) {
  {
    const auto slot = *world_.files().Open("slots/a", OpenMode::kCreate);
    ASSERT_TRUE(slot->WriteAt(0, Bytes(10)));
  }
  ExpectInstalled();
}

TEST_F(DeltaInstallTest, TakesSpoiledDeltaSegmentsFromTheFullPayload) {
  const size_t size = File(DeltaPayload(kNew)).size();
  for (const size_t at : {size_t{0}, size / 2, size - 1}) {
    SCOPED_TRACE(at);
    UpdateWorld world(kOld);
    world.AddRelease(kNew);
    CountingSource source(kNew);
    source.release_source.File(DeltaPayload(kNew))[at] ^= 1;
    ASSERT_TRUE(world.MakeInstaller().Install(kNew.plan, source));
    EXPECT_TRUE(world.HoldsRelease(Slot::kB, kNew));
    EXPECT_LT(source.fetched[kNew.plan.facts().payload.path], kNew.payload.size());
  }
}

TEST_F(DeltaInstallTest, TakesTheFullPayloadWhenTheDeltasIndexIsSpoiledOrGone) {
  File(DeltaIndex(kNew))[20] ^= 1;
  ExpectInstalled();
  EXPECT_EQ(DeltaBytes(), 0u);
}

TEST_F(DeltaInstallTest, TakesTheFullPayloadWhenTheDeltaIsNotServed) {
  for (const std::string& path : {DeltaIndex(kNew), DeltaPayload(kNew)}) {
    UpdateWorld world(kOld);
    world.AddRelease(kNew);
    CountingSource source(kNew);
    source.missing = {path};
    ASSERT_TRUE(world.MakeInstaller().Install(kNew.plan, source));
    EXPECT_TRUE(world.HoldsRelease(Slot::kB, kNew));
  }
}

TEST_F(DeltaInstallTest, FailsWhenDeltaAndFullPayloadAreBothSpoiled) {
  Drift(5000);
  for (uint8_t& byte : File(kNew.plan.facts().payload.path)) byte ^= 1;
  EXPECT_EQ(Install(), "payload.data-digest");
  EXPECT_EQ(StateName(installer_.Record()->state), "FAILED");
}

TEST_F(DeltaInstallTest, ResumesADeltaAtItsCheckpoint) {
  const uint64_t index = File(DeltaIndex(kNew)).size();
  const uint64_t payload = File(DeltaPayload(kNew)).size();
  source_.release_source.BreakOffAfter(index + payload * 3 / 4);
  EXPECT_EQ(Install(), "unavailable");
  EXPECT_GT(installer_.Record()->resume_offset, 0u);
  const uint64_t before = DeltaBytes();

  source_.release_source.BreakOffAfter(UINT64_MAX);
  ExpectInstalled();

  EXPECT_LT(DeltaBytes() - before, payload);
  EXPECT_EQ(FullBytes(), 0u);
}

TEST_F(DeltaInstallTest, ResumesInFullWhatADeltaBegan) {
  source_.release_source.BreakOffAfter(File(DeltaIndex(kNew)).size() +
                                       File(DeltaPayload(kNew)).size() * 3 / 4);
  EXPECT_EQ(Install(), "unavailable");
  source_.release_source.BreakOffAfter(UINT64_MAX);
  source_.missing = {DeltaIndex(kNew)};

  ExpectInstalled();

  EXPECT_LT(FullBytes(), kNew.payload.size());
}

TEST_F(DeltaInstallTest, ReportsProgressInOrder) {
  Drift(5000);
  std::vector<uint64_t> done;
  ASSERT_TRUE(installer_.Install(kNew.plan, source_,
                                 [&](const InstallProgress& p) { done.push_back(p.done); }));
  EXPECT_TRUE(std::ranges::is_sorted(done));
}

TEST_F(DeltaInstallTest, SaysWhatTheDeltaMadeAndWhatFellBack) {
  const auto origins_of = [&](CountingSource& source, std::string_view drift) {
    UpdateWorld world(kOld);
    world.AddRelease(kNew);
    const auto slot = *world.files().Open("slots/a", OpenMode::kReadWrite);
    EXPECT_TRUE(slot->WriteAt(5000, AsBytes(drift)));
    ImageOrigins origins;
    EXPECT_TRUE(world.MakeInstaller().Install(
        kNew.plan, source, [&](const InstallProgress& p) { origins = p.origins; }));
    return origins;
  };
  const auto segments_of = [](ByteView index) {
    return uint64_t{SegmentTable::Parse(index)->segments().size()};
  };

  const ImageOrigins whole = origins_of(source_, "");
  const ImageOrigins drifted = origins_of(source_, "drift");
  CountingSource without(kNew);
  without.missing = {DeltaIndex(kNew)};
  const ImageOrigins full = origins_of(without, "");

  EXPECT_EQ(whole[Origin::kFull], OriginCount());
  EXPECT_EQ(whole[Origin::kDelta].segments + whole[Origin::kCopy].segments,
            segments_of(kNew.more.at(DeltaIndex(kNew))));
  EXPECT_GT(drifted[Origin::kFull].segments, 0u);
  EXPECT_GT(drifted[Origin::kDelta].segments, 0u);
  for (const ImageOrigins& origins : {whole, drifted, full}) {
    uint64_t bytes = 0;
    for (const Origin origin : kOrigins) bytes += origins[origin].bytes;
    EXPECT_EQ(bytes, kNew.image.size());
  }
  EXPECT_EQ(full[Origin::kFull],
            (OriginCount{segments_of(AsBytes(kNew.index)), kNew.image.size()}));
}

// A cut after every operation of an installation whose third segment comes from the full payload.
TEST_F(DeltaInstallTest, SurvivesAPowerCutAfterEveryOperation) {
  uint64_t points = 0;
  for (const PowerLoss loss :
       {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly, PowerLoss::kNothing}) {
    for (uint64_t cut = 0;; ++cut, ++points) {
      UpdateWorld world(kOld);
      world.AddRelease(kNew);
      CountingSource source(kNew);
      source.release_source.File(DeltaPayload(kNew))[0] ^= 1;
      world.files().CutPowerAfter(cut);
      const bool whole = world.MakeInstaller().Install(kNew.plan, source).has_value();
      ASSERT_EQ(world.PowerOn(loss), Slot::kA);
      ASSERT_TRUE(world.HoldsRelease(Slot::kA, kOld));
      Installer again = world.MakeInstaller();
      const auto installed = again.Install(kNew.plan, source);
      ASSERT_TRUE(installed) << cut << ": " << installed.error().ToString();
      ASSERT_TRUE(world.HoldsRelease(Slot::kB, kNew)) << cut;
      if (whole) break;
    }
  }
  EXPECT_GT(points, 50u);
  std::printf("%llu cut points\n", static_cast<unsigned long long>(points));
}

}  // namespace
}  // namespace sallyport::ota

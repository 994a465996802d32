#include "ota/repository/old_release.h"

#include "ota/payload/stream_decoder.h"
#include "ota/repository/create.h"
#include "tests/fakes/payload_builder.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class OldReleaseTest : public RepositoryFixture {
 protected:
  OldReleaseTest() : old_(TestImage(50'000, 1)), new_(old_) {
    new_[30'000] ^= 1;
    Write("/in/root.img", old_);
    EXPECT_TRUE(CreateRelease(folder_, Inputs("1.0.0"), kNow + Days(90)));
    Write("/in/root.img", new_);
  }
  Result<Release> Create(std::vector<std::string> from) {
    ReleaseInputs inputs = Inputs("2.0.0");
    inputs.from = std::move(from);
    return CreateRelease(folder_, inputs, kNow + Days(90));
  }
  std::string Rule(std::vector<std::string> from) {
    const auto release = Create(std::move(from));
    return release ? "ok" : std::string(release.error().name());
  }
  Bytes Target(const ReleaseFile& file) {
    return *ReadFile(files_, folder_.TargetFilePath(file.path, file.sha256), 1 << 20);
  }

  Bytes old_;
  Bytes new_;
};

class OldImage final : public SourceReader {
 public:
  explicit OldImage(ByteView bytes) : bytes_(bytes) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    std::ranges::copy(bytes_.subspan(static_cast<size_t>(offset), out.size()), out.begin());
    return Unit{};
  }

 private:
  ByteView bytes_;
};

class NewImage final : public SegmentSink {
 public:
  Result<Unit> Write(const Segment&, ByteView decoded) override {
    Append(bytes, decoded);
    return Unit{};
  }
  Bytes bytes;
};

TEST_F(OldReleaseTest, MakesADeltaFromAReleaseOfTheRepository) {
  const auto release = Create({"edge-os/1.0.0"});
  ASSERT_TRUE(release) << release.error().ToString();
  ASSERT_EQ(release->deltas.size(), 1u);
  const ReleaseDelta& delta = release->deltas[0];
  EXPECT_EQ(delta.from_version.text(), "1.0.0");
  EXPECT_LT(delta.payload.length, release->image.payload.length / 10);

  const auto table = SegmentTable::Parse(Target(delta.index));
  ASSERT_TRUE(table);
  OldImage old(old_);
  NewImage fresh;
  StreamDecoder decoder(*table, 0, fresh, &old);
  ASSERT_TRUE(decoder.Feed(Target(delta.payload)));
  ASSERT_TRUE(decoder.Finish());
  EXPECT_EQ(fresh.bytes, new_);
}

TEST_F(OldReleaseTest, NamesTheReleaseThatDevicesRun) {
  const auto old = FindOldRelease(folder_, "edge-os", "edge-os/1.0.0");
  ASSERT_TRUE(old);
  const auto release = Create({"edge-os/1.0.0"});
  ASSERT_TRUE(release);
  EXPECT_EQ(release->deltas[0].from, old->digest);
  EXPECT_EQ(release->deltas[0].from_sha256, old->release.image.sha256);
}

TEST_F(OldReleaseTest, TakesTheImageItselfAsWell) {
  Write("/in/old.img", old_);
  const auto by_image = Create({"/in/old.img"});
  ASSERT_TRUE(by_image) << by_image.error().ToString();
  EXPECT_EQ(by_image->deltas[0].from, FindOldRelease(folder_, "edge-os", "edge-os/1.0.0")->digest);
}

TEST_F(OldReleaseTest, LeavesNoImageBehind) {
  ASSERT_TRUE(Create({"edge-os/1.0.0"}));
  EXPECT_FALSE(files_.Open(folder_.ScratchPath("from.img"), OpenMode::kRead));
}

TEST_F(OldReleaseTest, RefusesWhatTheRepositoryDoesNotKnow) {
  Write("/in/other.img", TestImage(50'000, 3));
  for (const char* from : {"edge-os/9.9.9", "/in/other.img", "/in/absent", "gateway/1.0.0", ""})
    EXPECT_EQ(Rule({from}), "release.from-unknown") << from;
  EXPECT_EQ(Rule({"edge-os/1.0.0", "edge-os/1.0.0"}), "release.delta");
}

TEST_F(OldReleaseTest, RefusesARepositoryWhosePayloadIsSpoiled) {
  const auto old = FindOldRelease(folder_, "edge-os", "edge-os/1.0.0");
  ASSERT_TRUE(old);
  const ReleaseFile& file = old->release.image.payload;
  Bytes payload = Target(file);
  payload[10] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(files_, folder_.TargetFilePath(file.path, file.sha256), payload));
  EXPECT_EQ(Rule({"edge-os/1.0.0"}), "payload.data-digest");
}

TEST_F(OldReleaseTest, ReportsProgressOfImageAndDelta) {
  std::vector<std::string> steps;
  ReleaseInputs inputs = Inputs("2.0.0");
  inputs.from = {"edge-os/1.0.0"};
  ASSERT_TRUE(CreateRelease(folder_, inputs, kNow + Days(90),
                            [&](const std::string& what, uint64_t done, uint64_t total) {
                              EXPECT_LE(done, total);
                              steps.push_back(what);
                            }));
  EXPECT_EQ(steps, (std::vector<std::string>{"image", "delta from 1.0.0"}));
}

}  // namespace
}  // namespace sallyport::ota

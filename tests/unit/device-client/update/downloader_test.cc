#include "device-client/update/downloader.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/unit/device-client/update/fake_origin.h"

namespace sallyport::device {
namespace {

class DownloaderTest : public ::testing::Test {
 protected:
  DownloaderTest() {
    for (FakeOrigin* origin : {&peer, &mirror, &other, &server}) origin->Put(file, content);
  }
  Result<Unit> Fetch(uint64_t offset = 0) {
    sink.held.clear();
    return downloader.Fetch(file, offset, content.size() - offset, sink);
  }
  const SourceStatus& StatusOf(std::string_view name) {
    status = downloader.status();
    return *std::ranges::find(status, name, &SourceStatus::name);
  }

  FakeClock clock{UnixTime{}};
  uint64_t limit = kUnlimitedRate;
  Pacer pacer{clock, [this] { return limit; }, [this](Duration time) { clock.Advance(time); }};
  Bytes content = SomeBytes(4 << 20);
  ota::RemoteFile file = MakeFile(content);
  FakeOrigin peer, mirror, other, server;
  CollectingSink sink;
  std::vector<SourceStatus> status;
  Downloader downloader{{{{"peer", SourceKind::kPeer, peer},
                          {"mirror", SourceKind::kMirror, mirror},
                          {"other", SourceKind::kMirror, other},
                          {"server", SourceKind::kServer, server}},
                         clock,
                         pacer,
                         1'000}};
};

TEST_F(DownloaderTest, AsksTheNearestFirstAndNobodyElse) {
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(sink.held, content);
  EXPECT_EQ(StatusOf("peer").bytes, content.size());
  EXPECT_TRUE(mirror.asked.empty() && other.asked.empty() && server.asked.empty());
}

TEST_F(DownloaderTest, GoesOnAtTheNextSourceAtEachByteWhereOneBrokeOff) {
  content = SomeBytes(1000);
  file = MakeFile(content);
  for (FakeOrigin* origin : {&peer, &mirror, &other, &server}) origin->Put(file, content);
  peer.chunk = mirror.chunk = 7;
  for (uint64_t at = 0; at <= content.size(); ++at) {
    clock.Advance(Days(1));  // everybody is rested
    peer.breaks_at = at;
    mirror.asked.clear();
    ASSERT_TRUE(Fetch()) << at;
    EXPECT_EQ(sink.held, content) << at;
    ASSERT_EQ(mirror.asked.size(), at < content.size() ? 1u : 0u) << at;
    EXPECT_EQ(mirror.asked.empty() ? at : mirror.asked[0].offset, at);
  }
}

TEST_F(DownloaderTest, AsksASourceAgainThatGotFar) {
  peer.breaks_at = 3 << 20;
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(sink.held, content);
  ASSERT_EQ(peer.asked.size(), 2u);
  EXPECT_EQ(peer.asked[1].offset, 3u << 20);
  EXPECT_EQ(mirror.asked.size(), 1u);  // the second time it got nowhere
}

TEST_F(DownloaderTest, LetsASourceThatFailedRestLongerEachTime) {
  peer.breaks_at = 0;
  for (const Duration rest : {Minutes(1), Minutes(2), Minutes(4)}) {
    peer.asked.clear();
    ASSERT_TRUE(Fetch());
    EXPECT_EQ(peer.asked.size(), 1u);
    EXPECT_TRUE(StatusOf("peer").resting);
    clock.Advance(Duration{rest.ms - 1});
    ASSERT_TRUE(Fetch());
    EXPECT_EQ(peer.asked.size(), 1u);
    clock.Advance(Milliseconds(1));
    EXPECT_FALSE(StatusOf("peer").resting);
  }
  EXPECT_EQ(StatusOf("peer").failures, 3u);
}

TEST_F(DownloaderTest, ReturnsTheErrorOfTheServerWhenNobodyServes) {
  for (FakeOrigin* origin : {&peer, &mirror, &other}) origin->breaks_at = 0;
  EXPECT_EQ(downloader.Fetch(MakeFile(SomeBytes(1)), 0, 1, sink).error().reason, Reason::kNotFound);
  server.breaks_at = 0;
  EXPECT_EQ(Fetch().error().rule, "content.truncated");
  EXPECT_EQ(Fetch().error().rule, "content.truncated");  // the server never rests
}

TEST_F(DownloaderTest, NamesTheMirrorThatSentAnotherFile) {
  peer.breaks_at = 0;
  mirror.lies_at = 12'345;

  const auto got = Fetch();

  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().rule, "download.corrupt");
  EXPECT_EQ(got.error().reason, Reason::kUnavailable);  // the installer resumes
  EXPECT_NE(got.error().detail.find("mirror"), std::string::npos);
  EXPECT_EQ(got.error().detail.find("other"), std::string::npos);
  EXPECT_EQ(StatusOf("mirror").lies, 1u);
  EXPECT_TRUE(StatusOf("mirror").resting);
  ASSERT_TRUE(Fetch());  // from `other`
  EXPECT_EQ(sink.held, content);
  EXPECT_EQ(StatusOf("other").lies, 0u);
}

TEST_F(DownloaderTest, SuspectsEveryMirrorThatHadAPart) {
  peer.breaks_at = 100;
  mirror.lies_at = 200;
  EXPECT_EQ(Fetch().error().rule, "download.corrupt");
  EXPECT_EQ(StatusOf("peer").lies, 1u);
  EXPECT_EQ(StatusOf("mirror").lies, 1u);
  EXPECT_EQ(StatusOf("server").lies, 0u);
}

TEST_F(DownloaderTest, LetsALiarRestForAnHour) {
  peer.lies_at = 0;
  ASSERT_FALSE(Fetch());
  clock.Advance(Duration{kSourceRestMax.ms - 1});
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(peer.asked.size(), 1u);
  clock.Advance(Milliseconds(1));
  EXPECT_FALSE(Fetch());
  EXPECT_EQ(peer.asked.size(), 2u);
}

TEST_F(DownloaderTest, BlamesTheMirrorWhenTheReaderFindsAWrongSegment) {
  sink.refuse = [](size_t held, ByteView) -> std::optional<Error> {
    if (held < (1 << 20)) return std::nullopt;
    return Error{Reason::kMismatch, "a segment", "payload.data-digest"};
  };
  const auto got = Fetch(512);
  EXPECT_EQ(got.error().rule, "download.corrupt");
  EXPECT_NE(got.error().detail.find("payload.data-digest"), std::string::npos);
  EXPECT_EQ(StatusOf("peer").lies, 1u);
}

TEST_F(DownloaderTest, LetsTheReaderJudgeWhatTheServerAloneHasSent) {
  for (FakeOrigin* origin : {&peer, &mirror, &other}) origin->breaks_at = 0;
  server.lies_at = 7;
  EXPECT_TRUE(Fetch());
  EXPECT_NE(sink.held, content);
  sink.refuse = [](size_t, ByteView) -> std::optional<Error> {
    return Error{Reason::kMismatch, "a segment", "payload.data-digest"};
  };
  EXPECT_EQ(Fetch().error().rule, "payload.data-digest");
  EXPECT_EQ(StatusOf("server").lies, 0u);
}

TEST_F(DownloaderTest, BlamesNobodyForTroubleOfTheReader) {
  sink.refuse = [](size_t, ByteView) -> std::optional<Error> {
    return Error{Reason::kNoSpace, "full"};
  };
  EXPECT_EQ(Fetch().error().reason, Reason::kNoSpace);
  EXPECT_EQ(StatusOf("peer").lies, 0u);
  EXPECT_EQ(StatusOf("peer").failures, 0u);
  EXPECT_TRUE(mirror.asked.empty());
}

TEST_F(DownloaderTest, LeavesASourceThatIsSlowOnAverage) {
  peer.chunk = 500;
  peer.each = [this] { clock.Advance(Seconds(1)); };
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(sink.held, content);
  EXPECT_NE(StatusOf("peer").refusal.find("download.slow"), std::string::npos);
  EXPECT_LE(StatusOf("peer").bytes, 11 * peer.chunk);
  EXPECT_GT(StatusOf("mirror").bytes, 0u);
}

TEST_F(DownloaderTest, LeavesASourceThatBecomesSlow) {
  peer.chunk = 1000;
  peer.each = [this, sent = 0]() mutable {
    if (++sent > 1000) clock.Advance(Seconds(2));
  };
  ASSERT_TRUE(Fetch());
  EXPECT_NE(StatusOf("peer").refusal.find("download.slow"), std::string::npos);
}

TEST_F(DownloaderTest, DoesNotTakeItsOwnCapForASlowSource) {
  peer.breaks_at = 0;
  mirror.chunk = 8'000;
  limit = kRateLimitMin;
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(StatusOf("mirror").bytes, content.size());
  EXPECT_GE(clock.Boot().ms, int64_t{4} * 1024 * 1024 * 1000 / 16'000 - 1'000);
}

TEST_F(DownloaderTest, CapsMirrorsAndTheServerButNoPeer) {
  limit = 0;
  EXPECT_TRUE(Fetch());
  peer.breaks_at = 1 << 20;
  EXPECT_EQ(Fetch().error().rule, "download.closed");
  EXPECT_EQ(StatusOf("mirror").failures, 0u);
  EXPECT_FALSE(StatusOf("mirror").resting);
}

TEST_F(DownloaderTest, AsksTheServerFirstHowLongAFileIs) {
  peer.said_size = 1;
  EXPECT_EQ(*downloader.Size(TargetPath(file)), content.size());
  EXPECT_EQ(downloader.Size("targets/x").error().reason, Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport::device

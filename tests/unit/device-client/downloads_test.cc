#include "device-client/downloads.h"

#include "tests/fakes/fake_clock.h"
#include "tests/unit/attestation-server/http/loopback.h"
#include "tests/unit/device-client/update/fake_origin.h"
#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

class DownloadsTest : public ::testing::Test {
 protected:
  DownloadsTest() { server.Put(file, content); }
  std::unique_ptr<Downloads> Make() {
    return std::make_unique<Downloads>(
        DownloadParts{files, clock, server, directory.path().string(), [this] { return reading; },
                      [this] { return overdue; }},
        settings);
  }
  Result<Unit> Fetch(Downloads& downloads) {
    sink.held.clear();
    return downloads.source().Fetch(file, 0, file.length, sink);
  }
  static std::string Text(const Downloads& downloads) { return WriteJson(downloads.ToJson()); }

  FakeClock clock{UnixTime{}};
  TrustedTime::Reading reading{*ParseRfc3339("2026-11-21T12:00:00Z"), true};
  bool overdue = false;
  TemporaryDirectory directory;
  PosixFileSystem files;
  FakeOrigin server;
  DownloadSettings settings;
  Bytes content = SomeBytes(1 << 20);
  ota::RemoteFile file = MakeFile(content);
  CollectingSink sink;
};

TEST_F(DownloadsTest, AsksTheServerWhenNothingElseIsConfigured) {
  const auto downloads = Make();
  ASSERT_TRUE(Fetch(*downloads));
  EXPECT_EQ(sink.held, content);
  EXPECT_EQ(Text(*downloads),
            R"({"late":false,"received":1048576,"release":"releases/edge-os/2.0.0","since":)"
            R"("2026-11-21T12:00:00Z","sources":[{"bytes":1048576,"failures":0,"kind":"server",)"
            R"("lies":0,"name":"server","refusal":"","resting":false}]})");
}

TEST_F(DownloadsTest, AsksPeersAndMirrorsFirst) {
  settings.peers = {"127.0.0.1:1"};
  settings.mirrors = {{"https://127.0.0.1:1", ""}};
  const auto downloads = Make();
  ASSERT_TRUE(Fetch(*downloads));
  EXPECT_EQ(sink.held, content);
  const std::string text = Text(*downloads);
  EXPECT_LT(text.find(R"("kind":"peer","lies":0,"name":"127.0.0.1:1")"),
            text.find(R"("kind":"mirror","lies":0,"name":"https://127.0.0.1:1")"));
  EXPECT_NE(text.find(R"("failures":1,"kind":"peer")"), std::string::npos);
  EXPECT_NE(text.find(R"("failures":1,"kind":"mirror")"), std::string::npos);
}

TEST_F(DownloadsTest, KeepsForItselfAndForNeighboursWhatItLoaded) {
  int port = 0;
  std::unique_ptr<Downloads> downloads;
  settings.site_cache = {directory.path().string() + "/cache", "", 64'000'000};
  // Its own port is not told: a taken one is found by what is served.
  const auto serves = [&] {
    const MirrorClient neighbour({"http://" + settings.site_cache.listen + "/image", "", "", 2});
    sink.held.clear();
    return neighbour.Get({TargetPath(file), 0, file.length, file.length}, sink).has_value();
  };
  SP_CHECK(Listen(port, [&](const std::string& address) -> Result<Unit> {
             settings.site_cache.listen = address;
             downloads = Make();
             if (serves()) return Unit{};
             return Error{Reason::kUnavailable, "", "listen.bind"};
           }).has_value());
  EXPECT_EQ(sink.held, content);
  ASSERT_TRUE(Fetch(*downloads));
  EXPECT_EQ(sink.held, content);
  EXPECT_EQ(server.asked.size(), 1u);
  EXPECT_NE(Text(*downloads).find(R"("site_cache":{"bytes":1048576,"fetched":1048576,"files":1)"),
            std::string::npos);
}

TEST_F(DownloadsTest, DoesWithoutACacheThatCannotBeOpened) {
  settings.site_cache = {"/proc/none", "127.0.0.1:1", 64'000'000};
  const auto downloads = Make();
  ASSERT_TRUE(Fetch(*downloads));
  EXPECT_EQ(Text(*downloads).find("site_cache"), std::string::npos);
}

TEST_F(DownloadsTest, HoldsTheStrictestCapUntilItIsSureOfTheTime) {
  settings.bandwidth = {{2 * 60, 3 * 60, 0}};
  reading = {*ParseRfc3339("2026-11-21T12:00:00Z"), false};
  const auto downloads = Make();
  EXPECT_EQ(Fetch(*downloads).error().rule, "download.closed");
  reading.sure = true;  // whatever the zone of this machine, not both of these are closed
  const bool noon = Fetch(*downloads).has_value();
  reading.now = reading.now + Hours(12);
  EXPECT_TRUE(noon || Fetch(*downloads).has_value());
}

TEST_F(DownloadsTest, PastTheDeadlineACapOfNothingGivesWayToTheLowestOther) {
  settings.bandwidth = {{0, 0, 0}};
  const auto downloads = Make();
  EXPECT_EQ(Fetch(*downloads).error().rule, "download.closed");
  overdue = true;
  EXPECT_TRUE(Fetch(*downloads));
  EXPECT_EQ(BandwidthPlan({{0, 60, 30'000}, {60, 120, 20'000}, {0, 0, 0}}).LowestOpen(), 20'000u);
  EXPECT_EQ(BandwidthPlan({{0, 0, 0}}).LowestOpen(), kUnlimitedRate);
}

TEST_F(DownloadsTest, LoadsNothingAfterStop) {
  const auto downloads = Make();
  downloads->Stop();
  EXPECT_EQ(Fetch(*downloads).error().rule, "update.stopping");
}

}  // namespace
}  // namespace sallyport::device

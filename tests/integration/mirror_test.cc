// Downloads from real HTTPS servers, good and hostile.
#include <filesystem>
#include <fstream>

#include "device-client/update/mirror_client.h"
#include "tests/integration/https_server.h"
#include "tests/unit/attestation-server/http/loopback.h"
#include "tests/unit/device-client/update/fake_origin.h"
#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

class MirrorTest : public ::testing::Test {
 protected:
  MirrorTest() {
    for (HttpsServer* server : {&mirror, &other}) server->Put("image/" + TargetPath(file), content);
    for (HttpsServer* server : {&mirror, &other})
      std::ofstream(CaFile(*server)) << server->ca_pem();
  }
  std::string CaFile(const HttpsServer& server) const {
    return (directory.path() / (&server == &mirror ? "mirror.pem" : "other.pem")).string();
  }
  MirrorEndpoint EndpointOf(const HttpsServer& server) const {
    return {server.url() + "/image", CaFile(server), "", 1};
  }
  Result<Unit> Get(const MirrorClient& from, uint64_t offset, uint64_t length) {
    sink.held.clear();
    return from.Get({TargetPath(file), offset, length, length}, sink);
  }
  Bytes Part(uint64_t offset, uint64_t length) const {
    return {content.begin() + static_cast<int64_t>(offset),
            content.begin() + static_cast<int64_t>(offset + length)};
  }
  // RuleOf asks for the second half.
  std::string_view RuleOf(Misdeed misdeed) {
    mirror.misdeed = misdeed;
    const auto got = Get(client, half, content.size() - half);
    return got ? "accepted" : got.error().name();
  }

  RealClock clock;
  Pacer pacer{clock, [] { return kUnlimitedRate; }};
  TemporaryDirectory directory;
  Bytes content = SomeBytes(3'000'000);
  const uint64_t half = 1'500'000;
  ota::RemoteFile file = MakeFile(content);
  HttpsServer mirror, other;
  CollectingSink sink;
  MirrorClient client{EndpointOf(mirror)};
  MirrorClient second{EndpointOf(other)};
  Downloader downloader{
      {{{"mirror", SourceKind::kMirror, client}, {"other", SourceKind::kMirror, second}},
       clock,
       pacer,
       1'000}};
};

TEST_F(MirrorTest, ReadsARangeAndKeepsTheConnection) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{1'000'003}}) {
    const auto got = Get(client, offset, 1'500'000);
    ASSERT_TRUE(got) << got.error().ToString();
    EXPECT_EQ(sink.held, Part(offset, 1'500'000));
  }
  EXPECT_EQ(*client.Size(TargetPath(file)), content.size());
  EXPECT_EQ(mirror.connections, 1);
  EXPECT_EQ(mirror.requests, 4);
}

TEST_F(MirrorTest, ShowsNoIdentity) {
  ASSERT_TRUE(Get(client, 0, 10));
  EXPECT_EQ(mirror.client_certificates, 0);
}

TEST_F(MirrorTest, BelievesTheConfiguredAuthoritiesAlone) {
  MirrorEndpoint endpoint = EndpointOf(mirror);
  endpoint.ca_file = CaFile(other);
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.server");
  endpoint.ca_file = "";  // the system's
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.server");
  endpoint.ca_file = (directory.path() / "missing.pem").string();
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.server");
  endpoint = EndpointOf(mirror);
  endpoint.url.replace(endpoint.url.find("127.0.0.1"), 9, "localhost");  // not its name
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.server");
  EXPECT_EQ(mirror.requests, 0);
}

TEST_F(MirrorTest, SkipsWhatAServerWithoutRangesSendsFirst) {
  EXPECT_EQ(RuleOf(Misdeed::kIgnoresRange), "accepted");
  EXPECT_EQ(sink.held, Part(half, content.size() - half));
  const auto got = Get(client, half, 1000);  // and stops reading behind the range
  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_EQ(sink.held, Part(half, 1000));
}

TEST_F(MirrorTest, NamesWhatAHostileServerDoes) {
  EXPECT_EQ(RuleOf(Misdeed::kNone), "accepted");
  EXPECT_EQ(RuleOf(Misdeed::kOtherRange), "content.range");
  EXPECT_TRUE(sink.held.empty());
  EXPECT_EQ(RuleOf(Misdeed::kNoRangeHead), "content.range");
  EXPECT_TRUE(sink.held.empty());
  EXPECT_EQ(RuleOf(Misdeed::kTruncated), "content.truncated");
  EXPECT_EQ(RuleOf(Misdeed::kBreaksOff), "unavailable");
  EXPECT_EQ(RuleOf(Misdeed::kStalls), "unavailable");
}

TEST_F(MirrorTest, TakesNoByteMoreThanItAskedFor) {
  EXPECT_EQ(RuleOf(Misdeed::kEndless), "content.size");
  EXPECT_EQ(sink.held, Part(half, content.size() - half));
  EXPECT_LT(mirror.body_bytes, 32u << 20);
}

// A mirror must not send the device to addresses that it could not reach itself.
TEST_F(MirrorTest, FollowsNoRedirect) {
  mirror.redirect_to = other.url() + "/image/" + TargetPath(file);
  EXPECT_EQ(RuleOf(Misdeed::kRedirects), "content.redirect");
  EXPECT_EQ(other.connections, 0);
}

TEST_F(MirrorTest, IsReachedThroughTheProxyThatIsConfigured) {
  const ConnectProxy proxy;
  MirrorEndpoint endpoint = EndpointOf(mirror);
  endpoint.proxy = proxy.url();
  {
    const MirrorClient behind(endpoint);
    ASSERT_TRUE(Get(behind, 0, 1000));
    EXPECT_EQ(sink.held, Part(0, 1000));
  }
  ASSERT_EQ(proxy.targets().size(), 1u);
  EXPECT_EQ("https://" + proxy.targets()[0], mirror.url());
}

TEST_F(MirrorTest, IsReachedThroughAProxyByHttpsThatLeadsToTheConfiguredAuthority) {
  const TlsFront front;
  const std::string ca_file = (directory.path() / "proxy.pem").string();
  std::ofstream(ca_file) << front.ca_pem();
  MirrorEndpoint endpoint = EndpointOf(mirror);
  endpoint.proxy = front.url();
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.proxy")
      << "the system's authorities do not know it";
  endpoint.proxy_ca_file = endpoint.ca_file;
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().rule, "content.proxy")
      << "the mirror's authority is not the proxy's";
  EXPECT_TRUE(front.proxy().targets().empty());
  endpoint.proxy_ca_file = ca_file;
  ASSERT_TRUE(Get(MirrorClient(endpoint), 0, 1000));
  EXPECT_EQ(sink.held, Part(0, 1000));
  ASSERT_EQ(front.proxy().targets().size(), 1u);
  EXPECT_EQ("https://" + front.proxy().targets()[0], mirror.url());
  endpoint.ca_file = ca_file;
  // Inside the proxy's TLS libcurl does not always say that it was the certificate.
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().reason, Reason::kUnavailable)
      << "nor is the proxy's authority the mirror's";
  EXPECT_TRUE(sink.held.empty());
}

TEST_F(MirrorTest, IsNotReachedPastAProxyThatIsDown) {
  MirrorEndpoint endpoint = EndpointOf(mirror);
  endpoint.proxy = "http://127.0.0.1:1";
  EXPECT_EQ(Get(MirrorClient(endpoint), 0, 10).error().reason, Reason::kUnavailable);
  EXPECT_EQ(mirror.connections, 0);
}

TEST_F(MirrorTest, TakesNoProxyFromTheEnvironment) {
  ::setenv("https_proxy", "http://127.0.0.1:1", 1);
  const auto got = Get(client, 0, 10);
  ::unsetenv("https_proxy");
  EXPECT_TRUE(got);
}

TEST_F(MirrorTest, IsReplacedByTheNextWhateverItDoes) {
  for (const Misdeed misdeed :
       {Misdeed::kEndless, Misdeed::kTruncated, Misdeed::kBreaksOff, Misdeed::kIgnoresRange,
        Misdeed::kOtherRange, Misdeed::kNoRangeHead, Misdeed::kRedirects, Misdeed::kStalls}) {
    Downloader fresh{
        {{{"mirror", SourceKind::kMirror, client}, {"other", SourceKind::kMirror, second}},
         clock,
         pacer,
         1'000}};
    mirror.misdeed = misdeed;
    sink.held.clear();
    const auto got = fresh.Fetch(file, half, content.size() - half, sink);
    ASSERT_TRUE(got) << static_cast<int>(misdeed) << got.error().ToString();
    EXPECT_EQ(sink.held, Part(half, content.size() - half)) << static_cast<int>(misdeed);
  }
}

TEST_F(MirrorTest, IsNamedWhenItSendsWrongBytesAndIsNotAskedAgain) {
  mirror.misdeed = Misdeed::kWrongBytes;
  const auto got = downloader.Fetch(file, 0, content.size(), sink);
  EXPECT_EQ(got.error().rule, "download.corrupt");
  EXPECT_NE(got.error().detail.find("mirror sent wrong bytes"), std::string::npos);
  sink.held.clear();
  ASSERT_TRUE(downloader.Fetch(file, 0, content.size(), sink));
  EXPECT_EQ(sink.held, content);
  EXPECT_EQ(mirror.requests, 1);
}

// A thousand bytes per second, and never a second without one: no stall, but slow.
TEST_F(MirrorTest, IsLeftWhenItTrickles) {
  mirror.misdeed = Misdeed::kTrickles;
  Downloader impatient{
      {{{"mirror", SourceKind::kMirror, client}, {"other", SourceKind::kMirror, second}},
       clock,
       pacer,
       16'000}};
  const auto got = impatient.Fetch(file, 0, content.size(), sink);
  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_EQ(sink.held, content);
  EXPECT_NE(impatient.status()[0].refusal.find("download.slow"), std::string::npos);
}

TEST_F(MirrorTest, IsReadNoFasterThanTheCap) {
  Pacer slow{clock, [] { return uint64_t{1'500'000}; }};
  Downloader capped{{{{"mirror", SourceKind::kMirror, client}}, clock, slow, 1'000}};
  const Duration begun = clock.Boot();
  ASSERT_TRUE(capped.Fetch(file, 0, content.size(), sink));
  EXPECT_EQ(sink.held, content);
  EXPECT_GE(clock.Boot().ms - begun.ms, 1'500);
}

}  // namespace
}  // namespace sallyport::device

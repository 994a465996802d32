#include "attestation-server/http/content_server.h"

#include <sys/resource.h>

#include <atomic>
#include <fstream>

#include "attestation-server/http/tls_probe.h"
#include "pki/x509/pem.h"
#include "tests/fakes/fake_clock.h"
#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::server {
namespace {

constexpr const char* kFile = "/image/metadata/1.root.json";

class ContentServerTest : public ::testing::Test {
 protected:
  ContentServerTest() {
    std::filesystem::create_directories(directory.path() / "metadata");
    Write("metadata/1.root.json", "0123456789");
  }
  void Write(const std::string& name, const std::string& content) {
    std::ofstream(directory.path() / name) << content;
  }
  void WriteSparse(const std::string& name, uint64_t size) {
    Write(name, "");
    std::filesystem::resize_file(directory.path() / name, size);
  }
  ContentTls Tls() {
    const Bytes leaf = world.Server().der;
    return {*world.key.SealedPem(""),
            pki::CertificatePem(leaf) + world.hierarchy.server_issuer.certificate.ToPem(),
            world.anchors};
  }
  Result<Unit> Admit(const pki::VerifiedPeer& peer) {
    ++admissions;
    EXPECT_EQ(peer.name(), world.device.text());
    if (!lease) return Error{Reason::kPolicyDenied, "quarantined", "lease.dead"};
    return Unit{};
  }
  ClientTls As(const pki::IssuedLeaf& leaf) { return {leaf.der, &world.key}; }
  ClientTls Device() { return As(world.Device()); }
  int StatusOf(const std::string& target, const std::string& headers = "") {
    TlsClient client(port, Device());
    const auto answer = client.Get(target, headers);
    return answer ? answer->status : 0;
  }
  // A refused handshake ends the connection before any answer, and nobody is asked to admit it.
  void ExpectRefused(const ClientTls& tls) {
    TlsClient client(port, tls);
    EXPECT_FALSE(client.Get(kFile).has_value());
    EXPECT_EQ(admissions, 0);
  }

  pki::World world;
  FakeClock clock{world.now + Minutes(1)};
  TemporaryDirectory directory;
  std::atomic<bool> lease = true;
  std::atomic<int> admissions = 0;
  int port = 0;
  std::unique_ptr<ContentServer> server = *Listen(port, [this](const std::string& address) {
    return ContentServer::Start({address, directory.path().string(), world.domain}, Tls(), clock,
                                [this](const pki::VerifiedPeer& peer) { return Admit(peer); });
  });
};

TEST_F(ContentServerTest, ServesAFileToADevice) {
  TlsClient client(port, Device());
  const auto answer = client.Get(kFile);

  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "0123456789");
  EXPECT_EQ(SSL_version(client.ssl()), TLS1_3_VERSION);
}

TEST_F(ContentServerTest, RefusesCertificatesOfOtherRoles) {
  ExpectRefused(As(world.Server()));
  ExpectRefused(As(world.Operator()));
}

TEST_F(ContentServerTest, RefusesAClientWithoutACertificate) { ExpectRefused({}); }

TEST_F(ContentServerTest, RefusesADeviceOfAnotherHierarchy) {
  pki::World other;
  ExpectRefused({other.Device().der, &other.key});
}

TEST_F(ContentServerTest, RefusesACertificateOneSecondPastItsEnd) {
  const pki::IssuedLeaf leaf = world.Device();
  clock.JumpWall(leaf.not_after);
  TlsClient last_second(port, As(leaf));
  EXPECT_EQ(last_second.Get(kFile)->status, 200);

  admissions = 0;
  clock.JumpWall(leaf.not_after + Seconds(1));
  ExpectRefused(As(leaf));
}

TEST_F(ContentServerTest, RefusesACertificateThatEndsDuringTheConnection) {
  const pki::IssuedLeaf leaf = world.Device();
  TlsClient client(port, As(leaf));
  ASSERT_EQ(client.Get(kFile)->status, 200);

  clock.JumpWall(leaf.not_after + Seconds(1));
  EXPECT_EQ(client.Get(kFile)->status, 403);
}

TEST_F(ContentServerTest, AsksForTheLeaseAtEveryRequest) {
  TlsClient client(port, Device());
  EXPECT_EQ(client.Get(kFile)->status, 200);
  lease = false;
  const auto answer = client.Get(kFile, "Range: bytes=0-1\r\n");
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(answer->body, "");
  EXPECT_EQ(admissions, 2);
}

TEST_F(ContentServerTest, RefusesTls12) {
  const auto probe = ProbeRefusesTls12("127.0.0.1:" + std::to_string(port));
  EXPECT_TRUE(probe.has_value()) << probe.error().ToString();
  ClientTls tls = Device();
  tls.max_version = TLS1_2_VERSION;
  ExpectRefused(tls);
}

TEST_F(ContentServerTest, ResumesNoSession) {
  SessionPtr session;
  {
    TlsClient first(port, Device());
    ASSERT_EQ(first.Get(kFile)->status, 200);
    session = first.session();
    EXPECT_EQ(SSL_SESSION_is_resumable(session.get()), 0);
  }
  ClientTls tls = Device();
  tls.session = session.get();
  TlsClient second(port, tls);
  EXPECT_EQ(SSL_session_reused(second.ssl()), 0);
}

TEST_F(ContentServerTest, RefusesEveryWayOutOfTheDirectory) {
  std::filesystem::create_symlink("/etc/passwd", directory.path() / "metadata" / "link");
  for (const char* target :
       {"/image/../metadata/1.root.json", "/image/metadata/../metadata/1.root.json",
        "/image/%2e%2e/x", "/image/metadata/%31.root.json", "/image//metadata/1.root.json",
        "/image/metadata/1.root.json?x=1", "/image/metadata/link", "/image/metadata", "/",
        "/etc/passwd"})
    EXPECT_EQ(StatusOf(target), 404) << target;
}

TEST_F(ContentServerTest, AnswersOnlyGetAndHead) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    TlsClient client(port, Device());
    const auto answer = client.Send(std::string(method) + " " + kFile +
                                    " HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(answer.has_value()) << method;
    EXPECT_EQ(answer->status, 405) << method;
  }
  TlsClient client(port, Device());
  const auto head =
      client.Send(std::string("HEAD ") + kFile + " HTTP/1.1\r\nHost: c\r\n\r\n", false);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->Header("Content-Length"), "10");
}

TEST_F(ContentServerTest, ServesOneRange) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"bytes=0-0", "0", "bytes 0-0/10"},         {"bytes=2-5", "2345", "bytes 2-5/10"},
      {"bytes=7-", "789", "bytes 7-9/10"},        {"bytes=-2", "89", "bytes 8-9/10"},
      {"bytes=8-99", "89", "bytes 8-9/10"},       {"bytes=-99", "0123456789", "bytes 0-9/10"},
      {"bytes=0-9", "0123456789", "bytes 0-9/10"}};
  TlsClient client(port, Device());
  for (const auto& [range, body, described] : cases) {
    const auto answer = client.Get(kFile, "Range: " + range + "\r\n");
    ASSERT_TRUE(answer.has_value()) << range;
    EXPECT_EQ(answer->status, 206) << range;
    EXPECT_EQ(answer->body, body) << range;
    EXPECT_EQ(answer->Header("Content-Range"), described) << range;
  }
}

TEST_F(ContentServerTest, RefusesOtherRanges) {
  for (const char* range : {"bytes=10-", "bytes=10-12", "bytes=5-4", "bytes=0-1,3-4", "bytes=-0",
                            "items=0-1", "bytes=", "bytes=99999999999999999999-", "bytes=a-b"})
    EXPECT_EQ(StatusOf(kFile, std::string("Range: ") + range + "\r\n"), 416) << range;
  EXPECT_EQ(StatusOf(kFile, "Range: bytes=0-1\r\nRange: bytes=2-3\r\n"), 416);
}

TEST_F(ContentServerTest, TagsAFileByTheDigestInItsName) {
  const std::string digest(64, 'b');
  Write(digest + ".index.json", "{}");
  TlsClient client(port, Device());
  EXPECT_EQ(client.Get("/image/" + digest + ".index.json")->Header("ETag"), '"' + digest + '"');
  EXPECT_EQ(client.Get(kFile)->Header("ETag"), "");
}

TEST_F(ContentServerTest, ServesAnEmptyFile) {
  Write("empty", "");
  TlsClient client(port, Device());
  const auto answer = client.Get("/image/empty");
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->Header("Content-Length"), "0");
}

TEST_F(ContentServerTest, StreamsALargeFileInBoundedMemory) {
  constexpr uint64_t kSize = uint64_t{192} << 20;
  constexpr long kGrowthKib = 32 << 10;
  WriteSparse("payload.bin", kSize);
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);

  TlsClient client(port, Device());
  const auto head = client.Head("GET /image/payload.bin HTTP/1.1\r\nHost: c\r\n\r\n");
  EXPECT_EQ(head->Header("Content-Length"), std::to_string(kSize));
  EXPECT_EQ(client.Skip(kSize), kSize);

  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, kGrowthKib);
}

// Each of them would hold a thread of a fixed pool until its write times out.
TEST_F(ContentServerTest, LetsNobodyWaitForDevicesThatDoNotRead) {
  WriteSparse("large", 8 << 20);
  std::vector<std::unique_ptr<TlsClient>> silent;
  for (int i = 0; i < 64; ++i) {
    silent.push_back(std::make_unique<TlsClient>(port, Device()));
    ASSERT_TRUE(silent.back()->Head("GET /image/large HTTP/1.1\r\nHost: c\r\n\r\n"));
  }
  const Duration begun = RealClock().Boot();
  TlsClient device(port, Device());
  EXPECT_EQ(device.Get(kFile)->body, "0123456789");
  EXPECT_LT(RealClock().Boot().ms - begun.ms, 5'000);
}

TEST_F(ContentServerTest, ServesRangesBeyondFourGibibytes) {
  WriteSparse("payload.bin", uint64_t{5} << 30);
  TlsClient client(port, Device());
  const auto answer = client.Get("/image/payload.bin", "Range: bytes=5000000000-5000000099\r\n");
  EXPECT_EQ(answer->status, 206);
  EXPECT_EQ(answer->body, std::string(100, '\0'));
}

TEST_F(ContentServerTest, ShowsANewCertificateWithoutARestart) {
  TlsClient before(port, Device());
  ASSERT_TRUE(server->Replace(Tls()).has_value());
  TlsClient after(port, Device());

  EXPECT_NE(before.server_leaf(), after.server_leaf());
  EXPECT_EQ(before.Get(kFile)->status, 200);
  EXPECT_EQ(after.Get(kFile)->status, 200);
}

TEST_F(ContentServerTest, JudgesNewConnectionsByNewAnchors) {
  ContentTls tls = Tls();
  tls.anchors.device_issuers.clear();
  ASSERT_TRUE(server->Replace(tls).has_value());
  ExpectRefused(Device());
}

TEST_F(ContentServerTest, KeepsItsCertificateWhenTheNewOneIsBad) {
  ContentTls foreign = Tls();
  foreign.private_key_pem = *pki::PrivateKey::Generate(pki::KeyType::kP256)->SealedPem("");
  EXPECT_EQ(server->Replace(foreign).error().rule, "content.key");
  ContentTls broken = Tls();
  broken.private_key_pem = "not a key";
  EXPECT_EQ(server->Replace(broken).error().rule, "content.key");
  broken = Tls();
  broken.chain_pem.clear();
  EXPECT_FALSE(server->Replace(broken).has_value());
  EXPECT_EQ(StatusOf(kFile), 200);
}

TEST_F(ContentServerTest, StopsWhileADeviceIsConnected) {
  TlsClient client(port, Device());
  ASSERT_EQ(client.Get(kFile)->status, 200);
  server->Stop();
  EXPECT_FALSE(client.Get(kFile).has_value());
}

}  // namespace
}  // namespace sallyport::server

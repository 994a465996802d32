// The agent's downloads against the real content server, with the TLS key behind the OpenSSL
// provider.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "attestation-server/http/content_server.h"
#include "device-client/update/http_fetcher.h"
#include "pki/x509/pem.h"
#include "tests/unit/attestation-server/http/loopback.h"
#include "tests/unit/device-client/update/fake_origin.h"

namespace sallyport::device {
namespace {

// StallingRelay passes one connection on to a server, and the server's first `bytes` back; then it
// says nothing more and keeps the connection.
class StallingRelay {
 public:
  StallingRelay(int server_port, size_t bytes)
      : server_port_(server_port), left_(bytes), thread_([this] { Relay(); }) {}
  ~StallingRelay() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<uint16_t>(port));
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return out;
  }
  int Listen() {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SP_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    SP_CHECK(listen(listener_, 1) == 0);
    SP_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return ntohs(address.sin_port);
  }
  void Relay() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(server_port_);
    SP_CHECK(connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    std::array<char, 4096> buffer;
    while (true) {
      std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {left_ > 0 ? server : -1, POLLIN, 0}}};
      SP_CHECK(poll(ready.data(), ready.size(), -1) > 0);
      const bool from_client = ready[0].revents != 0;
      const ssize_t size = recv(from_client ? client : server, buffer.data(),
                                from_client ? buffer.size() : std::min(buffer.size(), left_), 0);
      if (size <= 0) break;  // the client has given up
      if (!from_client) left_ -= static_cast<size_t>(size);
      static_cast<void>(send(from_client ? server : client, buffer.data(),
                             static_cast<size_t>(size), MSG_NOSIGNAL));
    }
    close(server);
    close(client);
  }

  const int server_port_;
  size_t left_;
  int listener_ = -1;
  const int port_ = Listen();
  std::thread thread_;
};

class ContentClientTest : public ::testing::Test {
 protected:
  ContentClientTest() {
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<uint8_t>(i * 7 + i / 251);
    file = {"releases/edge-os/2.0.0/payload.bin", content.size(), pki::Sha256(content)};
    Write("targets/releases/edge-os/2.0.0/" + HexEncode(file.sha256) + ".payload.bin", content);
    Write("metadata/1.root.json", ToBytes("root"));
  }
  void Write(const std::string& name, const Bytes& bytes) {
    const std::filesystem::path path = directory.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << AsText(bytes);
  }
  server::ContentTls Tls(const Bytes& leaf) {
    return {*world.key.SealedPem(""),
            pki::CertificatePem(leaf) + world.hierarchy.server_issuer.certificate.ToPem(),
            world.anchors};
  }
  Result<Unit> Admit() {
    if (!lease) return Error{Reason::kPolicyDenied, "quarantined", "lease.dead"};
    return Unit{};
  }
  std::optional<TlsIdentity> Identity() {
    auto key = TlsKeyReference::Register(
        world.key.public_key(), [this](const Sha256Digest& digest) { return SignDigest(digest); });
    EXPECT_TRUE(key);
    return TlsIdentity{
        pki::CertificatePem(world.Device().der) + world.hierarchy.device_issuer.certificate.ToPem(),
        *key, pki::KeyProtection::kTpmNullHierarchy};
  }
  Result<Bytes> SignDigest(const Sha256Digest& digest);
  ContentClient Client(std::vector<std::string> server_ids = {
                           "spiffe://edge.example/server/control"}) {
    return {{"127.0.0.1:" + std::to_string(port), world.hierarchy.server_issuer.certificate.ToPem(),
             std::move(server_ids)},
            [this] { return Identity(); }};
  }
  std::string_view RuleOf(const ContentClient& client) {
    CollectingSink sink;
    const auto got = client.Get({"metadata/1.root.json", 0, 0, 100}, sink);
    EXPECT_EQ(got.has_value(), !sink.held.empty());
    return got ? "accepted" : got.error().name();
  }

  pki::World world{RealClock().Wall() - Minutes(1), FakeRandom()};
  RealClock clock;
  TemporaryDirectory directory;
  Bytes content = Bytes(3'000'000);
  ota::RemoteFile file{"", 0, pki::Sha256(Bytes())};
  std::atomic<bool> lease = true;
  std::atomic<int> signatures = 0;
  int port = 0;
  std::unique_ptr<server::ContentServer> server = *Listen(port, [this](const std::string& address) {
    return server::ContentServer::Start({address, directory.path().string(), world.domain},
                                        Tls(world.Server().der), clock,
                                        [this](const pki::VerifiedPeer&) { return Admit(); });
  });
};

Result<Bytes> ContentClientTest::SignDigest(const Sha256Digest& digest) {
  ++signatures;
  const pki::EvpPkeyCtx context{
      EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(world.key.native()), nullptr)};
  Bytes out(72);
  size_t size = out.size();
  SP_CHECK(EVP_PKEY_sign_init(context.get()) == 1);
  SP_CHECK(EVP_PKEY_sign(context.get(), out.data(), &size, digest.view().data(),
                         digest.view().size()) == 1);
  out.resize(size);
  return out;
}

TEST_F(ContentClientTest, ReadsARangeWithTheProvidersKey) {
  const ContentClient client = Client();
  CollectingSink sink;

  const auto got = client.Get({TargetPath(file), 1'000'003, 1'500'000, 1'500'000}, sink);

  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_EQ(sink.held, Bytes(content.begin() + 1'000'003, content.begin() + 2'500'003));
  EXPECT_EQ(signatures, 1);
}

// A handshake costs a signature of the TPM.
TEST_F(ContentClientTest, KeepsItsConnectionUntilTheIdentityChanges) {
  std::optional<TlsIdentity> identity = Identity();
  const ContentClient client({"127.0.0.1:" + std::to_string(port),
                              world.hierarchy.server_issuer.certificate.ToPem(),
                              {"spiffe://edge.example/server/control"}},
                             [&] { return identity; });
  CollectingSink sink;
  for (uint64_t i = 0; i < 3; ++i)
    ASSERT_TRUE(client.Get({TargetPath(file), i * 1000, 1000, 1000}, sink));
  EXPECT_EQ(signatures, 1);
  EXPECT_EQ(*client.Size(TargetPath(file)), content.size());
  EXPECT_EQ(signatures, 1);

  identity = Identity();  // with another certificate
  ASSERT_TRUE(client.Get({TargetPath(file), 3000, 1000, 1000}, sink));
  EXPECT_EQ(signatures, 2);
  EXPECT_EQ(sink.held, Bytes(content.begin(), content.begin() + 4000));
}

TEST_F(ContentClientTest, JudgesTheServerAgainOnEachConnection) {
  std::vector<std::string> names{"spiffe://edge.example/server/other"};
  const ContentClient stranger = Client(names);
  EXPECT_EQ(RuleOf(stranger), "content.server");
  EXPECT_EQ(RuleOf(stranger), "content.server");
}

TEST_F(ContentClientTest, ReadsMetadataAndTargetsWhole) {
  const ContentClient client = Client();
  HttpFetcher fetcher(client);

  EXPECT_EQ(*fetcher.FetchMetadata("1.root.json", 100), ToBytes("root"));
  EXPECT_EQ(fetcher.FetchMetadata("1.root.json", 3).error().rule, "content.size");
  EXPECT_EQ(fetcher.FetchMetadata("2.root.json", 100).error().reason, Reason::kNotFound);
}

TEST_F(ContentClientTest, StopsWhenTheSinkRefuses) {
  const ContentClient client = Client();
  CollectingSink sink;
  sink.refuse = [](size_t held, ByteView) -> std::optional<Error> {
    if (held < 100'000) return std::nullopt;
    return Error{Reason::kNoSpace, "injected"};
  };
  EXPECT_EQ(client.Get({TargetPath(file), 0, content.size(), content.size()}, sink).error().reason,
            Reason::kNoSpace);
  EXPECT_LT(sink.held.size(), 200'000u);
}

TEST_F(ContentClientTest, GivesUpAServerThatStalls) {
  for (const size_t bytes :
       {size_t{6'000}, size_t{200'000}}) {  // in the answer's head, in its body
    const StallingRelay relay(port, bytes);
    const ContentClient client({"127.0.0.1:" + std::to_string(relay.port()),
                                world.hierarchy.server_issuer.certificate.ToPem(),
                                {"spiffe://edge.example/server/control"},
                                1},
                               [this] { return Identity(); });
    CollectingSink sink;
    const auto got = client.Get({TargetPath(file), 0, content.size(), content.size()}, sink);
    EXPECT_EQ(got.error().reason, Reason::kUnavailable) << bytes;
    EXPECT_LT(sink.held.size(), bytes) << bytes;
  }
}

TEST_F(ContentClientTest, TellsThatItIsNotAdmitted) {
  lease = false;
  EXPECT_EQ(RuleOf(Client()), "content.refused");
}

TEST_F(ContentClientTest, RefusesAServerThatTheEnrolmentFileDoesNotName) {
  EXPECT_EQ(RuleOf(Client()), "accepted");
  EXPECT_EQ(RuleOf(Client({"spiffe://edge.example/server/other"})), "content.server");
}

// As with a wall clock that is off: by it, the server's certificate has ended.
TEST_F(ContentClientTest, JudgesTheServerByTheTimeTheDeviceTrusts) {
  const auto leaf =
      *world.servers.SignServerLeaf("control", {{"control.edge.example"}, {}}, world.spki(),
                                    world.now, world.now + Seconds(30), world.random);
  server = *Listen(port, [&](const std::string& address) {
    return server::ContentServer::Start({address, directory.path().string(), world.domain},
                                        Tls(leaf.der), clock,
                                        [this](const pki::VerifiedPeer&) { return Admit(); });
  });
  const auto at = [&](std::function<UnixTime()> now) {
    return ContentClient({"127.0.0.1:" + std::to_string(port),
                          world.hierarchy.server_issuer.certificate.ToPem(),
                          {"spiffe://edge.example/server/control"},
                          kContentStallSecondsMax,
                          std::move(now)},
                         [this] { return Identity(); });
  };

  EXPECT_EQ(RuleOf(at(nullptr)), "content.server");
  EXPECT_EQ(RuleOf(at([&] { return world.now + Seconds(1); })), "accepted");
  EXPECT_EQ(RuleOf(at([&] { return world.now + Seconds(31); })), "content.server");
  EXPECT_EQ(RuleOf(at([&] { return UnixTime{}; })), "content.server");
}

TEST_F(ContentClientTest, RefusesAServerOfAnotherHierarchy) {
  const pki::World other{world.now, FakeRandom(7)};
  const ContentClient client({"127.0.0.1:" + std::to_string(port),
                              other.hierarchy.server_issuer.certificate.ToPem(),
                              {"spiffe://edge.example/server/control"}},
                             [this] { return Identity(); });
  EXPECT_EQ(RuleOf(client), "content.server");
}

TEST_F(ContentClientTest, HasNothingToSayWithoutACertificate) {
  const ContentClient client(
      {"127.0.0.1:" + std::to_string(port), world.hierarchy.server_issuer.certificate.ToPem(), {}},
      [] { return std::optional<TlsIdentity>(); });
  EXPECT_EQ(RuleOf(client), "content.no-identity");
}

TEST_F(ContentClientTest, TellsThatNobodyListens) {
  const ContentClient client = Client();
  server.reset();
  EXPECT_EQ(RuleOf(client), "unavailable");
}

}  // namespace
}  // namespace sallyport::device

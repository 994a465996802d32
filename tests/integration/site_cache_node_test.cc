// A site of five nodes: one keeps what it loads, four read it through the proxies, under the
// policy, before they ask anybody else.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <future>
#include <list>

#include "attestation-server/http/content_server.h"
#include "device-client/update/content_client.h"
#include "device-client/update/mirror_client.h"
#include "device-client/update/site_cache_server.h"
#include "tests/fakes/fake_clock.h"
#include "tests/unit/attestation-server/http/loopback.h"
#include "tests/unit/device-client/enforce/mesh.h"
#include "tests/unit/device-client/update/fake_origin.h"
#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

// CountingRelay stands before a server and counts what it sends, TLS and all. It can be made slow.
class CountingRelay {
 public:
  explicit CountingRelay(int server_port) : server_port_(server_port) {
    const int flags = fcntl(listener_.get(), F_GETFL);
    fcntl(listener_.get(), F_SETFL, flags & ~O_NONBLOCK);
    thread_ = std::thread([this] { Run(); });
  }
  ~CountingRelay() {
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& worker : workers_) worker.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(LocalPort(listener_.get())); }
  std::atomic<uint64_t> sent = 0;
  std::atomic<int> connections = 0;

 private:
  void Run() {
    for (;;) {
      UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.valid()) return;
      ++connections;
      workers_.emplace_back([this, fd = std::move(fd)] { Relay(fd.get()); });
    }
  }
  void Relay(int client) {
    const UniqueFd server = ConnectTo(static_cast<uint16_t>(server_port_));
    Bytes buffer(64 << 10);
    while (!stopping_) {
      std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {server.get(), POLLIN, 0}}};
      if (poll(ready.data(), ready.size(), 100) <= 0) continue;
      const bool from_client = ready[0].revents != 0;
      const ssize_t got =
          recv(from_client ? client : server.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) return;
      if (!from_client) sent += static_cast<uint64_t>(got);
      if (!SendAll(from_client ? server.get() : client,
                   ByteView(buffer).first(static_cast<size_t>(got))))
        return;
    }
  }
  const int server_port_;
  const UniqueFd listener_ = *Listen("127.0.0.1:0");
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> workers_;
  std::thread thread_;
};

constexpr size_t kNodes = 5;
constexpr std::string_view kService = "site-cache";

class SiteTest : public ::testing::Test {
 protected:
  SiteTest() {
    const std::filesystem::path path = directory.path() / "image" / TargetPath(file);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << AsText(content);
    server = *sallyport::Listen(port, [this](const std::string& address) {
      return server::ContentServer::Start(
          {address, (directory.path() / "image").string(), mesh.world.domain},
          {*mesh.world.key.SealedPem(""),
           pki::CertificatePem(mesh.world.Server().der) +
               mesh.world.hierarchy.server_issuer.certificate.ToPem(),
           mesh.world.anchors},
          world_clock, [](const pki::VerifiedPeer&) { return Ok(); });
    });
    relay.emplace(port);
    for (size_t i = 0; i < kNodes; ++i)
      nodes.push_back(mesh.MakeNode("node-" + std::to_string(i), i == 0 ? "cache" : "neighbour"));
  }

  policy::RuleSet Rules() const {
    policy::RuleSet rules = mesh.Rules();
    policy::GrantRule& grant = rules.grants.front();
    grant.id = "site-cache";
    grant.from.tags = {{"neighbour"}};
    grant.to.tags = {{"cache"}};
    grant.ports = {{policy::Protocol::kTcp, 15020, 15020}};
    rules.guardrails.services[std::string(kService)] = grant.ports;
    return rules;
  }

  // Machine is what one node's agent has of all this.
  struct Machine {
    std::unique_ptr<Proxy> proxy;
    std::unique_ptr<ContentClient> server;
    std::unique_ptr<MirrorClient> peer;
    std::unique_ptr<Downloader> downloader;
    CollectingSink sink;
  };

  std::unique_ptr<ContentClient> ServerFor(const Mesh::Node& node) {
    auto key = TlsKeyReference::Register(
        node.key.public_key(), [&node](const Sha256Digest& digest) { return Sign(node, digest); });
    const TlsIdentity identity{
        mesh.IdentityOf(node).chain_pem + mesh.world.hierarchy.device_issuer.certificate.ToPem(),
        *key, pki::KeyProtection::kTpmNullHierarchy};
    return std::make_unique<ContentClient>(
        ContentEndpoint{relay->address(),
                        mesh.world.hierarchy.server_issuer.certificate.ToPem(),
                        {"spiffe://edge.example/server/control"},
                        kContentStallSecondsMax,
                        [now = mesh.world.now] { return now; }},
        [identity] { return std::optional(identity); });
  }
  static Result<Bytes> Sign(const Mesh::Node& node, const Sha256Digest& digest);

  // StartCache makes node 0 the one that keeps files; `backend` overrides what its proxy offers.
  void StartCache(const std::string& backend = "") {
    cache_server_origin = ServerFor(nodes[0]);
    origin = std::make_unique<Downloader>(DownloaderParts{
        {{"server", SourceKind::kServer, *cache_server_origin}}, clock, pacer, 1'000});
    cache = *SiteCache::Start({(directory.path() / "cache").string(), size_max}, files, *origin);
    http = *sallyport::Listen(cache_port, [&](const std::string& address) {
      auto started = SiteCacheServer::Start(address, *cache);
      if (!started)
        return Result<std::unique_ptr<SiteCacheServer>>(
            Error{Reason::kUnavailable, "", "listen.bind"});
      return started;
    });
    ProxyConfig config;
    config.listen = "127.0.0.1:0";
    config.inbound = {{std::string(kService),
                       backend.empty() ? "127.0.0.1:" + std::to_string(cache_port) : backend}};
    cache_proxy = StartProxy(nodes[0], config);
  }
  std::unique_ptr<Proxy> StartProxy(const Mesh::Node& node, const ProxyConfig& config) {
    std::unique_ptr<Proxy> proxy = *Proxy::Start(config, mesh.time.clock());
    SP_CHECK(proxy->SetIdentity(mesh.IdentityOf(node), mesh.trust()).has_value());
    proxy->SetSlice(mesh.SliceOf(node, Rules(), nodes));
    return proxy;
  }
  Machine StartNeighbour(size_t i) {
    Machine out;
    ProxyConfig config;
    config.listen = "";
    config.outbound = {{std::string(kService), nodes[0].id.text(), "127.0.0.1:0",
                        "127.0.0.1:" + std::to_string(cache_proxy->port())}};
    out.proxy = StartProxy(nodes[i], config);
    out.server = ServerFor(nodes[i]);
    const std::string flow = "127.0.0.1:" + std::to_string(out.proxy->outbound_ports()[0]);
    out.peer =
        std::make_unique<MirrorClient>(MirrorEndpoint{"http://" + flow + "/image", "", "", 2});
    out.downloader = std::make_unique<Downloader>(DownloaderParts{
        {{"peer", SourceKind::kPeer, *out.peer}, {"server", SourceKind::kServer, *out.server}},
        clock,
        pacer,
        1'000});
    return out;
  }
  Result<Unit> Fetch(Machine& machine) {
    machine.sink.held.clear();
    return machine.downloader->Fetch(file, 0, file.length, machine.sink);
  }

  Mesh mesh;
  const FakeClock world_clock{mesh.world.now};
  RealClock clock;
  Pacer pacer{clock, [] { return kUnlimitedRate; }};
  PosixFileSystem files;
  TemporaryDirectory directory;
  Bytes content = SomeBytes(24 << 20);
  ota::RemoteFile file = MakeFile(content);
  uint64_t size_max = 1 << 30;
  std::vector<Mesh::Node> nodes;
  int port = 0;
  int cache_port = 0;
  std::unique_ptr<server::ContentServer> server;
  std::optional<CountingRelay> relay;
  std::unique_ptr<ContentClient> cache_server_origin;
  std::unique_ptr<Downloader> origin;
  std::unique_ptr<SiteCache> cache;
  std::unique_ptr<SiteCacheServer> http;
  std::unique_ptr<Proxy> cache_proxy;
};

Result<Bytes> SiteTest::Sign(const Mesh::Node& node, const Sha256Digest& digest) {
  const pki::EvpPkeyCtx context{
      EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(node.key.native()), nullptr)};
  Bytes out(72);
  size_t size = out.size();
  SP_CHECK(EVP_PKEY_sign_init(context.get()) == 1);
  SP_CHECK(EVP_PKEY_sign(context.get(), out.data(), &size, digest.view().data(),
                         digest.view().size()) == 1);
  out.resize(size);
  return out;
}

TEST_F(SiteTest, LoadsAReleaseOnceForFiveNodes) {
  StartCache();
  const SiteCacheOrigin own(*cache);
  Downloader first({{{"site cache", SourceKind::kPeer, own}}, clock, pacer, 1'000});
  std::list<Machine> neighbours;
  for (size_t i = 1; i < kNodes; ++i) neighbours.push_back(StartNeighbour(i));

  std::vector<std::future<Result<Unit>>> done;
  CollectingSink own_sink;
  done.push_back(
      std::async(std::launch::async, [&] { return first.Fetch(file, 0, file.length, own_sink); }));
  for (Machine& machine : neighbours)
    done.push_back(std::async(std::launch::async, [&] { return Fetch(machine); }));
  for (auto& one : done) {
    const auto got = one.get();
    EXPECT_TRUE(got) << got.error().ToString();
  }

  EXPECT_EQ(own_sink.held, content);
  for (const Machine& machine : neighbours) {
    EXPECT_EQ(machine.sink.held, content);
    EXPECT_EQ(machine.downloader->status()[0].bytes, content.size());
  }
  const double downloads = static_cast<double>(relay->sent) / static_cast<double>(content.size());
  std::printf("%zu nodes, %zu bytes each: %llu bytes from the origin, %.3f downloads\n", kNodes,
              content.size(), static_cast<unsigned long long>(relay->sent.load()), downloads);
  EXPECT_LE(downloads, 1.1);
}

TEST_F(SiteTest, LetsInNobodyButNeighboursOfThePolicy) {
  nodes[1].tag = "stranger";
  StartCache();
  Machine stranger = StartNeighbour(1);
  ASSERT_TRUE(Fetch(stranger));  // from the server
  EXPECT_EQ(stranger.sink.held, content);
  EXPECT_NE(stranger.downloader->status()[0].refusal, "");
  EXPECT_EQ(stranger.downloader->status()[0].bytes, 0u);
  EXPECT_EQ(cache->status().served, 0u);
}

TEST_F(SiteTest, IsDoneWithoutWhenTheCacheIsOffline) {
  StartCache();
  Machine neighbour = StartNeighbour(1);
  cache_proxy.reset();
  ASSERT_TRUE(Fetch(neighbour));
  EXPECT_EQ(neighbour.sink.held, content);
  EXPECT_NE(neighbour.downloader->status()[0].refusal.find("unavailable"), std::string::npos);
}

TEST_F(SiteTest, GoesOnAtTheServerWhenTheCacheEndsInTheMiddle) {
  StartCache();
  Machine neighbour = StartNeighbour(1);
  neighbour.sink.refuse = [&](size_t held, ByteView) -> std::optional<Error> {
    if (held > (8 << 20)) cache->Stop();
    return std::nullopt;
  };
  ASSERT_TRUE(Fetch(neighbour));
  EXPECT_EQ(neighbour.sink.held, content);
  EXPECT_GT(neighbour.downloader->status()[0].bytes, 8u << 20);
  EXPECT_GT(neighbour.downloader->status()[1].bytes, 0u);
}

TEST_F(SiteTest, IsDoneWithoutWhenTheCacheIsFull) {
  size_max = 1 << 20;
  StartCache();
  Machine neighbour = StartNeighbour(1);
  ASSERT_TRUE(Fetch(neighbour));
  EXPECT_EQ(neighbour.sink.held, content);
  EXPECT_EQ(neighbour.downloader->status()[0].refusal, "content.status: HTTP status 507");
}

// Its policy admits it, and its disk is another than it thinks.
TEST_F(SiteTest, NamesACacheThatLies) {
  StartCache();
  // What the disk of the cache has under that name is not checked again while it runs.
  ASSERT_TRUE(cache->Open(TargetPath(file)));
  CollectingSink whole;
  ASSERT_TRUE(SiteCacheOrigin(*cache).Get({TargetPath(file), 0, file.length, file.length}, whole));
  std::fstream(directory.path() / "cache" / HexEncode(file.sha256),
               std::ios::in | std::ios::out | std::ios::binary)
      .seekp(77)
      .put('!');

  Machine neighbour = StartNeighbour(1);
  const auto got = Fetch(neighbour);
  EXPECT_EQ(got.error().rule, "download.corrupt");
  EXPECT_NE(got.error().detail.find("peer sent wrong bytes"), std::string::npos);
  ASSERT_TRUE(Fetch(neighbour));
  EXPECT_EQ(neighbour.sink.held, content);
  EXPECT_EQ(neighbour.downloader->status()[1].bytes, content.size());
}

// Something that accepts connections and says nothing.
TEST_F(SiteTest, LeavesACacheThatStalls) {
  const UniqueFd silent = *Listen("127.0.0.1:0");
  StartCache("127.0.0.1:" + std::to_string(LocalPort(silent.get())));
  Machine neighbour = StartNeighbour(1);
  ASSERT_TRUE(Fetch(neighbour));
  EXPECT_EQ(neighbour.sink.held, content);
  EXPECT_NE(neighbour.downloader->status()[0].refusal.find("unavailable"), std::string::npos);
}

TEST_F(SiteTest, ServesNothingButTargets) {
  StartCache();
  const MirrorClient direct(
      {"http://127.0.0.1:" + std::to_string(cache_port) + "/image", "", "", 2});
  CollectingSink sink;
  for (const char* path : {"metadata/timestamp.json", "targets/x", "../cache", ""})
    EXPECT_EQ(direct.Get({path, 0, 10, 10}, sink).error().reason, Reason::kNotFound) << path;
  EXPECT_EQ(direct.Get({TargetPath(file), file.length, 10, 10}, sink).error().reason,
            Reason::kUnavailable);
  EXPECT_TRUE(sink.held.empty());
}

}  // namespace
}  // namespace sallyport::device

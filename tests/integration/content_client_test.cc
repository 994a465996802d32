// The agent's downloads against the real content server, with the TLS key behind the OpenSSL
// provider.
#include <atomic>
#include <filesystem>
#include <fstream>

#include "attestation-server/http/content_server.h"
#include "device-client/update/http_sources.h"
#include "pki/x509/pem.h"
#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::device {
namespace {

class CollectingSink final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    if (held.size() >= full_at) return Error{Reason::kNoSpace, "injected"};
    Append(held, bytes);
    return Unit{};
  }
  Bytes held;
  size_t full_at = SIZE_MAX;
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
  HttpPayloadSource source(client);
  CollectingSink sink;

  const auto got = source.Fetch(file, 1'000'003, 1'500'000, sink);

  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_EQ(sink.held, Bytes(content.begin() + 1'000'003, content.begin() + 2'500'003));
  EXPECT_EQ(signatures, 1);
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
  sink.full_at = 100'000;
  EXPECT_EQ(HttpPayloadSource(client).Fetch(file, 0, content.size(), sink).error().reason,
            Reason::kNoSpace);
  EXPECT_LT(sink.held.size(), 200'000u);
}

TEST_F(ContentClientTest, TellsThatItIsNotAdmitted) {
  lease = false;
  EXPECT_EQ(RuleOf(Client()), "content.refused");
}

TEST_F(ContentClientTest, RefusesAServerThatTheEnrolmentFileDoesNotName) {
  EXPECT_EQ(RuleOf(Client()), "accepted");
  EXPECT_EQ(RuleOf(Client({"spiffe://edge.example/server/other"})), "content.server");
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

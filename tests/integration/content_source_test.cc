// The agent's way to the image repository against the real content server, with a key in the TPM.
#include "device-client/transport/content_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "attestation-server/http/content_server.h"
#include "device-client/tpm/tls_key_provider.h"
#include "device-client/tpm/tpm.h"
#include "pki/base/file_system.h"
#include "pki/x509/leaf_template.h"
#include "pki/x509/pem.h"
#include "tests/node/swtpm.h"

namespace sallyport::device {
namespace {

class Collector final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    if (full_) return Error{Reason::kNoSpace, "disk is full"};
    Append(bytes_, bytes);
    return Ok();
  }
  void Fill() { full_ = true; }
  std::string text() const { return ToString(bytes_); }

 private:
  Bytes bytes_;
  bool full_ = false;
};

struct Issuer {
  pki::LeafTemplate leaves;
  pki::IssuerCertificate certificate;
};

class ContentSourceTest : public testing::Test {
 protected:
  ContentSourceTest()
      : domain_(*pki::TrustDomain::Parse("edge.example")), devices_(MakeIssuer()), servers_(MakeIssuer()) {
    char name[] = "/tmp/sp-content-XXXXXX";
    dir_ = ::mkdtemp(name);
    // Below the ephemeral range; another test process has another number.
    address_ = "127.0.0.1:" + std::to_string(20000 + ::getpid() % 10000);
    Put("metadata/1.root.json", "{}");
    Put("targets/releases/os/" + HexEncode(pki::Sha256(AsBytes("0123456789"))) + ".payload.bin", "0123456789");
    StartServer("control");
    swtpm_.emplace(*node::SwTpm::Start(dir_ + "/tpm"));
    tpm_ = *Tpm::Open(swtpm_->tcti(), random_);
  }
  ~ContentSourceTest() override {
    server_.reset();
    reference_.reset();
    tpm_.reset();
    swtpm_.reset();
    std::filesystem::remove_all(dir_);
  }

  Issuer MakeIssuer() {
    pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
    Bytes serial(16, 1);
    random_.Fill(std::span(serial).last(8));
    pki::IssuerCertificate certificate = *pki::SignSelfIssued({.common_name = "issuer",
                                                               .trust_domain = domain_,
                                                               .serial = serial,
                                                               .not_before = clock_.Wall() - Hours(1),
                                                               .not_after = clock_.Wall() + Hours(1),
                                                               .path_length = 0,
                                                               .scope = pki::NameScope::kUriAndHosts},
                                                              key);
    return {*pki::LeafTemplate::Make(certificate, std::move(key), domain_), certificate};
  }
  pki::LeafValidity Validity() const { return {clock_.Wall() - Minutes(1), clock_.Wall() + Minutes(10)}; }
  void Put(const std::string& path, std::string_view text) {
    const std::string whole = dir_ + "/image/" + path;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    SP_CHECK(WriteFileAtomically(files_, whole, AsBytes(text)).has_value());
  }
  void StartServer(const std::string& name) {
    server_.reset();
    const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
    const pki::IssuedLeaf leaf = *servers_.leaves.IssueServer(name, {}, key.public_key().spki(), Validity(), random_);
    pki::RoleAnchors anchors;
    anchors.device_issuers = {devices_.certificate};
    server_ = *server::ContentServer::Start({address_, dir_ + "/image", domain_},
                                            {*key.SealedPem(""), pki::CertificatePem(leaf.der), anchors}, clock_,
                                            [](const pki::VerifiedPeer&) { return Ok(); });
  }
  // Source is one with a certificate for a key in the TPM.
  ContentSource& Source() {
    const TlsKey key = *tpm_->MakeTlsKey(Bytes(32, 7));
    const pki::PublicKey public_key = *pki::ParsePublicArea(key.public_area)->ToPublicKey();
    const pki::IdentityExtension extension{.attested_at = clock_.Wall(),
                                           .tier = pki::Tier::kAttested,
                                           .boot_id = BootId::FromArray({}),
                                           .release_digest = std::nullopt};
    const pki::IssuedLeaf leaf = *devices_.leaves.IssueDevice(*pki::DeviceId::Parse(std::string(52, 'a')),
                                                              public_key.spki(), extension, Validity(), random_);
    reference_ = *TlsKeyReference::Register(
        public_key, [this, id = key.id](const Sha256Digest& digest) { return tpm_->Sign(id, digest); });
    Bare().SetIdentity({reference_->pem(), pki::CertificatePem(leaf.der)});
    return *source_;
  }
  ContentSource& Bare() {
    source_.emplace(address_, ServerTrust{servers_.certificate.ToPem(), {"spiffe://edge.example/server/control"}});
    return *source_;
  }
  ota::RemoteFile Payload() const { return {"releases/os/payload.bin", 10, pki::Sha256(AsBytes("0123456789"))}; }

  std::string dir_;
  std::string address_;
  RealClock clock_;
  SystemRandom random_;
  PosixFileSystem files_;
  pki::TrustDomain domain_;
  Issuer devices_;
  Issuer servers_;
  std::unique_ptr<server::ContentServer> server_;
  std::optional<node::SwTpm> swtpm_;
  std::unique_ptr<Tpm> tpm_;
  std::shared_ptr<const TlsKeyReference> reference_;
  std::optional<ContentSource> source_;
};

TEST_F(ContentSourceTest, FetchesMetadataWithTheTpmsKey) {
  const auto root = Source().FetchMetadata("1.root.json", 1024);

  ASSERT_TRUE(root.has_value()) << root.error().ToString();
  EXPECT_EQ(ToString(*root), "{}");
}

TEST_F(ContentSourceTest, FetchesAPartOfAPayloadByItsDigest) {
  Collector sink;

  const auto fetched = Source().Fetch(Payload(), 3, 4, sink);

  ASSERT_TRUE(fetched.has_value()) << fetched.error().ToString();
  EXPECT_EQ(sink.text(), "3456");
}

TEST_F(ContentSourceTest, SaysThatAFileIsMissing) {
  EXPECT_EQ(Source().FetchMetadata("2.root.json", 1024).error().reason, Reason::kNotFound);
}

TEST_F(ContentSourceTest, StopsAboveTheCallersLimit) {
  EXPECT_EQ(Source().FetchMetadata("1.root.json", 1).error().name(), "content.size");
}

TEST_F(ContentSourceTest, ReturnsTheErrorOfTheSink) {
  Collector sink;
  sink.Fill();

  EXPECT_EQ(Source().Fetch(Payload(), 0, 10, sink).error().reason, Reason::kNoSpace);
}

TEST_F(ContentSourceTest, AsksNothingWithoutACertificate) {
  EXPECT_EQ(Bare().FetchMetadata("1.root.json", 1024).error().name(), "content.no-identity");
}

TEST_F(ContentSourceTest, AsksNothingOfAServerThatItWasNotToldOf) {
  StartServer("impostor");

  EXPECT_EQ(Source().FetchMetadata("1.root.json", 1024).error().name(), "content.server");
}

TEST_F(ContentSourceTest, SaysThatTheServerIsAway) {
  server_.reset();

  EXPECT_EQ(Source().FetchMetadata("1.root.json", 1024).error().reason, Reason::kUnavailable);
}

}  // namespace
}  // namespace sallyport::device

#include "device-client/enforce/proxy.h"

#include <openssl/ssl.h>

#include "device-client/tpm/tls_key_provider.h"
#include "pki/crypto/openssl_ptr.h"
#include "tests/unit/device-client/enforce/mesh.h"
#include "tests/unit/pki/x509/draft.h"

namespace sallyport::device {
namespace {

class ProxyTest : public testing::Test {
 protected:
  void SetUp() override { StartProxies({}); }

  void StartProxies(ProxyConfig recorder_config) {
    camera_proxy_.reset();
    recorder_proxy_.reset();
    recorder_config.listen = "127.0.0.1:0";
    recorder_config.inbound = {{"rtsp", echo_.address()}, {"ssh", "127.0.0.1:1"}};
    recorder_proxy_ = *Proxy::Start(recorder_config, mesh_.time.clock());
    const std::string peer = "127.0.0.1:" + std::to_string(recorder_proxy_->port());
    ProxyConfig camera_config;
    camera_config.listen.clear();
    camera_config.outbound = {{"rtsp", recorder_.id.text(), "127.0.0.1:0", peer},
                              {"ssh", recorder_.id.text(), "127.0.0.1:0", peer},
                              {"rtsp", camera_.id.text(), "127.0.0.1:0", peer}};
    camera_proxy_ = *Proxy::Start(camera_config, mesh_.time.clock());
    ASSERT_TRUE(camera_proxy_->SetIdentity(mesh_.IdentityOf(camera_), mesh_.trust()));
    ASSERT_TRUE(recorder_proxy_->SetIdentity(mesh_.IdentityOf(recorder_), mesh_.trust()));
    SetRules(mesh_.Rules());
  }

  void SetRules(const policy::RuleSet& rules, int64_t counter = 1) {
    camera_proxy_->SetSlice(mesh_.SliceOf(camera_, rules, {camera_, recorder_}, counter));
    recorder_proxy_->SetSlice(mesh_.SliceOf(recorder_, rules, {camera_, recorder_}, counter));
  }

  UniqueFd Dial(size_t outbound = 0) {
    return ConnectTo(camera_proxy_->outbound_ports()[outbound]);
  }
  // Echo proves a live flow through both proxies.
  static std::string Echo(const UniqueFd& fd, std::string_view text) {
    SendAll(fd.get(), AsBytes(text));
    return ToString(ByteView(Receive(fd.get(), text.size()).bytes));
  }
  static std::string LastReason(const Proxy& proxy) {
    WaitFor([&] { return !proxy.Refusals().empty(); });
    const auto refusals = proxy.Refusals();
    return refusals.empty() ? "" : refusals.back().reason;
  }
  static bool IsCut(const UniqueFd& fd) {
    const Received received = Receive(fd.get(), 1);
    return received.cut && received.bytes.empty();
  }

  Mesh mesh_;
  EchoServer echo_;
  Mesh::Node camera_ = mesh_.MakeNode("camera", "camera");
  Mesh::Node recorder_ = mesh_.MakeNode("recorder", "recorder");
  std::unique_ptr<Proxy> recorder_proxy_;
  std::unique_ptr<Proxy> camera_proxy_;
};

TEST_F(ProxyTest, CarriesWhatPolicyAllows) {
  const UniqueFd fd = Dial();

  EXPECT_EQ(Echo(fd, "hello"), "hello");

  const auto here = camera_proxy_->Connections();
  const auto there = recorder_proxy_->Connections();
  ASSERT_EQ(here.size(), 1u);
  ASSERT_EQ(there.size(), 1u);
  EXPECT_EQ(here[0].peer, recorder_.id.text());
  EXPECT_EQ(there[0].peer, camera_.id.text());
  EXPECT_EQ(there[0].grant, "cam-to-rec");
  EXPECT_EQ(there[0].policy_version, 1u);
  EXPECT_EQ(there[0].valid_until, mesh_.world.now + Hours(1) + Seconds(1));
  EXPECT_EQ(here[0].bytes_sent, 5u);
  EXPECT_EQ(here[0].bytes_received, 5u);
}

TEST_F(ProxyTest, KeepsEveryByteInOrderBothWays) {
  Bytes data(8 << 20);
  mesh_.world.random.Fill(data);
  const UniqueFd fd = Dial();

  std::thread sender([&] {
    SendAll(fd.get(), data);
    shutdown(fd.get(), SHUT_WR);
  });
  const Received back = Receive(fd.get(), data.size() + 1);
  sender.join();

  EXPECT_FALSE(back.cut);
  EXPECT_EQ(back.bytes.size(), data.size());
  EXPECT_TRUE(Equal(back.bytes, data));
  EXPECT_TRUE(WaitFor([&] {
    return camera_proxy_->Connections().empty() && recorder_proxy_->Connections().empty();
  }));
  EXPECT_TRUE(camera_proxy_->Refusals().empty());
}

TEST_F(ProxyTest, TheInitiatorRefusesWhatItsOwnPolicyDenies) {
  EXPECT_TRUE(IsCut(Dial(1)));
  EXPECT_EQ(LastReason(*camera_proxy_), "no-grant: cam-to-rec failed service");
  EXPECT_EQ(echo_.accepted(), 0);
}

TEST_F(ProxyTest, TheInitiatorLearnsWhyTheOtherEndRefused) {
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].ports = rules.guardrails.services["ssh"];
  recorder_proxy_->SetSlice(mesh_.SliceOf(recorder_, rules, {camera_, recorder_}, 2));

  EXPECT_TRUE(IsCut(Dial()));

  EXPECT_EQ(LastReason(*camera_proxy_), "peer-refused: no-grant: cam-to-rec failed service");
  EXPECT_EQ(LastReason(*recorder_proxy_), "no-grant: cam-to-rec failed service");
  EXPECT_EQ(recorder_proxy_->Refusals().back().peer, camera_.id.text());
  EXPECT_EQ(echo_.accepted(), 0);
}

TEST_F(ProxyTest, SaysWhenTheBackendIsNotThere) {
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].ports = policy::AllPorts();
  SetRules(rules, 2);
  EXPECT_TRUE(IsCut(Dial(1)));
  EXPECT_EQ(LastReason(*camera_proxy_), "peer-refused: backend-unreachable");
}

TEST_F(ProxyTest, RefusesAPeerThatIsNotTheDestination) {
  EXPECT_TRUE(IsCut(Dial(2)));
  EXPECT_EQ(LastReason(*camera_proxy_), "wrong-peer");
}

TEST_F(ProxyTest, RefusesEverythingWithoutSliceOrIdentity) {
  recorder_proxy_->SetSlice(nullptr);
  EXPECT_TRUE(IsCut(Dial()));
  EXPECT_EQ(LastReason(*camera_proxy_), "peer-refused: no-policy");
  camera_proxy_->SetSlice(nullptr);
  EXPECT_TRUE(IsCut(Dial()));
  EXPECT_EQ(LastReason(*camera_proxy_), "no-policy");

  ProxyConfig config;
  config.listen = "127.0.0.1:0";
  const auto bare = *Proxy::Start(config, mesh_.time.clock());
  const UniqueFd fd = ConnectTo(bare->port());
  EXPECT_EQ(LastReason(*bare), "no-identity");
}

TEST_F(ProxyTest, ANewSliceCutsLiveConnectionsThatLostTheirReason) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].ports = rules.guardrails.services["ssh"];

  recorder_proxy_->SetSlice(mesh_.SliceOf(recorder_, rules, {camera_, recorder_}, 2));

  EXPECT_TRUE(IsCut(fd));
  EXPECT_EQ(LastReason(*recorder_proxy_), "no-grant: cam-to-rec failed service");
  EXPECT_TRUE(recorder_proxy_->Refusals().back().was_open);
  EXPECT_TRUE(recorder_proxy_->Connections().empty());
}

TEST_F(ProxyTest, ASliceThatNoLongerKnowsThePeerCutsIt) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].from.tags = {{"laptop"}};
  recorder_proxy_->SetSlice(mesh_.SliceOf(recorder_, rules, {camera_, recorder_}, 2));
  EXPECT_TRUE(IsCut(fd));
  EXPECT_EQ(LastReason(*recorder_proxy_), "unknown-device");
}

TEST_F(ProxyTest, ANewSliceKeepsLiveConnectionsThatHaveTheirReason) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].id = "renamed";
  SetRules(rules, 2);
  EXPECT_EQ(Echo(fd, "still here"), "still here");
  EXPECT_EQ(camera_proxy_->Connections()[0].grant, "renamed");
  EXPECT_EQ(camera_proxy_->Connections()[0].policy_version, 2u);
}

TEST_F(ProxyTest, ARevokedPeerIsCutLive) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");

  recorder_proxy_->SetRevocations({{camera_.id.text(), 42}});
  EXPECT_EQ(Echo(fd, "same epoch"), "same epoch");
  recorder_proxy_->SetRevocations({{camera_.id.text(), 43}});

  EXPECT_TRUE(IsCut(fd));
  EXPECT_EQ(LastReason(*recorder_proxy_), "revoked");
  EXPECT_TRUE(IsCut(Dial()));
  ASSERT_TRUE(camera_proxy_->SetIdentity(mesh_.IdentityOf(camera_, 43), mesh_.trust()));
  EXPECT_EQ(Echo(Dial(), "renewed"), "renewed");
}

TEST_F(ProxyTest, TheDeadlineCutsWithoutAnyNews) {
  policy::RuleSet rules = mesh_.Rules();
  rules.grants[0].require_from.attested_within = Minutes(10);
  SetRules(rules, 2);
  mesh_.time.now_ms = (mesh_.world.extension.attested_at + Minutes(10) - Milliseconds(300)).ms;
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");

  mesh_.Advance(Milliseconds(300));

  EXPECT_TRUE(IsCut(fd));
  const std::string reason =
      LastReason(camera_proxy_->Refusals().empty() ? *recorder_proxy_ : *camera_proxy_);
  EXPECT_EQ(reason, "no-grant: cam-to-rec failed attested_within");
}

TEST_F(ProxyTest, AnUnsureClockStopsEverythingButKeep) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");
  mesh_.time.sure = false;
  camera_proxy_->Reevaluate();
  EXPECT_TRUE(IsCut(fd));
  EXPECT_EQ(LastReason(*camera_proxy_), "no-grant: cam-to-rec failed offline");
}

TEST_F(ProxyTest, AnExpiredIdentityIsNotAccepted) {
  mesh_.Advance(Hours(2));
  EXPECT_FALSE(camera_proxy_->SetIdentity(mesh_.IdentityOf(camera_), mesh_.trust()));
  EXPECT_TRUE(IsCut(Dial()));
  EXPECT_EQ(LastReason(*camera_proxy_), "handshake: peer.expired");
}

TEST_F(ProxyTest, AKeyThatIsNotTheLeafsIsNotAccepted) {
  ProxyIdentity identity = mesh_.IdentityOf(camera_);
  identity.key = Mesh::KeyOf(recorder_.key);
  EXPECT_EQ(camera_proxy_->SetIdentity(identity, mesh_.trust()).error().rule, "tls.key");
}

TEST_F(ProxyTest, AClientThatNeverFinishesIsTimedOut) {
  ProxyConfig config;
  config.open_timeout = Milliseconds(200);
  StartProxies(config);
  const UniqueFd silent = ConnectTo(recorder_proxy_->port());
  EXPECT_TRUE(IsCut(silent));
  EXPECT_EQ(LastReason(*recorder_proxy_), "timeout");
}

TEST_F(ProxyTest, ConnectionsAreCapped) {
  ProxyConfig config;
  config.connections_max = 2;
  StartProxies(config);
  const UniqueFd a = Dial(), b = Dial();
  ASSERT_EQ(Echo(a, "a"), "a");
  ASSERT_EQ(Echo(b, "b"), "b");
  EXPECT_TRUE(IsCut(Dial()));
  EXPECT_EQ(LastReason(*recorder_proxy_), "too-many-connections");
  EXPECT_EQ(Echo(a, "still"), "still");
}

TEST_F(ProxyTest, HandshakesAreCapped) {
  ProxyConfig config;
  config.opening_max = 1;
  StartProxies(config);
  const UniqueFd silent = ConnectTo(recorder_proxy_->port());
  EXPECT_TRUE(IsCut(Dial()));
  EXPECT_EQ(LastReason(*recorder_proxy_), "too-many-handshakes");
}

TEST_F(ProxyTest, AFloodOfConnectionsLeavesNothingBehind) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Echo(Dial(), "x"), "x");
  EXPECT_TRUE(WaitFor([&] {
    return camera_proxy_->Connections().empty() && recorder_proxy_->Connections().empty();
  }));
}

TEST_F(ProxyTest, WorksWithAKeyThatOnlyTheTlsKeyProviderCanUse) {
  std::atomic<int> signatures = 0;
  const auto sign = [&](const Sha256Digest& digest) -> Result<Bytes> {
    ++signatures;
    const pki::EvpPkeyCtx context(
        EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(camera_.key.native()), nullptr));
    Bytes signature(72);
    size_t size = signature.size();
    SP_CHECK(EVP_PKEY_sign_init(context.get()) == 1);
    SP_CHECK(EVP_PKEY_sign(context.get(), signature.data(), &size, digest.view().data(),
                           digest.view().size()) == 1);
    signature.resize(size);
    return signature;
  };
  const auto reference = TlsKeyReference::Register(camera_.key.public_key(), sign);
  ASSERT_TRUE(reference);
  ProxyIdentity identity = mesh_.IdentityOf(camera_);
  identity.key = ShareKey(*(*reference)->NewNativeKey());
  ASSERT_TRUE(camera_proxy_->SetIdentity(identity, mesh_.trust()));

  EXPECT_EQ(Echo(Dial(), "signed elsewhere"), "signed elsewhere");
  EXPECT_EQ(signatures, 1);
  camera_proxy_->Stop();  // `signatures` goes before the proxy does
}

TEST_F(ProxyTest, StopCutsWhatIsOpen) {
  const UniqueFd fd = Dial();
  ASSERT_EQ(Echo(fd, "hello"), "hello");
  recorder_proxy_->Stop();
  EXPECT_TRUE(IsCut(fd));
}

TEST_F(ProxyTest, AddressesMustBeNumeric) {
  ProxyConfig config;
  config.listen = "localhost:0";
  EXPECT_EQ(Proxy::Start(config, mesh_.time.clock()).error().reason, Reason::kInvalidArgument);
}

// StrangerTest talks to the recorder's proxy with OpenSSL alone, as no proxy of ours would.
class StrangerTest : public ProxyTest {
 protected:
  struct Stranger {
    std::string chain_pem;
    std::shared_ptr<void> key;
    std::string alpn = "\x0bsallyport/1";
    int version = TLS1_3_VERSION;
    Bytes say;  // after the handshake
  };

  // Talk returns what the proxy answered, empty when it refused.
  Bytes Talk(const Stranger& stranger) {
    using CtxPtr = pki::Owned<SSL_CTX, SSL_CTX_free>;
    const CtxPtr ctx(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(ctx.get(), stranger.version);
    SSL_CTX_set_max_proto_version(ctx.get(), stranger.version);
    if (!stranger.chain_pem.empty()) {
      const Bytes der = pki::ParseCertificatePem(stranger.chain_pem)->front();
      const uint8_t* in = der.data();
      const pki::X509Ptr leaf(d2i_X509(nullptr, &in, static_cast<long>(der.size())));
      SSL_CTX_use_certificate(ctx.get(), leaf.get());
      SSL_CTX_use_PrivateKey(ctx.get(), static_cast<EVP_PKEY*>(stranger.key.get()));
    }
    const UniqueFd fd = ConnectTo(recorder_proxy_->port());
    using SslPtr = pki::Owned<SSL, SSL_free>;
    const SslPtr ssl(SSL_new(ctx.get()));
    SSL_set_fd(ssl.get(), fd.get());
    if (!stranger.alpn.empty())
      SSL_set_alpn_protos(ssl.get(), AsBytes(stranger.alpn).data(),
                          static_cast<unsigned>(stranger.alpn.size()));
    Bytes answer(1024);
    size_t size = 0;
    if (SSL_connect(ssl.get()) == 1) {
      SSL_write(ssl.get(), stranger.say.data(), static_cast<int>(stranger.say.size()));
      if (SSL_read_ex(ssl.get(), answer.data(), answer.size(), &size) != 1) size = 0;
    }
    answer.resize(size);
    return answer;
  }
  Stranger Camera() {
    const ProxyIdentity identity = mesh_.IdentityOf(camera_);
    return {identity.chain_pem, identity.key, "\x0bsallyport/1", TLS1_3_VERSION,
            WriteClientPreface({"rtsp", recorder_.id.text(), 1})};
  }
  Stranger With(const Bytes& der) {
    Stranger stranger = Camera();
    stranger.chain_pem = pki::CertificatePem(der);
    return stranger;
  }
  std::string Uri(const Mesh::Node& node) const {
    return "spiffe://edge.example/device/" + node.id.text();
  }
};

TEST_F(StrangerTest, IsServedWhenItDoesEverythingRight) {
  const Bytes answer = Talk(Camera());
  const auto preface = ReadServerPreface(answer);
  ASSERT_TRUE(preface && *preface);
  EXPECT_EQ((*preface)->preface.code, PrefaceCode::kAllowed);
}

TEST_F(StrangerTest, NeedsTheProtocolName) {
  Stranger stranger = Camera();
  stranger.alpn = "\x02h2";
  EXPECT_TRUE(Talk(stranger).empty());
  stranger.alpn.clear();
  EXPECT_TRUE(Talk(stranger).empty());
  EXPECT_EQ(LastReason(*recorder_proxy_), "handshake: tls.alpn");
}

TEST_F(StrangerTest, NeedsTls13) {
  Stranger stranger = Camera();
  stranger.version = TLS1_2_VERSION;
  EXPECT_TRUE(Talk(stranger).empty());
}

TEST_F(StrangerTest, NeedsACertificate) {
  Stranger stranger = Camera();
  stranger.chain_pem.clear();
  EXPECT_TRUE(Talk(stranger).empty());
  EXPECT_NE(LastReason(*recorder_proxy_).find("handshake: "), std::string::npos);
}

TEST_F(StrangerTest, MayNotCarryTwoNames) {
  pki::Draft draft(camera_.key.public_key().spki());
  draft.not_before = mesh_.world.now;
  draft.not_after = mesh_.world.now + Hours(1);
  draft.Put("own", pki::kIdentityExtensionOid, false,
            EncodeIdentityExtension(mesh_.world.extension));
  const Bytes camera = pki::Draft::Name(pki::kNameUri, Uri(camera_));
  draft.Names({camera});
  EXPECT_FALSE(Talk(With(draft.SignedBy(mesh_.world.hierarchy.device_issuer))).empty());
  draft.Names({camera, pki::Draft::Name(pki::kNameUri, Uri(recorder_))});
  EXPECT_TRUE(Talk(With(draft.SignedBy(mesh_.world.hierarchy.device_issuer))).empty());
  EXPECT_EQ(LastReason(*recorder_proxy_), "handshake: certificate.san-uri");
}

TEST_F(StrangerTest, OfTheServerIssuerIsNoDevice) {
  pki::Draft draft(camera_.key.public_key().spki());
  draft.not_before = mesh_.world.now;
  draft.not_after = mesh_.world.now + Hours(1);
  draft.Names({pki::Draft::Name(pki::kNameUri, Uri(camera_))});
  EXPECT_TRUE(Talk(With(draft.SignedBy(mesh_.world.hierarchy.server_issuer))).empty());
  EXPECT_EQ(LastReason(*recorder_proxy_), "handshake: peer.issuer-unknown");
}

TEST_F(StrangerTest, MustAskForThisDevice) {
  Stranger stranger = Camera();
  stranger.say = WriteClientPreface({"rtsp", camera_.id.text(), 1});
  const auto preface = ReadServerPreface(Talk(stranger));
  ASSERT_TRUE(preface && *preface);
  EXPECT_EQ((*preface)->preface.reason, "wrong-destination");
}

TEST_F(StrangerTest, IsCutWhenItsPrefaceIsNone) {
  Stranger stranger = Camera();
  stranger.say = ToBytes("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(Talk(stranger).empty());
  EXPECT_EQ(LastReason(*recorder_proxy_), "preface.magic");
}

TEST_F(StrangerTest, IsToldThatAServiceIsUnknown) {
  Stranger stranger = Camera();
  stranger.say = WriteClientPreface({"telnet", recorder_.id.text(), 1});
  const auto preface = ReadServerPreface(Talk(stranger));
  ASSERT_TRUE(preface && *preface);
  EXPECT_EQ((*preface)->preface.reason, "unknown-service");
  EXPECT_EQ((*preface)->preface.valid_until_ms, 0u);
}

}  // namespace
}  // namespace sallyport::device

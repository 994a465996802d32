// The gRPC listeners as they stand: real TLS on loopback, and callers that should not get in.
#include "attestation-server/service/listener.h"

#include <chrono>
#include <grpc/grpc_security.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/admin.grpc.pb.h"
#include "attestation-server/http/tls_probe.h"
#include "attestation-server/service/peer.h"
#include "attestation-server/service/status.h"
#include "device-client/transport/channel.h"
#include "pki/x509/pem.h"
#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::server {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr std::string_view kServerId = "spiffe://edge.example/server/control";

// WhoAmI answers Status with the caller's id, or refuses the caller as the services do.
class WhoAmI final : public api::Admin::Service {
 public:
  WhoAmI(const pki::World& world, pki::Role role) : world_(world), role_(role) {}
  grpc::Status Status(grpc::ServerContext* context, const api::StatusRequest*,
                      api::JsonReply* reply) override {
    ++calls;
    const auto peer =
        AuthenticatePeer(*context, world_.anchors, role_, world_.domain, RealClock().Wall());
    if (!peer) return ToStatus(peer.error());
    reply->set_json(peer->spiffe_id().text());
    return grpc::Status::OK;
  }
  std::atomic<int> calls = 0;

 private:
  const pki::World& world_;
  const pki::Role role_;
};

class ListenerTest : public ::testing::Test {
 protected:
  // gRPC 1.51 reads its cipher list once, before the first call of the process.
  static void SetUpTestSuite() { PrepareTls(); }

  struct Running {
    TemporaryDirectory directory;
    TlsDirectory tls{directory.path().string()};
    std::unique_ptr<WhoAmI> service;
    std::unique_ptr<grpc::Server> server;
    int port = 0;
    std::string address() const { return "127.0.0.1:" + std::to_string(port); }
    ~Running() {
      if (server) server->Shutdown(std::chrono::system_clock::now());
    }
  };

  std::string key_pem() { return *world.key.SealedPem(""); }
  static std::string Anchors(const std::vector<pki::IssuerCertificate>& issuers) {
    std::string out;
    for (const pki::IssuerCertificate& issuer : issuers) out += issuer.ToPem();
    return out;
  }
  std::string Chain(const pki::IssuedLeaf& leaf, const pki::IssuerKey& issuer) {
    return pki::CertificatePem(leaf.der) + issuer.certificate.ToPem();
  }
  TlsMaterial Material(pki::Role clients) {
    return {key_pem(), Chain(world.Server(), world.hierarchy.server_issuer),
            Anchors(world.anchors.For(clients))};
  }
  std::unique_ptr<Running> Serve(pki::Role clients) { return Serve(clients, Material(clients)); }
  std::unique_ptr<Running> Serve(pki::Role clients, const TlsMaterial& material) {
    auto out = std::make_unique<Running>();
    SP_CHECK(out->tls.Replace(material).has_value());
    out->service = std::make_unique<WhoAmI>(world, clients);
    out->server = *Listen(
        out->port, [&](const std::string& address) -> Result<std::unique_ptr<grpc::Server>> {
          auto started =
              StartListener(address, out->tls, ClientCertificates::kRequired, {out->service.get()});
          if (!started) return Error{started.error().reason, started.error().detail, "listen.bind"};
          return started;
        });
    return out;
  }

  device::ServerTrust Trust() {
    return {Anchors(world.anchors.server_issuers), {std::string(kServerId)}};
  }
  device::ClientIdentity Device() {
    return {key_pem(), Chain(world.Device(), world.hierarchy.device_issuer)};
  }
  device::ClientIdentity Server() {
    return {key_pem(), Chain(world.Server(), world.hierarchy.server_issuer)};
  }
  device::ClientIdentity Operator() {
    return {key_pem(), pki::CertificatePem(world.Operator().der)};
  }

  // TrustAt judges the server at `time` instead of by the wall clock.
  device::ServerTrust TrustAt(device::TimeBound time) {
    device::ServerTrust out = Trust();
    out.dated = std::make_shared<const device::DatedTrust>(
        device::DatedTrust{world.anchors, world.domain, [time] { return time; }});
    return out;
  }
  grpc::StatusCode CodeAt(const Running& listener, device::TimeBound time) {
    return Call(device::MakeChannel(listener.address(), TrustAt(time), Device()))
        .status.error_code();
  }
  struct Called {
    grpc::Status status;
    std::string id;
    std::optional<Sha256Digest> server_leaf;
  };
  static Called Call(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    api::JsonReply reply;
    Called out{api::Admin::NewStub(channel)->Status(&context, {}, &reply), reply.json(), {}};
    if (const auto leaf = device::ServerLeafHash(context); out.status.ok() && leaf)
      out.server_leaf = *leaf;
    return out;
  }
  Called CallAs(const Running& listener, const std::optional<device::ClientIdentity>& identity) {
    return Call(device::MakeChannel(listener.address(), Trust(), identity));
  }
  void ExpectNoHandshake(const Running& listener,
                         const std::optional<device::ClientIdentity>& identity) {
    const Called called = CallAs(listener, identity);
    EXPECT_EQ(called.status.error_code(), grpc::StatusCode::UNAVAILABLE)
        << called.status.error_message();
    EXPECT_EQ(listener.service->calls, 0);
  }

  pki::World world{.now = RealClock().Wall()};
};

TEST_F(ListenerTest, KnowsItsCaller) {
  const auto admin = Serve(pki::Role::kOperator);
  const Called called = CallAs(*admin, Operator());
  ASSERT_TRUE(called.status.ok()) << called.status.error_message();
  EXPECT_EQ(called.id, "spiffe://edge.example/operator/alice");

  const auto device = Serve(pki::Role::kDevice);
  EXPECT_EQ(CallAs(*device, Device()).id, "spiffe://edge.example/device/" + world.device.text());
}

TEST_F(ListenerTest, AdmitsOnlyOperatorsAtTheAdminListener) {
  const auto admin = Serve(pki::Role::kOperator);
  ExpectNoHandshake(*admin, Device());
  ExpectNoHandshake(*admin, Server());
  ExpectNoHandshake(*admin, std::nullopt);
}

TEST_F(ListenerTest, AdmitsOnlyDevicesAtTheDeviceListener) {
  const auto device = Serve(pki::Role::kDevice);
  ExpectNoHandshake(*device, Operator());
  ExpectNoHandshake(*device, Server());
  ExpectNoHandshake(*device, std::nullopt);
}

TEST_F(ListenerTest, RefusesAForeignRoleEvenWhereItsIssuerIsAnAnchorOfTls) {
  TlsMaterial wide = Material(pki::Role::kOperator);
  wide.anchors_pem += Anchors(world.anchors.device_issuers) + Anchors(world.anchors.server_issuers);
  const auto admin = Serve(pki::Role::kOperator, wide);
  for (const device::ClientIdentity& identity : {Device(), Server()}) {
    const Called called = CallAs(*admin, identity);
    EXPECT_EQ(called.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_THAT(called.status.error_message(), ::testing::StartsWith("peer.issuer-unknown"));
  }
}

TEST_F(ListenerTest, RefusesTls12) {
  for (const pki::Role role : {pki::Role::kOperator, pki::Role::kDevice}) {
    const auto probe = ProbeRefusesTls12(Serve(role)->address());
    EXPECT_TRUE(probe.has_value()) << probe.error().ToString();
  }
}

// SessionChannel keeps TLS sessions in `cache` as gRPC's own clients may.
std::shared_ptr<grpc::Channel> SessionChannel(const std::string& address,
                                              const std::string& anchors,
                                              const device::ClientIdentity& identity,
                                              grpc_ssl_session_cache* cache) {
  grpc::ChannelArguments arguments;
  const grpc_arg held = grpc_ssl_session_cache_create_channel_arg(cache);
  arguments.SetPointerWithVtable(held.key, held.value.pointer.p, held.value.pointer.vtable);
  arguments.SetSslTargetNameOverride("control.edge.example");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(
      address, grpc::SslCredentials({anchors, identity.key_reference, identity.chain_pem}),
      arguments);
}

TEST_F(ListenerTest, RefusesAResumedSession) {
  const auto admin = Serve(pki::Role::kOperator);
  const device::ClientIdentity identity = Operator();
  grpc_ssl_session_cache* const cache = grpc_ssl_session_cache_create_lru(4);
  const std::string anchors = Anchors(world.anchors.server_issuers);

  const Called first = Call(SessionChannel(admin->address(), anchors, identity, cache));
  EXPECT_TRUE(first.status.ok()) << first.status.error_message();
  const Called second = Call(SessionChannel(admin->address(), anchors, identity, cache));
  EXPECT_EQ(second.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(second.status.error_message(), ::testing::StartsWith("peer.resumed"));
  grpc_ssl_session_cache_destroy(cache);
}

constexpr std::chrono::seconds kReloadPatience{20};

TEST_F(ListenerTest, ShowsANewCertificateWithoutARestart) {
  const auto admin = Serve(pki::Role::kOperator);
  const auto open = device::MakeChannel(admin->address(), Trust(), Operator());
  const auto before = Call(open).server_leaf;
  ASSERT_TRUE(before.has_value());

  ASSERT_TRUE(admin->tls.Replace(Material(pki::Role::kOperator)).has_value());
  std::optional<Sha256Digest> after = before;
  const auto deadline = std::chrono::steady_clock::now() + kReloadPatience;
  while (after == before &&
         std::chrono::steady_clock::now() < deadline) {  // gRPC looks once a second
    after = CallAs(*admin, Operator()).server_leaf;
  }
  ASSERT_TRUE(after.has_value());
  EXPECT_NE(after, before);
  EXPECT_EQ(Call(open).server_leaf, before);
}

TEST_F(ListenerTest, RefusesNewAnchorsMissingTheCaller) {
  const auto admin = Serve(pki::Role::kOperator);
  ASSERT_TRUE(CallAs(*admin, Operator()).status.ok());
  TlsMaterial closed = Material(pki::Role::kOperator);
  closed.anchors_pem = Anchors(world.anchors.device_issuers);
  ASSERT_TRUE(admin->tls.Replace(closed).has_value());

  bool refused = false;
  const auto deadline = std::chrono::steady_clock::now() + kReloadPatience;
  while (!refused && std::chrono::steady_clock::now() < deadline)
    refused = !CallAs(*admin, Operator()).status.ok();
  EXPECT_TRUE(refused);
}

TEST_F(ListenerTest, IsNotBelievedWithTheCertificateOfADevice) {
  TlsMaterial posing = Material(pki::Role::kOperator);
  posing.chain_pem = Device().chain_pem;
  const auto listener = Serve(pki::Role::kOperator, posing);

  EXPECT_EQ(CallAs(*listener, Operator()).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  // Even a client that trusts the device issuer by mistake looks at the name.
  device::ServerTrust wide = Trust();
  wide.anchors_pem += Anchors(world.anchors.device_issuers);
  const Called called = Call(device::MakeChannel(listener->address(), wide, Operator()));
  EXPECT_FALSE(called.status.ok());
  EXPECT_EQ(listener->service->calls, 0);
}

TEST_F(ListenerTest, IsNotBelievedAsAnotherServer) {
  const auto listener = Serve(pki::Role::kOperator);
  const device::ServerTrust other{Trust().anchors_pem, {"spiffe://edge.example/server/backup"}};
  EXPECT_FALSE(Call(device::MakeChannel(listener->address(), other, Operator())).status.ok());
  EXPECT_EQ(listener->service->calls, 0);
}

TEST_F(ListenerTest, CannotShareAPort) {
  const auto first = Serve(pki::Role::kOperator);
  const auto second = StartListener(first->address(), first->tls, ClientCertificates::kRequired,
                                    {first->service.get()});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().reason, Reason::kUnavailable);
}

TEST_F(ListenerTest, IsJudgedByTheTimeTheDeviceTrustsAndNotByItsWallClock) {
  const auto listener = Serve(pki::Role::kDevice);
  const auto leaf = *pki::ParseIdentityCertificate(world.Server().der);
  const UnixTime during = leaf.not_before + Seconds(1);
  const UnixTime after = leaf.not_after + Seconds(1);

  EXPECT_EQ(CodeAt(*listener, {during, true}), grpc::StatusCode::OK);
  EXPECT_EQ(CodeAt(*listener, {after, true}), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(CodeAt(*listener, {leaf.not_before - Seconds(1), true}), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(CodeAt(*listener, {leaf.not_before - Days(900), false}), grpc::StatusCode::OK)
      << "a device that was off for long";
  EXPECT_EQ(CodeAt(*listener, {after, false}), grpc::StatusCode::UNAVAILABLE);
}

// The same as a wall clock that is years off, seen from the other side.
TEST_F(ListenerTest, IsBelievedInTheDevicesTimeWhateverTheWallClockSays) {
  pki::World past{.now = world.now - Days(2)};
  const auto leaf =
      *past.servers.SignServerLeaf("control", {{"control.edge.example"}, {}}, past.spki(), past.now,
                                   past.now + Days(1), past.random);
  const auto listener =
      Serve(pki::Role::kDevice,
            {*past.key.SealedPem(""),
             pki::CertificatePem(leaf.der) + past.hierarchy.server_issuer.certificate.ToPem(),
             Anchors(world.anchors.device_issuers)});
  device::ServerTrust trust{Anchors(past.anchors.server_issuers), {std::string(kServerId)}};
  EXPECT_FALSE(Call(device::MakeChannel(listener->address(), trust, Device())).status.ok());

  trust.dated = std::make_shared<const device::DatedTrust>(device::DatedTrust{
      past.anchors, past.domain, [&] { return device::TimeBound{past.now + Hours(1), true}; }});
  EXPECT_TRUE(Call(device::MakeChannel(listener->address(), trust, Device())).status.ok());
}

TEST_F(ListenerTest, IsNotBelievedInTimeWithAnotherIssuerRoleOrName) {
  const auto listener = Serve(pki::Role::kDevice);
  const device::TimeBound now{RealClock().Wall(), true};
  device::ServerTrust other_name = TrustAt(now);
  other_name.server_ids = {"spiffe://edge.example/server/other"};
  EXPECT_FALSE(Call(device::MakeChannel(listener->address(), other_name, Device())).status.ok());

  const pki::World other{.now = RealClock().Wall()};
  device::ServerTrust other_issuer = TrustAt(now);
  other_issuer.dated = std::make_shared<const device::DatedTrust>(
      device::DatedTrust{other.anchors, other.domain, [now] { return now; }});
  EXPECT_FALSE(Call(device::MakeChannel(listener->address(), other_issuer, Device())).status.ok());

  TlsMaterial device_as_server = Material(pki::Role::kDevice);
  device_as_server.chain_pem = Device().chain_pem;
  const auto posing = Serve(pki::Role::kDevice, device_as_server);
  EXPECT_FALSE(Call(device::MakeChannel(posing->address(), TrustAt(now), Device())).status.ok());
  EXPECT_EQ(listener->service->calls + posing->service->calls, 0);
}

}  // namespace
}  // namespace sallyport::server

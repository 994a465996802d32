// A running sallyportd and callers of every wrong kind: it refuses each of them, serves the others
// meanwhile, and is still there afterwards.
#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <openssl/err.h>
#include <poll.h>

#include <csignal>
#include <list>
#include <random>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/admin.grpc.pb.h"
#include "attestation-server/api/v1/device.grpc.pb.h"
#include "attestation-server/api/v1/enrolment.grpc.pb.h"
#include "pki/x509/pem.h"
#include "tests/integration/deployment.h"

namespace sallyport::testing_server {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr ListenerName kAll[] = {ListenerName::kEnrol, ListenerName::kDevice, ListenerName::kAdmin,
                                 ListenerName::kContent, ListenerName::kHttp};
constexpr const char* kBegin = "/sallyport.attestation.v1.Enrolment/Begin";
constexpr const char* kProve = "/sallyport.attestation.v1.Enrolment/Prove";
constexpr const char* kStatus = "/sallyport.attestation.v1.Admin/Status";
constexpr const char* kRenew = "/sallyport.attestation.v1.Device/Renew";

class BadInputTest : public ::testing::Test {
 protected:
  // gRPC 1.51 reads its cipher list once, before the first call of the process.
  static void SetUpTestSuite() {
    server::PrepareTls();
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to connections that the server has ended
    deployment_ = std::make_unique<Deployment>();
  }
  static void TearDownTestSuite() { deployment_.reset(); }

  static Deployment& deployment() { return *deployment_; }
  static std::shared_ptr<grpc::Channel> ChannelTo(
      ListenerName listener, const std::optional<device::ClientIdentity>& identity) {
    return device::MakeChannel(deployment().address(listener), deployment().Trust(), identity);
  }
  // CallRaw sends `bytes` as the request of `method`, whatever they are.
  static grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                              const std::string& bytes) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer reply;
    grpc::Status status;
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }
  // OthersAreServed: an operator on a connection of its own is answered, and the server is ready.
  static bool OthersAreServed() {
    return deployment().IsReady() &&
           CallRaw(ChannelTo(ListenerName::kAdmin, deployment().Operator()), kStatus, "").ok();
  }

  // CodeOf: the handshake was refused when it is UNAVAILABLE.
  static grpc::StatusCode CodeOf(ListenerName listener,
                                 const std::optional<device::ClientIdentity>& identity) {
    return CallRaw(ChannelTo(listener, identity), "/no/such", "").error_code();
  }
  // ContentStatus is 0 when the connection ends before any answer.
  static int ContentStatus(const std::optional<device::ClientIdentity>& identity) {
    std::optional<pki::PrivateKey> key;
    ClientTls tls;
    if (identity) {
      key = *pki::PrivateKey::FromPem(identity->key_reference, "");
      tls = {pki::ParseCertificatePem(identity->chain_pem)->front(), &*key};
    }
    TlsClient client(deployment().port(ListenerName::kContent), tls);
    const auto answer = client.Get("/image/metadata/1.root.json");
    return answer ? answer->status : 0;
  }

 private:
  static std::unique_ptr<Deployment> deployment_;
};
std::unique_ptr<Deployment> BadInputTest::deployment_;

TEST_F(BadInputTest, ADeviceThatNobodyEnrolledIsNotAdmitted) {
  const grpc::Status status = CallRaw(ChannelTo(ListenerName::kDevice, deployment().Device()),
                                      "/sallyport.attestation.v1.Device/GetManifest", "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "not-admitted");
}

TEST_F(BadInputTest, EachListenerLetsInItsOwnRoleOnly) {
  using enum ListenerName;
  constexpr grpc::StatusCode kIn = grpc::StatusCode::UNIMPLEMENTED;  // there is no such method
  constexpr grpc::StatusCode kOut = grpc::StatusCode::UNAVAILABLE;
  const device::ClientIdentity device = deployment().Device();
  const device::ClientIdentity server = deployment().Server();
  const device::ClientIdentity caller = deployment().Operator();

  EXPECT_EQ(CodeOf(kAdmin, caller), kIn);
  EXPECT_EQ(CodeOf(kAdmin, device), kOut);
  EXPECT_EQ(CodeOf(kAdmin, server), kOut);
  EXPECT_EQ(CodeOf(kAdmin, std::nullopt), kOut);
  EXPECT_EQ(CodeOf(kDevice, device), kIn);
  EXPECT_EQ(CodeOf(kDevice, caller), kOut);
  EXPECT_EQ(CodeOf(kDevice, server), kOut);
  EXPECT_EQ(CodeOf(kDevice, std::nullopt), kOut);
  EXPECT_EQ(ContentStatus(device), 403);  // a device, and not one that has a lease
  EXPECT_EQ(ContentStatus(caller), 0);
  EXPECT_EQ(ContentStatus(server), 0);
  EXPECT_EQ(ContentStatus(std::nullopt), 0);
}

TEST_F(BadInputTest, NoListenerSpeaksTls12) {
  for (const ListenerName listener :
       {ListenerName::kEnrol, ListenerName::kDevice, ListenerName::kAdmin, ListenerName::kContent})
    EXPECT_FALSE(TlsClient(deployment().port(listener), {{}, nullptr, TLS1_2_VERSION}).connected());
}

TEST_F(BadInputTest, EachListenerHasItsOwnServicesOnly) {
  const auto device = ChannelTo(ListenerName::kDevice, deployment().Device());
  const auto admin = ChannelTo(ListenerName::kAdmin, deployment().Operator());
  const auto enrol = ChannelTo(ListenerName::kEnrol, std::nullopt);
  for (const auto& [channel, method] : {std::pair{device, kStatus},
                                        {device, kProve},
                                        {admin, kRenew},
                                        {enrol, kStatus},
                                        {enrol, kRenew},
                                        {admin, "/sallyport.attestation.v1.Admin/NoSuchThing"}})
    EXPECT_EQ(CallRaw(channel, method, "").error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
}

// Messages of a good shape for other methods, cut ones, random ones and ones that are too large.
TEST_F(BadInputTest, ForeignTruncatedAndOversizedMessagesAreRefused) {
  const auto enrol = ChannelTo(ListenerName::kEnrol, std::nullopt);
  const auto device = ChannelTo(ListenerName::kDevice, deployment().Device());
  api::ProveRequest prove;
  prove.set_ticket(std::string(200, 't'));
  prove.mutable_evidence()->set_csr(std::string(300, 'c'));
  const std::string whole = prove.SerializeAsString();
  std::vector<std::string> messages{"", whole, std::string(6 << 20, 'x')};
  for (size_t size = 1; size < whole.size(); size += 17) messages.push_back(whole.substr(0, size));
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i) {
    std::string noise(random() % 300, '\0');
    std::ranges::generate(noise, [&] { return static_cast<char>(random()); });
    messages.push_back(noise);
  }
  for (const std::string& message : messages) {
    EXPECT_FALSE(CallRaw(enrol, kBegin, message).ok());
    EXPECT_FALSE(CallRaw(enrol, kProve, message).ok());
    EXPECT_FALSE(CallRaw(device, kRenew, message).ok());
  }
  EXPECT_EQ(CallRaw(enrol, kProve, messages[2]).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(OthersAreServed());
}

// ClientHello returns the first flight of a TLS client.
std::string ClientHello() {
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  const SslPtr ssl(SSL_new(context.get()));
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  ERR_clear_error();
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  return {data, static_cast<size_t>(size)};
}

TEST_F(BadInputTest, RandomAndTruncatedBytesHurtNoListener) {
  const std::string hello = ClientHello();
  std::mt19937 random(11);
  for (const ListenerName listener : kAll) {
    for (size_t i = 0; i < 60; ++i) {
      std::string bytes = hello.substr(0, i * 7 % hello.size());
      if (i % 2 == 0) std::ranges::generate(bytes, [&] { return static_cast<char>(random()); });
      if (i % 5 == 0 && !bytes.empty()) bytes.resize(100'000, bytes.back());
      const int socket = ConnectLoopback(deployment().port(listener));
      static_cast<void>(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL));
      ::close(socket);
    }
    EXPECT_TRUE(OthersAreServed());
  }
}

// Trickler holds a connection with a byte now and then, as slowly as it is let.
class Trickler {
 public:
  Trickler(int port, std::string text) : socket_(ConnectLoopback(port)), text_(std::move(text)) {}
  Trickler(const Trickler&) = delete;
  Trickler& operator=(const Trickler&) = delete;
  ~Trickler() { ::close(socket_); }
  // Trickle sends the next byte; false when the server has ended the connection.
  bool Trickle() {
    const char byte = text_[at_++ % text_.size()];
    char answer[512];
    const ssize_t got = ::recv(socket_, answer, sizeof(answer), MSG_DONTWAIT);
    return (got > 0 || (got < 0 && errno == EAGAIN)) &&
           ::send(socket_, &byte, 1, MSG_NOSIGNAL) == 1;
  }

 private:
  const int socket_;
  const std::string text_;
  size_t at_ = 0;
};

// More slow clients than the content and health listeners have threads.
TEST_F(BadInputTest, SlowClientsHoldNoSlotForEver) {
  constexpr size_t kEach = 40;
  constexpr Duration kLongest = Seconds(40);  // two turns of the content listener's threads
  std::list<Trickler> slow;
  for (const ListenerName listener : kAll) {
    const bool plain = listener == ListenerName::kHttp;
    for (size_t i = 0; i < (plain ? 8 : kEach); ++i)
      slow.emplace_back(deployment().port(listener), plain ? "GET /" : ClientHello());
  }
  const RealClock clock;
  const Duration begun = clock.Boot();
  while (!slow.empty() && clock.Boot().ms - begun.ms < kLongest.ms) {
    std::erase_if(slow, [](Trickler& client) { return !client.Trickle(); });
    ::poll(nullptr, 0, 100);
  }
  EXPECT_EQ(slow.size(), 0u) << "still held";
  EXPECT_TRUE(OthersAreServed());
  EXPECT_EQ(ContentStatus(deployment().Device()), 403);
}

}  // namespace
}  // namespace sallyport::testing_server

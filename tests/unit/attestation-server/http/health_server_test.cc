#include "attestation-server/http/health_server.h"

#include <atomic>

#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::server {
namespace {

using ::testing::HasSubstr;

std::string Fetch(int port, const std::string& path) {
  const int socket = ConnectLoopback(port);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  SP_CHECK(::send(socket, request.data(), request.size(), 0) ==
           static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = ::recv(socket, buffer, sizeof(buffer), 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(got));
  ::close(socket);
  return answer;
}

class HealthServerTest : public ::testing::Test {
 protected:
  Metrics metrics;
  std::atomic<bool> ready = true;
  int port = 0;
  std::unique_ptr<HealthServer> server = *Listen(port, [this](const std::string& address) {
    return HealthServer::Start(address, metrics, [this]() -> Result<Unit> {
      if (!ready) return Error{Reason::kUnavailable, "database is locked"};
      return Unit{};
    });
  });
};

TEST_F(HealthServerTest, IsAliveEvenWhenNotReady) {
  ready = false;
  EXPECT_THAT(Fetch(port, "/healthz"), ::testing::StartsWith("HTTP/1.1 200"));
}

TEST_F(HealthServerTest, SaysWhyItIsNotReady) {
  EXPECT_THAT(Fetch(port, "/readyz"), ::testing::StartsWith("HTTP/1.1 200"));
  ready = false;
  const std::string answer = Fetch(port, "/readyz");
  EXPECT_THAT(answer, ::testing::StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("unavailable: database is locked"));
}

TEST_F(HealthServerTest, ShowsTheMetrics) {
  metrics.CountEnrolment();
  EXPECT_THAT(Fetch(port, "/metrics"), HasSubstr("sallyport_enrolments_total 1"));
}

TEST_F(HealthServerTest, KnowsNothingElse) {
  EXPECT_THAT(Fetch(port, "/"), ::testing::StartsWith("HTTP/1.1 404"));
}

TEST_F(HealthServerTest, ReadsNoEndlessHead) {
  const int socket = ConnectLoopback(port);
  const std::string endless(1 << 20, 'a');
  ssize_t sent = ::send(socket, endless.data(), endless.size(), MSG_NOSIGNAL);
  while (sent > 0) sent = ::send(socket, endless.data(), endless.size(), MSG_NOSIGNAL);
  ::close(socket);
  EXPECT_EQ(sent, -1);  // the server ended the connection
  EXPECT_THAT(Fetch(port, "/healthz"), ::testing::StartsWith("HTTP/1.1 200"));
}

TEST_F(HealthServerTest, AnswersHeadsThatComeInPieces) {
  const int socket = ConnectLoopback(port);
  for (const char byte : std::string("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"))
    ASSERT_EQ(::send(socket, &byte, 1, 0), 1);
  char answer[12] = {};
  EXPECT_EQ(::recv(socket, answer, sizeof(answer), MSG_WAITALL), 12);
  ::close(socket);
  EXPECT_EQ(std::string_view(answer, 12), "HTTP/1.1 200");
}

TEST_F(HealthServerTest, FreesItsPortWhenStopped) {
  const std::string address = "127.0.0.1:" + std::to_string(port);
  const auto second = HealthServer::Start(address, metrics, [] { return Ok(); });
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().rule, "listen.bind");

  server->Stop();
  server->Stop();
  EXPECT_TRUE(HealthServer::Start(address, metrics, [] { return Ok(); }).has_value());
}

TEST(HealthServerAddress, RefusesWhatIsNoAddress) {
  const Metrics metrics;
  for (const char* address :
       {"", "localhost", ":80", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:8o"}) {
    const auto server = HealthServer::Start(address, metrics, [] { return Ok(); });
    ASSERT_FALSE(server.has_value()) << address;
    EXPECT_EQ(server.error().rule, "listen.address") << address;
  }
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/http/health_server.h"

#include <httplib.h>

#include "attestation-server/http/http_listener.h"
#include "attestation-server/http/http_server.h"

namespace sallyport::server {
namespace {

constexpr size_t kHealthConnectionsMax = 4;  // a supervisor, a scraper, a person, one spare
constexpr int kServiceUnavailable = 503;

void AnswerReady(const HealthServer::Ready& ready, httplib::Response& response) {
  const Result<Unit> state = ready();
  if (!state) response.status = kServiceUnavailable;
  response.set_content(state ? "ready\n" : state.error().ToString() + "\n", "text/plain");
}

}  // namespace

HealthServer::HealthServer(std::unique_ptr<HttpListener> listener)
    : listener_(std::move(listener)) {}
HealthServer::~HealthServer() = default;

Result<std::unique_ptr<HealthServer>> HealthServer::Start(const std::string& address,
                                                          const Metrics& metrics, Ready ready) {
  auto server = std::make_unique<HttpServer>(kHealthConnectionsMax);
  server->Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("alive\n", "text/plain");
  });
  server->Get("/readyz",
              [ready = std::move(ready)](const httplib::Request&, httplib::Response& response) {
                AnswerReady(ready, response);
              });
  server->Get("/metrics", [&metrics](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics.Serialize(), "text/plain; version=0.0.4");
  });
  SP_TRY(auto listener, HttpListener::Start(std::move(server), address));
  return std::unique_ptr<HealthServer>(new HealthServer(std::move(listener)));
}

void HealthServer::Stop() { listener_->Stop(); }

}  // namespace sallyport::server

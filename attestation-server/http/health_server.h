// Health and metrics over plain HTTP, for a supervisor and a scraper on a trusted network: /healthz
// (the process answers), /readyz (it can serve), /metrics. It tells nothing about devices.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "attestation-server/http/metrics.h"
#include "pki/base/result.h"

namespace sallyport::server {

class HttpListener;

class HealthServer {
 public:
  // Ready says Ok, or why the server cannot serve now. Called from several threads.
  using Ready = std::function<Result<Unit>()>;

  // Start listens on "host:port". Errors of HttpListener::Start. `metrics` is borrowed.
  static Result<std::unique_ptr<HealthServer>> Start(const std::string& address,
                                                     const Metrics& metrics, Ready ready);
  ~HealthServer();
  void Stop();

 private:
  explicit HealthServer(std::unique_ptr<HttpListener> listener);
  std::unique_ptr<HttpListener> listener_;
};

}  // namespace sallyport::server

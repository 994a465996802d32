// HttpListener runs one HttpServer on a thread of its own: bound when Start returns, joined
// by Stop.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "pki/base/result.h"

namespace sallyport::server {

class HttpServer;

// HttpListener owns its server. Start and Stop are called by one thread.
class HttpListener {
 public:
  // Start binds "host:port" (an IPv6 host in brackets). kInvalidArgument "listen.address";
  // kUnavailable "listen.bind" when the address is taken or not ours.
  static Result<std::unique_ptr<HttpListener>> Start(std::unique_ptr<HttpServer> server,
                                                     const std::string& address);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // Stop closes the socket, cuts transfers short and waits for every worker: at most about as long
  // as a connection may be idle. Twice is harmless.
  void Stop();

 private:
  explicit HttpListener(std::unique_ptr<HttpServer> server);
  std::unique_ptr<HttpServer> server_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace sallyport::server

// HttpListener runs one cpp-httplib server on a thread of its own: bound when Start returns, joined
// by Stop.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "pki/base/result.h"

namespace httplib {
class Server;
}

namespace sallyport::server {

// HttpListener owns its server. Start and Stop are called by one thread.
class HttpListener {
 public:
  // Start binds "host:port" (an IPv6 host in brackets). kInvalidArgument "listen.address";
  // kUnavailable "listen.bind" when the address is taken or not ours.
  static Result<std::unique_ptr<HttpListener>> Start(std::unique_ptr<httplib::Server> server,
                                                     const std::string& address);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // Stop closes the socket, cuts transfers short and waits for every worker: at most about as long
  // as a connection may be idle. Twice is harmless.
  void Stop();

 private:
  explicit HttpListener(std::unique_ptr<httplib::Server> server);
  std::unique_ptr<httplib::Server> server_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace sallyport::server

// SiteCacheServer: a SiteCache over plain HTTP on loopback, read-only. Who may ask, and the
// encryption, are the proxy's: it stands behind an inbound service like any other program.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "device-client/update/site_cache.h"

namespace httplib {
class Server;
}

namespace sallyport::device {

class SiteCacheServer {
 public:
  // Start listens on "host:port". kUnavailable, cache.bind, when the address is taken. `cache` is
  // borrowed.
  static Result<std::unique_ptr<SiteCacheServer>> Start(const std::string& address,
                                                        SiteCache& cache);
  // Stop the cache first: it ends the reads that wait.
  ~SiteCacheServer();
  SiteCacheServer(const SiteCacheServer&) = delete;
  SiteCacheServer& operator=(const SiteCacheServer&) = delete;

 private:
  explicit SiteCacheServer(std::unique_ptr<httplib::Server> server);
  const std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
};

}  // namespace sallyport::device

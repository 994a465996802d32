// Server: the composition of sallyportd. Start opens everything in order and refuses to run half;
// Stop ends it in the reverse order.
#pragma once

#include <memory>

#include "attestation-server/config.h"
#include "pki/base/file_system.h"
#include "pki/base/random.h"

namespace sallyport::server {

// ServerWorld is the outside world, borrowed; it outlives the server.
struct ServerWorld {
  FileSystem& files;
  Random& random;
  const Clock& clock;
};

class Server {
 public:
  // Start returns once every listener is up. kUnavailable, kBadSignature (unlock file),
  // kUnsupported (database of a newer program), or whatever a part refuses; the detail says which.
  static Result<std::unique_ptr<Server>> Start(const Config& config, const ServerWorld& world);
  ~Server();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::server

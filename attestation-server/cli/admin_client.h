// The CLI's connection to the admin listener. One call at a time.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>

#include "attestation-server/api/v1/admin.grpc.pb.h"
#include "attestation-server/cli/command.h"
#include "attestation-server/cli/context.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

class AdminClient {
 public:
  // Connect reads the context's files; it does not wait for the server.
  static Result<AdminClient> Connect(FileSystem& files, const Context& context);

  api::Admin::Stub& stub() { return *stub_; }
  // Call runs one RPC with the CLI's deadline and turns its status into an Error.
  Result<Unit> Call(const std::function<grpc::Status(grpc::ClientContext&)>& rpc) const;

 private:
  explicit AdminClient(std::unique_ptr<api::Admin::Stub> stub) : stub_(std::move(stub)) {}
  std::unique_ptr<api::Admin::Stub> stub_;
};

}  // namespace sallyport::server

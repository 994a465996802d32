// Receives files for the image repository, chunk by chunk, and publishes when the stream ends.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "attestation-server/api/v1/admin.pb.h"
#include "attestation-server/operations/publication.h"
#include "attestation-server/service/work_pool.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

struct PublishParts {
  PublicationOperations& publication;
  FileSystem& files;
  WorkPool& pool;
  const Clock& clock;
};

// MakePublishReactor: gRPC deletes it when the call is done. Files land beside their place and are
// renamed when complete; an upload that breaks off leaves nothing that publishing would read.
grpc::ServerReadReactor<api::PublishChunk>* MakePublishReactor(Result<Operator> caller,
                                                               const PublishParts& parts,
                                                               api::JsonReply* reply);

}  // namespace sallyport::server

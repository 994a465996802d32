// What every command that asks the service has in common: its options, the connection, and showing
// the answer.
#pragma once

#include "attestation-server/cli/admin_client.h"
#include "attestation-server/cli/command.h"
#include "attestation-server/operations/approval.h"

namespace sallyport::server {

struct CommonOptions {
  bool json = false;
  ServerChoice choice;
};

// AddCommonOptions registers --json, --server and --config on `command`.
std::shared_ptr<CommonOptions> AddCommonOptions(CLI::App* command);

Result<AdminClient> OpenAdmin(const CommonOptions& common);

// ShowJson prints the server's JSON, or a table of it.
CommandResult ShowJson(const Result<std::string>& json, const CommonOptions& common);

template <typename Request>
using JsonRpc = grpc::Status (api::Admin::Stub::*)(grpc::ClientContext*, const Request&,
                                                   api::JsonReply*);

template <typename Request>
Result<std::string> AskJson(AdminClient& client, JsonRpc<Request> rpc, const Request& request) {
  api::JsonReply reply;
  SP_TRY(client.Call([&](grpc::ClientContext& context) {
    return (client.stub().*rpc)(&context, request, &reply);
  }));
  return reply.json();
}

template <typename Request>
CommandResult Ask(const CommonOptions& common, JsonRpc<Request> rpc, const Request& request) {
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  return ShowJson(AskJson(*client, rpc, request), common);
}

// ApproveWithContext signs `action` on `digest` with the key of the operator's context.
Result<SignedApproval> ApproveWithContext(const CommonOptions& common, std::string_view action,
                                          const Sha256Digest& digest);

}  // namespace sallyport::server

// The shapes that most commands which ask the service have.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "attestation-server/cli/admin_session.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {

// AskApproved sends `name` with this operator's approval of `action` on the name itself.
inline CommandResult AskApproved(const CommonOptions& common, JsonRpc<api::ApprovedRequest> rpc,
                                 const std::string& name, std::string_view action,
                                 const Sha256Digest& digest) {
  const Result<SignedApproval> approval = ApproveWithContext(common, action, digest);
  if (!approval) return Failure(approval.error(), common.json);
  api::ApprovedRequest request;
  request.set_name(name);
  api::Approval* const sent = request.add_approvals();
  sent->set_body(ToString(approval->body));
  sent->set_signature(ToString(approval->signature));
  return Ask(common, rpc, request);
}

// CommandGroup registers commands with the options that all of them share.
class CommandGroup {
 public:
  CommandGroup(CLI::App& app, CommandSink& sink) : app_(app), sink_(sink) {}

  CLI::App* Add(const std::string& name, const std::string& help, const std::string& example) {
    CLI::App* const command = app_.add_subcommand(name, help);
    command->footer("Example:\n  " + example);
    return command;
  }
  std::shared_ptr<CommonOptions> AddCommon(CLI::App* command) { return AddCommonOptions(command); }
  void Run(CLI::App* command, std::function<CommandResult()> run) {
    command->callback([&sink = sink_, run = std::move(run)] { sink.Run(run); });
  }
  // AddList and AddNamed are the two commonest shapes.
  void AddList(const std::string& name, const std::string& help, const std::string& example,
               JsonRpc<api::ListRequest> rpc) {
    CLI::App* const command = Add(name, help, example);
    const auto common = AddCommon(command);
    const auto request = std::make_shared<api::ListRequest>();
    const auto limit = std::make_shared<unsigned>(0);
    const auto after = std::make_shared<std::string>();
    command->add_option("--limit", *limit, "Rows at most (default 100)")
        ->check(CLI::Range(1, 10000));
    command->add_option("--after", *after, "Start after this name");
    Run(command, [=] {
      request->set_limit(*limit);
      request->set_after(*after);
      return Ask(*common, rpc, *request);
    });
  }
  void AddNamed(const std::string& name, const std::string& help, const std::string& example,
                JsonRpc<api::NameRequest> rpc) {
    CLI::App* const command = Add(name, help, example);
    const auto common = AddCommon(command);
    const auto target = std::make_shared<std::string>();
    command->add_option("name", *target, "Name or id")->required();
    Run(command, [=] {
      api::NameRequest request;
      request.set_name(*target);
      return Ask(*common, rpc, request);
    });
  }
  void AddApproved(const std::string& name, const std::string& help, const std::string& example,
                   JsonRpc<api::ApprovedRequest> rpc, const std::string& action) {
    CLI::App* const command = Add(name, help, example);
    const auto common = AddCommon(command);
    const auto target = std::make_shared<std::string>();
    command->add_option("name", *target, "Name or id")->required();
    Run(command,
        [=] { return AskApproved(*common, rpc, *target, action, pki::Sha256(AsBytes(*target))); });
  }

 private:
  CLI::App& app_;
  CommandSink& sink_;
};

}  // namespace sallyport::server

#include "attestation-server/cli/audit_commands.h"

#include "attestation-server/archive/export_folder.h"
#include "attestation-server/cli/archive_commands.h"
#include "attestation-server/cli/command_group.h"

namespace sallyport::server {
namespace {

CommandResult ExportAudit(const CommonOptions& common, const std::string& folder) {
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  const ExportSource ask = [&client](const ExportQuery& query) -> Result<JsonValue> {
    api::ExportAuditRequest request;
    request.set_section(query.section);
    request.set_key(query.key);
    request.set_offset(query.offset);
    SP_TRY(const std::string json, AskJson(*client, &api::Admin::Stub::ExportAudit, request));
    return ParseJson(json, {.size_max = kExportFileMax});
  };
  PosixFileSystem files;
  const Result<ExportReport> report = WriteExport(files, folder, ask);
  if (!report) return Failure(report.error(), common.json);
  return ShowJson(WriteJson(JsonValue::Object({{"folder", folder},
                                               {"entries", report->checkpoint.head.seq},
                                               {"verdicts", report->verdicts},
                                               {"renewals_not_stored", report->renewals},
                                               {"references", report->references},
                                               {"policies", report->policies}})),
                  common);
}

void AddVerify(CommandGroup& group) {
  CLI::App* const verify =
      group.Add("verify", "Check the whole hash chain, of the service or of an export",
                "sallyport audit verify\n  sallyport audit verify --export /srv/audit-2026 "
                "--trust-bundle trust-bundle.json");
  const auto common = group.AddCommon(verify);
  const auto options = std::make_shared<ArchiveOptions>();
  options->folder.clear();
  verify->add_option("--export", options->folder, "Folder of an audit export: no service is asked");
  verify->add_option("--trust-bundle", options->trust_bundle,
                     "Trust bundle whose audit key must have signed the checkpoint");
  group.Run(verify, [=] {
    if (options->folder.empty())
      return Ask(*common, &api::Admin::Stub::VerifyAudit, api::ListRequest());
    options->json = common->json;
    PosixFileSystem files;
    return CheckExport(files, *options);
  });
}

void AddExport(CommandGroup& group) {
  CLI::App* const command =
      group.Add("export", "Write the audit with everything it names to a folder",
                "sallyport audit export --out /srv/audit-2026");
  const auto common = group.AddCommon(command);
  const auto folder = std::make_shared<std::string>();
  command->add_option("--out", *folder, "Folder to write")->required();
  group.Run(command, [=] { return ExportAudit(*common, *folder); });
}

}  // namespace

void AddAuditCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("audit", "The tamper-evident record");
  parent->require_subcommand(1);
  CommandGroup group(*parent, sink);
  CLI::App* const tail =
      group.Add("tail", "Show the latest entries", "sallyport audit tail --limit 20");
  const auto common = group.AddCommon(tail);
  const auto limit = std::make_shared<unsigned>(20);
  const auto after = std::make_shared<uint64_t>(0);
  tail->add_option("--limit", *limit, "Entries at most")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  tail->add_option("--after", *after, "Start after this sequence number");
  group.Run(tail, [=] {
    api::TailAuditRequest request;
    request.set_limit(*limit);
    request.set_after_seq(*after);
    return Ask(*common, &api::Admin::Stub::TailAudit, request);
  });
  AddVerify(group);
  AddExport(group);
}

}  // namespace sallyport::server

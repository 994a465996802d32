#include "attestation-server/cli/archive_commands.h"

#include <CLI/CLI.hpp>

#include "attestation-server/archive/rejudge.h"
#include "pki/ca/trust_bundle.h"

namespace sallyport::server {
namespace {

Result<ExportFolder> OpenFolder(FileSystem& files, const ArchiveOptions& options) {
  std::string bundle;
  if (!options.trust_bundle.empty()) {
    SP_TRY(const Bytes bytes, ReadFile(files, options.trust_bundle, pki::kTrustBundleBytesMax));
    bundle = ToString(bytes);
  }
  return ExportFolder::Open(files, options.folder, bundle);
}

// SignedBy says what the signature of the checkpoint shows.
std::string_view SignedBy(const ArchiveOptions& options) {
  return options.trust_bundle.empty() ? "the export's own trust bundle: shows no origin"
                                      : "the trust bundle given";
}

JsonValue ShownVerdict(const VerdictRow& row) {
  const auto parsed = [](const std::string& text) {
    const Result<JsonValue> json = ParseJson(text);
    return json ? *json : JsonValue(text);
  };
  return JsonValue::Object(
      {{"verdict", row.passed ? "pass" : "fail"},
       {"rule", row.rule},
       {"checks", parsed(row.checks)},
       {"diff", parsed(row.diff)},
       {"reference_set", row.reference_set ? HexEncode(*row.reference_set) : ""},
       {"log_sha256", row.log_hash ? HexEncode(*row.log_hash) : ""},
       {"attested_at", FormatRfc3339(row.attested_at)},
       {"valid_until", FormatRfc3339(row.valid_until)}});
}

std::string VerdictText(const VerdictRow& row) {
  return (row.passed ? std::string("pass") : "fail " + row.rule) + ", valid until " +
         FormatRfc3339(row.valid_until);
}

std::string ReplayText(const Rejudgement& again) {
  std::string out = "then  " + VerdictText(again.then) + "\nnow   " + VerdictText(again.now) + "\n";
  return out + (again.same() ? "the same verdict\n"
                             : "ANOTHER verdict: " + again.difference + " differs\n");
}

JsonValue ReplayJson(const Rejudgement& again, const ArchiveOptions& options) {
  return JsonValue::Object(
      {{"id", options.verdict},
       {"device", again.then.device_id},
       {"purpose", again.then.purpose},
       {"judged_at", FormatRfc3339(again.then.judged_at)},
       {"same", again.same()},
       {"difference", again.same() ? JsonValue() : JsonValue(again.difference)},
       {"then", ShownVerdict(again.then)},
       {"now", ShownVerdict(again.now)},
       {"checkpoint_signed_by", SignedBy(options)}});
}

JsonValue ReportJson(const ExportReport& report, const ArchiveOptions& options) {
  return JsonValue::Object({{"chain", "intact"},
                            {"trust_domain", report.checkpoint.trust_domain},
                            {"incarnation", report.checkpoint.incarnation},
                            {"entries", report.checkpoint.head.seq},
                            {"head", HexEncode(report.checkpoint.head.hash)},
                            {"checkpoint_at", FormatRfc3339(report.checkpoint.at)},
                            {"checkpoint_signed_by", SignedBy(options)},
                            {"verdicts", report.verdicts},
                            {"renewals_not_stored", report.renewals},
                            {"references", report.references},
                            {"policies", report.policies}});
}

std::string ReportText(const ExportReport& report, const ArchiveOptions& options) {
  return "intact: " + std::to_string(report.checkpoint.head.seq) + " entries up to " +
         FormatRfc3339(report.checkpoint.at) + "\ncheckpoint signed by " +
         std::string(SignedBy(options)) + "\n" + std::to_string(report.verdicts) +
         " verdicts with their evidence; " + std::to_string(report.renewals) +
         " renewals within a boot, of which only hashes are kept\n";
}

}  // namespace

CommandResult ReplayVerdict(FileSystem& files, const ArchiveOptions& options) {
  Result<ExportFolder> folder = OpenFolder(files, options);
  if (!folder) return Failure(ExitCode::kUsage, folder.error(), options.json);
  const Result<Rejudgement> again = Rejudge(*folder, options.verdict);
  if (!again) return Failure(ExitCode::kUsage, again.error(), options.json);
  return {again->same() ? ExitCode::kYes : ExitCode::kNo,
          options.json ? WriteJson(ReplayJson(*again, options)) + "\n" : ReplayText(*again), ""};
}

CommandResult CheckExport(FileSystem& files, const ArchiveOptions& options) {
  Result<ExportFolder> folder = OpenFolder(files, options);
  if (!folder) return Failure(folder.error(), options.json);
  const Result<ExportReport> report = folder->Check();
  if (!report) return Failure(report.error(), options.json);
  return {
      ExitCode::kYes,
      options.json ? WriteJson(ReportJson(*report, options)) + "\n" : ReportText(*report, options),
      ""};
}

void AddReplayVerdict(CLI::App& evidence, CommandSink& sink) {
  CLI::App* const command = evidence.add_subcommand(
      "replay-verdict", "Judge kept evidence again and say whether the verdict is the same");
  command->footer(
      "Examples:\n"
      "  sallyport audit export --out /srv/audit-2026\n"
      "  sallyport evidence replay-verdict --id 9f3c... --export /srv/audit-2026 "
      "--trust-bundle trust-bundle.json");
  const auto options = std::make_shared<ArchiveOptions>();
  command->add_option("--id", options->verdict, "Verdict: `reference` of device explain")
      ->required();
  command->add_option("--export", options->folder, "Folder of the audit export")
      ->capture_default_str();
  command->add_option("--trust-bundle", options->trust_bundle,
                      "Trust bundle whose audit key must have signed the checkpoint");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return ReplayVerdict(files, *options);
    });
  });
}

}  // namespace sallyport::server

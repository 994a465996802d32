#include "attestation-server/cli/lint_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "attestation-server/cli/release_command.h"

namespace sallyport::server {
namespace {

std::string_view SeverityName(ota::LintSeverity severity) {
  return severity == ota::LintSeverity::kError ? "fail" : "warn";
}

std::string_view Verdict(const ota::LintReport& report) {
  if (report.Refuses()) return "fail";
  return report.findings.empty() ? "pass" : "warn";
}

using OptionalFile = std::unique_ptr<File>;
Result<OptionalFile> OpenIfNamed(FileSystem& files, const std::string& path) {
  if (path.empty()) return OptionalFile();
  return files.Open(path, OpenMode::kRead);
}

Result<CommandResult> Lint(FileSystem& files, const ReleaseLintOptions& options) {
  SP_TRY(const OptionalFile image, files.Open(options.image, OpenMode::kRead));
  SP_TRY(const OptionalFile again, OpenIfNamed(files, options.again));
  SP_TRY(const OptionalFile from, OpenIfNamed(files, options.from));
  SP_TRY(const OptionalFile uki, OpenIfNamed(files, options.uki));
  ota::LintInputs inputs{.image = *image, .again = again.get(), .from = from.get()};
  if (options.slot_size != 0) inputs.slot_size = options.slot_size;
  if (options.esp_size != 0) inputs.esp_size = options.esp_size;
  if (uki) {
    SP_TRY(inputs.uki_size, uki->Size());
  }
  SP_TRY(const ota::LintReport report, ota::LintImage(inputs));
  const bool compared = from != nullptr;
  CommandResult result = Done(options.json, LintJson(report, compared), LintText(report, compared));
  if (report.Refuses()) result.code = ExitCode::kNo;
  return result;
}

}  // namespace

JsonValue LintJson(const ota::LintReport& report, bool compared) {
  std::vector<JsonValue> findings;
  for (const ota::LintFinding& finding : report.findings)
    findings.push_back(JsonValue::Object({{"rule", finding.rule},
                                          {"severity", SeverityName(finding.severity)},
                                          {"detail", finding.detail},
                                          {"advice", finding.advice}}));
  return JsonValue::Object({{"verdict", Verdict(report)},
                            {"format", ota::FormatName(report.facts.format)},
                            {"block_size", report.facts.block_size},
                            {"length", report.length},
                            {"changed", compared ? JsonValue(report.changed) : JsonValue()},
                            {"findings", JsonValue::Array(std::move(findings))}});
}

std::string LintText(const ota::LintReport& report, bool compared) {
  std::string out = std::string(ota::FormatName(report.facts.format)) + ", " +
                    std::to_string(report.length) + " bytes, blocks of " +
                    std::to_string(report.facts.block_size) + "\n";
  if (compared) out += std::to_string(report.changed) + " bytes are not in the older image\n";
  for (const ota::LintFinding& finding : report.findings)
    out += std::string(SeverityName(finding.severity)) + "  " + std::string(finding.rule) + ": " +
           finding.detail + "\n      " + finding.advice + "\n";
  return out + "verdict: " + std::string(Verdict(report)) + "\n";
}

Result<ota::LintReport> LintForRelease(FileSystem& files, const std::string& image,
                                       const std::vector<std::string>& allowed) {
  for (const std::string& rule : allowed) {
    const auto* const row = std::ranges::find(ota::kLintRules, rule, &ota::LintRule::rule);
    if (row == std::end(ota::kLintRules) || row->severity != ota::LintSeverity::kError)
      return Error{Reason::kInvalidArgument, "no rule '" + rule + "' refuses images", "lint.rule"};
  }
  SP_TRY(const auto file, files.Open(image, OpenMode::kRead));
  SP_TRY(ota::LintReport report, ota::LintImage({.image = *file}));
  for (const ota::LintFinding& finding : report.findings)
    if (finding.severity == ota::LintSeverity::kError &&
        std::ranges::find(allowed, finding.rule) == allowed.end())
      return Error{Reason::kPolicyDenied, finding.detail + "; " + finding.advice, finding.rule};
  return report;
}

CommandResult ReleaseLint(FileSystem& files, const ReleaseLintOptions& options) {
  Result<CommandResult> result = Lint(files, options);
  if (result) return *std::move(result);
  return Failure(ExitCode::kUsage, result.error(), options.json);
}

void AddLintCommand(CLI::App& release, CommandSink& sink) {
  CLI::App* const lint =
      release.add_subcommand("lint", "Say what about a slot image makes its updates large or fail");
  lint->footer(
      "Exits with 1 when the verdict is fail. docs/updates.md lists the rules.\n\nExamples:\n"
      "  sallyport release lint --image root.img --from root-1.img\n"
      "  sallyport release lint --image root.img --again rebuilt.img --slot-size 512MB --uki "
      "uki.efi --esp-size 256MB --json");
  const auto options = std::make_shared<ReleaseLintOptions>();
  lint->add_option("--image,image", options->image, "Root image")->required();
  lint->add_option("--again", options->again, "A second build of the same source: must not differ");
  lint->add_option("--from", options->from, "Root image of an older release");
  lint->add_option("--slot-size", options->slot_size, "Size of a slot, e.g. 512MB")
      ->transform(CLI::AsSizeValue(false));
  lint->add_option("--uki", options->uki, "Unified kernel image");
  lint->add_option("--esp-size", options->esp_size, "Size of the EFI system partition, e.g. 256MB")
      ->transform(CLI::AsSizeValue(false));
  lint->add_flag("--json", options->json, "Print one JSON object");
  lint->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return ReleaseLint(files, *options);
    });
  });
}

}  // namespace sallyport::server

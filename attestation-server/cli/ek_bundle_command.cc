#include "attestation-server/cli/ek_bundle_command.h"

#include <CLI/CLI.hpp>

#include "attestation-server/cli/admin_session.h"
#include "attestation-server/enrolment/ek_directory.h"
#include "pki/base/json.h"

namespace sallyport::server {
namespace {

constexpr size_t kBundleBytesMax = 4
                                   << 20;  // what the service takes in one message, less its frame

std::string TextOf(const JsonCursor& object, std::string_view key) {
  const Result<std::string_view> text = object.GetString(key);
  return text.has_value() ? std::string(*text) : "";
}

std::string CountOf(const JsonCursor& object, std::string_view key) {
  const Result<int64_t> number = object.GetInteger(key);
  return number.has_value() ? std::to_string(*number) : "?";
}

std::vector<JsonCursor> ListOf(const JsonCursor& object, std::string_view key) {
  Result<std::vector<JsonCursor>> list = object.GetElements(key);
  return list.has_value() ? *std::move(list) : std::vector<JsonCursor>{};
}

std::string Render(const JsonCursor& report, bool imported) {
  std::string out = imported ? "imported version " + CountOf(report, "version") + " into profile " +
                                   TextOf(report, "profile") + "\n"
                             : "nothing was imported\n";
  for (const JsonCursor& vendor : ListOf(report, "vendors")) {
    const std::vector<JsonCursor> added = ListOf(vendor, "added");
    out += TextOf(vendor, "vendor") + ": " + std::to_string(added.size()) + " added, " +
           CountOf(vendor, "kept") + " kept, " + CountOf(vendor, "removed") + " removed\n";
    for (const JsonCursor& one : added)
      out += "  + " + TextOf(one, "subject") + ", until " + TextOf(one, "not_after") + "\n";
  }
  for (const JsonCursor& refusal : ListOf(report, "refused"))
    out += "refused " + TextOf(refusal, "file") + ": " + TextOf(refusal, "rule") + ": " +
           TextOf(refusal, "detail") + " (" + TextOf(refusal, "subject") + ")\n";
  return out;
}

struct ImportOptions {
  std::string directory;
  std::string profile;
  bool skip_refused = false;
};

Result<api::ImportEkBundleRequest> RequestOf(const ImportOptions& options) {
  PosixFileSystem files;
  SP_TRY(const EkDirectory content, ReadEkDirectory(files, options.directory));
  api::ImportEkBundleRequest request;
  request.set_profile(options.profile);
  request.set_skip_refused(options.skip_refused);
  size_t size = 0;
  const auto add = [&](const EkFile& file, bool list) {
    api::EkBundleFile* const sent = request.add_files();
    sent->set_vendor(file.vendor);
    sent->set_name(file.name);
    sent->set_data(ToString(file.bytes));
    sent->set_revocation_list(list);
    size += file.bytes.size();
  };
  for (const EkFile& file : content.certificates) add(file, false);
  for (const EkFile& file : content.revocation_lists) add(file, true);
  if (size > kBundleBytesMax)
    return Error{Reason::kTooLarge, "a bundle above 4 MiB", "ek.bundle-size"};
  if (content.certificates.empty())
    return Error{Reason::kInvalidArgument, "no certificate files", "ek.no-root"};
  return request;
}

CommandResult Import(const CommonOptions& common, const ImportOptions& options) {
  const Result<api::ImportEkBundleRequest> request = RequestOf(options);
  if (!request) return Failure(ExitCode::kUsage, request.error(), common.json, {options.directory});
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  const Result<std::string> report = AskJson(*client, &api::Admin::Stub::ImportEkBundle, *request);
  if (!report) return Failure(report.error(), common.json);
  return ShowEkBundle(*report, common.json);
}

}  // namespace

CommandResult ShowEkBundle(const std::string& report, bool json) {
  const Result<JsonValue> value = ParseJson(report);
  if (!value) return Failure(value.error(), json);
  const JsonCursor cursor(*value);
  const Result<JsonCursor::Flag> flag = cursor.GetBool("imported");
  const bool imported = flag.has_value() && flag->value;
  return {imported ? ExitCode::kYes : ExitCode::kNo,
          json ? report + "\n" : Render(cursor, imported),
          imported ? "" : "the bundle was not imported\n"};
}

void AddEkBundleCommand(CLI::App& app, CommandSink& sink) {
  CLI::App* const bundle =
      app.get_subcommand("ek")->add_subcommand("bundle", "Pinned CA certificates of TPM vendors");
  bundle->require_subcommand(1);
  CLI::App* const import = bundle->add_subcommand(
      "import", "Screen a directory of CA certificates and CRLs and make it a profile's");
  import->footer(
      "Examples:\n  sallyport ek bundle import vendors\n"
      "  sallyport ek bundle import vendors --profile default --skip-refused --json");
  const auto common = AddCommonOptions(import);
  const auto options = std::make_shared<ImportOptions>();
  import->add_option("directory", options->directory, "files, or one folder per vendor")
      ->required();
  import->add_option("--profile", options->profile, "profile (default: the only one)");
  import->add_flag("--skip-refused", options->skip_refused,
                   "import the rest when some certificates are refused");
  import->callback([&sink, common, options] {
    sink.Run([common, options] { return Import(*common, *options); });
  });
}

}  // namespace sallyport::server

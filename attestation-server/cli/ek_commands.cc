#include "attestation-server/cli/ek_commands.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <optional>

#include "attestation-server/enrolment/ek_directory.h"
#include "pki/base/json.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;  // larger is no certificate; its rule says so

struct Outcome {
  std::optional<pki::EkCertificate> certificate;  // absent: it does not read
  std::vector<pki::EkCheck> checks;
  bool passed() const { return pki::RequireAll(checks).has_value(); }
};

Result<std::vector<pki::EkCrl>> ReadLists(FileSystem& files,
                                          const std::vector<std::string>& names) {
  std::vector<pki::EkCrl> out;
  for (const std::string& name : names) {
    SP_TRY(const Bytes bytes, ReadFile(files, name, pki::kCrlBytesMax));
    Result<std::vector<pki::EkCrl>> lists = pki::EkCrl::FromFile(bytes);
    if (!lists.has_value()) return std::move(lists).error().WithContext(name);
    out.insert(out.end(), lists->begin(), lists->end());
  }
  return out;
}

Outcome Unreadable(const Error& error) {
  return {{},
          {pki::CheckOf("ek.der", error),
           {"ek.chain", pki::CheckResult::kNotRun, "the certificate does not read"}}};
}

struct Anchors {
  const pki::EkRoots& roots;
  std::span<const pki::EkCrl> lists;
  std::span<const std::string> accepted_advisories;
};

Outcome Judge(ByteView file, const Anchors& anchors, UnixTime now) {
  const Result<std::vector<Bytes>> taken = pki::TakeEkCertificates(file);
  if (!taken) return Unreadable(taken.error());
  Result<pki::EkCertificate> certificate = pki::ReadEkCertificate(taken->front());
  if (!certificate) return Unreadable(certificate.error());
  Outcome out{std::nullopt, pki::CheckEkProfile(*certificate, anchors.accepted_advisories)};
  pki::EkRoots::Judgement chain =
      anchors.roots.Judge(*certificate, std::span(*taken).subspan(1), now, anchors.lists);
  std::ranges::move(chain.checks, std::back_inserter(out.checks));
  out.certificate = *std::move(certificate);
  return out;
}

JsonValue CheckJson(const pki::EkCheck& check) {
  std::vector<JsonMember> members{{"rule", check.rule},
                                  {"result", pki::CheckResultName(check.result)},
                                  {"detail", check.detail}};
  if (check.warning) members.push_back({"warning", true});
  return JsonValue::Object(std::move(members));
}

std::string AsJson(const Outcome& outcome) {
  std::vector<JsonValue> checks;
  for (const pki::EkCheck& check : outcome.checks) checks.push_back(CheckJson(check));
  const auto fact = [&](auto read) {
    const std::string text = outcome.certificate ? read(*outcome.certificate) : "";
    return text.empty() ? JsonValue() : JsonValue(text);
  };
  return WriteJson(JsonValue::Object(
             {{"verdict", outcome.passed() ? "pass" : "fail"},
              {"manufacturer", fact([](const pki::EkCertificate& ek) { return ek.manufacturer; })},
              {"model", fact([](const pki::EkCertificate& ek) { return ek.model; })},
              {"version", fact([](const pki::EkCertificate& ek) { return ek.version; })},
              {"vendor", fact([](const pki::EkCertificate& ek) { return ek.vendor(); })},
              {"key", fact([](const pki::EkCertificate& ek) { return ek.key_name; })},
              {"checks", JsonValue::Array(std::move(checks))}})) +
         "\n";
}

std::string AsText(const Outcome& outcome) {
  std::string out = outcome.passed() ? "verdict       pass\n" : "verdict       fail\n";
  if (outcome.certificate)
    out += "manufacturer  " + outcome.certificate->manufacturer + "\nmodel         " +
           outcome.certificate->model + "\nversion       " + outcome.certificate->version +
           "\nkey           " + outcome.certificate->key_name + "\n";
  for (const pki::EkCheck& check : outcome.checks)
    out += std::string(check.warning ? "warn" : pki::CheckResultName(check.result)) + "  " +
           std::string(check.rule) + (check.detail.empty() ? "" : ": " + check.detail) + "\n";
  return out;
}

}  // namespace

CommandResult VerifyEkFile(FileSystem& files, const EkVerifyOptions& options, UnixTime now) {
  const Result<Bytes> certificate = ReadFile(files, options.cert, kFileBytesMax);
  if (!certificate)
    return Failure(ExitCode::kUsage, certificate.error(), options.json, {options.cert});
  const Result<pki::EkRoots> roots = LoadEkRoots(files, options.roots);
  if (!roots) return Failure(ExitCode::kUsage, roots.error(), options.json, {options.roots});
  const Result<std::vector<pki::EkCrl>> lists = ReadLists(files, options.crls);
  if (!lists) return Failure(ExitCode::kUsage, lists.error(), options.json, {options.crls.front()});
  const Outcome outcome = Judge(*certificate, {*roots, *lists, options.accepted_advisories}, now);
  return {outcome.passed() ? ExitCode::kYes : ExitCode::kNo,
          options.json ? AsJson(outcome) : AsText(outcome), ""};
}

void AddEkCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("ek", "Endorsement key certificates of TPMs");
  parent->require_subcommand(1);
  CLI::App* const verify =
      parent->add_subcommand("verify", "Verify an EK certificate to its vendor's root");
  verify->footer(
      "Examples:\n  sallyport ek verify --cert ek.der --roots /etc/sallyport/ek-roots --json\n"
      "  sallyport ek verify --cert ek.pem --roots vendors --crl issuer.crl");
  const auto options = std::make_shared<EkVerifyOptions>();
  verify->add_option("--cert", options->cert, "EK certificate, DER or PEM; NV padding is cut off")
      ->required();
  verify
      ->add_option("--roots", options->roots, "directory of accepted roots, intermediates and CRLs")
      ->required();
  verify->add_option("--crl", options->crls, "revocation list of an issuer of the chain");
  verify->add_option("--accept-advisory", options->accepted_advisories,
                     "CVE that warns instead of refusing");
  verify->add_flag("--json", options->json, "Print one JSON object");
  verify->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return VerifyEkFile(files, *options, RealClock().Wall());
    });
  });
}

}  // namespace sallyport::server

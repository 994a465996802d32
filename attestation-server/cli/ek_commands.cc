#include "attestation-server/cli/ek_commands.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <optional>

#include "pki/base/json.h"
#include "pki/x509/ek_chain.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;  // a bundle of every known vendor has 200 KiB

struct Check {
  std::string rule;
  std::string_view result;
  std::string detail;
};

struct Outcome {
  std::optional<pki::EkCertificate> certificate;  // absent: it does not parse or breaks the profile
  std::vector<Check> checks;
  bool passed() const {
    return std::ranges::all_of(checks, [](const Check& check) { return check.result == "pass"; });
  }
};

std::string KeyName(const pki::PublicKey& key) {
  switch (key.type()) {
    case pki::KeyType::kP256: return "p-256";
    case pki::KeyType::kP384: return "p-384";
    case pki::KeyType::kRsa: return "rsa-" + std::to_string(key.bits());
    case pki::KeyType::kEd25519: return "ed25519";
  }
  std::abort();
}

Result<pki::EkRoots> ReadRoots(FileSystem& files, const std::string& directory) {
  SP_TRY(const std::vector<std::string> names, files.List(directory));
  std::vector<Bytes> contents;
  for (const std::string& name : names) {
    SP_TRY(contents.emplace_back(), ReadFile(files, directory + "/" + name, kFileBytesMax));
  }
  return pki::EkRoots::FromCertificates(contents);
}

Check CheckOf(std::string_view rule, const Error* error) {
  if (error == nullptr) return {std::string(rule), "pass", ""};
  return {std::string(error->name()), "fail", error->detail};
}

Outcome Judge(ByteView bytes, const pki::EkRoots& roots, UnixTime now) {
  const Result<pki::EkCertificate> parsed = pki::ParseEkCertificate(bytes);
  if (!parsed)
    return {
        {},
        {CheckOf("", &parsed.error()), {"ek.chain", "not-run", "certificate was refused before"}}};
  const Result<Unit> chain = roots.Verify(*parsed, {}, now);
  return {*parsed,
          {CheckOf("ek.profile", nullptr), CheckOf("ek.chain", chain ? nullptr : &chain.error())}};
}

std::string AsJson(const Outcome& outcome) {
  std::vector<JsonValue> checks;
  for (const Check& check : outcome.checks)
    checks.push_back(JsonValue::Object(
        {{"rule", check.rule}, {"result", check.result}, {"detail", check.detail}}));
  const auto fact = [&](auto read) {
    return outcome.certificate ? JsonValue(std::string(read(*outcome.certificate))) : JsonValue();
  };
  return WriteJson(JsonValue::Object(
             {{"verdict", outcome.passed() ? "pass" : "fail"},
              {"manufacturer", fact([](const pki::EkCertificate& ek) { return ek.manufacturer; })},
              {"model", fact([](const pki::EkCertificate& ek) { return ek.model; })},
              {"version", fact([](const pki::EkCertificate& ek) { return ek.version; })},
              {"key", fact([](const pki::EkCertificate& ek) { return KeyName(ek.key); })},
              {"checks", JsonValue::Array(std::move(checks))}})) +
         "\n";
}

std::string AsText(const Outcome& outcome) {
  std::string out = outcome.passed() ? "verdict       pass\n" : "verdict       fail\n";
  if (outcome.certificate)
    out += "manufacturer  " + outcome.certificate->manufacturer + "\nmodel         " +
           outcome.certificate->model + "\nversion       " + outcome.certificate->version +
           "\nkey           " + KeyName(outcome.certificate->key) + "\n";
  for (const Check& check : outcome.checks)
    out += std::string(check.result) + "  " + check.rule +
           (check.detail.empty() ? "" : ": " + check.detail) + "\n";
  return out;
}

}  // namespace

CommandResult VerifyEkFile(FileSystem& files, const EkVerifyOptions& options, UnixTime now) {
  const Result<Bytes> certificate = ReadFile(files, options.cert, kFileBytesMax);
  if (!certificate)
    return Failure(ExitCode::kUsage, certificate.error(), options.json, {options.cert});
  const Result<pki::EkRoots> roots = ReadRoots(files, options.roots);
  if (!roots) return Failure(ExitCode::kUsage, roots.error(), options.json, {options.roots});
  const Outcome outcome = Judge(*certificate, *roots, now);
  return {outcome.passed() ? ExitCode::kYes : ExitCode::kNo,
          options.json ? AsJson(outcome) : AsText(outcome), ""};
}

void AddEkCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("ek", "Endorsement key certificates of TPMs");
  parent->require_subcommand(1);
  CLI::App* const verify =
      parent->add_subcommand("verify", "Verify an EK certificate to its vendor's root");
  verify->footer(
      "Examples:\n  sallyport ek verify --cert ek.der --roots /etc/sallyport/ek-roots --json");
  const auto options = std::make_shared<EkVerifyOptions>();
  verify->add_option("--cert", options->cert, "EK certificate, DER or PEM; NV padding is cut off")
      ->required();
  verify
      ->add_option("--roots", options->roots, "directory of accepted roots and known intermediates")
      ->required();
  verify->add_flag("--json", options->json, "Print one JSON object");
  verify->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return VerifyEkFile(files, *options, RealClock().Wall());
    });
  });
}

}  // namespace sallyport::server

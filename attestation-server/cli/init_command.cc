#include "attestation-server/cli/init_command.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "attestation-server/server_keys.h"
#include "attestation-server/store/database.h"
#include "attestation-server/store/meta.h"
#include "pki/base/json.h"
#include "pki/base/random.h"
#include "pki/x509/pem.h"

namespace sallyport::server {
namespace {

// Tools is what a command may use of the world.
struct Tools {
  PosixFileSystem files;
  SystemRandom random;
  UnixTime now = RealClock().Wall();
};

struct Places {
  std::string root;
  StateLayout layout() const { return {root + "/state"}; }
  std::string unlock() const { return root + "/unlock.key"; }
  std::string offline() const { return root + "/offline"; }
  std::string offline_unlock() const { return offline() + "/unlock.key"; }
  std::string operators() const { return root + "/operator"; }
  std::string vendor() const { return root + "/vendor"; }
  std::string config() const { return root + "/sallyportd.yaml"; }
};

Result<Unit> WriteText(Tools& tools, const std::string& path, std::string_view text) {
  SP_TRY(tools.files.MakeDirectories(ParentDirectory(path)));
  return WriteFileAtomically(tools.files, path, AsBytes(text));
}

Result<Unit> WriteUnlock(Tools& tools, const std::string& path) {
  std::array<uint8_t, 32> secret;
  tools.random.Fill(secret);
  return WriteText(tools, path, HexEncode(secret) + "\n");
}

// StatementKeys sign what the service states: the time, audit checkpoints, attestation results.
struct StatementKeys {
  pki::PrivateKey time;
  pki::PrivateKey audit;
  pki::PrivateKey verdict;
};

Result<StatementKeys> MakeStatementKeys() {
  SP_TRY(pki::PrivateKey time, pki::PrivateKey::Generate(pki::KeyType::kEd25519));
  SP_TRY(pki::PrivateKey audit, pki::PrivateKey::Generate(pki::KeyType::kEd25519));
  SP_TRY(pki::PrivateKey verdict, pki::PrivateKey::Generate(pki::KeyType::kP256));
  return StatementKeys{std::move(time), std::move(audit), std::move(verdict)};
}

Result<Unit> StoreIssuers(Tools& tools, const Places& places, const pki::Hierarchy& hierarchy,
                          const StatementKeys& keys) {
  SP_TRY(const pki::UnlockSecret unlock, LoadUnlock(tools.files, places.unlock()));
  SP_TRY(pki::IssuerStore online, pki::IssuerStore::Create(tools.files, places.layout().issuers(),
                                                           unlock, {}, tools.random));
  SP_TRY(online.PutIssuer(kDeviceIssuerName, hierarchy.device_issuer, tools.random));
  SP_TRY(online.PutIssuer(kServerIssuerName, hierarchy.server_issuer, tools.random));
  SP_TRY(online.PutKey(kSignedTimeName, keys.time, tools.random));
  SP_TRY(online.PutKey(kAuditKeyName, keys.audit, tools.random));
  SP_TRY(online.PutKey(kVerdictKeyName, keys.verdict, tools.random));
  SP_TRY(const pki::UnlockSecret offline_unlock, LoadUnlock(tools.files, places.offline_unlock()));
  SP_TRY(pki::IssuerStore offline,
         pki::IssuerStore::Create(tools.files, places.offline() + "/issuers", offline_unlock, {},
                                  tools.random));
  SP_TRY(offline.PutIssuer(kPkiRootName, hierarchy.pki_root, tools.random));
  return offline.PutIssuer(kOperatorRootName, hierarchy.operator_root, tools.random);
}

// MoveDirectory also moves between file systems: the state may lie on one of its own.
Result<Unit> MoveDirectory(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error == std::errc::cross_device_link) {
    error.clear();
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
    if (!error) std::filesystem::remove_all(from, error);
  }
  if (error) return Error{Reason::kUnavailable, "move " + from + ": " + error.message()};
  return Unit{};
}

// The online keys are sealed by 32 random bytes; a costly derivation would only slow the server's
// start.
constexpr pki::KdfParams kMachineSecretKdf{.passes = 1, .memory_bytes = 1 << 20};

// FoundUpdates makes the TUF keys; those of people move to the offline directory.
Result<Unit> FoundUpdates(Tools& tools, const Places& places, const InitOptions& options) {
  SP_TRY(std::string passphrase, OnlinePassphrase(tools.files, places.unlock()));
  const StateLayout layout = places.layout();
  SP_TRY(ota::FoundUpdateTrust(tools.files, layout.update_keys(), layout.image_repository(),
                               {.trust_domain = options.trust_domain,
                                .development = options.development,
                                .threshold = options.development ? size_t{1} : size_t{2},
                                .online_passphrase = std::move(passphrase),
                                .online_kdf = kMachineSecretKdf},
                               tools.now));
  return MoveDirectory(layout.update_keys() + "/offline", places.offline() + "/update-keys");
}

Result<Unit> WriteOperator(Tools& tools, const Places& places, const InitOptions& options,
                           const pki::Hierarchy& hierarchy, const pki::TrustBundle& bundle) {
  const std::string name = options.operator_name;
  SP_TRY(const std::string key, hierarchy.first_operator.key.SealedPem(""));
  SP_TRY(WriteText(tools, places.operators() + "/" + name + ".key", key));
  SP_TRY(WriteText(tools, places.operators() + "/" + name + ".pem",
                   pki::CertificatePem(hierarchy.first_operator.leaf.der)));
  SP_TRY(
      WriteText(tools, places.operators() + "/trust-bundle.json", pki::WriteTrustBundle(bundle)));
  SP_TRY(const pki::SpiffeId server, pki::ServerSpiffeId(bundle.trust_domain, options.server_name));
  return WriteText(tools, places.operators() + "/config.yaml",
                   "sallyport: contexts/v1\ncurrent: default\ncontexts:\n  default:\n    server: " +
                       options.host + ":" + std::to_string(options.base_port + 2) +
                       "\n    server_id: " + server.text() +
                       "\n    trust_bundle: trust-bundle.json\n    certificate: " + name +
                       ".pem\n    private_key: " + name + ".key\n");
}

std::string ConfigText(const Places& places, const InitOptions& options) {
  std::string out = "sallyport: server/v1\ntrust_domain: " + options.trust_domain +
                    "\nname: " + options.server_name + "\nstate: " + places.layout().state +
                    "\nruntime: " + places.root + "/run\nunlock_file: " + places.unlock() +
                    "\nlisten:\n";
  unsigned port = options.base_port;
  for (const char* listener : {"enrol", "device", "admin", "content", "http"})
    out += std::string("  ") + listener + ": " + options.host + ":" + std::to_string(port++) + "\n";
  out += "operators:\n  " + options.operator_name +
         ": admin\nclasses:\n  online:\n    evidence_lifetime: " + options.evidence_lifetime +
         "\nprofiles:\n  default:\n    roots: " + places.vendor() +
         "\n    vendor: " + (options.development ? "false" : "true") + "\n";
  return out;
}

Result<Unit> FoundDatabase(Tools& tools, const Places& places, const InitOptions& options) {
  SP_TRY(const std::unique_ptr<Database> database,
         Database::Open(places.layout().database(), tools.random));
  return database->writer().Run([&](Transaction& transaction) {
    return InitialiseDeployment(transaction.connection(),
                                {options.trust_domain, options.development, 1});
  });
}

Result<Unit> Found(Tools& tools, const Places& places, const InitOptions& options) {
  if (ReadFile(tools.files, places.config(), 1 << 20).has_value())
    return Error{Reason::kAlreadyExists, places.root + " holds a deployment already",
                 "init.exists"};
  SP_TRY(const pki::TrustDomain trust_domain, pki::TrustDomain::Parse(options.trust_domain));
  SP_TRY(ParseDuration(options.evidence_lifetime));
  SP_TRY(const pki::Hierarchy hierarchy,
         pki::CreateHierarchy({trust_domain, options.operator_name}, tools.random, tools.now));
  SP_TRY(const StatementKeys keys, MakeStatementKeys());
  pki::TrustBundle bundle = pki::BundleOf(hierarchy, trust_domain, 1);
  bundle.time_key = keys.time.public_key();
  bundle.audit_key = keys.audit.public_key();
  bundle.verdict_key = keys.verdict.public_key();
  SP_TRY(tools.files.MakeDirectories(places.vendor()));
  SP_TRY(tools.files.MakeDirectories(places.layout().state));
  SP_TRY(WriteUnlock(tools, places.unlock()));
  SP_TRY(WriteUnlock(tools, places.offline_unlock()));
  SP_TRY(StoreIssuers(tools, places, hierarchy, keys));
  SP_TRY(FoundUpdates(tools, places, options));
  SP_TRY(WriteText(tools, places.layout().trust_bundle(), pki::WriteTrustBundle(bundle)));
  SP_TRY(WriteOperator(tools, places, options, hierarchy, bundle));
  SP_TRY(FoundDatabase(tools, places, options));
  return WriteText(tools, places.config(), ConfigText(places, options));
}

}  // namespace

CommandResult Init(const InitOptions& options) {
  Tools tools;
  const Places places{std::filesystem::absolute(options.directory).string()};
  const Result<Unit> founded = Found(tools, places, options);
  if (!founded) return Failure(founded.error(), options.json);
  if (options.json) {
    return {ExitCode::kYes,
            WriteJson(JsonValue::Object({{"directory", places.root},
                                         {"config", places.config()},
                                         {"operator_config", places.operators() + "/config.yaml"},
                                         {"offline", places.offline()},
                                         {"vendor_roots", places.vendor()}})) +
                "\n",
            ""};
  }
  return {ExitCode::kYes,
          "Founded trust domain " + options.trust_domain + " in " + places.root +
              "\n\nNext:\n  1. Move " + places.offline() +
              " (PKI root, operator root, TUF keys of people) off this machine.\n  2. Put the EK "
              "issuer certificates of your "
              "TPMs into " +
              places.vendor() + "\n  3. sallyportd --config " + places.config() +
              "\n  4. export SALLYPORT_CONFIG=" + places.operators() +
              "/config.yaml; sallyport status\n",
          options.development ? "warning: development trust domain: test TPM roots are allowed, no "
                                "device reaches tier measured "
                                "without a vendor chain, one signature is enough\n"
                              : ""};
}

void AddInitCommand(CLI::App& app, CommandSink& sink) {
  CLI::App* const command = app.add_subcommand(
      "init", "Found a trust domain: keys, repositories, first operator, configuration");
  command->footer(
      "Example:\n  sallyport init --dir /etc/sallyport --trust-domain edge.example --host "
      "control.edge.example");
  const auto options = std::make_shared<InitOptions>();
  command->add_option("--dir", options->directory, "Directory to found it in")->required();
  command
      ->add_option("--trust-domain", options->trust_domain,
                   "SPIFFE trust domain; cannot be changed later")
      ->required();
  command->add_option("--operator", options->operator_name, "Name of the first operator")
      ->capture_default_str();
  command->add_option("--server-name", options->server_name, "Name in the server's certificate")
      ->capture_default_str();
  command->add_option("--host", options->host, "Host name or address of the listeners")
      ->capture_default_str();
  command->add_option("--base-port", options->base_port, "First of five ports")
      ->check(CLI::Range(1, 32760))
      ->capture_default_str();
  command->add_option("--evidence-lifetime", options->evidence_lifetime, "How long a proof holds")
      ->capture_default_str();
  command->add_flag("--development", options->development,
                    "Allow test TPMs and single signatures; cannot be switched later");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options] { sink.Run([options] { return Init(*options); }); });
}

}  // namespace sallyport::server

#include "attestation-server/cli/policy_commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "pki/base/json.h"
#include "policies/decision/canonical.h"
#include "policies/decision/review.h"
#include "policies/language/checker.h"
#include "policies/language/reader.h"
#include "policies/language/yaml_tree.h"
#include "policies/language/zone_files.h"

namespace sallyport::server {
namespace {

using policy::Code;
using policy::Diagnostic;
using policy::Diagnostics;

// LoadedPolicy is a policy that reads and lowers without an error.
struct LoadedPolicy {
  policy::Policy policy;
  policy::RuleSet rules;
};

Result<std::string> ReadText(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes bytes, ReadFile(files, path, policy::kYamlSizeMax));
  return ToString(ByteView(bytes));
}

std::optional<LoadedPolicy> Load(const PolicyWorld& world, std::string_view text,
                                 const policy::Inventory* inventory, Diagnostics& out) {
  auto read = policy::ReadPolicy(text, world.zones, out);
  if (!read) return std::nullopt;
  auto rules = policy::Lower(*read, inventory, out);
  if (!rules) return std::nullopt;
  return LoadedPolicy{*std::move(read), *std::move(rules)};
}

// Report gathers the findings of several files and renders them.
class Report {
 public:
  void Add(Diagnostics diagnostics) {
    diagnostics.Sort();
    invalid_ = invalid_ || diagnostics.has_invalid_input();
    failed_ = failed_ || diagnostics.has_errors();
    for (const Diagnostic& d : diagnostics.all()) findings_.push_back(d);
  }
  void Count(const policy::TestCounts& counts) {
    tested_ = true;
    counts_.passed += counts.passed;
    counts_.failed += counts.failed;
  }
  CommandResult Render(bool json) const {
    CommandResult result;
    result.code = invalid_ ? ExitCode::kUsage : failed_ ? ExitCode::kNo : ExitCode::kYes;
    for (const Diagnostic& d : findings_) result.err += policy::FormatDiagnostic(d) + "\n";
    result.out = json ? WriteJson(Json()) + "\n" : Summary();
    return result;
  }

 private:
  JsonValue List(bool errors) const {
    std::vector<JsonValue> items;
    for (const Diagnostic& d : findings_) {
      if (policy::IsError(d.code) != errors) continue;
      items.push_back(JsonValue::Object({{"code", policy::CodeName(d.code)},
                                         {"file", d.file},
                                         {"line", d.at.line},
                                         {"column", d.at.column},
                                         {"message", d.message},
                                         {"suggestion", d.suggestion}}));
    }
    return JsonValue::Array(std::move(items));
  }
  JsonValue Json() const {
    const JsonValue tests =
        tested_ ? JsonValue::Object({{"passed", counts_.passed}, {"failed", counts_.failed}})
                : JsonValue();
    return JsonValue::Object({{"errors", List(true)}, {"warnings", List(false)}, {"tests", tests}});
  }
  std::string Summary() const {
    const auto errors = std::ranges::count_if(
        findings_, [](const Diagnostic& d) { return policy::IsError(d.code); });
    const auto warnings = static_cast<ptrdiff_t>(findings_.size()) - errors;
    std::string text =
        std::to_string(errors) + " errors, " + std::to_string(warnings) + " warnings";
    text += tested_ ? ", " + std::to_string(counts_.passed) + " tests passed, " +
                          std::to_string(counts_.failed) + " failed"
                    : ", tests not run (no inventory)";
    return text + "\n";
  }

  std::vector<Diagnostic> findings_;
  policy::TestCounts counts_;
  bool tested_ = false;
  bool invalid_ = false;
  bool failed_ = false;
};

// ReadInventoryFile reports into `report`; nothing when the file cannot be used.
std::optional<policy::Inventory> ReadInventoryFile(const PolicyWorld& world,
                                                   const std::string& path, Report& report) {
  Diagnostics out(path);
  std::optional<policy::Inventory> inventory;
  const auto text = ReadText(world.files, path);
  if (text) {
    inventory = policy::ReadInventory(*text, out);
  } else {
    out.Add(Code::kSyntax, {}, text.error().detail);
  }
  report.Add(std::move(out));
  return inventory;
}

// Examine runs every check on one file; returns the policy when nothing was an error.
std::optional<LoadedPolicy> Examine(const PolicyWorld& world, const std::string& path,
                                    const policy::Inventory* inventory, Report& report) {
  Diagnostics out(path);
  std::optional<LoadedPolicy> loaded;
  const auto text = ReadText(world.files, path);
  if (text) {
    loaded = Load(world, *text, inventory, out);
  } else {
    out.Add(Code::kSyntax, {}, text.error().detail);
  }
  if (loaded) {
    policy::CheckHabits(loaded->policy, out);
    policy::ReviewRules(loaded->policy, loaded->rules, out);
    if (inventory) {
      const auto compiled = policy::Compile(loaded->rules, policy::FactsOf(*inventory));
      report.Count(policy::ReviewOver(loaded->policy, *inventory, compiled, world.now, out));
    }
  }
  if (out.has_errors()) loaded.reset();
  report.Add(std::move(out));
  return loaded;
}

// FailureOf turns the first error of `out` into the error object of a command.
CommandResult FailureOf(const Diagnostics& out, bool json) {
  const auto first =
      std::ranges::find_if(out.all(), [](const Diagnostic& d) { return policy::IsError(d.code); });
  SP_CHECK(first != out.all().end());
  return Failure(ExitCode::kUsage,
                 Error{Reason::kMalformed, first->message, policy::CodeName(first->code)}, json,
                 {first->file, first->at.line, first->at.column});
}

Result<const policy::Device*> FindDevice(const policy::Inventory& inventory,
                                         const std::string& name) {
  std::vector<std::string> names;
  for (const policy::Device& device : inventory.devices) {
    if (device.name == name) return &device;
    names.push_back(device.name);
  }
  const std::string near = policy::ClosestName(name, names);
  return Error{
      Reason::kInvalidArgument,
      "unknown device '" + name + "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)"),
      "E-REF"};
}

Result<std::optional<Duration>> Age(const std::string& text) {
  std::optional<Duration> age;
  if (text.empty()) return age;
  SP_TRY(age, ParseDuration(text));
  return age;
}

Result<UnixTime> TimeOr(const std::string& text, UnixTime otherwise) {
  if (text.empty()) return otherwise;
  return ParseRfc3339(text);
}

JsonValue NearestJson(const policy::Decision& decision) {
  if (!decision.nearest) return {};
  return JsonValue::Object({{"grant", decision.nearest->grant},
                            {"failed", decision.nearest->failed},
                            {"side", decision.nearest->side}});
}

std::string DecisionJson(const policy::Decision& decision) {
  const JsonValue by = decision.by.empty() ? JsonValue() : JsonValue(decision.by);
  const JsonValue until =
      decision.valid_until ? JsonValue(FormatRfc3339(*decision.valid_until)) : JsonValue();
  return WriteJson(JsonValue::Object({{"decision", decision.allowed() ? "allow" : "deny"},
                                      {"by", by},
                                      {"nearest", NearestJson(decision)},
                                      {"reason", decision.reason},
                                      {"valid_until", until}})) +
         "\n";
}

std::string DecisionText(const policy::Decision& decision, const policy::RuleSet& rules) {
  std::string text = decision.allowed() ? "allow" : "deny";
  if (!decision.by.empty()) text += " by " + std::string(decision.by);
  if (!decision.allowed() && decision.by.empty()) text += ": " + std::string(decision.reason);
  if (decision.nearest) {
    text += "\nnearest: " + std::string(decision.nearest->grant) + " failed " +
            std::string(decision.nearest->failed);
    if (!decision.nearest->side.empty()) text += " (" + std::string(decision.nearest->side) + ")";
  }
  if (decision.valid_until) text += "\nvalid until " + FormatRfc3339(*decision.valid_until);
  const auto grant = std::ranges::find(rules.grants, decision.by, &policy::GrantRule::id);
  if (grant != rules.grants.end() && !grant->why.empty()) text += "\nwhy: " + grant->why;
  if (grant != rules.grants.end() && !grant->owner.empty()) text += "\nowner: " + grant->owner;
  return text + "\n";
}

// Answer decides the question of `explain` over what was loaded.
Result<CommandResult> Answer(const PolicyWorld& world, const PolicyExplainOptions& options,
                             const LoadedPolicy& loaded, const policy::Inventory& inventory) {
  SP_TRY(const policy::Device* from, FindDevice(inventory, options.from));
  SP_TRY(const policy::Device* to, FindDevice(inventory, options.to));
  SP_TRY(const UnixTime at, TimeOr(options.at, world.now));
  SP_TRY(const auto attested, Age(options.attested));
  SP_TRY(const auto attested_to, Age(options.attested_to));
  const auto compiled = policy::Compile(loaded.rules, policy::FactsOf(inventory));
  if (!compiled.FindService(options.service))
    return Error{Reason::kInvalidArgument, "unknown service '" + options.service + "'", "E-REF"};
  const policy::Decision decision = policy::Decide(
      compiled, {policy::PartyOf(*from, attested, at), policy::PartyOf(*to, attested_to, at),
                 options.service, at, true, nullptr});
  return CommandResult{decision.allowed() ? ExitCode::kYes : ExitCode::kNo,
                       options.json ? DecisionJson(decision) : DecisionText(decision, loaded.rules),
                       ""};
}

// Tidy drops trailing white space, carriage returns and repeated blank lines, and ends with one
// newline.
std::string Tidy(std::string_view text) {
  std::string out;
  bool blank = true;  // none at the start
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
    if (!line.empty() || !blank) out.append(line).append("\n");
    blank = line.empty();
    start = end + 1;
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace

CommandResult CheckPolicies(const PolicyWorld& world, const PolicyCheckOptions& options) {
  Report report;
  std::optional<policy::Inventory> inventory;
  if (!options.inventory.empty()) {
    inventory = ReadInventoryFile(world, options.inventory, report);
    if (!inventory) return report.Render(options.json);
  }
  for (const std::string& file : options.files)
    Examine(world, file, inventory ? &*inventory : nullptr, report);
  return report.Render(options.json);
}

CommandResult ExplainPolicy(const PolicyWorld& world, const PolicyExplainOptions& options) {
  for (const std::string& path : {options.inventory, options.file}) {
    const auto text = ReadText(world.files, path);
    if (!text) return Failure(ExitCode::kUsage, text.error(), options.json, {path});
  }
  Diagnostics inventory_findings(options.inventory);
  const auto inventory =
      policy::ReadInventory(*ReadText(world.files, options.inventory), inventory_findings);
  if (!inventory) return FailureOf(inventory_findings, options.json);
  Diagnostics findings(options.file);
  const auto loaded = Load(world, *ReadText(world.files, options.file), &*inventory, findings);
  if (!loaded) return FailureOf(findings, options.json);
  auto answer = Answer(world, options, *loaded, *inventory);
  if (!answer) return Failure(ExitCode::kUsage, answer.error(), options.json);
  return *std::move(answer);
}

CommandResult FormatPolicy(const PolicyWorld& world, const PolicyFormatOptions& options) {
  const auto text = ReadText(world.files, options.file);
  if (!text) return Failure(ExitCode::kUsage, text.error(), false, {options.file});
  Diagnostics findings(options.file);
  const auto before = Load(world, *text, nullptr, findings);
  if (!before) return FailureOf(findings, false);
  const std::string tidy = Tidy(*text);
  const auto after = Load(world, tidy, nullptr, findings);
  const auto terms = policy::ManifestTerms{1, {}, {}};
  if (!after || policy::WritePolicyManifest(policy::MakePolicyManifest(before->rules, terms)) !=
                    policy::WritePolicyManifest(policy::MakePolicyManifest(after->rules, terms)))
    return Failure(ExitCode::kNo,
                   Error{Reason::kConflict, "formatting would change its meaning; left as it is"},
                   false, {options.file});
  if (!options.write) return {ExitCode::kYes, tidy, ""};
  if (tidy != *text) {
    const auto written = WriteFileAtomically(world.files, options.file, AsBytes(tidy));
    if (!written) return Failure(written.error(), false, {options.file});
  }
  return {ExitCode::kYes, "", ""};
}

CommandResult MakeManifest(const PolicyWorld& world, const PolicyManifestOptions& options) {
  Report report;
  const auto inventory = ReadInventoryFile(world, options.inventory, report);
  if (!inventory) return report.Render(options.json);
  const auto loaded = Examine(world, options.file, &*inventory, report);
  if (!loaded) return report.Render(options.json);
  const auto not_before = TimeOr(options.not_before, world.now);
  const auto expires = ParseRfc3339(options.expires);
  if (!not_before || !expires || *expires <= *not_before)
    return Failure(ExitCode::kUsage,
                   Error{Reason::kInvalidArgument, "--expires must be a time after --not-before"},
                   options.json);
  const std::string text = policy::WritePolicyManifest(
      policy::MakePolicyManifest(loaded->rules, {options.version, *not_before, *expires}));
  const auto written = WriteFileAtomically(world.files, options.out, AsBytes(text));
  if (!written) return Failure(written.error(), options.json, {options.out});
  return {ExitCode::kYes,
          options.json ? text + "\n" : "wrote " + options.out + "; sign it with the policy role\n",
          ""};
}

namespace {

template <typename Options>
void OnRun(CLI::App* command, CommandSink& sink, std::shared_ptr<Options> options,
           CommandResult (*run)(const PolicyWorld&, const Options&)) {
  command->callback([&sink, options, run] {
    sink.Run([options, run] {
      PosixFileSystem files;
      return run({files, policy::ZoneFiles(files), RealClock().Wall()}, *options);
    });
  });
}

void AddCheckAndTest(CLI::App* parent, CommandSink& sink) {
  auto options = std::make_shared<PolicyCheckOptions>();
  CLI::App* check =
      parent->add_subcommand("check", "Report every error and warning, with file:line:column");
  check->add_option("file", options->files, "Policy files")->required();
  check->add_option("--inventory", options->inventory,
                    "Inventory file: resolves devices, proves guardrails, runs tests");
  check->add_flag("--json", options->json, "Print one JSON object");
  check->footer(
      "Examples:\n  sallyport policy check video-edge.yaml\n  sallyport policy check *.yaml "
      "--inventory fleet.yaml --json");
  OnRun(check, sink, options, CheckPolicies);

  options = std::make_shared<PolicyCheckOptions>();
  CLI::App* test =
      parent->add_subcommand("test", "Run the tests inside a policy over an inventory");
  test->add_option("file", options->files, "Policy file")->required()->expected(1);
  test->add_option("--inventory", options->inventory, "Inventory file")->required();
  test->add_flag("--json", options->json, "Print one JSON object");
  test->footer("Examples:\n  sallyport policy test video-edge.yaml --inventory fleet.yaml");
  OnRun(test, sink, options, CheckPolicies);
}

void AddExplain(CLI::App* parent, CommandSink& sink) {
  auto options = std::make_shared<PolicyExplainOptions>();
  CLI::App* explain =
      parent->add_subcommand("explain", "Say whether one device may reach another, and why");
  explain->add_option("file", options->file, "Policy file")->required();
  explain->add_option("--inventory", options->inventory, "Inventory file")->required();
  explain->add_option("--from", options->from, "Initiating device")->required();
  explain->add_option("--to", options->to, "Destination device")->required();
  explain->add_option("--service", options->service, "Service name")->required();
  explain->add_option("--at", options->at, "Time, RFC 3339 (default: now)");
  explain->add_option("--attested", options->attested, "Age of the proof of --from, such as 5m");
  explain->add_option("--attested-to", options->attested_to, "Age of the proof of --to");
  explain->add_flag("--json", options->json, "Print one JSON object");
  explain->footer(
      "Examples:\n  sallyport policy explain p.yaml --inventory fleet.yaml --from lap-7 --to cam-1 "
      "--service ssh --attested 11m");
  OnRun(explain, sink, options, ExplainPolicy);
}

void AddFormatAndManifest(CLI::App* parent, CommandSink& sink) {
  auto format = std::make_shared<PolicyFormatOptions>();
  CLI::App* fmt = parent->add_subcommand("fmt", "Normalise white space, keeping comments");
  fmt->add_option("file", format->file, "Policy file")->required();
  fmt->add_flag("--write,-w", format->write, "Change the file instead of printing");
  fmt->footer("Examples:\n  sallyport policy fmt -w video-edge.yaml");
  OnRun(fmt, sink, format, FormatPolicy);

  auto options = std::make_shared<PolicyManifestOptions>();
  CLI::App* manifest =
      parent->add_subcommand("manifest", "Write policy.json for the offline policy role to sign");
  manifest->add_option("file", options->file, "Policy file")->required();
  manifest->add_option("--inventory", options->inventory, "Inventory file with device ids")
      ->required();
  manifest->add_option("--version", options->version, "Higher than every version before")
      ->required()
      ->check(CLI::PositiveNumber);
  manifest->add_option("--not-before", options->not_before, "RFC 3339 (default: now)");
  manifest->add_option("--expires", options->expires, "RFC 3339")->required();
  manifest->add_option("--out", options->out, "File to write")->required();
  manifest->add_flag("--json", options->json, "Print the manifest");
  manifest->footer(
      "Examples:\n  sallyport policy manifest p.yaml --inventory fleet.yaml --version 3 --expires "
      "2027-06-30T00:00:00Z --out policy.json");
  OnRun(manifest, sink, options, MakeManifest);
}

}  // namespace

void AddPolicyCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* parent = app.add_subcommand("policy", "Write, test and explain policy");
  parent->require_subcommand(1);
  AddCheckAndTest(parent, sink);
  AddExplain(parent, sink);
  AddFormatAndManifest(parent, sink);
}

}  // namespace sallyport::server

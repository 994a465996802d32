#include "attestation-server/cli/evidence_commands.h"

#include <CLI/CLI.hpp>

#include "attestation-server/cli/archive_commands.h"
#include "attestation-server/evidence/replay.h"
#include "pki/base/json.h"

namespace sallyport::server {
namespace {

// Larger files are not event logs; those between this and kLogBytesMax are refused by the parser,
// by name.
constexpr uint64_t kLogFileBytesMax = 4 * kLogBytesMax;

std::string_view FormatName(LogFormat format) {
  return format == LogFormat::kCryptoAgile ? "crypto-agile" : "sha1-legacy";
}

std::vector<ReplayedBank> ReplayAll(const EventLog& log) {
  std::vector<ReplayedBank> out;
  for (const Bank bank : log.banks) out.push_back(Replay(log, bank));
  return out;
}

JsonValue OptionalFlag(std::optional<bool> flag) { return flag ? JsonValue(*flag) : JsonValue(); }

std::string ReplayJson(const EventLog& log) {
  std::vector<JsonMember> banks;
  for (const ReplayedBank& bank : ReplayAll(log)) {
    std::vector<JsonMember> pcrs;
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if (bank.touched(pcr))
        pcrs.push_back({std::to_string(pcr), HexEncode(bank.value(pcr).view())});
    if (!pcrs.empty())
      banks.push_back({std::string(BankName(bank.bank())), JsonValue::Object(std::move(pcrs))});
  }
  return WriteJson(JsonValue::Object({{"format", FormatName(log.format)},
                                      {"events", log.events.size()},
                                      {"banks", JsonValue::Object(std::move(banks))},
                                      {"secure_boot", OptionalFlag(SecureBootOf(log))},
                                      {"startup_locality", log.startup_locality.value_or(0)}})) +
         "\n";
}

std::string ReplayText(const EventLog& log) {
  std::string out = std::string(FormatName(log.format)) + " log, " +
                    std::to_string(log.events.size()) + " events\n";
  const std::optional<bool> secure_boot = SecureBootOf(log);
  out += std::string("secure boot ") +
         (secure_boot ? (*secure_boot ? "on" : "off") : "not stated") + "\n";
  for (const ReplayedBank& bank : ReplayAll(log))
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if (bank.touched(pcr))
        out += std::string(BankName(bank.bank())) + " " + std::to_string(pcr) + "  " +
               HexEncode(bank.value(pcr).view()) + "\n";
  return out;
}

std::string_view RuleClass(EventType type) {
  switch (RuleOf(type)) {
    case DigestRule::kNone: return "none";
    case DigestRule::kHashOfData:
    case DigestRule::kVariable: return "hash-of-data";
    case DigestRule::kMeasurement: return "measurement";
  }
  std::abort();
}

std::optional<bool> DataMatches(const Event& event) {
  const std::optional<Bank> bank = StrongestBank(event);
  if (!bank) return std::nullopt;
  switch (MatchData(event, *bank)) {
    case DataMatch::kMatches:
    case DataMatch::kMatchesButLastByte: return true;
    case DataMatch::kDiffers: return false;
    case DataMatch::kUnrelated: return std::nullopt;
  }
  std::abort();
}

bool IsVariable(EventType type) {
  return type == EventType::kVariableDriverConfig || type == EventType::kVariableBoot ||
         type == EventType::kVariableBoot2 || type == EventType::kVariableAuthority ||
         type == EventType::kSpdmDevicePolicy || type == EventType::kSpdmDeviceAuthority;
}

// The signatures of a database, as a reference file names them (pcr 7, "secure_boot").
std::optional<JsonValue> SignaturesJson(const EfiVariable& variable) {
  static constexpr std::string_view kDatabases[] = {"PK", "KEK", "db", "dbx"};
  if (std::ranges::find(kDatabases, variable.name) == std::end(kDatabases)) return std::nullopt;
  const auto ids = ParseSignatureLists(variable.content);
  if (!ids) return std::nullopt;
  std::vector<JsonValue> out;
  for (const SignatureId& id : *ids) out.emplace_back(id.Text());
  return JsonValue::Array(std::move(out));
}

JsonValue DecodedJson(const Event& event) {
  std::vector<JsonMember> out;
  const std::string text = DescribeData(event);
  if (!text.empty()) out.push_back({"text", text});
  if (const Result<EfiVariable> variable = ParseEfiVariable(event.data);
      IsVariable(event.type) && variable) {
    out.push_back({"guid", variable->guid});
    out.push_back({"name", variable->name});
    out.push_back({"size", variable->content.size()});
    if (auto signatures = SignaturesJson(*variable);
        signatures && event.type == EventType::kVariableDriverConfig)
      out.push_back({"signatures", *std::move(signatures)});
  }
  return JsonValue::Object(std::move(out));
}

std::string EventJson(const Event& event) {
  std::vector<JsonMember> digests;
  for (const Bank bank : kBanks)
    if (!event.digest(bank).empty())
      digests.push_back({std::string(BankName(bank)), HexEncode(event.digest(bank))});
  return WriteJson(JsonValue::Object({{"index", event.index},
                                      {"pcr", event.pcr},
                                      {"type", EventTypeLabel(event.type)},
                                      {"digests", JsonValue::Object(std::move(digests))},
                                      {"data_size", event.data.size()},
                                      {"decoded", DecodedJson(event)},
                                      {"rule", RuleClass(event.type)},
                                      {"data_matches", OptionalFlag(DataMatches(event))}})) +
         "\n";
}

std::string EventText(const Event& event) {
  const std::optional<Bank> bank = StrongestBank(event);
  const std::optional<bool> matches = DataMatches(event);
  std::string out = std::to_string(event.index) + "  pcr " + std::to_string(event.pcr) + "  " +
                    EventTypeLabel(event.type);
  if (bank) out += "  " + HexEncode(event.digest(*bank).first(8));
  if (matches) out += *matches ? "  data matches" : "  DATA DIFFERS";
  const std::string text = DescribeData(event);
  return out + (text.empty() ? "\n" : "  " + text + "\n");
}

// WithLog reads and parses the log, then renders it.
template <typename Render>
CommandResult WithLog(FileSystem& files, const EvidenceLogOptions& options, Render render) {
  const SourcePosition at{options.log};
  const Result<Bytes> bytes = ReadFile(files, options.log, kLogFileBytesMax);
  if (!bytes) return Failure(ExitCode::kUsage, bytes.error(), options.json, at);
  const Result<EventLog> log = ParseEventLog(*bytes);
  if (!log) return Failure(ExitCode::kUsage, log.error(), options.json, at);
  return {ExitCode::kYes, render(*log), ""};
}

using LogCommand = CommandResult (*)(FileSystem&, const EvidenceLogOptions&);

void AddLogCommand(CLI::App& parent, CommandSink& sink, const char* name, const char* about,
                   const char* example, LogCommand run) {
  CLI::App* const command = parent.add_subcommand(name, about);
  command->footer(std::string("Example:\n  ") + example);
  const auto options = std::make_shared<EvidenceLogOptions>();
  command->add_option("--log", options->log, "Event log (binary_bios_measurements)")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([&sink, options, run] {
    sink.Run([options, run] {
      PosixFileSystem files;
      return run(files, *options);
    });
  });
}

void AddVerifyCommand(CLI::App& parent, CommandSink& sink) {
  CLI::App* const command =
      parent.add_subcommand("verify", "Verify a quote, its log and its measurements");
  command->footer(
      "Examples:\n"
      "  sallyport evidence verify --ak ak.pub --attest quote.msg --signature quote.sig --nonce "
      "00ff --pcrs sha256:4,7\n"
      "  sallyport evidence verify ... --log binary_bios_measurements --reference edge.json "
      "--json");
  const auto options = std::make_shared<EvidenceVerifyOptions>();
  command->add_option("--ak", options->ak, "Attestation key: PEM, TPMT_PUBLIC or TPM2B_PUBLIC")
      ->required();
  command->add_option("--attest", options->attest, "TPMS_ATTEST")->required();
  command
      ->add_option("--signature", options->signature,
                   "TPMT_SIGNATURE, or DER of an ECDSA signature")
      ->required();
  command->add_option("--nonce", options->nonce, "The exact extraData, in hex")->required();
  command->add_option("--pcrs", options->pcrs, "Requested bank and PCRs, as sha256:0,1,2")
      ->required();
  command->add_option("--pcr-values", options->pcr_values,
                      "PCR values: {\"sha256\":{\"0\":\"<hex>\"}}");
  command->add_option("--log", options->log, "Event log");
  command->add_option("--ima", options->ima,
                      "Files that ran: binary_runtime_measurements or ascii_runtime_measurements");
  command->add_option("--reference", options->references,
                      "Reference file; several are alternatives");
  command->add_option("--ak-parent", options->ak_parent,
                      "endorsement (default): the AK is a primary key of that hierarchy; any: not "
                      "checked, as for an AK below another key (Keylime's)");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return VerifyEvidence(files, *options);
    });
  });
}

}  // namespace

CommandResult ReplayLogFile(FileSystem& files, const EvidenceLogOptions& options) {
  return WithLog(files, options, [&](const EventLog& log) {
    return options.json ? ReplayJson(log) : ReplayText(log);
  });
}

CommandResult ListLogEvents(FileSystem& files, const EvidenceLogOptions& options) {
  return WithLog(files, options, [&](const EventLog& log) {
    std::string out;
    for (const Event& event : log.events) out += options.json ? EventJson(event) : EventText(event);
    return out;
  });
}

void AddEvidenceCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent =
      app.add_subcommand("evidence", "Inspect and verify boot evidence, without a server");
  parent->require_subcommand(1);
  AddLogCommand(*parent, sink, "replay", "Replay an event log to PCR values",
                "sallyport evidence replay --log binary_bios_measurements --json", ReplayLogFile);
  AddLogCommand(*parent, sink, "events", "List the events of a log",
                "sallyport evidence events --log binary_bios_measurements", ListLogEvents);
  AddVerifyCommand(*parent, sink);
  AddReplayVerdict(*parent, sink);
}

}  // namespace sallyport::server

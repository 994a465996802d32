#include "attestation-server/cli/uki_commands.h"

#include <CLI/CLI.hpp>

#include "ota/measure/uki.h"
#include "pki/base/json.h"

namespace sallyport::server {
namespace {

// Without --phases: the value that the stub leaves and the one that an initrd sees.
constexpr size_t kShortPhases = 2;

std::vector<ota::Pcr11Phase> ChosenPhases(const ota::UkiMeasurements& uki, bool all) {
  std::vector<ota::Pcr11Phase> out = uki.pcr11_phases;
  if (!all && out.size() > kShortPhases) out.erase(out.begin() + kShortPhases, out.end());
  return out;
}

JsonValue HexArray(const std::vector<Sha256Digest>& digests) {
  std::vector<std::string> out;
  for (const Sha256Digest& digest : digests) out.push_back(HexEncode(digest));
  return JsonValue::Strings(out);
}

JsonValue SectionsJson(const ota::UkiMeasurements& uki) {
  std::vector<JsonValue> out;
  for (const ota::UkiSection& section : uki.sections)
    out.push_back(JsonValue::Object({{"name", section.name},
                                     {"size", section.size},
                                     {"sha256", HexEncode(section.sha256)},
                                     {"measured", section.measured}}));
  return JsonValue::Array(std::move(out));
}

std::string AsJson(const ota::UkiMeasurements& uki, bool all_phases) {
  std::vector<JsonMember> phases;
  for (const ota::Pcr11Phase& phase : ChosenPhases(uki, all_phases))
    phases.push_back({phase.path, HexEncode(phase.value)});
  return WriteJson(
             JsonValue::Object({{"authenticode_sha256", HexEncode(uki.authenticode)},
                                {"pcr4_events", HexArray(uki.pcr4_secure_boot_off)},
                                {"pcr4_events_secure_boot", HexArray(uki.pcr4_secure_boot_on)},
                                {"pcr9_events", HexArray(uki.pcr9)},
                                {"pcr11_events", HexArray(uki.pcr11)},
                                {"pcr11", JsonValue::Object(std::move(phases))},
                                {"sections", SectionsJson(uki)}})) +
         "\n";
}

void AddEvents(std::string& out, const std::string& title,
               const std::vector<Sha256Digest>& events) {
  if (events.empty()) return;
  out += title + "\n";
  for (const Sha256Digest& event : events) out += "  " + HexEncode(event) + "\n";
}

std::string AsText(const ota::UkiMeasurements& uki, bool all_phases) {
  std::string out = "authenticode sha256\n  " + HexEncode(uki.authenticode) + "\nsections\n";
  for (const ota::UkiSection& section : uki.sections)
    out += "  " + HexEncode(section.sha256) + "  " + section.name + "  " +
           std::to_string(section.size) + " bytes" + (section.measured ? "  measured" : "") + "\n";
  AddEvents(out, "pcr 4 events, secure boot off", uki.pcr4_secure_boot_off);
  AddEvents(out, "pcr 4 events, secure boot on", uki.pcr4_secure_boot_on);
  AddEvents(out, "pcr 9 events", uki.pcr9);
  AddEvents(out, "pcr 11 events", uki.pcr11);
  for (const ota::Pcr11Phase& phase : ChosenPhases(uki, all_phases))
    out += "pcr 11 after " + phase.path + "\n  " + HexEncode(phase.value) + "\n";
  return out;
}

}  // namespace

CommandResult MeasureUkiFile(FileSystem& files, const UkiMeasureOptions& options) {
  const SourcePosition at{options.file};
  const Result<Bytes> file = ReadFile(files, options.file, ota::kPeFileSizeMax);
  if (!file) return Failure(ExitCode::kUsage, file.error(), options.json, at);
  const Result<ota::UkiMeasurements> uki = ota::MeasureUki(*file);
  if (!uki) return Failure(ExitCode::kUsage, uki.error(), options.json, at);
  return {ExitCode::kYes,
          options.json ? AsJson(*uki, options.phases) : AsText(*uki, options.phases), ""};
}

void AddUkiCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("uki", "Unified kernel images");
  parent->require_subcommand(1);
  CLI::App* const measure =
      parent->add_subcommand("measure", "Print what a UKI or PE image will make a boot measure");
  measure->footer(
      "Examples:\n  sallyport uki measure uki.efi\n  sallyport uki measure uki.efi --phases "
      "--json");
  const auto options = std::make_shared<UkiMeasureOptions>();
  measure->add_option("file", options->file, "UKI or PE file")->required();
  measure->add_flag("--phases", options->phases,
                    "PCR 11 after every boot phase of systemd-pcrphase");
  measure->add_flag("--json", options->json, "Print one JSON object");
  measure->callback([&sink, options] {
    sink.Run([options] {
      PosixFileSystem files;
      return MeasureUkiFile(files, *options);
    });
  });
}

}  // namespace sallyport::server

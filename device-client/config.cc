#include "device-client/config.h"

#include "device-client/update_config.h"
#include "policies/language/config_reader.h"

namespace sallyport::device {
namespace {

using policy::Code;
using policy::ConfigAddress;
using policy::ConfigDuration;
using policy::ConfigKey;
using policy::ConfigText;
using policy::Diagnostics;
using policy::YamlEntry;
using policy::YamlNode;

const std::vector<ConfigKey<OutboundFlow>>& OutboundKeys() {
  static const std::vector<ConfigKey<OutboundFlow>> keys{
      {"service", "service of the policy", ConfigText(&OutboundFlow::service), true},
      {"to", "name or id of the device that offers it", ConfigText(&OutboundFlow::to), true},
      {"listen", "local host:port that programs connect to", ConfigAddress(&OutboundFlow::listen),
       true}};
  return keys;
}

const std::vector<ConfigKey<ProxySettings>>& ProxyKeys() {
  static const auto inbound = [](ProxySettings& out, const YamlNode& node, Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kMap)
      return findings.Add(Code::kType, node.at, "expected a map service: host:port");
    for (const YamlEntry& entry : node.entries)
      policy::ReadConfigAddress(out.inbound[entry.key], entry.value, findings);
  };
  static const auto outbound = [](ProxySettings& out, const YamlNode& node, Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kList)
      return findings.Add(Code::kType, node.at, "expected a list of flows");
    for (const YamlNode& item : node.items)
      ReadConfigMap(out.outbound.emplace_back(), item, OutboundKeys(), findings);
  };
  static const std::vector<ConfigKey<ProxySettings>> keys{
      {"listen", "where peers connect (default 0.0.0.0:15008)",
       ConfigAddress(&ProxySettings::listen)},
      {"inbound", "service: backend host:port", inbound},
      {"outbound", "flows that local programs open", outbound}};
  return keys;
}

// WithDownloads puts the keys of the download beside those of the slots.
std::vector<ConfigKey<UpdateSettings>> WithDownloads(std::vector<ConfigKey<UpdateSettings>> keys) {
  for (const ConfigKey<DownloadSettings>& key : DownloadKeys())
    keys.push_back({key.name, key.meaning,
                    [&key](UpdateSettings& out, const YamlNode& node, Diagnostics& findings) {
                      key.read(out.download, node, findings);
                    },
                    key.required});
  return keys;
}

const std::vector<ConfigKey<ota::ComponentPlace>>& ComponentKeys() {
  static const std::vector<ConfigKey<ota::ComponentPlace>> keys{
      {"slot_a", "file that goes with slot A", ConfigText(&ota::ComponentPlace::slot_a), true},
      {"slot_b", "file that goes with slot B", ConfigText(&ota::ComponentPlace::slot_b), true}};
  return keys;
}

// The keys of TrialKeys stand beside those of the slots.
std::vector<ConfigKey<UpdateSettings>> WithTrial(std::vector<ConfigKey<UpdateSettings>> keys) {
  for (const ConfigKey<TrialSettings>& key : TrialKeys())
    keys.push_back(
        {key.name, key.meaning,
         [read = key.read](UpdateSettings& update, const YamlNode& node, Diagnostics& findings) {
           read(update.trial, node, findings);
         }});
  return keys;
}

const std::vector<ConfigKey<UpdateSettings>>& UpdateKeys() {
  static const auto components = [](UpdateSettings& out, const YamlNode& node,
                                    Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kMap)
      return findings.Add(Code::kType, node.at, "expected a map name: {slot_a, slot_b}");
    for (const YamlEntry& entry : node.entries)
      ReadConfigMap(out.components[entry.key], entry.value, ComponentKeys(), findings);
  };
  static const auto boot = [](UpdateSettings& out, const YamlNode& node, Diagnostics& findings) {
    std::string word;
    static constexpr std::pair<std::string_view, BootLoaderKind> kWords[] = {
        {"efi", BootLoaderKind::kEfi},
        {"systemd-boot", BootLoaderKind::kSystemdBoot},
        {"u-boot", BootLoaderKind::kUBoot},
        {"grub", BootLoaderKind::kGrub}};
    policy::ReadConfigWord(word, node, {"efi", "systemd-boot", "u-boot", "grub"}, findings);
    for (const auto& [known, kind] : kWords)
      if (word == known) out.boot = kind;
  };
  static const std::vector<ConfigKey<UpdateSettings>> keys = WithTrial(WithDownloads(
      {{"slot_a", "block device or file of slot A", ConfigText(&UpdateSettings::slot_a), true},
       {"slot_b", "block device or file of slot B", ConfigText(&UpdateSettings::slot_b), true},
       {"esp", "directory of the EFI system partition", ConfigText(&UpdateSettings::esp), true},
       {"efivars", "directory of EFI variables; for efi and systemd-boot, and only for them",
        ConfigText(&UpdateSettings::efivars)},
       {"boot", "what chooses the slot: efi, systemd-boot, u-boot or grub (default efi)", boot},
       {"uboot_env", "fw_env.config with the two copies of U-Boot's environment; for u-boot only",
        ConfigText(&UpdateSettings::uboot_env)},
       {"grubenv", "GRUB's environment block; for grub only", ConfigText(&UpdateSettings::grubenv)},
       {"components", "where files of releases go, by component name", components}}));
  return keys;
}

// Each boot loader needs its own place, and a place of another one is a mistake.
void CheckBootKeys(const UpdateSettings& update, const YamlNode& node, Diagnostics& findings) {
  const bool variables =
      update.boot == BootLoaderKind::kEfi || update.boot == BootLoaderKind::kSystemdBoot;
  const auto check = [&](std::string_view key, const std::string& value, bool needed) {
    if (value.empty() == needed)
      findings.Add(Code::kType, node.at,
                   "key '" + std::string(key) + "' is " + (needed ? "missing" : "not used") +
                       " with this boot loader");
  };
  check("efivars", update.efivars, variables);
  check("uboot_env", update.uboot_env, update.boot == BootLoaderKind::kUBoot);
  check("grubenv", update.grubenv, update.boot == BootLoaderKind::kGrub);
}

const std::vector<ConfigKey<Config>>& Keys() {
  static const auto version = [](Config&, const YamlNode& node, Diagnostics& findings) {
    std::string word;
    policy::ReadConfigWord(word, node, {"agent/v1"}, findings);
  };
  static const auto ek = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    std::string word;
    static constexpr std::pair<std::string_view, pki::EkTemplate> kWords[] = {
        {"p-256", pki::EkTemplate::kL2P256},      {"rsa-2048", pki::EkTemplate::kL1Rsa2048},
        {"p-256-high", pki::EkTemplate::kH2P256}, {"rsa-2048-high", pki::EkTemplate::kH1Rsa2048},
        {"p-384", pki::EkTemplate::kH3P384},      {"rsa-3072", pki::EkTemplate::kH6Rsa3072},
        {"rsa-4096", pki::EkTemplate::kH7Rsa4096}};
    policy::ReadConfigWord(
        word, node,
        {"p-256", "rsa-2048", "p-256-high", "rsa-2048-high", "p-384", "rsa-3072", "rsa-4096"},
        findings);
    for (const auto& [known, ek_template] : kWords)
      if (word == known) out.ek = ek_template;
  };
  static const auto log_level = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    policy::ReadConfigWord(out.log_level, node, {"debug", "info", "warning", "error"}, findings);
  };
  static const auto proxy = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigMap(out.proxy, node, ProxyKeys(), findings);
  };
  static const auto update = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigMap(out.update, node, UpdateKeys(), findings);
    CheckDownload(out.update.download, node.at, findings);
    CheckBootKeys(out.update, node, findings);
  };
  static const std::vector<ConfigKey<Config>> keys{
      {"sallyport", "agent/v1", version, true},
      {"state", "directory of the agent's state", ConfigText(&Config::state), true},
      {"tcti", "device:/dev/tpmrm0 or swtpm:path=SOCKET", ConfigText(&Config::tcti), true},
      {"event_log", "firmware event log (default: the kernel's)", ConfigText(&Config::event_log)},
      {"null_name", "the kernel's null name, Linux 6.10 (default: the first TPM's in sysfs)",
       ConfigText(&Config::null_name)},
      {"ima_list", "files that ran, sent when the server asks (default: the kernel's)",
       ConfigText(&Config::ima_list)},
      {"enrolment_file", "file that the operator made", ConfigText(&Config::enrolment_file), true},
      {"hardware", "hardware id that releases name", ConfigText(&Config::hardware), true},
      {"advertise", "host:port at which peers reach the proxy", ConfigAddress(&Config::advertise)},
      {"ek",
       "endorsement key: p-256, rsa-2048, or of the high range p-256-high, rsa-2048-high, p-384, "
       "rsa-3072, rsa-4096 (default p-256)",
       ek},
      {"backoff_max", "longest wait after failures (default 5m)",
       ConfigDuration(&Config::backoff_max, Seconds(1), Hours(1))},
      {"log_level", "debug, info, warning or error (default info)", log_level},
      {"proxy", "the identity-aware proxy", proxy},
      {"update", "slots and boot control; without it the device takes no updates", update}};
  return keys;
}

}  // namespace

Result<Config> ParseConfig(std::string_view text, const std::string& file) {
  Diagnostics findings(file);
  Config config;
  const std::optional<YamlNode> root = policy::ReadYaml(text, findings);
  if (root) ReadConfigMap(config, *root, Keys(), findings);
  if (findings.has_errors()) return policy::ConfigError(findings);
  return config;
}

UpdatePaths UpdatePathsOf(const Config& config) {
  const UpdateSettings& update = config.update;
  return {update.slot_a, update.slot_b,    update.esp,     update.efivars,   config.state,
          update.boot,   update.uboot_env, update.grubenv, update.components};
}

std::string DescribeConfig() {
  return DescribeConfigKeys("", Keys()) + DescribeConfigKeys("proxy.", ProxyKeys()) +
         DescribeConfigKeys("proxy.outbound[].", OutboundKeys()) +
         DescribeConfigKeys("update.", UpdateKeys()) +
         DescribeConfigKeys("update.components.<name>.", ComponentKeys()) + DescribeDownloadMaps() +
         DescribeTrialKeys();
}

}  // namespace sallyport::device

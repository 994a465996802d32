#include "device-client/update_config.h"

#include <algorithm>
#include <charconv>

namespace sallyport::device {
namespace {

using policy::Code;
using policy::ConfigDuration;
using policy::ConfigKey;
using policy::ConfigText;
using policy::Diagnostics;
using policy::YamlNode;

constexpr std::array<std::string_view, 7> kDays{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr size_t kProbesMax = 32;  // each is asked in turn, and the gate has minutes
constexpr size_t kArgumentsMax = 64;

void ReadTexts(std::vector<std::string>& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kList || node.items.size() > kArgumentsMax)
    return findings.Add(Code::kType, node.at, "expected a list of texts");
  for (const YamlNode& item : node.items)
    if (policy::IsConfigText(item, findings)) out.push_back(item.text);
}

// A command is a program by absolute path and its arguments: no shell looks at it.
void ReadCommand(std::vector<std::string>& out, const YamlNode& node, Diagnostics& findings) {
  ReadTexts(out, node, findings);
  if (out.empty() || !out.front().starts_with('/'))
    findings.Add(Code::kType, node.at, "expected [/absolute/path/of/program, argument...]");
}

template <typename T>
auto Path(std::string T::* member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    if (policy::IsConfigText(node, findings) && node.text.starts_with('/'))
      out.*member = node.text;
    else
      findings.Add(Code::kType, node.at, "expected an absolute path");
  };
}

template <typename T, typename U>
auto Section(U T::* member, const std::vector<ConfigKey<U>>& (*keys)()) {
  return [=](T& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigMap(out.*member, node, keys(), findings);
  };
}

template <typename T, typename U>
auto Items(std::vector<U> T::* member, const std::vector<ConfigKey<U>>& (*keys)()) {
  return [=](T& out, const YamlNode& node, Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kList || node.items.size() > kProbesMax)
      return findings.Add(Code::kType, node.at, "expected a list");
    for (const YamlNode& item : node.items)
      ReadConfigMap((out.*member).emplace_back(), item, keys(), findings);
  };
}

const std::vector<ConfigKey<HealthProbe>>& ProbeKeys() {
  static const auto command = [](HealthProbe& out, const YamlNode& node, Diagnostics& findings) {
    ReadCommand(out.command, node, findings);
  };
  static const std::vector<ConfigKey<HealthProbe>> keys{
      {"name", "its name in reports", ConfigText(&HealthProbe::name), true},
      {"command", "program by absolute path and its arguments; exit status 0 passes", command},
      {"tcp", "instead: numeric host:port that must accept a connection",
       policy::ConfigAddress(&HealthProbe::tcp)},
      {"timeout", "one run's (default 10s)",
       ConfigDuration(&HealthProbe::timeout, Milliseconds(100), Minutes(1))}};
  return keys;
}

const std::vector<ConfigKey<HealthSettings>>& HealthKeys() {
  static const auto units = [](HealthSettings& out, const YamlNode& node, Diagnostics& findings) {
    ReadTexts(out.units.emplace(), node, findings);
  };
  static const auto probes = [](HealthSettings& out, const YamlNode& node, Diagnostics& findings) {
    Items(&HealthSettings::probes, ProbeKeys)(out, node, findings);
    for (const HealthProbe& probe : out.probes)
      if (probe.command.empty() == probe.tcp.empty())
        findings.Add(Code::kType, node.at,
                     "probe '" + probe.name + "' needs either 'command' or 'tcp'");
  };
  static const std::vector<ConfigKey<HealthSettings>> keys{
      {"timeout", "a trial that has not proven itself by then is undone (default 10m)",
       ConfigDuration(&HealthSettings::timeout, Seconds(1), Hours(2))},
      {"units",
       "systemd units that must be active (default boot-complete.target where systemd runs)",
       units},
      {"probes", "the site's own checks", probes}};
  return keys;
}

const std::vector<ConfigKey<HookSettings>>& HookKeys() {
  static const std::vector<ConfigKey<HookSettings>> keys{
      {"before_install", "program, or directory of programs; failing postpones the installation",
       Path(&HookSettings::before_install)},
      {"before_reboot", "the same; failing postpones the reboot into the new slot",
       Path(&HookSettings::before_reboot)},
      {"after_commit", "the same, when the new slot is kept", Path(&HookSettings::after_commit)},
      {"after_rollback", "the same, when it was given up", Path(&HookSettings::after_rollback)},
      {"timeout", "one program's, and one run's of the drain command (default 1m)",
       ConfigDuration(&HookSettings::timeout, Seconds(1), Hours(1))}};
  return keys;
}

const std::vector<ConfigKey<DrainSettings>>& DrainKeys() {
  static const auto command = [](DrainSettings& out, const YamlNode& node, Diagnostics& findings) {
    ReadCommand(out.command, node, findings);
  };
  static const std::vector<ConfigKey<DrainSettings>> keys{
      {"command", "asked every 5s before the reboot; exit status 0: the node's work allows it",
       command, true},
      {"timeout", "the work is not waited for longer (default 15m)",
       ConfigDuration(&DrainSettings::timeout, Seconds(1), Days(7))}};
  return keys;
}

void ReadDays(WeeklyWindow& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kList || node.items.empty())
    return findings.Add(Code::kType, node.at, "expected a list of days: mon, tue, ...");
  for (const YamlNode& item : node.items) {
    const auto day = std::ranges::find(kDays, item.text);
    if (day == kDays.end())
      findings.Add(Code::kRange, item.at, "expected mon, tue, wed, thu, fri, sat or sun");
    else
      out.days |= static_cast<uint8_t>(1U << (day - kDays.begin()));
  }
}

// Digits reads two decimal digits below `limit`.
std::optional<unsigned> Digits(std::string_view text, unsigned limit) {
  unsigned value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = text.size() == 2 && read.ptr == text.data() + text.size() && value < limit;
  return good ? std::optional(value) : std::nullopt;
}

void ReadStart(WeeklyWindow& out, const YamlNode& node, Diagnostics& findings) {
  const std::string_view text = node.text;
  const auto hour = Digits(text.substr(0, std::min<size_t>(2, text.size())), 24);
  const auto minute =
      text.size() == 5 && text[2] == ':' ? Digits(text.substr(3), 60) : std::optional<unsigned>();
  if (!hour || !minute)
    return findings.Add(Code::kRange, node.at, "expected a time of day such as \"02:00\"");
  out.start_minute = static_cast<uint16_t>(*hour * 60 + *minute);
}

void ReadLength(WeeklyWindow& out, const YamlNode& node, Diagnostics& findings) {
  policy::ReadConfigDuration(out.duration, node, Minutes(1), Days(1), findings);
  if (out.duration.ms % Minutes(1).ms != 0)
    findings.Add(Code::kRange, node.at, "expected whole minutes");
}

const std::vector<ConfigKey<WeeklyWindow>>& WindowKeys() {
  static const std::vector<ConfigKey<WeeklyWindow>> keys{
      {"days", "list of mon, tue, wed, thu, fri, sat, sun", ReadDays, true},
      {"start", "local time of day such as \"02:00\"", ReadStart, true},
      {"duration", "whole minutes, at most 1d", ReadLength, true},
      {"tz", "local, UTC or Area/City (default local)", ConfigText(&WeeklyWindow::zone)}};
  return keys;
}

const std::vector<ConfigKey<WindowSettings>>& WindowsKeys() {
  static const auto takes = [](WindowSettings& out, const YamlNode& node, Diagnostics& findings) {
    policy::ReadConfigDuration(out.reboot_takes.emplace(), node, Seconds(1), Days(1), findings);
  };
  static const std::vector<ConfigKey<WindowSettings>> keys{
      {"install",
       "when a download and installation may run, in the form of `reboot[]` (default always)",
       Items(&WindowSettings::install, WindowKeys)},
      {"reboot", "when the machine may reboot into a new slot (default always)",
       Items(&WindowSettings::reboot, WindowKeys)},
      {"reboot_takes",
       "so much of the reboot window must be left (default: 1.5 times what 95 of 100 past updates "
       "took, 15m before the first)",
       takes}};
  return keys;
}

}  // namespace

const std::vector<ConfigKey<TrialSettings>>& TrialKeys() {
  static const auto source = [](TrialSettings& out, const YamlNode& node, Diagnostics& findings) {
    if (policy::IsConfigText(node, findings) &&
        (node.text == "journal" || node.text.starts_with('/')))
      out.previous_log = node.text;
    else
      findings.Add(Code::kType, node.at, "expected journal or an absolute path");
  };
  static const std::vector<ConfigKey<TrialSettings>> keys{
      {"health", "what must be true before a new slot is kept",
       Section(&TrialSettings::health, HealthKeys)},
      {"hooks", "programs of yours that take part", Section(&TrialSettings::hooks, HookKeys)},
      {"inhibit",
       "directory, besides `<state>/inhibit`, in which each file forbids the reboot: its name says "
       "who, its text why",
       Path(&TrialSettings::inhibit)},
      {"drain", "waits for the node's work before the reboot",
       Section(&TrialSettings::drain, DrainKeys)},
      {"windows", "when an update may take place", Section(&TrialSettings::windows, WindowsKeys)},
      {"watchdog", "hardware watchdog that a trial must feed, such as /dev/watchdog (default none)",
       Path(&TrialSettings::watchdog)},
      {"previous_log",
       "whose end a failed trial reports: journal, a file, or a directory such as /sys/fs/pstore "
       "(default journal where systemd runs)",
       source}};
  return keys;
}

std::string DescribeTrialKeys() {
  return DescribeConfigKeys("update.health.", HealthKeys()) +
         DescribeConfigKeys("update.health.probes[].", ProbeKeys()) +
         DescribeConfigKeys("update.hooks.", HookKeys()) +
         DescribeConfigKeys("update.drain.", DrainKeys()) +
         DescribeConfigKeys("update.windows.", WindowsKeys()) +
         DescribeConfigKeys("update.windows.reboot[].", WindowKeys());
}

}  // namespace sallyport::device

#include "attestation-server/config.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "policies/language/yaml_tree.h"

namespace sallyport::server {
namespace {

using policy::Code;
using policy::Diagnostics;
using policy::YamlEntry;
using policy::YamlNode;

constexpr unsigned kPortMax = 32767;  // above lies the ephemeral range: a client may connect to itself there
constexpr unsigned kPcrMax = 23;

template <typename T>
struct Key {
  std::string_view name;
  std::string_view meaning;
  std::function<void(T&, const YamlNode&, Diagnostics&)> read;
  bool required = false;
};

template <typename T>
void ReadMap(T& out, const YamlNode& node, const std::vector<Key<T>>& keys, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap) return findings.Add(Code::kType, node.at, "expected a map");
  for (const YamlEntry& entry : node.entries) {
    const auto found = std::ranges::find(keys, entry.key, &Key<T>::name);
    if (found == keys.end())
      findings.Add(Code::kUnknownKey, entry.at, "unknown key '" + entry.key + "'");
    else
      found->read(out, entry.value, findings);
  }
  for (const Key<T>& key : keys)
    if (key.required && std::ranges::find(node.entries, key.name, &YamlEntry::key) == node.entries.end())
      findings.Add(Code::kType, node.at, "key '" + std::string(key.name) + "' is missing");
}

bool IsText(const YamlNode& node, Diagnostics& findings) {
  if (node.kind == YamlNode::Kind::kScalar && !node.text.empty()) return true;
  findings.Add(Code::kType, node.at, "expected text");
  return false;
}

template <typename T>
auto Text(std::string T::*member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    if (IsText(node, findings)) out.*member = node.text;
  };
}

template <typename T>
auto Lifetime(Duration T::*member, Duration min, Duration max) {
  return [=](T& out, const YamlNode& node, Diagnostics& findings) {
    if (!IsText(node, findings)) return;
    const Result<Duration> value = ParseDuration(node.text);
    if (!value) return findings.Add(Code::kType, node.at, "expected a duration such as 10m");
    if (*value < min || *value > max)
      return findings.Add(Code::kRange, node.at, "expected " + FormatDuration(min) + " to " + FormatDuration(max));
    out.*member = *value;
  };
}

template <typename T>
auto Address(std::string T::*member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    if (!IsText(node, findings)) return;
    const size_t colon = node.text.rfind(':');
    unsigned port = 0;
    if (colon != std::string::npos)
      std::from_chars(node.text.data() + colon + 1, node.text.data() + node.text.size(), port);
    if (colon == std::string::npos || colon == 0 || port == 0 || port > kPortMax)
      return findings.Add(Code::kRange, node.at, "expected host:port with a port of 1 to " + std::to_string(kPortMax));
    out.*member = node.text;
  };
}

const std::vector<Key<Endpoints>>& EndpointKeys() {
  static const std::vector<Key<Endpoints>> keys{
      {"enrol", "enrolment and re-attestation (TLS)", Address(&Endpoints::enrol), true},
      {"device", "enrolled devices (mTLS)", Address(&Endpoints::device), true},
      {"admin", "operators (mTLS)", Address(&Endpoints::admin)},
      {"content", "image repository and payloads (HTTPS, mTLS)", Address(&Endpoints::content), true},
      {"http", "health and metrics (HTTP)", Address(&Endpoints::http)}};
  return keys;
}

void ReadPcrs(Config& out, const YamlNode& node, Diagnostics& findings) {
  out.pcrs.clear();
  for (const YamlNode& item : node.items) {
    uint32_t pcr = kPcrMax + 1;
    std::from_chars(item.text.data(), item.text.data() + item.text.size(), pcr);
    if (pcr > kPcrMax) findings.Add(Code::kRange, item.at, "expected a PCR of 0 to 23");
    if (!out.pcrs.empty() && pcr <= out.pcrs.back()) findings.Add(Code::kRange, item.at, "PCRs rise and appear once");
    out.pcrs.push_back(pcr);
  }
  if (out.pcrs.empty()) findings.Add(Code::kType, node.at, "expected a list of PCRs");
}

const std::vector<Key<DeviceClass>>& ClassKeys() {
  static const std::vector<Key<DeviceClass>> keys{
      {"evidence_lifetime", "how long one proof and its certificate hold (default 1h)",
       Lifetime(&DeviceClass::evidence_lifetime, Seconds(10), Days(7))}};
  return keys;
}

const std::vector<Key<ProfileConfig>>& ProfileKeys() {
  static const auto read_vendor = [](ProfileConfig& out, const YamlNode& node, Diagnostics& findings) {
    if (node.text != "true" && node.text != "false") return findings.Add(Code::kType, node.at, "expected true or false");
    out.vendor = node.text == "true";
  };
  static const std::vector<Key<ProfileConfig>> keys{
      {"roots", "directory with the accepted EK issuer certificates", Text(&ProfileConfig::roots), true},
      {"vendor", "false for test roots, in development only (default true)", read_vendor}};
  return keys;
}

void ReadProfiles(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty())
    return findings.Add(Code::kType, node.at, "expected a map of profiles");
  for (const YamlEntry& entry : node.entries) ReadMap(out.profiles[entry.key], entry.value, ProfileKeys(), findings);
}

void ReadClasses(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty())
    return findings.Add(Code::kType, node.at, "expected a map of device classes");
  for (const YamlEntry& entry : node.entries) ReadMap(out.classes[entry.key], entry.value, ClassKeys(), findings);
}

void ReadOperators(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap) return findings.Add(Code::kType, node.at, "expected a map of operators");
  for (const YamlEntry& entry : node.entries) {
    const Result<OperatorRole> role = ParseOperatorRole(entry.value.text);
    if (!role) {
      findings.Add(Code::kRange, entry.value.at, role.error().detail);
      continue;
    }
    out.operators[entry.key] = *role;
  }
}

void ReadLogLevel(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.text != "debug" && node.text != "info" && node.text != "warning" && node.text != "error")
    return findings.Add(Code::kRange, node.at, "expected debug, info, warning or error");
  out.log_level = node.text;
}

void ReadVersion(Config&, const YamlNode& node, Diagnostics& findings) {
  if (node.text != "server/v1") findings.Add(Code::kRange, node.at, "expected 'sallyport: server/v1'");
}

const std::vector<Key<Config>>& ConfigKeys() {
  static const auto read_listen = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadMap(out.listen, node, EndpointKeys(), findings);
    for (const auto& [name, address] : {std::pair("admin", &out.listen.admin), std::pair("http", &out.listen.http)})
      if (address->empty()) findings.Add(Code::kType, node.at, std::string("key '") + name + "' is missing");
  };
  static const auto read_advertise = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadMap(out.advertise, node, EndpointKeys(), findings);
  };
  static const std::vector<Key<Config>> keys{
      {"sallyport", "server/v1", ReadVersion, true},
      {"trust_domain", "SPIFFE trust domain, fixed at init", Text(&Config::trust_domain), true},
      {"name", "the server's name in its certificate (default control)", Text(&Config::name)},
      {"state", "directory of the database, keys and repositories", Text(&Config::state), true},
      {"runtime", "private, volatile directory for TLS files", Text(&Config::runtime), true},
      {"unlock_file", "file that unlocks the issuer keys", Text(&Config::unlock_file), true},
      {"profiles", "which TPMs may enrol, by profile name", ReadProfiles, true},
      {"pcrs", "PCRs of the sha256 bank that are quoted and judged (default 0, 2, 4, 7)", ReadPcrs},
      {"listen", "addresses of the five listeners", read_listen, true},
      {"advertise", "addresses that enrolment files name (default: listen)", read_advertise},
      {"log_level", "debug, info, warning or error (default info)", ReadLogLevel},
      {"manifest_lifetime", "lifetime of a device manifest, the offline lease (default 1d)",
       Lifetime(&Config::manifest_lifetime, Minutes(1), Days(30))},
      {"operators", "operator name: viewer, operator or admin", ReadOperators, true},
      {"classes", "device classes by name", ReadClasses, true}};
  return keys;
}

template <typename T>
void Describe(std::string& out, std::string_view prefix, const std::vector<Key<T>>& keys) {
  for (const Key<T>& key : keys)
    out += "| `" + std::string(prefix) + std::string(key.name) + "` | " + (key.required ? "yes" : "no") + " | " +
           std::string(key.meaning) + " |\n";
}

}  // namespace

Result<Config> ParseConfig(std::string_view text, const std::string& file) {
  Diagnostics findings(file);
  Config config;
  const std::optional<YamlNode> root = policy::ReadYaml(text, findings);
  if (root) ReadMap(config, *root, ConfigKeys(), findings);
  if (findings.has_errors()) {
    std::string detail;
    for (const policy::Diagnostic& finding : findings.all()) detail += (detail.empty() ? "" : "\n") + FormatDiagnostic(finding);
    return Error{Reason::kMalformed, std::move(detail), "config"};
  }
  if (config.advertise.enrol.empty()) config.advertise = config.listen;
  return config;
}

std::string DescribeConfig() {
  std::string out;
  Describe(out, "", ConfigKeys());
  Describe(out, "listen.", EndpointKeys());
  Describe(out, "classes.<name>.", ClassKeys());
  Describe(out, "profiles.<name>.", ProfileKeys());
  return out;
}

}  // namespace sallyport::server

#include "attestation-server/config.h"

#include <algorithm>
#include <charconv>

#include "pki/x509/ek_advisories.h"
#include "policies/language/config_reader.h"

namespace sallyport::server {
namespace {

using policy::Code;
using policy::ConfigAddress;
using policy::ConfigDuration;
using policy::ConfigKey;
using policy::ConfigText;
using policy::Diagnostics;
using policy::YamlEntry;
using policy::YamlNode;

constexpr unsigned kPcrMax = 23;

const std::vector<ConfigKey<Endpoints>>& EndpointKeys() {
  static const std::vector<ConfigKey<Endpoints>> keys{
      {"enrol", "enrolment and re-attestation (TLS)", ConfigAddress(&Endpoints::enrol), true},
      {"device", "enrolled devices (mTLS)", ConfigAddress(&Endpoints::device), true},
      {"admin", "operators (mTLS)", ConfigAddress(&Endpoints::admin)},
      {"content", "image repository and payloads (HTTPS, mTLS)", ConfigAddress(&Endpoints::content),
       true},
      {"http", "health and metrics (HTTP)", ConfigAddress(&Endpoints::http)}};
  return keys;
}

void ReadPcrs(Config& out, const YamlNode& node, Diagnostics& findings) {
  out.pcrs.clear();
  for (const YamlNode& item : node.items) {
    uint32_t pcr = kPcrMax + 1;
    const char* const end = item.text.data() + item.text.size();
    const auto [stop, error] = std::from_chars(item.text.data(), end, pcr);
    if (error != std::errc() || stop != end || pcr > kPcrMax)
      findings.Add(Code::kRange, item.at, "expected a PCR of 0 to 23");
    if (!out.pcrs.empty() && pcr <= out.pcrs.back())
      findings.Add(Code::kRange, item.at, "PCRs rise and appear once");
    out.pcrs.push_back(pcr);
  }
  if (out.pcrs.empty()) findings.Add(Code::kType, node.at, "expected a list of PCRs");
}

template <typename T>
auto ReadFlag(bool T::* member) {
  return [member](T& out, const YamlNode& node, Diagnostics& findings) {
    if (node.text != "true" && node.text != "false")
      return findings.Add(Code::kType, node.at, "expected true or false");
    out.*member = node.text == "true";
  };
}

const std::vector<ConfigKey<DeviceClass>>& ClassKeys() {
  static const std::vector<ConfigKey<DeviceClass>> keys{
      {"evidence_lifetime", "how long one proof and its certificate hold (default 1h)",
       ConfigDuration(&DeviceClass::evidence_lifetime, Seconds(10), Days(7))},
      {"ima", "true: devices show which files ran, judged by their references (default false)",
       ReadFlag(&DeviceClass::ima)}};
  return keys;
}

void ReadAdvisories(ProfileConfig& out, const YamlNode& node, Diagnostics& findings) {
  for (const YamlNode& item : node.items) {
    if (std::ranges::none_of(pki::EkAdvisories(), [&](const pki::EkAdvisory& advisory) {
          return advisory.id == item.text;
        }))
      findings.Add(Code::kRange, item.at, "no advisory has this id");
    out.accept_advisories.push_back(item.text);
  }
  if (out.accept_advisories.empty())
    findings.Add(Code::kType, node.at, "expected a list of CVE ids");
}

const std::vector<ConfigKey<ProfileConfig>>& ProfileKeys() {
  static const std::vector<ConfigKey<ProfileConfig>> keys{
      {"roots", "directory with the accepted EK issuer certificates and their CRLs",
       ConfigText(&ProfileConfig::roots), true},
      {"vendor", "false for test roots, in development only (default true)",
       ReadFlag(&ProfileConfig::vendor)},
      {"accept_advisories", "CVEs of TPMs that warn where they would refuse (default none)",
       ReadAdvisories},
      {"iak_roots",
       "directory with the accepted issuers of IAK certificates (default: none accepted)",
       ConfigText(&ProfileConfig::iak_roots)}};
  return keys;
}

void ReadProfiles(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty())
    return findings.Add(Code::kType, node.at, "expected a map of profiles");
  for (const YamlEntry& entry : node.entries)
    ReadConfigMap(out.profiles[entry.key], entry.value, ProfileKeys(), findings);
}

void ReadClasses(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty())
    return findings.Add(Code::kType, node.at, "expected a map of device classes");
  for (const YamlEntry& entry : node.entries)
    ReadConfigMap(out.classes[entry.key], entry.value, ClassKeys(), findings);
}

void ReadOperators(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap)
    return findings.Add(Code::kType, node.at, "expected a map of operators");
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
  policy::ReadConfigWord(out.log_level, node, {"debug", "info", "warning", "error"}, findings);
}

void ReadVersion(Config&, const YamlNode& node, Diagnostics& findings) {
  std::string word;
  policy::ReadConfigWord(word, node, {"server/v1"}, findings);
}

const std::vector<ConfigKey<Config>>& ConfigKeys() {
  static const auto read_listen = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigMap(out.listen, node, EndpointKeys(), findings);
    for (const auto& [name, address] :
         {std::pair("admin", &out.listen.admin), std::pair("http", &out.listen.http)})
      if (address->empty())
        findings.Add(Code::kType, node.at, std::string("key '") + name + "' is missing");
  };
  static const auto read_advertise = [](Config& out, const YamlNode& node, Diagnostics& findings) {
    ReadConfigMap(out.advertise, node, EndpointKeys(), findings);
  };
  static const std::vector<ConfigKey<Config>> keys{
      {"sallyport", "server/v1", ReadVersion, true},
      {"trust_domain", "SPIFFE trust domain, fixed at init", ConfigText(&Config::trust_domain),
       true},
      {"name", "the server's name in its certificate (default control)", ConfigText(&Config::name)},
      {"state", "directory of the database, keys and repositories", ConfigText(&Config::state),
       true},
      {"runtime", "private, volatile directory for TLS files", ConfigText(&Config::runtime), true},
      {"unlock_file", "file that unlocks the issuer keys", ConfigText(&Config::unlock_file), true},
      {"profiles", "which TPMs may enrol, by profile name", ReadProfiles, true},
      {"pcrs", "PCRs of the sha256 bank that are quoted and judged (default 0, 2, 4, 7, 11)",
       ReadPcrs},
      {"listen", "addresses of the five listeners", read_listen, true},
      {"advertise", "addresses that enrolment files name (default: listen)", read_advertise},
      {"log_level", "debug, info, warning or error (default info)", ReadLogLevel},
      {"manifest_lifetime", "lifetime of a device manifest, the offline lease (default 1d)",
       ConfigDuration(&Config::manifest_lifetime, Minutes(1), Days(30))},
      {"operators", "operator name: viewer, operator or admin", ReadOperators, true},
      {"classes", "device classes by name", ReadClasses, true}};
  return keys;
}

}  // namespace

Result<Config> ParseConfig(std::string_view text, const std::string& file) {
  Diagnostics findings(file);
  Config config;
  const std::optional<YamlNode> root = policy::ReadYaml(text, findings);
  if (root) ReadConfigMap(config, *root, ConfigKeys(), findings);
  if (findings.has_errors()) return policy::ConfigError(findings);
  if (config.advertise.enrol.empty()) config.advertise = config.listen;
  return config;
}

std::string DescribeConfig() {
  return DescribeConfigKeys("", ConfigKeys()) + DescribeConfigKeys("listen.", EndpointKeys()) +
         DescribeConfigKeys("classes.<name>.", ClassKeys()) +
         DescribeConfigKeys("profiles.<name>.", ProfileKeys());
}

}  // namespace sallyport::server

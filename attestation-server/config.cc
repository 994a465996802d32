#include "attestation-server/config.h"

#include <algorithm>
#include <charconv>

#include "attestation-server/evidence/bank_audit.h"
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

const std::vector<ConfigKey<ota::ExpiryAlarms>>& AlarmKeys() {
  using ota::ExpiryAlarms;
  static const std::vector<ConfigKey<ExpiryAlarms>> keys{
      {"notice", "remaining life of an offline role at which its end is announced (default 30d)",
       ConfigDuration(&ExpiryAlarms::notice, Minutes(1), Days(365))},
      {"warning", "the same, as a warning (default 14d)",
       ConfigDuration(&ExpiryAlarms::warning, Minutes(1), Days(365))},
      {"critical", "the same, as an error (default 3d)",
       ConfigDuration(&ExpiryAlarms::critical, Minutes(1), Days(365))}};
  return keys;
}

void ReadAlarms(Config& out, const YamlNode& node, Diagnostics& findings) {
  ReadConfigMap(out.update_alarms, node, AlarmKeys(), findings);
  const ota::ExpiryAlarms& alarms = out.update_alarms;
  if (alarms.notice < alarms.warning || alarms.warning < alarms.critical)
    findings.Add(Code::kRange, node.at, "notice, warning and critical do not fall");
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
  const auto judged = [&out](uint32_t pcr) { return std::ranges::count(out.pcrs, pcr) != 0; };
  if (judged(11) && !(judged(12) && judged(13)))
    findings.Add(Code::kRange, node.at,
                 "PCR 11 without 12 and 13 leaves command lines, credentials and extensions open");
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
       ReadFlag(&DeviceClass::ima)},
      {"silence", "how long a device may be out of contact before it is an alarm (default 1d)",
       ConfigDuration(&DeviceClass::silence, Minutes(1), Days(365))}};
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

void ReadTpmBanks(ProfileConfig& out, const YamlNode& node, Diagnostics& findings) {
  out.tpm_banks.clear();
  for (const YamlNode& item : node.items) {
    if (!AuditBankFromName(item.text))
      findings.Add(Code::kRange, item.at, "no PCR bank has this name");
    if (std::ranges::find(out.tpm_banks, item.text) != out.tpm_banks.end())
      findings.Add(Code::kRange, item.at, "this bank is there already");
    out.tpm_banks.push_back(item.text);
  }
  if (out.tpm_banks.empty()) findings.Add(Code::kType, node.at, "expected a list of PCR banks");
}

// ReadFirmwareFloor takes what `device show` prints: 16 hex digits.
void ReadFirmwareFloor(ProfileConfig& out, const YamlNode& node, Diagnostics& findings) {
  const Result<Bytes> bytes = HexDecode(node.text);
  if (!bytes || bytes->size() != sizeof(out.firmware_floor))
    return findings.Add(Code::kRange, node.at, "expected 16 hex digits");
  out.firmware_floor = *ByteReader(*bytes, "firmware_floor").BigU64();
}

// The bank that is judged must be one of those that are audited.
void CheckBank(const ProfileConfig& profile, const YamlNode& node, Diagnostics& findings) {
  if (std::ranges::find(profile.tpm_banks, profile.bank) == profile.tpm_banks.end())
    findings.Add(Code::kRange, node.at, "'tpm_banks' lacks the bank that is judged");
}

const std::vector<ConfigKey<ProfileConfig>>& ProfileKeys() {
  static const auto read_bank = [](ProfileConfig& out, const YamlNode& node,
                                   Diagnostics& findings) {
    policy::ReadConfigWord(out.bank, node, {"sha256", "sha384"}, findings);
  };
  static const auto read_kind = [](ProfileConfig& out, const YamlNode& node,
                                   Diagnostics& findings) {
    policy::ReadConfigWord(out.tpm_kind, node, {"dtpm", "ftpm", "vtpm", "vendor"}, findings);
  };
  static const std::vector<ConfigKey<ProfileConfig>> keys{
      {"roots", "directory with the accepted EK issuer certificates and their CRLs",
       ConfigText(&ProfileConfig::roots), true},
      {"vendor", "false for test roots, in development only (default true)",
       ReadFlag(&ProfileConfig::vendor)},
      {"accept_advisories", "CVEs of TPMs that warn where they would refuse (default none)",
       ReadAdvisories},
      {"iak_roots",
       "directory with the accepted issuers of IAK certificates (default: none accepted)",
       ConfigText(&ProfileConfig::iak_roots)},
      {"bank", "PCR bank that is quoted and judged: sha256 or sha384 (default sha256)", read_bank},
      {"tpm_banks",
       "every PCR bank that these TPMs have, on or off; what is missing here is not audited, and "
       "one "
       "that a TPM lacks is an error of its TPM2_Quote (default sha1, sha256, sha384, sha512)",
       ReadTpmBanks},
      {"firmware_floor", "lowest TPM firmware, 16 hex digits as in `device show` (default none)",
       ReadFirmwareFloor},
      {"tpm_kind", "dtpm, ftpm or vtpm where the manufacturer does not tell (default vendor)",
       read_kind},
      {"require_null_name",
       "true: a new boot must certify the kernel's null name, Linux 6.10 (default false)",
       ReadFlag(&ProfileConfig::require_null_name)}};
  return keys;
}

void ReadProfiles(Config& out, const YamlNode& node, Diagnostics& findings) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty())
    return findings.Add(Code::kType, node.at, "expected a map of profiles");
  for (const YamlEntry& entry : node.entries) {
    ProfileConfig& profile = out.profiles[entry.key];
    ReadConfigMap(profile, entry.value, ProfileKeys(), findings);
    CheckBank(profile, entry.value, findings);
  }
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
      {"pcrs",
       "PCRs that are quoted and judged, in the bank of the profile (default 0, 2, 4, 7, 11, 12, "
       "13)",
       ReadPcrs},
      {"listen", "addresses of the five listeners", read_listen, true},
      {"advertise", "addresses that enrolment files name (default: listen)", read_advertise},
      {"log_level", "debug, info, warning or error (default info)", ReadLogLevel},
      {"manifest_lifetime", "lifetime of a device manifest, the offline lease (default 1d)",
       ConfigDuration(&Config::manifest_lifetime, Minutes(1), Days(30))},
      {"manifest_lag",
       "how long an online device may be behind its newest manifest before it is an alarm "
       "(default 30m)",
       ConfigDuration(&Config::manifest_lag, Minutes(1), Days(30))},
      {"update_alarms", "when the end of update metadata is announced", ReadAlarms},
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
         DescribeConfigKeys("update_alarms.", AlarmKeys()) +
         DescribeConfigKeys("classes.<name>.", ClassKeys()) +
         DescribeConfigKeys("profiles.<name>.", ProfileKeys());
}

}  // namespace sallyport::server

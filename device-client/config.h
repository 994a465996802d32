// The configuration of sallyport-agent: one YAML file, strict (unknown key, wrong type or range:
// refused with file:line:column). Pure; reading the file is main's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "device-client/download_config.h"
#include "device-client/update/update_machinery.h"
#include "device-client/update/update_settings.h"
#include "pki/base/result.h"
#include "pki/base/time.h"
#include "pki/tpm/make_credential.h"

namespace sallyport::device {

struct OutboundFlow {
  std::string service;
  std::string to;      // a device's name or id
  std::string listen;  // local host:port
};

struct ProxySettings {
  std::string listen = "0.0.0.0:15008";
  std::map<std::string, std::string> inbound;  // service -> backend host:port
  std::vector<OutboundFlow> outbound;
};

struct UpdateSettings {
  std::string slot_a;  // block device or file
  std::string slot_b;
  std::string esp;      // mounted EFI system partition
  std::string efivars;  // directory of EFI variables
  DownloadSettings download;
  BootLoaderKind boot = BootLoaderKind::kEfi;
  std::string uboot_env;  // fw_env.config
  std::string grubenv;
  ota::ComponentPlaces components;
  TrialSettings trial;
};

struct Config {
  std::string state;  // directory
  std::string tcti;   // device:/dev/tpmrm0 or swtpm:path=SOCKET
  std::string event_log = "/sys/kernel/security/tpm0/binary_bios_measurements";
  std::string null_name = "/sys/class/tpm/tpm0/null_name";
  std::string ima_list = "/sys/kernel/security/integrity/ima/binary_runtime_measurements";
  std::string enrolment_file;
  std::string hardware;   // hardware id that releases name
  std::string advertise;  // host:port of the proxy as peers reach it
  pki::EkTemplate ek = pki::EkTemplate::kL2P256;
  Duration backoff_max = Minutes(5);
  std::string log_level = "info";
  ProxySettings proxy;
  UpdateSettings update;
};

// ParseConfig reports every finding, one `file:line:column: ...` per line of the error's detail.
Result<Config> ParseConfig(std::string_view text, const std::string& file);

// UpdatePathsOf is the part of the configuration that names this machine's slots and boot loader.
UpdatePaths UpdatePathsOf(const Config& config);

// DescribeConfig writes one table row per key; docs/operations/config.md holds its output and a
// test compares.
std::string DescribeConfig();

}  // namespace sallyport::device

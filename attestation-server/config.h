// The configuration of sallyportd: one YAML file, strict (unknown key, wrong type or range: refused
// with file:line:column). Pure; reading the file is main's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attestation-server/operations/operator_role.h"
#include "pki/base/result.h"
#include "ota/repository/expiry.h"
#include "pki/base/time.h"

namespace sallyport::server {

// DeviceClass: how long one proof of a kind of device holds; its certificates live no longer.
struct DeviceClass {
  Duration evidence_lifetime = Hours(1);
  bool ima = false;            // devices show which files ran
  Duration silence = Days(1);  // without contact before it is an alarm
};

// ProfileConfig: which TPMs may enrol.
struct ProfileConfig {
  std::string roots;   // directory with EK issuer certificates and revocation lists, PEM or DER
  bool vendor = true;  // false: test roots; the tier stays below `measured`
  std::vector<std::string> accept_advisories;  // CVEs that warn where they would refuse
  std::string iak_roots;  // directory with issuers of IAK certificates; empty: no second way in
  std::string bank = "sha256";  // that is quoted and judged: sha256 or sha384
  // Every PCR bank that these TPMs have, switched on or not.
  std::vector<std::string> tpm_banks = {"sha1", "sha256", "sha384", "sha512"};
  uint64_t firmware_floor = 0;      // firmwareVersion of TPMS_ATTEST, at least
  std::string tpm_kind = "vendor";  // dtpm, ftpm, vtpm; vendor: by the manufacturer
  bool require_null_name = false;
};

struct Endpoints {
  std::string enrol;
  std::string device;
  std::string admin;
  std::string content;
  std::string http;
};

struct Config {
  std::string trust_domain;
  std::string name = "control";  // the server's SPIFFE path /server/<name>
  std::string state;             // directory: database, keys, repositories
  std::string runtime;           // private, volatile directory: TLS files
  std::string unlock_file;       // unlocks the issuer keys
  Endpoints listen;
  Endpoints advertise;  // what enrolment files say; default: listen
  std::string log_level = "info";
  Duration manifest_lifetime = Hours(24);  // expiry of director metadata: the offline lease
  Duration manifest_lag = Minutes(30);     // of an online device before it is an alarm
  ota::ExpiryAlarms update_alarms;         // before update metadata that people sign ends
  std::map<std::string, OperatorRole> operators;
  std::map<std::string, DeviceClass> classes;
  std::map<std::string, ProfileConfig> profiles;
  // Quoted and judged, in the bank of the profile.
  std::vector<uint32_t> pcrs = {0, 2, 4, 7, 11, 12, 13};
};

// ParseConfig reports every finding, one `file:line:column: ...` per line of the error's detail.
Result<Config> ParseConfig(std::string_view text, const std::string& file);

// DescribeConfig writes one line per key with its default and meaning; docs/operations/config.md
// holds its output and a test compares.
std::string DescribeConfig();

}  // namespace sallyport::server

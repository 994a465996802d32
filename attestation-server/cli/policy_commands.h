// `sallyport policy check|test|explain|fmt|manifest`: everything about a policy that needs no
// server, by the same code that the server and the devices run (docs/operations/cli.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"
#include "policies/language/zone_rule.h"

namespace sallyport::server {

// PolicyWorld is what policy commands take from outside. Borrows `files`.
struct PolicyWorld {
  FileSystem& files;
  policy::ZoneLookup zones;
  UnixTime now;
};

// PolicyCheckOptions are those of `check` (several files, inventory optional) and `test` (one file,
// required).
struct PolicyCheckOptions {
  std::vector<std::string> files;
  std::string inventory;
  bool json = false;
};
// CheckPolicies exits with 2 for any E-* but E-TEST and E-GUARDRAIL, with 1 when only those were
// found.
CommandResult CheckPolicies(const PolicyWorld& world, const PolicyCheckOptions& options);

struct PolicyExplainOptions {
  std::string file;
  std::string inventory;
  std::string from;
  std::string to;
  std::string service;
  std::string at;           // RFC 3339; empty: now
  std::string attested;     // age of the proof of `from`; empty: the inventory's
  std::string attested_to;  // age of the proof of `to`; empty: the inventory's
  bool json = false;
};
// ExplainPolicy exits with 0 for allow and 1 for deny.
CommandResult ExplainPolicy(const PolicyWorld& world, const PolicyExplainOptions& options);

struct PolicyFormatOptions {
  std::string file;
  bool write = false;  // in place, instead of printing
};
// FormatPolicy normalises white space and keeps comments; it refuses when the meaning would change.
CommandResult FormatPolicy(const PolicyWorld& world, const PolicyFormatOptions& options);

struct PolicyManifestOptions {
  std::string file;
  std::string inventory;
  int64_t version = 0;
  std::string not_before;  // RFC 3339; empty: now
  std::string expires;
  std::string out;
  bool json = false;
};
// MakeManifest writes policy.json for the offline role `policy` to sign; refused unless the policy
// passes `test`.
CommandResult MakeManifest(const PolicyWorld& world, const PolicyManifestOptions& options);

void AddPolicyCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server

// `sallyport ek verify`: is this the certificate of a TPM whose vendor we accept; what the server
// does at enrolment.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct EkVerifyOptions {
  std::string cert;   // DER or PEM, NV header and padding allowed; more certificates may follow
  std::string roots;  // directory of root and intermediate certificates, PEM or DER, and CRLs
  std::vector<std::string> crls = {};                 // revocation lists, PEM or DER
  std::vector<std::string> accepted_advisories = {};  // CVEs that warn instead of refusing
  bool json = false;
};

// VerifyEkFile: exit code 0 when the certificate fits the EK profile and its chain ends in a root
// of the directory at `now`; 1 with the failed rules otherwise, malformed certificates included; 2
// for unreadable files, and roots or lists that do not parse.
CommandResult VerifyEkFile(FileSystem& files, const EkVerifyOptions& options, UnixTime now);

void AddEkCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server

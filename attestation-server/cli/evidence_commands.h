// `sallyport evidence replay|events|verify`: the server's verifier, run on files.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

struct EvidenceLogOptions {
  std::string log;
  bool json = false;
};

// ReplayLogFile prints what each PCR must hold if the log is true. Exit code 2 with the parser's
// rule for a malformed log.
CommandResult ReplayLogFile(FileSystem& files, const EvidenceLogOptions& options);

// ListLogEvents prints one line (or JSON object) per event. Exit code 2 for a malformed log.
CommandResult ListLogEvents(FileSystem& files, const EvidenceLogOptions& options);

struct EvidenceVerifyOptions {
  std::string ak;                            // PEM, TPMT_PUBLIC or TPM2B_PUBLIC
  std::string attest;                        // TPMS_ATTEST
  std::string signature;                     // TPMT_SIGNATURE or DER
  std::string nonce;                         // hex, the exact extraData
  std::string pcrs;                          // "sha256:0,1,2"
  std::string pcr_values = {};               // JSON, optional
  std::string log = {};                      // optional
  std::string ima = {};                      // measurement list, binary or ascii; optional
  std::vector<std::string> references = {};  // alternatives, optional
  std::string ak_parent = "endorsement";
  bool json = false;
};

// VerifyEvidence: a measurement list is judged by the references; without values of PCR 0 to 10, or
// without references that say which files may run, it fails. Exit code 0 when signature, structure,
// nonce and selection pass and nothing failed; 1 otherwise, malformed evidence included; 2 for
// wrong usage, unreadable files and references that do not parse.
CommandResult VerifyEvidence(FileSystem& files, const EvidenceVerifyOptions& options);

void AddEvidenceCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server

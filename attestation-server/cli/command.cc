#include "attestation-server/cli/command.h"

#include <nlohmann/json.hpp>

namespace sallyport::server {

ExitCode ExitCodeOf(Reason reason) {
  switch (reason) {
    case Reason::kBadSignature:
    case Reason::kStaleNonce:
    case Reason::kReplayed:
    case Reason::kRollback:
    case Reason::kExpired:
    case Reason::kUntrusted:
    case Reason::kMismatch:
    case Reason::kPolicyDenied:
    case Reason::kUnauthenticated:
    case Reason::kRateLimited:
    case Reason::kConflict: return ExitCode::kNo;
    case Reason::kMalformed:
    case Reason::kTooLarge:
    case Reason::kNotFound:
    case Reason::kAlreadyExists:
    case Reason::kUnsupported:
    case Reason::kNoSpace:
    case Reason::kInvalidArgument: return ExitCode::kUsage;
    case Reason::kUnavailable: return ExitCode::kUnreachable;
    case Reason::kInternal: return ExitCode::kInternal;
  }
  std::abort();
}

CommandResult Failure(ExitCode code, const Error& error, bool json, const SourcePosition& at) {
  CommandResult result{code, "", ""};
  std::string where;
  if (!at.file.empty()) {
    where = at.file + ":";
    if (at.line > 0) where += std::to_string(at.line) + ":" + std::to_string(at.column) + ":";
    where += " ";
  }
  result.err = where + "error: " + error.ToString() + "\n";
  if (!json) return result;
  nlohmann::ordered_json body{{"reason", error.name()}, {"detail", error.detail}};
  if (!at.file.empty()) body["file"] = at.file;
  if (at.line > 0) {
    body["line"] = at.line;
    body["column"] = at.column;
  }
  result.out = nlohmann::ordered_json{{"error", body}}.dump(
                   -1, ' ', false, nlohmann::json::error_handler_t::replace) +
               "\n";
  return result;
}

CommandResult Failure(const Error& error, bool json, const SourcePosition& at) {
  return Failure(ExitCodeOf(error.reason), error, json, at);
}

}  // namespace sallyport::server

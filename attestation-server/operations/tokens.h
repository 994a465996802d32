// Enrolment files, tokens and listed EKs.
#pragma once

#include "attestation-server/operations/operator.h"
#include "attestation-server/store/tokens.h"
#include "pki/base/json.h"
#include "pki/ca/enrolment_file.h"

namespace sallyport::server {

struct TokenOrder {
  std::string name;
  std::string profile;
  Placement placement;
  std::string device_name;
  std::string ek_sha256;  // hex, empty: not bound
  int64_t count = 1;
  UnixTime expires;
  bool auto_approve = false;
};

struct CreatedToken {
  std::string id;
  std::string enrolment_file;  // JSON; holds the secret
};

// TokenOperations is thread-safe.
class TokenOperations {
 public:
  // `base` is the enrolment file without a token.
  TokenOperations(OperationParts parts, pki::EnrolmentFile base)
      : parts_(parts), base_(std::move(base)) {}

  // Create: kInvalidArgument "token.expiry" (in the past, or above 90 days), "token.count",
  // "token.device-name" (with a count above 1), "token.auto-approve" (above 100 uses or 24 h).
  Result<CreatedToken> Create(const Operator& caller, const TokenOrder& order, UnixTime now);
  Result<JsonValue> List(std::string_view after, int64_t limit, UnixTime now);
  // Revoke takes the token's id; kNotFound.
  Result<JsonValue> Revoke(const Operator& caller, std::string_view id);
  // AllowEk lists one endorsement key.
  Result<JsonValue> AllowEk(const Operator& caller, ListedEk entry);

 private:
  OperationParts parts_;
  const pki::EnrolmentFile base_;
};

}  // namespace sallyport::server

// Who may come in: one-time tokens and listed EKs. Rules: enrolment/admission.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/devices.h"

namespace sallyport::server {

struct TokenRecord {
  std::string id;  // 32 hex digits, not secret
  Sha256Digest secret_hash = Sha256Digest::FromArray({});
  std::string name;
  std::string profile;
  Placement placement;
  std::string device_name;  // fixed name for a token of one device; empty: made from the device id
  std::optional<Sha256Digest> ek_spki_hash;
  int64_t uses_max = 1;
  int64_t uses = 0;
  UnixTime expires_at;
  bool auto_approve = false;
  bool revoked = false;
  UnixTime created_at;
  std::string created_by;
};

class Tokens {
 public:
  explicit Tokens(Connection& connection) : connection_(connection) {}
  Result<Unit> Insert(const TokenRecord& token);
  Result<std::optional<TokenRecord>> FindBySecret(const Sha256Digest& secret_hash);
  // Spend takes one use; kReplayed ("token.spent") when none is left, it is revoked, or it ended at
  // `now`.
  Result<Unit> Spend(std::string_view id, UnixTime now);
  // Revoke ends the token of that id, and every token of that name: in doubt one more.
  // kNotFound ("token.unknown").
  Result<Unit> Revoke(std::string_view id_or_name);
  Result<std::vector<TokenRecord>> List(std::string_view after_id, int64_t limit);

 private:
  Connection& connection_;
};

struct ListedEk {
  Sha256Digest ek_spki_hash = Sha256Digest::FromArray({});
  std::string device_name;  // empty: made from the device id
  std::string profile;
  Placement placement;
  UnixTime created_at;
  std::string created_by;
};

class EkList {
 public:
  explicit EkList(Connection& connection) : connection_(connection) {}
  // Put replaces the entry of the same EK.
  Result<Unit> Put(const ListedEk& entry);
  Result<std::optional<ListedEk>> Find(const Sha256Digest& ek_spki_hash);
  Result<Unit> Remove(const Sha256Digest& ek_spki_hash);

 private:
  Connection& connection_;
};

}  // namespace sallyport::server

#include "attestation-server/store/meta.h"

namespace sallyport::server {

namespace {

Result<std::optional<std::string>> FindMeta(Connection& connection, std::string_view key) {
  SP_TRY(const auto row,
         connection.QueryOne("SELECT value FROM meta WHERE key = :key", "t", {key}));
  return row.has_value() ? std::optional(row->Text(0)) : std::nullopt;
}

Result<Unit> PutMeta(Connection& connection, std::string_view key, std::string_view value) {
  SP_TRY(
      connection.Execute("INSERT INTO meta (key, value) VALUES (:key, :value) "
                         "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                         {key, value}));
  return Unit{};
}

Result<uint64_t> Raise(Connection& connection, std::string_view name) {
  SP_TRY(
      connection.Execute("INSERT INTO counters (name, value) VALUES (:name, 1) "
                         "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1",
                         {name}));
  SP_TRY(const auto row,
         connection.QueryOne("SELECT value FROM counters WHERE name = :name", "i", {name}));
  if (!row.has_value()) return Error{Reason::kInternal, "counter vanished", "store.corrupt"};
  return static_cast<uint64_t>(row->Integer(0));
}

constexpr std::string_view kIncarnation = "incarnation";

}  // namespace

Result<Unit> InitialiseDeployment(Connection& connection, const DeploymentFacts& facts) {
  SP_TRY(const auto existing, FindMeta(connection, "trust_domain"));
  if (existing.has_value())
    return Error{Reason::kAlreadyExists, "the store belongs to " + *existing, "meta.initialised"};
  SP_TRY(PutMeta(connection, "trust_domain", facts.trust_domain));
  SP_TRY(PutMeta(connection, "development", facts.development ? "true" : "false"));
  SP_TRY(connection.Execute("INSERT INTO counters (name, value) VALUES (:name, :value)",
                            {kIncarnation, facts.incarnation}));
  return Unit{};
}

Result<DeploymentFacts> ReadDeployment(Connection& connection) {
  SP_TRY(const auto trust_domain, FindMeta(connection, "trust_domain"));
  SP_TRY(const auto development, FindMeta(connection, "development"));
  SP_TRY(const auto row,
         connection.QueryOne("SELECT value FROM counters WHERE name = :name", "i", {kIncarnation}));
  if (!trust_domain.has_value() || !development.has_value() || !row.has_value())
    return Error{Reason::kNotFound, "the store was never initialised", "meta.uninitialised"};
  return DeploymentFacts{*trust_domain, *development == "true",
                         static_cast<uint64_t>(row->Integer(0))};
}

Result<uint64_t> StartIncarnation(Connection& connection) {
  return Raise(connection, kIncarnation);
}

std::string_view CounterName(Counter counter) {
  switch (counter) {
    case Counter::kPolicyEpoch: return "policy-epoch";
    case Counter::kReferenceEpoch: return "reference-epoch";
    case Counter::kIssuerEpoch: return "issuer-epoch";
    case Counter::kDirector: return "director";
    case Counter::kBundleSequence: return "bundle-sequence";
  }
  std::abort();
}

Result<uint64_t> ReadCounter(Connection& connection, Counter counter) {
  SP_TRY(const auto row, connection.QueryOne("SELECT value FROM counters WHERE name = :name", "i",
                                             {CounterName(counter)}));
  return row.has_value() ? static_cast<uint64_t>(row->Integer(0)) : 0;
}

Result<uint64_t> RaiseCounter(Connection& connection, Counter counter) {
  return Raise(connection, CounterName(counter));
}

Result<JudgedEpochs> ReadEpochs(Connection& connection) {
  // One statement: every commit of a proof reads them.
  SP_TRY(const auto rows, connection.Query("SELECT name, value FROM counters", "ti"));
  JudgedEpochs epochs;
  for (const Row& row : rows) {
    const auto value = static_cast<uint64_t>(row.Integer(1));
    if (row.Text(0) == CounterName(Counter::kPolicyEpoch)) epochs.policy = value;
    if (row.Text(0) == CounterName(Counter::kReferenceEpoch)) epochs.reference = value;
    if (row.Text(0) == CounterName(Counter::kIssuerEpoch)) epochs.issuer = value;
  }
  return epochs;
}

Result<Unit> PutSetting(Connection& connection, std::string_view key, std::string_view value) {
  return PutMeta(connection, "setting." + std::string(key), value);
}

Result<std::optional<std::string>> FindSetting(Connection& connection, std::string_view key) {
  return FindMeta(connection, "setting." + std::string(key));
}

}  // namespace sallyport::server

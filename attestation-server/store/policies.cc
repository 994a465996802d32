#include "attestation-server/store/policies.h"

#include <algorithm>

#include "attestation-server/store/limits.h"
#include "attestation-server/store/meta.h"

namespace sallyport::server {

namespace {

#define SP_POLICY_SELECT                                                                           \
  "SELECT version, name, manifest_sha256, manifest, source, applied_by, applied_at FROM policies " \
  "ORDER BY version DESC "
constexpr std::string_view kPolicyKinds = "ittttti";

Result<PolicyRow> ReadPolicy(const Row& row) {
  PolicyRow policy;
  policy.version = static_cast<uint64_t>(row.Integer(0));
  policy.name = row.Text(1);
  SP_TRY(policy.manifest_hash, row.FixedAt<Sha256Digest>(2));
  policy.manifest = row.Text(3);
  policy.source = row.Text(4);
  policy.applied_by = row.Text(5);
  policy.applied_at = row.Time(6);
  return policy;
}

}  // namespace

Result<Unit> Policies::Apply(const PolicyRow& row) {
  SP_TRY(const auto newest, InForce());
  if (newest.has_value()) {
    if (newest->version == row.version && newest->manifest_hash == row.manifest_hash) return Unit{};
    if (row.version <= newest->version)
      return Error{Reason::kRollback, "version " + std::to_string(newest->version) + " is in force",
                   "policy.version"};
  }
  SP_TRY(connection_.Execute(
      "INSERT INTO policies (version, name, manifest_sha256, manifest, source, applied_by, "
      "applied_at) "
      "VALUES (:version, :name, :hash, :manifest, :source, :applied_by, :applied_at)",
      {row.version, row.name, row.manifest_hash, row.manifest, row.source, row.applied_by,
       row.applied_at}));
  SP_TRY(RaiseCounter(connection_, Counter::kPolicyEpoch));
  return Unit{};
}

Result<std::optional<PolicyRow>> Policies::InForce() {
  SP_TRY(const auto row, connection_.QueryOne(SP_POLICY_SELECT "LIMIT 1", kPolicyKinds));
  if (!row.has_value()) return std::optional<PolicyRow>();
  SP_TRY(PolicyRow policy, ReadPolicy(*row));
  return std::optional<PolicyRow>(std::move(policy));
}

Result<std::vector<PolicyRow>> Policies::List(int64_t limit) {
  SP_TRY(const auto rows, connection_.Query(SP_POLICY_SELECT "LIMIT :limit", kPolicyKinds,
                                            {std::min(limit, kListMax)}));
  std::vector<PolicyRow> out;
  for (const Row& row : rows) {
    SP_TRY(PolicyRow policy, ReadPolicy(row));
    out.push_back(std::move(policy));
  }
  return out;
}

}  // namespace sallyport::server

#include "attestation-server/service/authorisation.h"

#include <algorithm>

namespace sallyport::server {
namespace {

#define ENROLMENT "/sallyport.attestation.v1.Enrolment/"
#define DEVICE "/sallyport.attestation.v1.Device/"
#define ADMIN "/sallyport.attestation.v1.Admin/"

constexpr RpcRule kTable[] = {
    {ENROLMENT "Begin", Listener::kEnrol, Caller::kAnyone},
    {ENROLMENT "Prove", Listener::kEnrol, Caller::kAnyone},

    {DEVICE "Stream", Listener::kDevice, Caller::kDevice},
    {DEVICE "BeginRenewal", Listener::kDevice, Caller::kDevice},
    {DEVICE "Renew", Listener::kDevice, Caller::kDevice},
    {DEVICE "GetManifest", Listener::kDevice, Caller::kDevice},
    {DEVICE "GetBundle", Listener::kDevice, Caller::kDevice},
    {DEVICE "ReportUpdate", Listener::kDevice, Caller::kDevice},
    {DEVICE "GetContentKey", Listener::kDevice, Caller::kDevice},

    {ADMIN "Status", Listener::kAdmin, Caller::kViewer},
    {ADMIN "CreateToken", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ListTokens", Listener::kAdmin, Caller::kViewer},
    {ADMIN "RevokeToken", Listener::kAdmin, Caller::kOperator},
    {ADMIN "AllowEk", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ImportEkBundle", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ListDevices", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ShowDevice", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ExplainDevice", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ShowAttestationResult", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ExplainRelease", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ApproveDevice", Listener::kAdmin, Caller::kOperator},
    {ADMIN "QuarantineDevice", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ReleaseDevice", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "DecommissionDevice", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ApplyPolicy", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ListPolicies", Listener::kAdmin, Caller::kViewer},
    {ADMIN "PublishFiles", Listener::kAdmin, Caller::kOperator},
    {ADMIN "AddContentKey", Listener::kAdmin, Caller::kOperator},
    {ADMIN "PublishDirectorRoot", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ImportReference", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ApproveReference", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "RetireReference", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ListReferences", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ShowReference", Listener::kAdmin, Caller::kViewer},
    {ADMIN "LearnReference", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "ProposeReference", Listener::kAdmin, Caller::kAdmin},
    {ADMIN "CreateRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ApproveRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "AdvanceRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "PauseRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ResumeRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "AbortRollout", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ShowRollout", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ListRollouts", Listener::kAdmin, Caller::kViewer},
    {ADMIN "TailAudit", Listener::kAdmin, Caller::kViewer},
    {ADMIN "VerifyAudit", Listener::kAdmin, Caller::kViewer},
    {ADMIN "ExportAudit", Listener::kAdmin, Caller::kOperator},
    {ADMIN "ShowCa", Listener::kAdmin, Caller::kViewer},
};

#undef ENROLMENT
#undef DEVICE
#undef ADMIN

}  // namespace

std::span<const RpcRule> AuthorisationTable() { return kTable; }

Result<RpcRule> FindRule(std::string_view method) {
  const auto found = std::ranges::find(kTable, method, &RpcRule::method);
  if (found == std::end(kTable))
    return Error{Reason::kPolicyDenied, "method is not in the authorisation table",
                 "rpc.not-listed"};
  return *found;
}

Result<Unit> CheckOperator(const RpcRule& rule, OperatorRole role) {
  const Error denied{Reason::kPolicyDenied, "needs a higher operator role", "rpc.role"};
  switch (rule.caller) {
    case Caller::kViewer: return Unit{};
    case Caller::kOperator: return role >= OperatorRole::kOperator ? Ok() : Result<Unit>(denied);
    case Caller::kAdmin: return role >= OperatorRole::kAdmin ? Ok() : Result<Unit>(denied);
    case Caller::kAnyone:
    case Caller::kDevice: return denied;
  }
  std::abort();
}

}  // namespace sallyport::server

// The `admin` listener: who is calling comes from the operator root, what they may do from the
// authorisation table and the roles in the configuration. Operations themselves:
// attestation-server/operations.
#pragma once

#include <map>

#include "attestation-server/api/v1/admin.grpc.pb.h"
#include "attestation-server/operations/attestation_results.h"
#include "attestation-server/operations/audit_export.h"
#include "attestation-server/operations/content_keys.h"
#include "attestation-server/operations/devices.h"
#include "attestation-server/operations/ek_bundles.h"
#include "attestation-server/operations/publication.h"
#include "attestation-server/operations/reference_proposal.h"
#include "attestation-server/operations/references.h"
#include "attestation-server/operations/rollouts.h"
#include "attestation-server/operations/tokens.h"
#include "attestation-server/service/work_pool.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

struct AdminParts {
  DeviceOperations& devices;
  TokenOperations& tokens;
  RolloutOperations& rollouts;
  PublicationOperations& publication;
  ReferenceOperations& references;
  EkBundleOperations& ek_bundles;
  AuditExport& audit_export;
  ReferenceProposals& proposals;
  AttestationResults& results;
  ContentKeyOperations& content_keys;
  Database& database;
  FileSystem& files;
  WorkPool& pool;
  const Clock& clock;
};

// AdminService borrows its parts; they outlive it.
class AdminService final : public api::Admin::CallbackService {
 public:
  struct Identity {
    pki::RoleAnchors anchors;
    pki::TrustDomain trust_domain;
    std::map<std::string, OperatorRole> roles;
    std::function<JsonValue()> status;
    std::function<JsonValue()> ca;
  };
  AdminService(AdminParts parts, Identity identity)
      : parts_(parts), identity_(std::move(identity)) {}

  // Authorise names the caller of `method`; refusals of AuthenticatePeer, FindRule and
  // CheckOperator, and "operator.unknown" for an operator without a role.
  Result<Operator> Authorise(const grpc::ServerContextBase& context, std::string_view method) const;

  using Reactor = grpc::ServerUnaryReactor;
  using Context = grpc::CallbackServerContext;
  Reactor* Status(Context*, const api::StatusRequest*, api::JsonReply*) override;
  Reactor* CreateToken(Context*, const api::CreateTokenRequest*, api::CreateTokenReply*) override;
  Reactor* ListTokens(Context*, const api::ListRequest*, api::JsonReply*) override;
  Reactor* RevokeToken(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* AllowEk(Context*, const api::AllowEkRequest*, api::JsonReply*) override;
  Reactor* ImportEkBundle(Context*, const api::ImportEkBundleRequest*, api::JsonReply*) override;
  Reactor* ListDevices(Context*, const api::ListRequest*, api::JsonReply*) override;
  Reactor* ShowDevice(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* ExplainDevice(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* ExplainRelease(Context*, const api::ExplainReleaseRequest*, api::JsonReply*) override;
  Reactor* ApproveDevice(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* QuarantineDevice(Context*, const api::QuarantineRequest*, api::JsonReply*) override;
  Reactor* ReleaseDevice(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* DecommissionDevice(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* ApplyPolicy(Context*, const api::ApplyPolicyRequest*, api::JsonReply*) override;
  Reactor* AddContentKey(Context*, const api::AddContentKeyRequest*, api::JsonReply*) override;
  Reactor* PublishDirectorRoot(Context*, const api::DirectorRootRequest*, api::JsonReply*) override;
  Reactor* ListPolicies(Context*, const api::ListRequest*, api::JsonReply*) override;
  grpc::ServerReadReactor<api::PublishChunk>* PublishFiles(Context*, api::JsonReply*) override;
  Reactor* ImportReference(Context*, const api::ImportReferenceRequest*, api::JsonReply*) override;
  Reactor* ApproveReference(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* RetireReference(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* ListReferences(Context*, const api::ListRequest*, api::JsonReply*) override;
  Reactor* ShowReference(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* LearnReference(Context*, const api::LearnReferenceRequest*, api::JsonReply*) override;
  Reactor* ProposeReference(Context*, const api::ProposeReferenceRequest*,
                            api::JsonReply*) override;
  Reactor* ShowAttestationResult(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* CreateRollout(Context*, const api::CreateRolloutRequest*, api::JsonReply*) override;
  Reactor* ApproveRollout(Context*, const api::ApprovedRequest*, api::JsonReply*) override;
  Reactor* AdvanceRollout(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* PauseRollout(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* ResumeRollout(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* AbortRollout(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* ShowRollout(Context*, const api::NameRequest*, api::JsonReply*) override;
  Reactor* ListRollouts(Context*, const api::ListRequest*, api::JsonReply*) override;
  Reactor* TailAudit(Context*, const api::TailAuditRequest*, api::JsonReply*) override;
  Reactor* VerifyAudit(Context*, const api::ListRequest*, api::JsonReply*) override;
  Reactor* ExportAudit(Context*, const api::ExportAuditRequest*, api::JsonReply*) override;
  Reactor* ShowCa(Context*, const api::ListRequest*, api::JsonReply*) override;

 private:
  using Work = std::function<Result<JsonValue>(const Operator&)>;
  // Answer authorises `method`, runs `work` on the pool and writes its JSON.
  Reactor* Answer(Context* context, std::string_view method, api::JsonReply* reply, Work work);

  AdminParts parts_;
  const Identity identity_;
};

}  // namespace sallyport::server

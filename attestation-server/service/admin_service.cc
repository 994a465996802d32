#include "attestation-server/service/admin_service.h"

#include "attestation-server/operations/audit.h"
#include "attestation-server/operations/release_gates.h"
#include "attestation-server/service/authorisation.h"
#include "attestation-server/service/peer.h"
#include "attestation-server/service/publish_reactor.h"
#include "attestation-server/service/status.h"
#include "pki/base/log.h"

namespace sallyport::server {
namespace {

constexpr int64_t kRowsDefault = 100;
constexpr int64_t kRowsMax = 10'000;

int64_t Rows(uint32_t asked) {
  return asked == 0 ? kRowsDefault : std::min<int64_t>(asked, kRowsMax);
}

std::vector<SignedApproval> ApprovalsOf(
    const google::protobuf::RepeatedPtrField<api::Approval>& wire) {
  std::vector<SignedApproval> out;
  for (const api::Approval& approval : wire)
    out.push_back({ToBytes(approval.body()), ToBytes(approval.signature())});
  return out;
}

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& wire) {
  return {wire.begin(), wire.end()};
}

Placement PlacementOf(const std::string& site, const std::string& device_class,
                      const google::protobuf::RepeatedPtrField<std::string>& tags) {
  Placement placement{site, device_class, Strings(tags)};
  std::ranges::sort(placement.tags);
  const auto repeated = std::ranges::unique(placement.tags);
  placement.tags.erase(repeated.begin(), repeated.end());
  return placement;
}

constexpr std::string_view kDefaultProfile = "default";

std::string ProfileOf(const std::string& asked) {
  return asked.empty() ? std::string(kDefaultProfile) : asked;
}

}  // namespace

Result<Operator> AdminService::Authorise(const grpc::ServerContextBase& context,
                                         std::string_view method) const {
  SP_TRY(const RpcRule rule, FindRule(method));
  SP_TRY(const pki::VerifiedPeer peer,
         AuthenticatePeer(context, identity_.anchors, pki::Role::kOperator, identity_.trust_domain,
                          parts_.clock.Wall()));
  const auto role = identity_.roles.find(peer.name());
  if (role == identity_.roles.end())
    return Error{Reason::kPolicyDenied, peer.name() + " has no role in the configuration",
                 "operator.unknown"};
  SP_TRY(CheckOperator(rule, role->second));
  SP_TRY(pki::PublicKey key, pki::PublicKey::FromSpki(peer.certificate().spki));
  return Operator{peer.spiffe_id().text(), role->second, std::move(key)};
}

AdminService::Reactor* AdminService::Answer(Context* context, std::string_view method,
                                            api::JsonReply* reply, Work work) {
  Reactor* const reactor = context->DefaultReactor();
  const std::string full = "/sallyport.attestation.v1.Admin/" + std::string(method);
  const bool posted =
      parts_.pool.TryPost([this, context, reactor, reply, full, work = std::move(work)] {
        const Result<Operator> caller = Authorise(*context, full);
        const Result<JsonValue> answer = caller ? work(*caller) : Result<JsonValue>(caller.error());
        if (!answer) {
          Log(LogLevel::kInfo, "admin_call_refused",
              {{"method", full}, {"reason", answer.error().ToString()}});
          return reactor->Finish(ToStatus(answer.error()));
        }
        reply->set_json(WriteJson(*answer));
        reactor->Finish(grpc::Status::OK);
      });
  if (!posted) reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"));
  return reactor;
}

AdminService::Reactor* AdminService::Status(Context* context, const api::StatusRequest*,
                                            api::JsonReply* reply) {
  return Answer(context, "Status", reply,
                [this](const Operator&) -> Result<JsonValue> { return identity_.status(); });
}

AdminService::Reactor* AdminService::CreateToken(Context* context,
                                                 const api::CreateTokenRequest* request,
                                                 api::CreateTokenReply* reply) {
  Reactor* const reactor = context->DefaultReactor();
  const bool posted = parts_.pool.TryPost([this, context, reactor, request, reply] {
    const Result<Operator> caller =
        Authorise(*context, "/sallyport.attestation.v1.Admin/CreateToken");
    if (!caller) return reactor->Finish(ToStatus(caller.error()));
    const Result<CreatedToken> token = parts_.tokens.Create(
        *caller,
        {request->name(), ProfileOf(request->profile()),
         PlacementOf(request->site(), request->device_class(), request->tags()),
         request->device_name(), request->ek_sha256(), request->count(),
         UnixTime{request->expires_ms()}, request->auto_approve()},
        parts_.clock.Wall());
    if (!token) return reactor->Finish(ToStatus(token.error()));
    reply->set_token_id(token->id);
    reply->set_enrolment_file(token->enrolment_file);
    reactor->Finish(grpc::Status::OK);
  });
  if (!posted) reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"));
  return reactor;
}

AdminService::Reactor* AdminService::ListTokens(Context* context, const api::ListRequest* request,
                                                api::JsonReply* reply) {
  return Answer(context, "ListTokens", reply, [this, request](const Operator&) {
    return parts_.tokens.List(request->after(), Rows(request->limit()), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::RevokeToken(Context* context, const api::NameRequest* request,
                                                 api::JsonReply* reply) {
  return Answer(context, "RevokeToken", reply, [this, request](const Operator& caller) {
    return parts_.tokens.Revoke(caller, request->name());
  });
}

AdminService::Reactor* AdminService::AllowEk(Context* context, const api::AllowEkRequest* request,
                                             api::JsonReply* reply) {
  return Answer(
      context, "AllowEk", reply, [this, request](const Operator& caller) -> Result<JsonValue> {
        SP_TRY(const Bytes hash, HexDecode(request->ek_sha256()));
        SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(hash));
        return parts_.tokens.AllowEk(
            caller, {digest, request->device_name(), std::string(kDefaultProfile),
                     PlacementOf(request->site(), request->device_class(), request->tags()),
                     parts_.clock.Wall(), caller.id});
      });
}

AdminService::Reactor* AdminService::ImportEkBundle(Context* context,
                                                    const api::ImportEkBundleRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "ImportEkBundle", reply, [this, request](const Operator& caller) {
    EkBundleOrder order{request->profile(), {}, request->skip_refused()};
    for (const api::EkBundleFile& file : request->files())
      order.files.push_back(
          {file.vendor(), file.name(), ToBytes(file.data()), file.revocation_list()});
    return parts_.ek_bundles.Import(caller, order, parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ListDevices(Context* context, const api::ListRequest* request,
                                                 api::JsonReply* reply) {
  return Answer(context, "ListDevices", reply, [this, request](const Operator&) {
    return parts_.devices.List(request->after(), Rows(request->limit()), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ShowDevice(Context* context, const api::NameRequest* request,
                                                api::JsonReply* reply) {
  return Answer(context, "ShowDevice", reply, [this, request](const Operator&) {
    return parts_.devices.Show(request->name(), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ExplainDevice(Context* context,
                                                   const api::NameRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "ExplainDevice", reply, [this, request](const Operator&) {
    return parts_.devices.Explain(request->name(), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ExplainRelease(Context* context,
                                                    const api::ExplainReleaseRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "ExplainRelease", reply, [this, request](const Operator&) {
    return server::ExplainRelease(parts_.database, request->device(), request->release(),
                                  parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ApproveDevice(Context* context,
                                                   const api::ApprovedRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "ApproveDevice", reply, [this, request](const Operator& caller) {
    return parts_.devices.Approve(caller, request->name(), ApprovalsOf(request->approvals()),
                                  parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::QuarantineDevice(Context* context,
                                                      const api::QuarantineRequest* request,
                                                      api::JsonReply* reply) {
  return Answer(context, "QuarantineDevice", reply, [this, request](const Operator& caller) {
    return parts_.devices.Quarantine(caller, request->name(), request->cause(), request->why(),
                                     parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ReleaseDevice(Context* context,
                                                   const api::ApprovedRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "ReleaseDevice", reply, [this, request](const Operator& caller) {
    return parts_.devices.Release(caller, request->name(), ApprovalsOf(request->approvals()),
                                  parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::DecommissionDevice(Context* context,
                                                        const api::ApprovedRequest* request,
                                                        api::JsonReply* reply) {
  return Answer(context, "DecommissionDevice", reply, [this, request](const Operator& caller) {
    return parts_.devices.Decommission(caller, request->name(), ApprovalsOf(request->approvals()),
                                       parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ApplyPolicy(Context* context,
                                                 const api::ApplyPolicyRequest* request,
                                                 api::JsonReply* reply) {
  return Answer(context, "ApplyPolicy", reply, [this, request](const Operator& caller) {
    return parts_.publication.ApplyPolicy(caller, AsBytes(request->source()), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::AddContentKey(Context* context,
                                                   const api::AddContentKeyRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "AddContentKey", reply, [this, request](const Operator& caller) {
    return parts_.content_keys.Add(caller, AsBytes(request->key()), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::PublishDirectorRoot(Context* context,
                                                         const api::DirectorRootRequest* request,
                                                         api::JsonReply* reply) {
  return Answer(context, "PublishDirectorRoot", reply, [this, request](const Operator& caller) {
    return parts_.publication.PublishDirectorRoot(caller, AsBytes(request->root()),
                                                  parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ListPolicies(Context* context, const api::ListRequest* request,
                                                  api::JsonReply* reply) {
  return Answer(context, "ListPolicies", reply, [this, request](const Operator&) {
    return parts_.publication.ListPolicies(Rows(request->limit()));
  });
}

grpc::ServerReadReactor<api::PublishChunk>* AdminService::PublishFiles(Context* context,
                                                                       api::JsonReply* reply) {
  Result<Operator> caller = Authorise(*context, "/sallyport.attestation.v1.Admin/PublishFiles");
  return MakePublishReactor(std::move(caller),
                            {parts_.publication, parts_.files, parts_.pool, parts_.clock}, reply);
}

AdminService::Reactor* AdminService::ImportReference(Context* context,
                                                     const api::ImportReferenceRequest* request,
                                                     api::JsonReply* reply) {
  return Answer(context, "ImportReference", reply, [this, request](const Operator& caller) {
    return parts_.references.Import(caller, request->device_class(), AsBytes(request->json()),
                                    ApprovalsOf(request->approvals()), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ApproveReference(Context* context,
                                                      const api::ApprovedRequest* request,
                                                      api::JsonReply* reply) {
  return Answer(context, "ApproveReference", reply, [this, request](const Operator& caller) {
    return parts_.references.Approve(caller, request->name(), ApprovalsOf(request->approvals()),
                                     parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::RetireReference(Context* context,
                                                     const api::ApprovedRequest* request,
                                                     api::JsonReply* reply) {
  return Answer(context, "RetireReference", reply, [this, request](const Operator& caller) {
    return parts_.references.Retire(caller, request->name(), ApprovalsOf(request->approvals()),
                                    parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ListReferences(Context* context,
                                                    const api::ListRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "ListReferences", reply, [this, request](const Operator&) {
    return parts_.references.List(Rows(request->limit()));
  });
}

AdminService::Reactor* AdminService::CreateRollout(Context* context,
                                                   const api::CreateRolloutRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "CreateRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Create(
        caller, {request->name(), request->release_path(), Strings(request->canary()),
                 Strings(request->devices())});
  });
}

AdminService::Reactor* AdminService::ApproveRollout(Context* context,
                                                    const api::ApprovedRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "ApproveRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Approve(caller, request->name(), ApprovalsOf(request->approvals()));
  });
}

AdminService::Reactor* AdminService::AdvanceRollout(Context* context,
                                                    const api::NameRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "AdvanceRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Advance(caller, request->name());
  });
}

AdminService::Reactor* AdminService::PauseRollout(Context* context, const api::NameRequest* request,
                                                  api::JsonReply* reply) {
  return Answer(context, "PauseRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Pause(caller, request->name());
  });
}

AdminService::Reactor* AdminService::ResumeRollout(Context* context,
                                                   const api::NameRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "ResumeRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Resume(caller, request->name());
  });
}

AdminService::Reactor* AdminService::AbortRollout(Context* context, const api::NameRequest* request,
                                                  api::JsonReply* reply) {
  return Answer(context, "AbortRollout", reply, [this, request](const Operator& caller) {
    return parts_.rollouts.Abort(caller, request->name());
  });
}

AdminService::Reactor* AdminService::ShowRollout(Context* context, const api::NameRequest* request,
                                                 api::JsonReply* reply) {
  return Answer(context, "ShowRollout", reply,
                [this, request](const Operator&) { return parts_.rollouts.Show(request->name()); });
}

AdminService::Reactor* AdminService::ListRollouts(Context* context, const api::ListRequest* request,
                                                  api::JsonReply* reply) {
  return Answer(context, "ListRollouts", reply, [this, request](const Operator&) {
    return parts_.rollouts.List(request->after(), Rows(request->limit()));
  });
}

AdminService::Reactor* AdminService::TailAudit(Context* context,
                                               const api::TailAuditRequest* request,
                                               api::JsonReply* reply) {
  return Answer(context, "TailAudit", reply, [this, request](const Operator&) {
    return TailAuditEntries(parts_.database, request->after_seq(), Rows(request->limit()));
  });
}

AdminService::Reactor* AdminService::VerifyAudit(Context* context, const api::ListRequest*,
                                                 api::JsonReply* reply) {
  return Answer(context, "VerifyAudit", reply,
                [this](const Operator&) { return CheckAudit(parts_.database); });
}

AdminService::Reactor* AdminService::ShowReference(Context* context,
                                                   const api::NameRequest* request,
                                                   api::JsonReply* reply) {
  return Answer(context, "ShowReference", reply, [this, request](const Operator&) {
    return parts_.references.Show(request->name());
  });
}

AdminService::Reactor* AdminService::LearnReference(Context* context,
                                                    const api::LearnReferenceRequest* request,
                                                    api::JsonReply* reply) {
  return Answer(context, "LearnReference", reply, [this, request](const Operator& caller) {
    return request->close()
               ? parts_.references.StopLearning(caller, request->device_class())
               : parts_.references.Learn(caller, request->device_class(),
                                         UnixTime{request->until_ms()}, parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ProposeReference(Context* context,
                                                      const api::ProposeReferenceRequest* request,
                                                      api::JsonReply* reply) {
  return Answer(context, "ProposeReference", reply, [this, request](const Operator&) {
    return parts_.proposals.Propose(
        request->verdict(),
        {request->whole_class(), request->all_same(), Strings(request->devices())});
  });
}

AdminService::Reactor* AdminService::ShowAttestationResult(Context* context,
                                                           const api::NameRequest* request,
                                                           api::JsonReply* reply) {
  return Answer(context, "ShowAttestationResult", reply, [this, request](const Operator&) {
    return parts_.results.Show(request->name(), parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ExportAudit(Context* context,
                                                 const api::ExportAuditRequest* request,
                                                 api::JsonReply* reply) {
  return Answer(context, "ExportAudit", reply, [this, request](const Operator&) {
    return parts_.audit_export.Answer({request->section(), request->key(), request->offset()},
                                      parts_.clock.Wall());
  });
}

AdminService::Reactor* AdminService::ShowCa(Context* context, const api::ListRequest*,
                                            api::JsonReply* reply) {
  return Answer(context, "ShowCa", reply,
                [this](const Operator&) -> Result<JsonValue> { return identity_.ca(); });
}

}  // namespace sallyport::server

#include "device-client/transport/channel.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/evidence.pb.h"
#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

constexpr int kKeepaliveMs = 20'000;  // finds a dead path behind a NAT before a lease ends
constexpr int kKeepaliveTimeoutMs = 10'000;

Reason ReasonOf(grpc::StatusCode code) {
  if (code == grpc::StatusCode::PERMISSION_DENIED) return Reason::kPolicyDenied;
  if (code == grpc::StatusCode::UNAUTHENTICATED) return Reason::kUnauthenticated;
  if (code == grpc::StatusCode::RESOURCE_EXHAUSTED) return Reason::kRateLimited;
  if (code == grpc::StatusCode::NOT_FOUND) return Reason::kNotFound;
  if (code == grpc::StatusCode::INVALID_ARGUMENT || code == grpc::StatusCode::OUT_OF_RANGE)
    return Reason::kMalformed;
  return Reason::kUnavailable;
}

// DatedVerifier judges alone: gRPC's own verification of chains is off beside it.
class DatedVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  DatedVerifier(std::vector<std::string> server_ids, std::shared_ptr<const DatedTrust> trust)
      : server_ids_(std::move(server_ids)), trust_(std::move(trust)) {}
  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const grpc::string_ref chain = request->peer_cert_full_chain();
    const Result<Unit> judged = JudgeServer({chain.data(), chain.size()}, server_ids_, *trust_);
    *status = judged ? grpc::Status::OK
                     : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, judged.error().ToString());
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const std::vector<std::string> server_ids_;
  const std::shared_ptr<const DatedTrust> trust_;
};

}  // namespace

Result<Unit> JudgeServer(std::string_view chain_pem, const std::vector<std::string>& server_ids,
                         const DatedTrust& trust) {
  SP_TRY(const std::vector<Bytes> chain, pki::ParseCertificatePem(chain_pem));
  SP_TRY(const pki::IdentityCertificate leaf, pki::ParseIdentityCertificate(chain.front()));
  const TimeBound time = trust.time();
  const UnixTime at = time.exact ? time.earliest : std::max(time.earliest, leaf.not_before);
  SP_TRY(const pki::VerifiedPeer peer,
         pki::VerifyPeer(chain.front(), std::span(chain).subspan(1), trust.anchors,
                         pki::Role::kServer, trust.trust_domain, at));
  if (std::ranges::find(server_ids, peer.spiffe_id().text()) != server_ids.end()) return Unit{};
  return Error{Reason::kMismatch, "the peer is " + peer.spiffe_id().text(), "server.id"};
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const ServerTrust& trust,
                                           const std::optional<ClientIdentity>& identity) {
  namespace ge = grpc::experimental;
  ge::TlsChannelCredentialsOptions options;
  if (identity) {
    options.set_certificate_provider(std::make_shared<ge::StaticDataCertificateProvider>(
        trust.anchors_pem,
        std::vector<ge::IdentityKeyCertPair>{{identity->key_reference, identity->chain_pem}}));
    options.watch_identity_key_cert_pairs();
  } else {
    options.set_certificate_provider(
        std::make_shared<ge::StaticDataCertificateProvider>(trust.anchors_pem));
  }
  options.watch_root_certs();
  options.set_certificate_verifier(
      trust.dated
          ? ge::ExternalCertificateVerifier::Create<DatedVerifier>(trust.server_ids, trust.dated)
          : server::MakeServerVerifier(trust.server_ids));
  options.set_verify_server_certs(trust.dated == nullptr);
  options.set_check_call_host(false);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Each channel has its own connection: a shared one would keep an earlier certificate alive.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, ge::TlsCredentials(options), arguments);
}

Result<Sha256Digest> ServerLeafHash(const grpc::ClientContext& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (!auth) return Error{Reason::kUnavailable, "connection is not authenticated yet"};
  const auto leaf = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (leaf.size() != 1) return Error{Reason::kUnauthenticated, "server showed no certificate"};
  SP_TRY(const std::vector<Bytes> der, pki::ParseCertificatePem({leaf[0].data(), leaf[0].size()}));
  return pki::Sha256(der.front());
}

CallFailure FailureOf(const grpc::Status& status) {
  CallFailure out{{ReasonOf(status.error_code()), status.error_message()}, {}, "", {}};
  ::sallyport::attestation::v1::Refusal refusal;
  if (status.error_details().empty() || !refusal.ParseFromString(status.error_details()))
    return out;
  out.reference_id = refusal.reference_id();
  out.retry_after = Milliseconds(static_cast<int64_t>(refusal.retry_after_ms()));
  out.events = {refusal.events().begin(), refusal.events().end()};
  if (!refusal.rule().empty())
    out.error.detail += " (" + refusal.rule() + ": " + refusal.detail() + ")";
  if (!refusal.reference_id().empty()) out.error.detail += " reference " + refusal.reference_id();
  return out;
}

}  // namespace sallyport::device

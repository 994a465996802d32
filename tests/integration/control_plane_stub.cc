#include "tests/integration/control_plane_stub.h"

#include "attestation-server/evidence/key_evidence.h"
#include "pki/ca/signed_statement.h"
#include "pki/tpm/make_credential.h"
#include "pki/x509/csr.h"
#include "pki/x509/pem.h"

namespace sallyport::testing_server {
namespace {

constexpr uint32_t kPcrs[] = {0, 4, 7};
constexpr uint32_t kPcrMask = 1u << 0 | 1u << 4 | 1u << 7;
constexpr std::chrono::seconds kPatience{20};
constexpr std::chrono::seconds kShutdown{1};

ByteView View(const std::string& bytes) { return AsBytes(bytes); }

grpc::Status NotAdmitted() {
  api::Refusal refusal;
  refusal.set_reference_id("ref-1");
  return {grpc::StatusCode::PERMISSION_DENIED, "not-admitted", refusal.SerializeAsString()};
}

}  // namespace

class ControlPlaneStub::EnrolmentService final : public api::Enrolment::Service {
 public:
  explicit EnrolmentService(ControlPlaneStub& stub) : stub_(stub) {}
  grpc::Status Begin(grpc::ServerContext*, const api::BeginRequest* request,
                     api::BeginResponse* response) override {
    return stub_.Begin(*request, *response);
  }
  grpc::Status Prove(grpc::ServerContext*, const api::ProveRequest* request,
                     api::ProveResponse* response) override {
    return stub_.Prove(*request, *response);
  }

 private:
  ControlPlaneStub& stub_;
};

// StreamReactor: all state but its own message buffers is the stub's, under its lock.
class ControlPlaneStub::StreamReactor final
    : public grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage> {
 public:
  StreamReactor(ControlPlaneStub& stub, std::string peer) : stub_(stub) {
    const std::lock_guard lock(stub_.state_mutex_);
    if (stub_.conduct_.refuse_stream) {
      Finish(NotAdmitted());
      return;
    }
    stub_.FinishStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "a newer stream took over"));
    stub_.stream_ = this;
    stub_.seen_.streams.push_back(std::move(peer));
    stub_.changed_.notify_all();
    StartRead(&in_);
    stub_.Pump();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    const std::lock_guard lock(stub_.state_mutex_);
    stub_.Handle(in_);
    StartRead(&in_);
  }
  void OnWriteDone(bool /*ok*/) override {
    const std::lock_guard lock(stub_.state_mutex_);
    writing_ = false;
    if (stub_.stream_ == this) stub_.Pump();
  }
  void OnCancel() override {
    const std::lock_guard lock(stub_.state_mutex_);
    if (stub_.stream_ == this) stub_.FinishStream(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

  bool writing() const { return writing_; }
  void Write(api::ServerMessage message) {
    writing_ = true;
    out_ = std::move(message);
    StartWrite(&out_);
  }

 private:
  ControlPlaneStub& stub_;
  api::DeviceMessage in_;
  api::ServerMessage out_;
  bool writing_ = false;
};

class ControlPlaneStub::DeviceService final : public api::Device::CallbackService {
 public:
  explicit DeviceService(ControlPlaneStub& stub) : stub_(stub) {}
  grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* Stream(
      grpc::CallbackServerContext* context) override {
    const auto ids = context->auth_context()->FindPropertyValues("peer_spiffe_id");
    return new StreamReactor(stub_, ids.empty() ? "" : std::string(ids[0].data(), ids[0].size()));
  }
  grpc::ServerUnaryReactor* GetManifest(grpc::CallbackServerContext* context,
                                        const api::GetManifestRequest*,
                                        api::DeviceManifest* answer) override {
    answer->set_targets("targets");
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  ControlPlaneStub& stub_;
};

ControlPlaneStub::ControlPlaneStub(const std::string& dir, std::string server_name)
    : dir_(dir),
      server_name_(std::move(server_name)),
      trust_domain_(*pki::TrustDomain::Parse("edge.example")),
      root_key_(*pki::PrivateKey::Generate(pki::KeyType::kP256)),
      root_(*pki::SignSelfIssued({.common_name = "root",
                                  .trust_domain = trust_domain_,
                                  .serial = Bytes(16, 1),
                                  .not_before = clock_.Wall() - Hours(1),
                                  .not_after = clock_.Wall() + Days(1),
                                  .path_length = 1,
                                  .scope = pki::NameScope::kAny},
                                 root_key_)),
      device_issuer_(MakeIssuer("device issuer", pki::NameScope::kUriOnly)),
      server_issuer_(MakeIssuer("server issuer", pki::NameScope::kUriAndHosts)),
      server_key_(*pki::PrivateKey::Generate(pki::KeyType::kP256)),
      server_leaf_(*server_issuer_.leaves.IssueServer(
          server_name_, {{"localhost"}, {}}, server_key_.public_key().spki(),
          {clock_.Wall() - Minutes(1), clock_.Wall() + Hours(1)}, random_)),
      enrolment_service_(std::make_unique<EnrolmentService>(*this)),
      device_service_(std::make_unique<DeviceService>(*this)),
      enrol_server_(Serve("enrol.sock", *enrolment_service_, false)),
      device_server_(Serve("device.sock", *device_service_, true)) {}

ControlPlaneStub::~ControlPlaneStub() {
  {
    const std::lock_guard lock(state_mutex_);
    FinishStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "server ends"));
  }
  enrol_server_->Shutdown(std::chrono::system_clock::now() + kShutdown);
  device_server_->Shutdown(std::chrono::system_clock::now() + kShutdown);
}

ControlPlaneStub::Issuer ControlPlaneStub::MakeIssuer(const std::string& name,
                                                      pki::NameScope scope) {
  pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
  Bytes serial(16, 2);
  random_.Fill(std::span(serial).last(8));
  pki::IssuerCertificate certificate = *pki::SignIssuer({.common_name = name,
                                                         .trust_domain = trust_domain_,
                                                         .serial = serial,
                                                         .not_before = clock_.Wall() - Hours(1),
                                                         .not_after = clock_.Wall() + Hours(12),
                                                         .path_length = 0,
                                                         .scope = scope},
                                                        key.public_key(), root_, root_key_);
  pki::LeafTemplate leaves = *pki::LeafTemplate::Make(certificate, std::move(key), trust_domain_);
  return {std::move(leaves), std::move(certificate)};
}

std::unique_ptr<grpc::Server> ControlPlaneStub::Serve(const std::string& path,
                                                      grpc::Service& service,
                                                      bool client_certificates) {
  grpc::SslServerCredentialsOptions options(
      client_certificates ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                          : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = device_issuer_.certificate.ToPem();
  options.pem_key_cert_pairs = {
      {*server_key_.SealedPem(""), pki::CertificatePem(server_leaf_.der)}};
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + dir_ + "/" + path, grpc::SslServerCredentials(options));
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> started = builder.BuildAndStart();
  SP_CHECK(started != nullptr);
  return started;
}

pki::EnrolmentFile ControlPlaneStub::EnrolmentFile() const {
  pki::TrustBundle bundle{
      trust_domain_, 1, root_, {device_issuer_.certificate}, {server_issuer_.certificate}, root_};
  bundle.time_key = time_key_.public_key();
  return {.trust_domain = trust_domain_,
          .development = true,
          .servers = {"unix:" + dir_ + "/enrol.sock", "unix:" + dir_ + "/device.sock",
                      "unix:" + dir_ + "/none"},
          .server_ids = {*pki::SpiffeId::Parse("spiffe://edge.example/server/control")},
          .pki_root_sha256 = bundle.PkiRootDigest(),
          .trust_bundle = bundle,
          .image_root = {},
          .director_root = {},
          .token = "secret-token"};
}

void ControlPlaneStub::PushTime(UnixTime time, bool forged) {
  constexpr uint64_t kIncarnation = 1;
  const pki::PrivateKey key =
      forged ? *pki::PrivateKey::Generate(pki::KeyType::kEd25519) : time_key_;
  const Bytes body =
      pki::SignedTimeBody(time, kIncarnation, AsBytes(seen().hellos.back().time_nonce()));
  const pki::StatementSigner signer =
      *pki::StatementSigner::Make(std::string(pki::kSignedTimeRole), key);
  api::ServerMessage message;
  message.mutable_epoch()->set_epoch(1);
  message.mutable_epoch()->set_time_ms(time.ms);
  message.mutable_epoch()->set_incarnation(kIncarnation);
  message.mutable_epoch()->set_time_signature(ToString(signer.SignStatement(body)->signature));
  Push(message);
}

void ControlPlaneStub::Set(const Conduct& conduct) {
  const std::lock_guard lock(state_mutex_);
  conduct_ = conduct;
}

bool ControlPlaneStub::WaitFor(const std::function<bool(const Seen&)>& condition) {
  std::unique_lock lock(state_mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return condition(seen_); });
}

Seen ControlPlaneStub::seen() const {
  const std::lock_guard lock(state_mutex_);
  return seen_;
}

std::string ControlPlaneStub::device_id() const {
  const std::lock_guard lock(state_mutex_);
  return device_id_;
}

void ControlPlaneStub::Push(const api::ServerMessage& message) {
  const std::lock_guard lock(state_mutex_);
  pushes_.push_back(message);
  Pump();
}

void ControlPlaneStub::PushChallenge() {
  const std::lock_guard lock(state_mutex_);
  *pushes_.emplace_back().mutable_renew() = MakeChallenge(pki::Purpose::kRenew);
  Pump();
}

void ControlPlaneStub::EndStreams(bool refused) {
  const std::lock_guard lock(state_mutex_);
  FinishStream(refused ? NotAdmitted() : grpc::Status(grpc::StatusCode::UNAVAILABLE, "going away"));
}

api::Challenge ControlPlaneStub::MakeChallenge(pki::Purpose purpose) {
  pki::TranscriptFields& fields = pending_->fields;
  fields.purpose = purpose;
  fields.ticket_id = random_.Next<TicketId>();
  fields.nonce = random_.Next<Nonce>();
  api::Challenge challenge;
  challenge.set_ticket("ticket " + HexEncode(fields.ticket_id));
  challenge.set_ticket_id(ToString(fields.ticket_id.view()));
  challenge.set_nonce(ToString(fields.nonce.view()));
  api::PcrRequest* const pcrs = challenge.add_pcr_requests();
  pcrs->set_bank("sha256");
  pcrs->mutable_pcrs()->Add(std::begin(kPcrs), std::end(kPcrs));
  challenge.set_device_id(device_id_);
  challenge.set_ek_spki_sha256(ToString(ek_spki_hash_->view()));
  challenge.set_expires_in_ms(60'000);
  return challenge;
}

grpc::Status ControlPlaneStub::Begin(const api::BeginRequest& request,
                                     api::BeginResponse& response) {
  const std::lock_guard lock(state_mutex_);
  seen_.begins.push_back(request);
  changed_.notify_all();
  if (conduct_.refuse_begin) return NotAdmitted();
  const pki::PublicArea ak = *pki::ParsePublicArea(View(request.ak_public()));
  const bool enrol = request.purpose() == api::PURPOSE_ENROL;
  if (enrol) {
    const Bytes spki = pki::ParsePublicArea(View(request.ek_public()))->ToPublicKey()->spki();
    ek_spki_hash_ = pki::Sha256(spki);
    device_id_ = pki::DeviceIdFromEk(trust_domain_, spki).text();
  }
  const Sha256Digest zero = Sha256Digest::FromArray({});
  pending_ = Pending{{.purpose = pki::Purpose::kEnrol,
                      .trust_domain = trust_domain_.name(),
                      .server_leaf_hash = pki::Sha256(server_leaf_.der),
                      .ticket_id = random_.Next<TicketId>(),
                      .nonce = random_.Next<Nonce>(),
                      .device_id = device_id_,
                      .ek_spki_hash = *ek_spki_hash_,
                      .ak_name = pki::ObjectName(ak),
                      .tls_key_name = {},
                      .csr_hash = zero,
                      .event_log_hash = zero,
                      .running_release = std::nullopt},
                     ak,
                     {}};
  *response.mutable_challenge() =
      MakeChallenge(enrol ? pki::Purpose::kEnrol : pki::Purpose::kReattest);
  if (!enrol) return grpc::Status::OK;
  pending_->secret = Bytes(32, 0x5A);
  const pki::PublicArea ek =
      *pki::EkPublicFromKey(*pki::ParsePublicArea(View(request.ek_public()))->ToPublicKey());
  const pki::MadeCredential made =
      *pki::MakeCredential(ek, pending_->fields.ak_name, pending_->secret);
  response.set_credential_blob(ToString(made.credential_blob));
  response.set_encrypted_secret(ToString(made.encrypted_secret));
  return grpc::Status::OK;
}

// Judge recomputes T from its own record and what was sent, and runs the rules of quotes and keys.
void ControlPlaneStub::Judge(const api::Evidence& evidence) {
  pki::TranscriptFields& fields = pending_->fields;
  const bool renewal = fields.purpose == pki::Purpose::kRenew;
  fields.tls_key_name = pki::ObjectName(*pki::ParsePublicArea(View(evidence.tls_public())));
  fields.csr_hash = pki::Sha256(View(evidence.csr()));
  fields.event_log_hash = *Sha256Digest::FromView(View(evidence.event_log_sha256()));
  fields.highest_epoch = evidence.epoch_held();
  const pki::Transcript transcript = pki::ComputeTranscript(fields);
  const Sha256Digest quote_data = pki::QuoteExtraData(transcript);
  const Sha256Digest key_data = pki::KeyQualifyingData(transcript);

  const auto certification =
      renewal ? server::KeyCertification::kCertify : server::KeyCertification::kCreation;
  server::CheckList checks(server::AkRules());
  checks.Add(server::QuoteRules());
  checks.Add(server::KeyRules(certification));
  const server::AttestationKey ak = *server::AttestationKey::FromArea(pending_->ak);
  server::CheckAk(ak, std::nullopt, checks);
  std::vector<server::PcrValue> values;
  for (const uint32_t pcr : kPcrs)
    values.push_back({pcr, server::PcrDigest::Of(View(evidence.quotes(0).pcr_values().at(pcr)))});
  server::CheckQuote(ak,
                     {.attest = View(evidence.quotes(0).attest()),
                      .signature = View(evidence.quotes(0).signature()),
                      .values = &values},
                     {.extra_data = quote_data.view(),
                      .bank = pki::HashAlgorithm::kSha256,
                      .pcr_mask = kPcrMask,
                      .last = std::nullopt},
                     checks);
  const pki::CertificateRequest csr = *pki::ParseCsr(View(evidence.csr()));
  server::CheckKey(ak,
                   {.certification = certification,
                    .tls_public = View(evidence.tls_public()),
                    .creation_data = View(evidence.creation_data()),
                    .attest = View(evidence.key_attest()),
                    .signature = View(evidence.key_signature()),
                    .csr_spki = csr.key.spki()},
                   {.qualifying_data = key_data.view(), .nonce = fields.nonce.view()}, checks);
  for (const server::Check& check : checks.checks())
    if (check.result != server::CheckResult::kPass)
      seen_.complaints.push_back(std::string(check.rule) + " " + check.detail);
  if (fields.purpose != pki::Purpose::kEnrol) return;
  if (View(evidence.activation_proof()).size() != 32 ||
      !Equal(View(evidence.activation_proof()),
             pki::ActivationProof(pending_->secret, transcript).view()))
    seen_.complaints.push_back("activation-proof");
}

api::Certificate ControlPlaneStub::Issue(const api::Evidence& evidence) {
  const UnixTime now = clock_.Wall();
  const pki::IdentityExtension extension{.attested_at = now,
                                         .tier = pki::Tier::kAttested,
                                         .incarnation = 1,
                                         .epoch = 1,
                                         .boot_id = BootId::FromArray({}),
                                         .release_digest = std::nullopt,
                                         .key_protection = pki::KeyProtection::kTpmNullHierarchy};
  const pki::IssuedLeaf leaf = *device_issuer_.leaves.IssueDevice(
      *pki::DeviceId::Parse(device_id_), pki::ParseCsr(View(evidence.csr()))->key.spki(), extension,
      {now - Seconds(10), now + conduct_.lifetime}, random_);
  api::Certificate out;
  out.add_chain(ToString(leaf.der));
  out.add_chain(ToString(device_issuer_.certificate.der));
  out.set_not_after_ms(leaf.not_after.ms);
  out.set_renew_after_ms((now + Duration{conduct_.lifetime.ms / 2}).ms);
  out.set_epoch(1);
  out.set_posture("passing");
  out.set_tier("attested");
  return out;
}

grpc::Status ControlPlaneStub::Prove(const api::ProveRequest& request,
                                     api::ProveResponse& response) {
  const std::lock_guard lock(state_mutex_);
  Judge(request.evidence());
  seen_.proofs.push_back(request.evidence());
  changed_.notify_all();
  response.set_pending(conduct_.pending);
  for (const uint64_t floor : conduct_.recorded_floors) response.add_recorded_floors(floor);
  if (!conduct_.pending) *response.mutable_certificate() = Issue(request.evidence());
  return grpc::Status::OK;
}

void ControlPlaneStub::Handle(const api::DeviceMessage& message) {
  if (message.has_hello()) seen_.hellos.push_back(message.hello());
  if (message.has_ack()) seen_.acks.push_back(message.ack());
  if (message.has_renewal()) {
    Judge(message.renewal().evidence());
    seen_.renewals.push_back(message.renewal().evidence());
    *pushes_.emplace_back().mutable_certificate() = Issue(message.renewal().evidence());
    Pump();
  }
  changed_.notify_all();
}

void ControlPlaneStub::Pump() {
  if (stream_ == nullptr || stream_->writing() || pushes_.empty()) return;
  stream_->Write(std::move(pushes_.front()));
  pushes_.pop_front();
}

void ControlPlaneStub::FinishStream(const grpc::Status& status) {
  if (stream_ == nullptr) return;
  stream_->Finish(status);
  stream_ = nullptr;
}

}  // namespace sallyport::testing_server

#include "device-client/client.h"

#include <algorithm>
#include <chrono>

#include "device-client/agent/time_record.h"
#include "pki/base/log.h"
#include "pki/ca/signed_statement.h"
#include "pki/tpm/public_area.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kAgentVersion = "0.1.0";
constexpr Duration kPendingRetry = Seconds(10);  // an operator is asked; patience costs nothing
constexpr Duration kPoll = Milliseconds(500);    // how late a lapse or a switch may be noticed
constexpr int64_t kSwitchFraction = 8;  // the connection moves with 1/8 of the old lifetime left
// One step asks the server and the TPM a few things, each of which has a limit of seconds.
constexpr Duration kStepMax = Minutes(2);
constexpr Duration kSaveTimeEvery =
    Minutes(5);  // wear: the floor of trusted time need not be exact

ServerTrust TrustOf(const pki::EnrolmentFile& file, const std::shared_ptr<TrustedTime>& time) {
  ServerTrust trust;
  for (const pki::IssuerCertificate& issuer : file.trust_bundle.server_issuers)
    trust.anchors_pem += issuer.ToPem();
  for (const pki::SpiffeId& id : file.server_ids) trust.server_ids.push_back(id.text());
  trust.dated = std::make_shared<const DatedTrust>(
      DatedTrust{file.trust_bundle.Anchors(), file.trust_domain, [time] { return time->Bound(); }});
  return trust;
}

// TimeOf begins where earlier boots ended, and counts what the TPM's clock ran since.
std::shared_ptr<TrustedTime> TimeOf(const ClientParts& parts, const std::string& directory,
                                    UnixTime last_signed) {
  const UnixTime floor = std::max(BuildTime(), last_signed);
  UnixTime estimate = floor;
  const Result<std::optional<TimeRecord>> record = LoadTimeRecord(parts.files, directory);
  const Result<pki::ClockInfo> clock = parts.tpm.ReadClock();
  if (record && *record && clock) estimate = EstimateTime(**record, *clock);
  if (!record || !clock)
    Log(LogLevel::kWarning, "tpm_clock_not_used",
        {{"reason", (record ? clock.error() : record.error()).ToString()}});
  return std::make_shared<TrustedTime>(parts.clock, floor, estimate);
}

std::string ChainPem(const IssuedCertificate& certificate) {
  std::string pem;
  for (const Bytes& der : certificate.chain) pem += pki::CertificatePem(der);
  return pem;
}

bool IsRefusal(Reason reason) {
  return reason == Reason::kPolicyDenied || reason == Reason::kUnauthenticated;
}

}  // namespace

Client::Client(ClientParts parts, Config config, pki::EnrolmentFile enrolment, AgentState state)
    : parts_(parts),
      config_(std::move(config)),
      enrolment_(std::move(enrolment)),
      state_(std::move(state)),
      time_(TimeOf(parts_, config_.state, state_.last_signed_time)),
      trust_(TrustOf(enrolment_, time_)),
      attester_(parts.tpm, parts.files, {config_.event_log, config_.ima_list, config_.null_name}),
      backoff_(parts.random, config_.backoff_max),
      machine_(state_.device_id.empty() ? State::kEnrol : State::kReattest) {}

Client::~Client() { DropLink(); }

// DropLink also forgets what the old link has said: it must not be taken for the next one's.
void Client::DropLink() {
  link_.reset();
  if (std::exchange(heard_, false)) parts_.sinks.OnStream(false);
  const std::lock_guard lock(inbox_mutex_);
  std::erase_if(inbox_, [](const Message& message) {
    return !std::holds_alternative<UpdateReport>(message);
  });
}

void Client::Stop() {
  const std::lock_guard lock(inbox_mutex_);
  stopping_ = true;
  inbox_changed_.notify_all();
}

bool Client::stopping() const {
  const std::lock_guard lock(inbox_mutex_);
  return stopping_;
}

void Client::Post(Message message) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_.push_back(std::move(message));
  inbox_changed_.notify_all();
}

void Client::Promise(Duration wait) {
  promised_ms_ = parts_.clock.Boot().ms + wait.ms + kStepMax.ms;
}

bool Client::Alive() const { return parts_.clock.Boot().ms < promised_ms_; }

std::optional<Client::Message> Client::NextMessage(Duration wait) {
  Promise(wait);
  std::unique_lock lock(inbox_mutex_);
  inbox_changed_.wait_for(lock, std::chrono::milliseconds(wait.ms),
                          [this] { return stopping_ || !inbox_.empty(); });
  if (inbox_.empty()) return std::nullopt;
  Message message = std::move(inbox_.front());
  inbox_.pop_front();
  return message;
}

void Client::Wait(Duration duration) {
  Promise(duration);
  std::unique_lock lock(inbox_mutex_);
  inbox_changed_.wait_for(lock, std::chrono::milliseconds(duration.ms),
                          [this] { return stopping_; });
}

ClientStatus Client::status() const {
  const std::lock_guard lock(inbox_mutex_);
  return status_;
}

void Client::SetStatus(const std::string& refusal) {
  const std::lock_guard lock(inbox_mutex_);
  status_ = {machine_, state_.device_id, "", "", refusal, {}, state_.epoch, renewals_};
  if (!session_) return;
  status_.posture = session_->certificate.posture;
  status_.tier = session_->certificate.tier;
  status_.not_after = session_->certificate.not_after;
}

Result<Unit> Client::Run(bool once) {
  Promise(Duration{0});
  SP_TRY(ak_public_, parts_.tpm.EnsureAttestationKey());
  while (!stopping()) {
    Step();
    if (once && machine_ == State::kConnect) return Unit{};
    if (once && refused_once_)
      return Error{Reason::kPolicyDenied, status().last_refusal, "not-admitted"};
  }
  DropLink();
  Remember();
  return Unit{};
}

void Client::Step() {
  Promise(Duration{0});
  switch (machine_) {
    case State::kEnrol: return Attempt(pki::Purpose::kEnrol);
    case State::kReattest: return Attempt(pki::Purpose::kReattest);
    case State::kConnect: return Connect();
    case State::kStream: return Stream();
  }
}

void Client::Move(Event event) {
  const std::optional<State> next = Next(machine_, event);
  if (!next) {
    return Log(
        LogLevel::kWarning, "event_without_meaning",
        {{"state", std::string(StateName(machine_))}, {"event", std::string(EventName(event))}});
  }
  if (*next != machine_)
    Log(LogLevel::kInfo, "state",
        {{"from", std::string(StateName(machine_))},
         {"event", std::string(EventName(event))},
         {"to", std::string(StateName(*next))}});
  machine_ = *next;
}

// Attempt enrols or re-attests once; on failure it waits before it returns.
void Client::Attempt(pki::Purpose purpose) {
  EnrolClient server(enrolment_.servers.enrol, trust_);
  Result<ProveAnswer> answer = Prove(purpose, server);
  if (!answer) return Failed(answer.error(), server.failure());
  if (answer->recorded_floors) parts_.sinks.OnRecordedFloors(*answer->recorded_floors);
  if (answer->certificate) return Admit(*std::move(answer->certificate));
  Log(LogLevel::kInfo, "enrolment_pending",
      {{"next", "an operator approves with: sallyport device approve"}});
  Move(Event::kPending);
  SetStatus("pending");
  Wait(kPendingRetry);
}

Result<TlsKey> Client::NewKey(const Challenge& challenge) {
  if (tried_key_) parts_.tpm.FlushTlsKey(tried_key_->id);
  if (session_) parts_.tpm.FlushTlsKey(session_->key.id);
  tried_key_.reset();
  session_.reset();
  return parts_.tpm.MakeTlsKey(challenge.nonce.view());
}

// Begin lets the maker of the machine vouch for a TPM whose EK has no certificate.
Result<BeginAnswer> Client::Begin(pki::Purpose purpose, EnrolClient& server) {
  if (purpose != pki::Purpose::kEnrol) return server.Begin(purpose, {}, {}, ak_public_);
  SP_TRY(const Bytes ek_public, parts_.tpm.EkPublic(config_.ek));
  const Result<EkCertificates> ek = parts_.tpm.ReadEkCertificates(config_.ek);
  if (ek) {
    std::vector<Bytes> certificates{ek->leaf};
    certificates.insert(certificates.end(), ek->chain.begin(), ek->chain.end());
    return server.Begin(purpose, certificates, ek_public, ak_public_);
  }
  if (ek.error().reason != Reason::kNotFound) return ek.error();
  Result<IakVoucher> iak = parts_.tpm.VouchByIak(enrolment_.trust_domain.name(), ek_public);
  if (!iak && iak.error().reason == Reason::kNotFound) return ek.error();
  if (!iak) return iak.error();
  Log(LogLevel::kInfo, "enrolling_by_iak", {{"why", ek.error().ToString()}});
  return server.Begin(purpose, {}, ek_public, ak_public_, *std::move(iak));
}

Result<ProveAnswer> Client::Prove(pki::Purpose purpose, EnrolClient& server) {
  const bool enrol = purpose == pki::Purpose::kEnrol;
  SP_TRY(const BeginAnswer begin, Begin(purpose, server));
  std::optional<pki::SecretBytes> secret;
  if (enrol) {
    SP_TRY(pki::SecretBytes opened, parts_.tpm.ActivateCredential(config_.ek, begin.credential_blob,
                                                                  begin.encrypted_secret));
    secret = std::move(opened);
  }
  SP_TRY(tried_key_, NewKey(begin.challenge));
  SP_TRY(const Evidence evidence, attester_.Attest({.purpose = purpose,
                                                    .challenge = begin.challenge,
                                                    .server_leaf_hash = begin.server_leaf_hash,
                                                    .trust_domain = enrolment_.trust_domain.name(),
                                                    .ak_public = ak_public_,
                                                    .tls_key = *tried_key_,
                                                    .secret = secret ? &*secret : nullptr,
                                                    .boot = parts_.sinks.Boot(),
                                                    .epoch_held = state_.epoch,
                                                    .token = enrol ? enrolment_.token : "",
                                                    .advertise = config_.advertise}));
  SP_TRY(ProveAnswer answer, server.Prove(begin.challenge.ticket, evidence));
  state_.device_id = begin.challenge.device_id;
  return answer;
}

void Client::Admit(IssuedCertificate certificate) {
  SP_CHECK(tried_key_.has_value());
  const Result<pki::PublicArea> area = pki::ParsePublicArea(tried_key_->public_area);
  const Result<pki::PublicKey> key =
      area ? area->ToPublicKey() : Result<pki::PublicKey>(area.error());
  if (!key) return Failed(key.error(), {});
  const TlsKeyId id = tried_key_->id;
  Result<std::shared_ptr<const TlsKeyReference>> reference = TlsKeyReference::Register(
      *key, [&tpm = parts_.tpm, id](const Sha256Digest& digest) { return tpm.Sign(id, digest); });
  if (!reference) return Failed(reference.error(), {});
  state_.epoch = std::max(state_.epoch, certificate.epoch);
  session_ = Session{*std::move(tried_key_), *std::move(reference), std::move(certificate)};
  tried_key_.reset();
  log_known_ = true;
  backoff_.Reset();
  Remember();
  Move(Event::kAdmitted);
  TellIdentity();
  parts_.sinks.OnAttested(session_->certificate);
}

void Client::TellIdentity() {
  parts_.sinks.OnIdentity(
      {ChainPem(session_->certificate), session_->reference, pki::KeyProtection::kTpmNullHierarchy},
      session_->certificate);
  SetStatus("");
}

void Client::Failed(const Error& error, const CallFailure& failure) {
  const bool refused = IsRefusal(error.reason);
  const Duration wait = backoff_.Next(failure.retry_after);
  Log(LogLevel::kWarning, refused ? "not_admitted" : "attempt_failed",
      {{"state", std::string(StateName(machine_))},
       {"reason", error.ToString()},
       {"retry_in", std::to_string(wait.ms) + "ms"}});
  for (const std::string& event : failure.events)
    Log(LogLevel::kWarning, "own_event_not_accepted", {{"event", event}});
  refused_once_ = refused;
  if (refused) parts_.sinks.OnRefused();
  Move(refused ? Event::kRefused : Event::kUnreachable);
  SetStatus(error.ToString());
  Wait(wait);
}

// A wall clock that is ahead must not end a certificate that the server has just made: the server
// that could correct it would never be heard.
bool Client::Lapsed() const {
  return !session_ || time_->Bound().earliest >= session_->certificate.not_after;
}

void Client::Connect() {
  if (Lapsed()) return Move(Event::kLapsed);
  LinkHello hello{std::string(kAgentVersion), Bytes(16), parts_.sinks.HeldManifestVersion(),
                  parts_.sinks.Boot().slot};
  parts_.random.Fill(hello.time_nonce);
  time_nonce_ = hello.time_nonce;
  const IssuedCertificate& certificate = session_->certificate;
  const UnixTime now = time_->Bound().earliest;
  link_not_after_ = certificate.not_after;
  switch_at_ = certificate.not_after - Duration{(certificate.not_after - now).ms / kSwitchFraction};
  link_ = std::make_unique<DeviceLink>(
      enrolment_.servers.device, trust_,
      ClientIdentity{session_->reference->pem(), ChainPem(certificate)}, hello, *this);
  Move(Event::kConnected);
  SetStatus("");
}

void Client::Stream() {
  if (std::optional<Message> message = NextMessage(kPoll)) Handle(*std::move(message));
  if (machine_ != State::kStream) return;
  const UnixTime now = time_->Bound().earliest;
  if (Lapsed()) {
    DropLink();
    return Move(Event::kLapsed);
  }
  // A connection ends with the certificate it was made with, so it moves once there is a newer one.
  if (now >= switch_at_ && session_->certificate.not_after > link_not_after_) {
    DropLink();
    Move(Event::kSwitchDue);
  }
}

void Client::Handle(Message message) {
  if (const auto* const time = std::get_if<SignedTime>(&message)) return HandleTime(*time);
  if (const auto* const challenge = std::get_if<ChallengeArrived>(&message))
    return Renew(*challenge);
  if (const auto* const revocations = std::get_if<std::vector<PeerRevocation>>(&message))
    return parts_.sinks.OnRevocations(*revocations);
  if (const auto* const manifest = std::get_if<ManifestArrived>(&message))
    return FetchManifest(manifest->version);
  if (const auto* const report = std::get_if<UpdateReport>(&message))
    return link_->SendUpdateReport(*report);
  if (auto* const certificate = std::get_if<IssuedCertificate>(&message)) {
    session_->certificate = std::move(*certificate);
    state_.epoch = std::max(state_.epoch, session_->certificate.epoch);
    ++renewals_;
    Move(Event::kRenewed);
    return TellIdentity();
  }
  if (const auto* const refusal = std::get_if<CallFailure>(&message)) {
    log_known_ = false;  // if the log was the reason, the next answer carries it
    Log(LogLevel::kWarning, "renewal_refused", {{"reason", refusal->error.ToString()}});
    return SetStatus(refusal->error.ToString());
  }
  const LinkClosed& closed = std::get<LinkClosed>(message);
  DropLink();
  Move(closed.refused ? Event::kRefused : Event::kDisconnected);
  const Duration wait = backoff_.Next(closed.failure.retry_after);
  Log(LogLevel::kInfo, "stream_ended",
      {{"reason", closed.failure.error.ToString()}, {"retry_in", std::to_string(wait.ms) + "ms"}});
  SetStatus(closed.failure.error.ToString());
  Wait(wait);
}

// CheckTime: the key of the trust bundle signed this time for this stream.
Result<Unit> Client::CheckTime(const SignedTime& time) const {
  const std::optional<pki::PublicKey>& key = enrolment_.trust_bundle.time_key;
  if (!key) return Error{Reason::kUntrusted, "the trust bundle names no time key", "time.no-key"};
  SP_TRY(pki::VerifyStatement(
      *key, pki::kSignedTimeRole,
      {pki::SignedTimeBody(time.time, time.incarnation, time_nonce_), time.signature}));
  return Unit{};
}

void Client::HandleTime(const SignedTime& time) {
  const Result<Unit> checked = CheckTime(time);
  if (!checked)
    return Log(LogLevel::kError, "time_refused", {{"reason", checked.error().ToString()}});
  time_->Learn(time.time);
  if (!std::exchange(heard_, true)) parts_.sinks.OnStream(true);
  backoff_.Reset();
  const bool rose = time.epoch > state_.epoch;
  state_.epoch = std::max(state_.epoch, time.epoch);
  if (rose || unsaved_ || time.time - state_.last_signed_time > kSaveTimeEvery) Remember();
}

void Client::Renew(const ChallengeArrived& arrived) {
  const Result<Evidence> evidence =
      attester_.Attest({.purpose = pki::Purpose::kRenew,
                        .challenge = arrived.challenge,
                        .server_leaf_hash = arrived.leaf,
                        .trust_domain = enrolment_.trust_domain.name(),
                        .ak_public = ak_public_,
                        .tls_key = session_->key,
                        .boot = parts_.sinks.Boot(),
                        .epoch_held = state_.epoch,
                        .token = "",
                        .advertise = config_.advertise,
                        .send_log = !log_known_});
  if (!evidence) {
    Log(LogLevel::kError, "renewal_failed", {{"reason", evidence.error().ToString()}});
    if (evidence.error().rule != "tls-key.gone") return;
    // A certificate is worth nothing without its key: a new pair comes from a new proof.
    DropLink();
    session_.reset();
    return Move(Event::kLapsed);
  }
  log_known_ = true;
  link_->SendRenewal(arrived.challenge.ticket, *evidence);
}

void Client::FetchManifest(uint64_t version) {
  const Result<ota::DeviceManifest> manifest = link_->GetManifest();
  if (!manifest)
    return Log(LogLevel::kWarning, "manifest_unavailable",
               {{"reason", manifest.error().ToString()}});
  const Result<uint64_t> obeyed = parts_.sinks.OnManifest(*manifest);
  if (!obeyed)
    return Log(LogLevel::kError, "manifest_refused",
               {{"version", std::to_string(version)}, {"reason", obeyed.error().ToString()}});
  link_->SendAck(state_.epoch, *obeyed);
}

void Client::Remember() {
  const TrustedTime::Reading reading = time_->Now();
  if (reading.sure) state_.last_signed_time = std::max(state_.last_signed_time, reading.now);
  if (state_.device_id.empty()) return;
  const Result<Unit> saved = SaveState(parts_.files, config_.state, state_);
  if (reading.sure) RememberTime(reading.now);
  unsaved_ = !saved;
  if (!saved) Log(LogLevel::kError, "state_not_saved", {{"reason", saved.error().ToString()}});
}

void Client::RememberTime(UnixTime now) {
  const Result<pki::ClockInfo> clock = parts_.tpm.ReadClock();
  const Result<Unit> saved = clock ? SaveTimeRecord(parts_.files, config_.state,
                                                    {now, clock->clock_ms, clock->reset_count})
                                   : clock.error();
  if (!saved) Log(LogLevel::kWarning, "time_not_saved", {{"reason", saved.error().ToString()}});
}

void Client::Report(UpdateReport report) {
  constexpr size_t kReportsMax = 64;  // offline for long: the newest say what matters
  {
    const std::lock_guard lock(inbox_mutex_);
    if (inbox_.size() >= kReportsMax) inbox_.pop_front();
  }
  Post(std::move(report));
}
void Client::OnTime(const SignedTime& time) { Post(time); }
void Client::OnChallenge(const Challenge& challenge, const Sha256Digest& leaf) {
  Post(ChallengeArrived{challenge, leaf});
}
void Client::OnCertificate(const IssuedCertificate& certificate) { Post(certificate); }
void Client::OnRefusal(const CallFailure& refusal) { Post(refusal); }
void Client::OnRevocations(const std::vector<PeerRevocation>& revocations) { Post(revocations); }
void Client::OnManifestAvailable(uint64_t version) { Post(ManifestArrived{version}); }
void Client::OnClosed(bool refused, const CallFailure& failure) {
  Post(LinkClosed{refused, failure});
}

}  // namespace sallyport::device

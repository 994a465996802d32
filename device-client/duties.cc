#include "device-client/duties.h"

#include <algorithm>

#include "device-client/transport/content_key_client.h"
#include "ota/metadata/install_plan_maker.h"
#include "pki/base/log.h"
#include "pki/crypto/hash.h"
#include "pki/x509/certificate.h"
#include "policies/decision/canonical.h"

namespace sallyport::device {
namespace {

ContentEndpoint EndpointOf(const pki::EnrolmentFile& enrolment, const DownloadSettings& settings,
                           std::function<UnixTime()> now) {
  ContentEndpoint endpoint{
      enrolment.servers.content, "", {}, kContentStallSecondsMax, std::move(now), settings.proxy,
      settings.proxy_ca_file};
  for (const pki::IssuerCertificate& issuer : enrolment.trust_bundle.server_issuers)
    endpoint.anchors_pem += issuer.ToPem();
  for (const pki::SpiffeId& id : enrolment.server_ids) endpoint.server_ids.push_back(id.text());
  return endpoint;
}

ProxyConfig ProxyConfigOf(const ProxySettings& section) {
  ProxyConfig out;
  out.listen = section.inbound.empty() ? "" : section.listen;
  for (const auto& [service, backend] : section.inbound) out.inbound.push_back({service, backend});
  for (const OutboundFlow& flow : section.outbound)
    out.outbound.push_back({flow.service, flow.to, flow.listen, ""});
  return out;
}

// ReleaseOf is the release that the certificate says was booted: the server proved it.
std::optional<ReleaseDigest> ReleaseOf(const IssuedCertificate& issued) {
  if (issued.chain.empty()) return std::nullopt;
  const auto leaf = pki::ParseIdentityCertificate(issued.chain.front());
  return leaf && leaf->extension ? leaf->extension->release_digest : std::nullopt;
}

}  // namespace

Duties::Duties(DutyParts parts, const Config& config, const pki::EnrolmentFile& enrolment)
    : parts_(parts),
      config_(config),
      enrolment_(enrolment),
      content_(EndpointOf(enrolment, config.update.download,
                          [this] { return client_->time().Now().now; }),
               [this]() -> std::optional<TlsIdentity> {
                 const std::lock_guard lock(identity_mutex_);
                 return identity_;
               }),
      fetcher_(content_),
      notes_(parts.files, config.state + "/trial.json"),
      watchdog_(config.update.trial.watchdog) {}

Duties::~Duties() { Stop(); }

Result<Unit> Duties::Start(Client& client, const std::string& device_id) {
  client_ = &client;
  device_id_ = device_id;
  SP_TRY(StartProxy());
  SP_TRY(StartUpdates());
  if (!device_id_.empty()) Restore();
  Hear(HealthCheck::kAgent, {HealthAnswer::kPassed, ""});
  return Unit{};
}

void Duties::Stop() {
  if (bundles_) bundles_->Stop();
  // First, so that nothing is decided by programs and downloads that end because of it.
  if (worker_) worker_->Stop();
  parts_.runner.Stop();
  if (downloads_) downloads_->Stop();
  worker_.reset();
  if (proxy_) proxy_->Stop();
}

Result<Unit> Duties::StartProxy() {
  if (config_.proxy.inbound.empty() && config_.proxy.outbound.empty()) return Unit{};
  SP_TRY(proxy_, Proxy::Start(ProxyConfigOf(config_.proxy), [client = client_]() -> ProxyTime {
           const TrustedTime::Reading reading = client->time().Now();
           return {reading.now, reading.sure};
         }));
  return Unit{};
}

Result<Unit> Duties::StartUpdates() {
  if (config_.update.slot_a.empty()) return Unit{};
  content_keys_ = MakeContentKeys();
  SP_TRY(machinery_, UpdateMachinery::Make(parts_.files, UpdatePathsOf(config_), &parts_.floors,
                                           content_keys_.get()));
  SP_TRY(const ota::Slot running, machinery_->installer().RunningSlot());
  SP_TRY(boot_.release, machinery_->installer().RunningRelease());
  boot_.slot = running == ota::Slot::kA ? pki::BootSlot::kA : pki::BootSlot::kB;
  downloads_ =
      std::make_unique<Downloads>(DownloadParts{parts_.files, parts_.clock, content_, config_.state,
                                                [client = client_] { return client->time().Now(); },
                                                [this] { return Overdue(); }},
                                  config_.update.download);
  sources_ = std::make_unique<BundleSource>(downloads_->source());
  checks_ = std::make_unique<MachineChecks>(
      MachineParts{parts_.files, parts_.runner, parts_.clock,
                   [client = client_] { return client->time().Now(); }, LocalZones(parts_.files)},
      config_.update.trial, config_.state);
  bundles_ = MakeBundleDesk();
  bundles_->Load();
  worker_ = std::make_unique<UpdateWorker>(
      UpdateWorkerParts{DriverParts(), parts_.random, config_.backoff_max});
  bundles_->Resume();
  bundles_->Start();
  return Unit{};
}

std::unique_ptr<BundleDesk> Duties::MakeBundleDesk() {
  return std::make_unique<BundleDesk>(BundleDeskParts{
      .files = parts_.files,
      .state = config_.state,
      .trust_domain = enrolment_.trust_domain.name(),
      .image_root = enrolment_.image_root,
      .hardware_id = config_.hardware,
      .running = boot_.release,
      .floors = parts_.floors,
      .source = *sources_,
      .metadata_mutex = metadata_mutex_,
      .now = [this] { return client_->time().Now().now; },
      .held_manifest = [this] { return held_version_.load(); },
      .manifest_release =
          [this] {
            return ota::ManifestVerifier::StoredRelease(parts_.files, config_.state + "/manifest");
          },
      .assign = [this](ota::InstallPlan plan) { Assign(std::move(plan)); }});
}

std::unique_ptr<DeviceContentKeys> Duties::MakeContentKeys() {
  return std::make_unique<DeviceContentKeys>(
      ContentKeyParts{parts_.files, config_.state,
                      [this](ByteView blob, ByteView secret) {
                        return parts_.tpm.ActivateCredential(config_.ek, blob, secret);
                      },
                      [this](const ReleaseDigest& release) { return FetchKey(release); }});
}

Result<WrappedContentKey> Duties::FetchKey(const ReleaseDigest& release) {
  std::optional<TlsIdentity> identity;
  {
    const std::lock_guard lock(identity_mutex_);
    identity = identity_;
  }
  if (!identity)
    return Error{Reason::kUnavailable, "no certificate yet", "content-key.unreachable"};
  SP_TRY(const Bytes ek_public, parts_.tpm.EkPublic(config_.ek));
  return FetchContentKey(enrolment_.servers.device, client_->server_trust(),
                         {identity->key->pem(), identity->chain_pem}, release, ek_public);
}

Result<Unit> Duties::CheckAlone() {
  SP_TRY(parts_.floors.Floors());
  SP_TRY(const Bytes log, ReadFile(parts_.files, config_.event_log, kEventLogBytesMax));
  if (log.empty()) return Error{Reason::kUnavailable, "the event log is empty", "health.event-log"};
  return Ok();
}

UpdateDriverParts Duties::DriverParts() {
  return {machinery_->installer(),
          *sources_,
          parts_.rebooter,
          parts_.clock,
          *checks_,
          notes_,
          watchdog_,
          [client = client_] { return client->time().Now(); },
          [this](const UpdateReport& report) { Reported(report); },
          [client = client_] { return client->Alive(); },
          [this] { return CheckAlone(); },
          {}};
}

void Duties::Assign(ota::InstallPlan plan) {
  {
    const std::lock_guard lock(report_mutex_);
    install_by_ = plan.facts().install_by;
  }
  worker_->Assign(std::move(plan));
}

bool Duties::Overdue() const {
  const TrustedTime::Reading time = client_->time().Now();
  const std::lock_guard lock(report_mutex_);
  return JudgeDeadline(install_by_, time) == Deadline::kPassed;
}

void Duties::Reported(const UpdateReport& report) {
  {
    const std::lock_guard lock(report_mutex_);
    report_ = report;
  }
  bundles_->OnReport(report);
  client_->Report(report);
}

std::optional<UpdateView> Duties::Update() const {
  if (!checks_) return std::nullopt;
  UpdateView view{
      {}, checks_->Inhibitors(), checks_->InstallWindow(), checks_->RebootWindow(Duration{0})};
  const std::lock_guard lock(report_mutex_);
  view.report = report_;
  view.deadline = JudgeDeadline(report_.install_by, client_->time().Now());
  return view;
}

void Duties::Hear(HealthCheck check, HealthState state, std::optional<ReleaseDigest> release) {
  if (worker_) worker_->Hear({check, std::move(state), release});
}

BootClaim Duties::Boot() { return boot_; }

Result<ota::ManifestVerifier*> Duties::Verifier() {
  if (verifier_) return verifier_.get();
  device_id_ = client_->status().device_id;
  auto verifier = std::make_unique<ota::ManifestVerifier>(
      parts_.files, config_.state + "/manifest",
      ota::ManifestIdentity{device_id_, enrolment_.trust_domain.name(), config_.hardware});
  SP_TRY(verifier->Provision(enrolment_.image_root, enrolment_.director_root));
  verifier_ = std::move(verifier);
  return verifier_.get();
}

// Restore obeys what was held, verified anew: a device that starts offline is not without policy.
void Duties::Restore() {
  auto verifier = std::make_unique<ota::ManifestVerifier>(
      parts_.files, config_.state + "/manifest",
      ota::ManifestIdentity{device_id_, enrolment_.trust_domain.name(), config_.hardware});
  const Result<ota::ManifestFloors> floors = parts_.floors.Floors();
  const Result<ota::VerifiedManifest> manifest =
      floors ? verifier->VerifyStored(*floors, client_->time().Now().now)
             : Result<ota::VerifiedManifest>(floors.error());
  if (!manifest)
    return Log(LogLevel::kInfo, "no_manifest_held", {{"reason", manifest.error().ToString()}});
  const Result<Unit> obeyed = Obey(*manifest);
  if (!obeyed)
    Log(LogLevel::kWarning, "held_manifest_not_obeyed", {{"reason", obeyed.error().ToString()}});
}

void Duties::OnIdentity(const TlsIdentity& identity, const IssuedCertificate& /*certificate*/) {
  Hear(HealthCheck::kCertificate, {HealthAnswer::kPassed, ""});
  {
    const std::lock_guard lock(identity_mutex_);
    identity_ = identity;
  }
  const Result<Unit> written = WriteFileAtomically(parts_.files, config_.state + "/certificate.pem",
                                                   AsBytes(identity.chain_pem));
  if (!written)
    Log(LogLevel::kWarning, "certificate_not_written", {{"reason", written.error().ToString()}});
  if (!proxy_) return;
  const Result<void*> key = identity.key->NewNativeKey();
  const Result<Unit> set =
      key ? proxy_->SetIdentity({identity.chain_pem, ShareKey(*key)},
                                {enrolment_.trust_bundle.Anchors(), enrolment_.trust_domain})
          : Result<Unit>(key.error());
  if (!set) Log(LogLevel::kError, "proxy_identity_refused", {{"reason", set.error().ToString()}});
}

void Duties::OnAttested(const IssuedCertificate& certificate) {
  Hear(HealthCheck::kAttestation, {HealthAnswer::kPassed, ""}, ReleaseOf(certificate));
}

void Duties::OnRecordedFloors(const FloorCounts& floors) {
  const Result<Unit> kept = parts_.floors.Recorded(floors);
  if (!kept)
    Log(LogLevel::kWarning, "recorded_floors_not_kept", {{"reason", kept.error().ToString()}});
}

void Duties::OnRefused() {
  Hear(HealthCheck::kAttestation, {HealthAnswer::kFailed, "the server refused this boot"});
}

void Duties::OnStream(bool up) {
  Hear(HealthCheck::kStream, up ? HealthState{HealthAnswer::kPassed, ""} : HealthState{});
}

void Duties::OnRevocations(const std::vector<PeerRevocation>& revocations) {
  for (const PeerRevocation& revocation : revocations) {
    uint64_t& epoch = revocations_[revocation.device_id];
    epoch = std::max(epoch, revocation.min_epoch);
  }
  if (proxy_) proxy_->SetRevocations(revocations_);
}

Result<uint64_t> Duties::OnManifest(const ota::DeviceManifest& manifest) {
  SP_TRY(ota::ManifestVerifier* const verifier, Verifier());
  SP_TRY(const ota::ManifestFloors floors, parts_.floors.Floors());
  const auto verify = [&] {
    const std::lock_guard lock(metadata_mutex_);
    return verifier->Verify(manifest, fetcher_, floors, client_->time().Now().now);
  };
  SP_TRY(const ota::VerifiedManifest verified, verify());
  SP_TRY(Obey(verified));
  Log(LogLevel::kInfo, "manifest_obeyed",
      {{"version", std::to_string(verified.version())},
       {"release", verified.release() ? verified.release()->release().version.text() : "none"}});
  return verified.version();
}

Result<Unit> Duties::Obey(const ota::VerifiedManifest& manifest) {
  SP_TRY(ApplySlice(manifest));
  held_version_ = manifest.version();
  parts_.floors.Obeyed(manifest);
  if (!worker_) return Unit{};
  if (!manifest.release() && assigned_) worker_->Withdraw(*assigned_);
  assigned_.reset();
  if (!manifest.release() || !bundles_->AssignsAfter(manifest.version())) return Unit{};
  bundles_->Superseded(manifest.release()->digest());
  assigned_ = manifest.release()->digest();
  Assign(ota::InstallPlanMaker::From(*manifest.release()));
  return Unit{};
}

Result<Unit> Duties::ApplySlice(const ota::VerifiedManifest& manifest) {
  if (!manifest.slice() || manifest.slice()->empty()) return Unit{};
  if (!manifest.policy_manifest())
    return Error{Reason::kUntrusted, "a slice without a signed policy", "slice.no-policy"};
  SP_TRY(const policy::PolicyManifest policy,
         policy::ParsePolicyManifest(AsText(*manifest.policy_manifest())));
  const Sha256Digest digest = pki::Sha256(*manifest.slice());
  if (held_slice_ && held_slice_->digest == digest) return Unit{};
  SP_TRY(policy::VerifiedSlice slice,
         policy::VerifySlice(AsText(*manifest.slice()), {digest, policy, manifest.trust_domain(),
                                                         manifest.device_id(), held_slice_}));
  held_slice_ = policy::HeldSlice{slice.header().version, digest};
  if (proxy_) proxy_->SetSlice(std::make_shared<const policy::VerifiedSlice>(std::move(slice)));
  return Unit{};
}

std::vector<ConnectionInfo> Duties::Connections() const {
  return proxy_ ? proxy_->Connections() : std::vector<ConnectionInfo>{};
}

std::vector<Refusal> Duties::Refusals() const {
  return proxy_ ? proxy_->Refusals() : std::vector<Refusal>{};
}

}  // namespace sallyport::device

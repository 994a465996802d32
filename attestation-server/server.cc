#include "attestation-server/server.h"

#include <arpa/inet.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "attestation-server/director/director.h"
#include "attestation-server/director/manifests.h"
#include "attestation-server/operations/fleet_alarms.h"
#include "attestation-server/operations/update_alarms.h"
#include "attestation-server/evidence/bank_audit.h"
#include "attestation-server/http/content_server.h"
#include "attestation-server/http/health_server.h"
#include "attestation-server/http/tls_probe.h"
#include "attestation-server/server_keys.h"
#include "attestation-server/service/admin_service.h"
#include "attestation-server/service/device_service.h"
#include "attestation-server/service/enrolment_service.h"
#include "attestation-server/service/fleet.h"
#include "attestation-server/service/listener.h"
#include "attestation-server/store/floors.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/meta.h"
#include "pki/base/log.h"
#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"
#include "policies/language/zone_files.h"

namespace sallyport::server {
namespace {

constexpr Duration kServerLeafLifetime = Hours(24);  // renewed at half
constexpr Duration kBackdate = Minutes(5);
constexpr std::chrono::minutes kMaintenanceEvery{10};
constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr unsigned kPoolThreads = 16;  // they wait for commits, not for the processor

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

// HostNamesOf collects the hosts of all advertised addresses, as names or addresses.
pki::HostNames HostNamesOf(const Config& config) {
  pki::HostNames names;
  std::vector<std::string> seen;
  for (const Endpoints* const endpoints : {&config.advertise, &config.listen})
    for (const std::string* const address :
         {&endpoints->enrol, &endpoints->device, &endpoints->admin, &endpoints->content}) {
      const std::string host = HostOf(*address);
      if (host.empty() || std::ranges::find(seen, host) != seen.end()) continue;
      seen.push_back(host);
      in_addr v4{};
      if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
        const auto* const bytes = reinterpret_cast<const uint8_t*>(&v4);
        names.ip_addresses.emplace_back(bytes, bytes + sizeof(v4));
      } else {
        names.dns_names.push_back(host);
      }
    }
  return names;
}

// TermsOf: the names were checked when the configuration was read.
TpmTerms TermsOf(const ProfileConfig& profile) {
  TpmTerms out{.bank = pki::HashAlgorithm::kSha256,
               .banks = {},
               .firmware_floor = profile.firmware_floor,
               .kind = std::nullopt,
               .require_null_name = profile.require_null_name};
  if (profile.bank == "sha384") out.bank = pki::HashAlgorithm::kSha384;
  for (const std::string& bank : profile.tpm_banks) out.banks.push_back(*AuditBankFromName(bank));
  const Result<TpmKind> kind = ParseWord<TpmKind>(profile.tpm_kind);
  if (kind) out.kind = *kind;
  return out;
}

Result<Profiles> LoadProfiles(FileSystem& files, const Config& config, bool development) {
  Profiles profiles;
  for (const auto& [name, profile] : config.profiles) {
    if (!profile.vendor && !development)
      return Error{Reason::kInvalidArgument,
                   "profile '" + name + "' has test roots outside development", "profile.vendor"};
    Result<pki::EkRoots> roots = LoadEkRoots(files, profile.roots);
    if (!roots)
      return std::move(roots).error().WithContext("profile '" + name + "', " + profile.roots);
    Profile loaded{*std::move(roots), profile.vendor, profile.accept_advisories, std::nullopt,
                   TermsOf(profile)};
    if (!profile.iak_roots.empty()) {
      SP_TRY(loaded.iak_roots, LoadEkRoots(files, profile.iak_roots));
    }
    profiles.emplace(name, std::move(loaded));
  }
  return profiles;
}

Result<std::vector<Bytes>> LoadDirectorRoots(FileSystem& files, const std::string& directory) {
  std::vector<Bytes> roots;
  while (true) {
    Result<Bytes> root = ReadFile(
        files, directory + "/" + std::to_string(roots.size() + 1) + ".root.json", kFileBytesMax);
    if (root) {
      roots.push_back(*std::move(root));
    } else if (root.error().reason == Reason::kNotFound && !roots.empty()) {
      return roots;
    } else {
      return std::move(root).error();
    }
  }
}

void SayFleetAlarm(LogLevel level, std::string_view event, const std::string& device,
                   const std::string& text) {
  Log(level, event, {{"device", device}, {"text", text}});
}

FleetAlarmTerms FleetAlarmTermsOf(const Config& config) {
  FleetAlarmTerms terms{config.manifest_lag, {}};
  for (const auto& [name, device_class] : config.classes)
    terms.silence.emplace(name, device_class.silence);
  return terms;
}

void SayUpdateAlarm(LogLevel level, std::string_view event, const std::string& role,
                    const std::string& text) {
  Log(level, event, {{"role", role}, {"text", text}});
}

}  // namespace

// Impl's members are in order of construction: what is later uses what is earlier.
class Server::Impl {
 public:
  Impl(const Config& config, const ServerWorld& world, DeploymentFacts facts, ServerKeys keys,
       pki::TrustBundle bundle, std::unique_ptr<Database> database)
      : config_(config),
        world_(world),
        layout_{config.state},
        facts_(std::move(facts)),
        keys_(std::move(keys)),
        bundle_(std::move(bundle)),
        database_(std::move(database)),
        blobs_(world.files, layout_.evidence()),
        pool_(kPoolThreads),
        zones_(policy::ZoneFiles(world.files)),
        director_(facts_.trust_domain, keys_.director.targets, keys_.director.snapshot,
                  keys_.director.timestamp),
        update_alarms_(world.files, layout_.image_repository(), config.update_alarms,
                       {SayUpdateAlarm, [this](std::string_view group, Duration left) {
                          metrics_.SetUpdateRoleLeft(group, left);
                        }}) {}

  ~Impl() { Stop(); }

  Result<Unit> Start();
  void Stop();

 private:
  std::unique_ptr<FleetAlarms> MakeFleetAlarms(std::function<bool(const std::string&)> is_online);
  Result<Unit> StartCore();
  Result<Unit> StartListeners();
  Result<Unit> StartHttp();
  Result<Unit> IssueServerLeaf();
  Result<pki::EnrolmentFile> EnrolmentBase();
  AdminService::Identity AdminIdentity();
  JsonValue StatusJson();
  JsonValue CaJson();
  void Maintain();

  const Config config_;
  const ServerWorld world_;
  const StateLayout layout_;
  const DeploymentFacts facts_;
  ServerKeys keys_;
  const pki::TrustBundle bundle_;
  std::unique_ptr<Database> database_;
  EvidenceBlobs blobs_;
  WorkPool pool_;
  policy::ZoneLookup zones_;
  LocalDirectorSigner director_;
  UpdateAlarms update_alarms_;
  ServerLeaves leaves_;
  Metrics metrics_;
  std::string leaf_key_pem_;
  std::string leaf_chain_pem_;

  std::unique_ptr<Manifests> manifests_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<EnrolmentFlow> flow_;
  std::unique_ptr<StreamRegistry> streams_;
  std::unique_ptr<FleetAlarms> fleet_alarms_;
  std::unique_ptr<DeviceOperations> devices_;
  std::unique_ptr<TokenOperations> tokens_;
  std::unique_ptr<RolloutOperations> rollouts_;
  std::unique_ptr<ContentKeyOperations> content_keys_;
  std::unique_ptr<PublicationOperations> publication_;
  std::unique_ptr<ReferenceOperations> references_;
  std::unique_ptr<EkBundleOperations> ek_bundles_;
  std::unique_ptr<AuditExport> audit_export_;
  std::unique_ptr<ReferenceProposals> proposals_;
  std::unique_ptr<AttestationResults> results_;
  std::unique_ptr<EnrolmentService> enrolment_service_;
  std::unique_ptr<DeviceService> device_service_;
  std::unique_ptr<AdminService> admin_service_;
  TlsDirectory enrol_tls_{config_.runtime + "/enrol"};
  TlsDirectory device_tls_{config_.runtime + "/device"};
  TlsDirectory admin_tls_{config_.runtime + "/admin"};
  std::unique_ptr<grpc::Server> enrol_listener_;
  std::unique_ptr<grpc::Server> device_listener_;
  std::unique_ptr<grpc::Server> admin_listener_;
  std::unique_ptr<ContentServer> content_;
  std::unique_ptr<HealthServer> health_;

  std::mutex maintenance_mutex_;  // guards stopping_
  std::condition_variable maintenance_wake_;
  bool stopping_ = false;
  std::atomic<bool> ready_ = false;
  std::thread maintenance_;
};

Result<pki::EnrolmentFile> Server::Impl::EnrolmentBase() {
  SP_TRY(
      Bytes image_root,
      ReadFile(world_.files, layout_.image_repository() + "/metadata/1.root.json", kFileBytesMax));
  SP_TRY(const std::vector<Bytes> director_roots,
         LoadDirectorRoots(world_.files, layout_.director_roots()));
  SP_TRY(pki::SpiffeId server_id, pki::ServerSpiffeId(bundle_.trust_domain, config_.name));
  return pki::EnrolmentFile{
      bundle_.trust_domain,
      facts_.development,
      {config_.advertise.enrol, config_.advertise.device, config_.advertise.content},
      {std::move(server_id)},
      bundle_.PkiRootDigest(),
      bundle_,
      std::move(image_root),
      director_roots.front(),
      ""};
}

std::unique_ptr<FleetAlarms> Server::Impl::MakeFleetAlarms(
    std::function<bool(const std::string&)> is_online) {
  return std::make_unique<FleetAlarms>(
      FleetAlarms::Sources{*database_, std::move(is_online),
                           [this](const std::string& id) { return manifests_->NewsOf(id); }},
      FleetAlarmTermsOf(config_),
      FleetAlarms::Outlets{SayFleetAlarm, [this](std::string_view alarm, size_t devices) {
                             metrics_.SetDeviceAlarms(alarm, devices);
                           }});
}

Result<Unit> Server::Impl::StartCore() {
  SP_TRY(std::vector<Bytes> director_roots,
         LoadDirectorRoots(world_.files, layout_.director_roots()));
  manifests_ = std::make_unique<Manifests>(
      ManifestParts{*database_, director_, zones_},
      ManifestTerms{facts_.trust_domain, static_cast<uint32_t>(facts_.incarnation),
                    config_.manifest_lifetime, std::move(director_roots)});
  SP_TRY(pki::StatementSigner time_signer,
         pki::StatementSigner::Make(std::string(pki::kSignedTimeRole), keys_.signed_time));
  fleet_ =
      std::make_unique<Fleet>(FleetParts{*database_, *manifests_, leaves_, metrics_, world_.clock},
                              std::move(time_signer), bundle_, facts_.incarnation);
  SP_TRY(pki::DeviceLeafSigner signer,
         pki::DeviceLeafSigner::Make(keys_.device_issuer, bundle_.trust_domain));
  SP_TRY(auto profiles, LoadProfiles(world_.files, config_, facts_.development));
  FlowConfig flow{.trust_domain = bundle_.trust_domain,
                  .development = facts_.development,
                  .incarnation = facts_.incarnation,
                  .classes = {},
                  .profiles = std::move(profiles),
                  .pcrs = config_.pcrs,
                  .limits = {}};
  for (const auto& [name, device_class] : config_.classes)
    flow.classes.emplace(name, ClassTimes{device_class.evidence_lifetime, false, device_class.ima});
  flow_ = std::make_unique<EnrolmentFlow>(
      std::move(flow), FlowParts{*database_, blobs_, world_.random, *fleet_},
      std::make_shared<const pki::DeviceLeafSigner>(std::move(signer)));
  streams_ = std::make_unique<StreamRegistry>(*fleet_, world_.clock);
  const OperationParts parts{*database_, world_.random, *fleet_};
  const auto changed = [this] { fleet_->Changed(); };
  const auto is_online = [this](const std::string& id) { return streams_->IsOnline(id); };
  fleet_alarms_ = MakeFleetAlarms(is_online);
  devices_ = std::make_unique<DeviceOperations>(
      parts, DeviceOperations::Live{
                 is_online, [this](const std::string& id) { return fleet_alarms_->Of(id); }});
  SP_TRY(pki::EnrolmentFile base, EnrolmentBase());
  tokens_ = std::make_unique<TokenOperations>(parts, std::move(base));
  rollouts_ = std::make_unique<RolloutOperations>(parts, world_.clock, changed);
  publication_ = std::make_unique<PublicationOperations>(
      parts,
      PublicationOperations::Repository{
          world_.files, layout_.image_repository(), facts_.trust_domain, keys_.image,
          DirectorTrust{keys_.director.targets.public_key(), keys_.director.snapshot.public_key(),
                        keys_.director.timestamp.public_key(),
                        [this](Bytes root) { manifests_->AddDirectorRoot(std::move(root)); }}},
      zones_, changed);
  references_ = std::make_unique<ReferenceOperations>(
      parts, facts_.development ? kReferenceApprovalsInDevelopment : kReferenceApprovals, changed);
  std::map<std::string, std::string> directories;
  for (const auto& [name, profile] : config_.profiles) directories.emplace(name, profile.roots);
  ek_bundles_ =
      std::make_unique<EkBundleOperations>(parts, world_.files, std::move(directories),
                                           [this](const std::string& profile, pki::EkRoots roots) {
                                             flow_->ReplaceRoots(profile, std::move(roots));
                                           });
  SP_TRY(CheckpointSigner checkpoints, CheckpointSigner::Make(keys_.audit_checkpoint));
  proposals_ = std::make_unique<ReferenceProposals>(*database_, blobs_);
  SP_TRY(pki::VerdictSigner verdicts, pki::VerdictSigner::Make(keys_.verdict));
  SP_TRY(const pki::SpiffeId verifier, pki::ServerSpiffeId(bundle_.trust_domain, config_.name));
  results_ = std::make_unique<AttestationResults>(*database_, std::move(verdicts), verifier.text());
  audit_export_ =
      std::make_unique<AuditExport>(*database_, blobs_, std::move(checkpoints),
                                    AuditExport::Service{facts_.trust_domain, facts_.incarnation,
                                                         pki::WriteTrustBundle(bundle_)});
  content_keys_ = std::make_unique<ContentKeyOperations>(parts, std::move(keys_.content_keys));
  fleet_->Attach(*flow_, *streams_, *rollouts_, *content_keys_);
  return Unit{};
}

AdminService::Identity Server::Impl::AdminIdentity() {
  return {bundle_.Anchors(), bundle_.trust_domain, config_.operators,
          [this] { return StatusJson(); }, [this] { return CaJson(); }};
}

// IssueServerLeaf makes a new key and leaf and gives them to every listener.
Result<Unit> Server::Impl::IssueServerLeaf() {
  const UnixTime now = world_.clock.Wall();
  SP_TRY(const pki::ServerLeafSigner signer,
         pki::ServerLeafSigner::Make(keys_.server_issuer, bundle_.trust_domain));
  SP_TRY(const pki::PrivateKey key, pki::PrivateKey::Generate(pki::KeyType::kP256));
  SP_TRY(const pki::IssuedLeaf leaf,
         signer.SignServerLeaf(config_.name, HostNamesOf(config_), key.public_key().spki(),
                               now - kBackdate, now + kServerLeafLifetime, world_.random));
  SP_TRY(leaf_key_pem_, key.SealedPem(""));
  leaf_chain_pem_ = pki::CertificatePem(leaf.der) + keys_.server_issuer.certificate.ToPem();
  leaves_.Add(pki::Sha256(leaf.der), leaf.not_after, now);
  std::string device_anchors;
  for (const pki::IssuerCertificate& issuer : bundle_.device_issuers)
    device_anchors += issuer.ToPem();
  if (content_) SP_TRY(content_->Replace({leaf_key_pem_, leaf_chain_pem_, bundle_.Anchors()}));
  SP_TRY(enrol_tls_.Replace({leaf_key_pem_, leaf_chain_pem_, ""}));
  SP_TRY(device_tls_.Replace({leaf_key_pem_, leaf_chain_pem_, device_anchors}));
  return admin_tls_.Replace({leaf_key_pem_, leaf_chain_pem_, bundle_.operator_root.ToPem()});
}

Result<Unit> Server::Impl::StartHttp() {
  SP_TRY(content_,
         ContentServer::Start(
             {config_.listen.content, layout_.image_repository(), bundle_.trust_domain},
             {leaf_key_pem_, leaf_chain_pem_, bundle_.Anchors()}, world_.clock,
             [this](const pki::VerifiedPeer& peer) { return fleet_->OnAuthenticated(peer); }));
  SP_TRY(health_, HealthServer::Start(config_.listen.http, metrics_, [this]() -> Result<Unit> {
           metrics_.SetStreamsOnline(streams_->size());
           if (!ready_) return Error{Reason::kUnavailable, "starting or stopping", "not-ready"};
           SP_TRY(database_->Read());
           return Unit{};
         }));
  return Unit{};
}

Result<Unit> Server::Impl::StartListeners() {
  enrolment_service_ =
      std::make_unique<EnrolmentService>(*flow_, leaves_, metrics_, pool_, world_.clock);
  device_service_ = std::make_unique<DeviceService>(
      *fleet_, *streams_, pool_, world_.clock,
      DeviceService::Identity{bundle_.Anchors(), bundle_.trust_domain});
  admin_service_ = std::make_unique<AdminService>(
      AdminParts{*devices_, *tokens_, *rollouts_, *publication_, *references_, *ek_bundles_,
                 *audit_export_, *proposals_, *results_, *content_keys_, *database_, world_.files,
                 pool_, world_.clock},
      AdminIdentity());
  SP_TRY(enrol_listener_, StartListener(config_.listen.enrol, enrol_tls_, ClientCertificates::kNone,
                                        {enrolment_service_.get()}));
  SP_TRY(device_listener_, StartListener(config_.listen.device, device_tls_,
                                         ClientCertificates::kRequired, {device_service_.get()}));
  SP_TRY(admin_listener_, StartListener(config_.listen.admin, admin_tls_,
                                        ClientCertificates::kRequired, {admin_service_.get()}));
  return ProbeRefusesTls12(config_.listen.enrol);
}

namespace {

// What runs, the commonest first: releases worth a delta.
JsonValue RunningJson(Connection& connection) {
  constexpr int64_t kShown = 32;
  const auto running = CountRunning(connection, kShown);
  if (!running) return {};
  std::vector<JsonValue> rows;
  for (const RunningRelease& release : *running)
    rows.push_back(JsonValue::Object(
        {{"release", release.product + "/" + release.version}, {"devices", release.devices}}));
  return JsonValue::Array(std::move(rows));
}

}  // namespace

JsonValue Server::Impl::StatusJson() {
  Result<Snapshot> snapshot = database_->Read();
  const Result<std::optional<Row>> counts =
      snapshot ? snapshot->connection().QueryOne(
                     "SELECT COUNT(*), COALESCE(SUM(state = 'active'), 0), COALESCE(SUM(state = "
                     "'quarantined'), 0) FROM devices",
                     "iii")
               : Result<std::optional<Row>>(snapshot.error());
  const bool known = counts && counts->has_value();
  const Result<int64_t> findings =
      snapshot ? CountFloorFindings(snapshot->connection()) : Result<int64_t>(snapshot.error());
  const Result<int64_t> degraded =
      snapshot ? CountDegraded(snapshot->connection()) : Result<int64_t>(snapshot.error());
  return JsonValue::Object(
      {{"trust_domain", facts_.trust_domain},
       {"development", facts_.development},
       {"incarnation", facts_.incarnation},
       {"devices", known ? (*counts)->Integer(0) : 0},
       {"active", known ? (*counts)->Integer(1) : 0},
       {"quarantined", known ? (*counts)->Integer(2) : 0},
       {"degraded", degraded ? JsonValue(*degraded) : JsonValue()},
       {"streams", streams_->size()},
       {"floor_findings", findings ? JsonValue(*findings) : JsonValue()},
       {"running", snapshot ? RunningJson(snapshot->connection()) : JsonValue()},
       {"updates", update_alarms_.Json(world_.clock.Wall())},
       {"alarms", fleet_alarms_->Json()},
       {"ready", ready_.load()}});
}

JsonValue Server::Impl::CaJson() {
  const auto row = [](std::string role, const pki::IssuerCertificate& issuer) {
    return JsonValue::Object({{"role", std::move(role)},
                              {"key_id", HexEncode(issuer.key_id)},
                              {"not_after", FormatRfc3339(issuer.not_after)}});
  };
  std::vector<JsonValue> rows{row("pki-root", bundle_.pki_root)};
  for (const pki::IssuerCertificate& issuer : bundle_.device_issuers)
    rows.push_back(row("device", issuer));
  for (const pki::IssuerCertificate& issuer : bundle_.server_issuers)
    rows.push_back(row("server", issuer));
  rows.push_back(row("operator-root", bundle_.operator_root));
  return JsonValue::Array(std::move(rows));
}

// Maintain renews what ends: the server's leaf, the online TUF roles.
void Server::Impl::Maintain() {
  UnixTime leaf_due = world_.clock.Wall() + Duration{kServerLeafLifetime.ms / 2};
  std::unique_lock lock(maintenance_mutex_);
  while (!maintenance_wake_.wait_for(lock, kMaintenanceEvery, [this] { return stopping_; })) {
    lock.unlock();
    const UnixTime now = world_.clock.Wall();
    const Result<Unit> renewed = publication_->Renew(now);
    if (!renewed) {
      metrics_.CountOnlineRenewalFailure();
      Log(LogLevel::kError, "online_roles_not_renewed", {{"reason", renewed.error().ToString()}});
    }
    update_alarms_.Check(now);
    fleet_alarms_->Check(now);
    const Result<size_t> aged = references_->RetireAged(now);
    if (!aged)
      Log(LogLevel::kError, "references_not_retired", {{"reason", aged.error().ToString()}});
    const Result<Unit> pruned =
        database_->writer().Run([now](Transaction& transaction) -> Result<Unit> {
          SP_TRY(PruneHistory(transaction.connection(), now));
          return Unit{};
        });
    if (!pruned)
      Log(LogLevel::kError, "history_not_pruned", {{"reason", pruned.error().ToString()}});
    if (now >= leaf_due) {
      const Result<Unit> issued = IssueServerLeaf();
      if (issued) leaf_due = now + Duration{kServerLeafLifetime.ms / 2};
      if (!issued)
        Log(LogLevel::kError, "server_leaf_not_renewed", {{"reason", issued.error().ToString()}});
    }
    lock.lock();
  }
}

Result<Unit> Server::Impl::Start() {
  SP_TRY(StartCore());
  SP_TRY(IssueServerLeaf());
  SP_TRY(publication_->Renew(world_.clock.Wall()));
  update_alarms_.Check(world_.clock.Wall());
  fleet_alarms_->Check(world_.clock.Wall());
  SP_TRY(StartListeners());
  SP_TRY(StartHttp());
  maintenance_ = std::thread([this] { Maintain(); });
  ready_ = true;
  return Unit{};
}

void Server::Impl::Stop() {
  ready_ = false;
  {
    const std::lock_guard lock(maintenance_mutex_);
    stopping_ = true;
    maintenance_wake_.notify_all();
  }
  if (maintenance_.joinable()) maintenance_.join();
  if (health_) health_->Stop();
  if (content_) content_->Stop();
  if (streams_) streams_->Shutdown();
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(5);
  for (const std::unique_ptr<grpc::Server>* const listener :
       {&enrol_listener_, &device_listener_, &admin_listener_})
    if (*listener) (*listener)->Shutdown(deadline);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::Start(const Config& config, const ServerWorld& world) {
  const StateLayout layout{config.state};
  SP_TRY(ServerKeys keys, OpenServerKeys(world.files, layout, config.unlock_file));
  SP_TRY(const Bytes bundle_json, ReadFile(world.files, layout.trust_bundle(), kFileBytesMax));
  SP_TRY(pki::TrustBundle bundle, pki::ParseTrustBundle(AsText(bundle_json)));
  SP_TRY(std::unique_ptr<Database> database, Database::Open(layout.database(), world.random));
  DeploymentFacts facts;
  {
    SP_TRY(Snapshot snapshot, database->Read());
    SP_TRY(facts, ReadDeployment(snapshot.connection()));
  }
  if (facts.trust_domain != config.trust_domain ||
      bundle.trust_domain.name() != config.trust_domain)
    return Error{Reason::kMismatch,
                 "configuration, database and trust bundle name different trust domains",
                 "server.trust-domain"};
  auto impl = std::make_unique<Impl>(config, world, std::move(facts), std::move(keys),
                                     std::move(bundle), std::move(database));
  SP_TRY(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace sallyport::server

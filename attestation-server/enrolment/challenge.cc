#include "attestation-server/enrolment/challenge.h"

#include <set>

#include "attestation-server/enrolment/iak_evidence.h"
#include "attestation-server/enrolment/intake.h"
#include "attestation-server/enrolment/limits.h"
#include "attestation-server/store/devices.h"
#include "pki/base/log.h"
#include "pki/crypto/hash.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/make_credential.h"
#include "pki/tpm/name.h"

namespace sallyport::server {

namespace {

Error TooLarge(std::string_view rule) {
  return Error{Reason::kTooLarge, "more bytes than any device sends", rule};
}
Error RateLimited() { return Error{Reason::kRateLimited, "too many attempts", "rate-limited"}; }

Result<Unit> CheckIakSizes(const IakClaim& claim) {
  if (claim.chain.size() > pki::kEkChainMax) return TooLarge("iak.chain-length");
  for (const Bytes& certificate : claim.chain)
    if (certificate.size() > pki::kEkCertificateBytesMax) return TooLarge("iak.certificate-size");
  if (claim.iak_public.size() > pki::kPublicAreaBytesMax ||
      claim.attest.size() > pki::kAttestBytesMax ||
      claim.signature.size() > pki::kTpmSignatureBytesMax)
    return TooLarge("iak.size");
  return Unit{};
}

Result<Unit> CheckSizes(const BeginInput& input) {
  if (input.ek_certificates.size() > pki::kEkChainMax) return TooLarge("ek.chain-length");
  for (const Bytes& certificate : input.ek_certificates)
    if (certificate.size() > pki::kEkCertificateBytesMax) return TooLarge("ek.size");
  if (input.ek_public.size() > pki::kPublicAreaBytesMax) return TooLarge("ek.public-size");
  if (input.iak.has_value()) SP_TRY(CheckIakSizes(*input.iak));
  if (input.ak_public.size() > pki::kPublicAreaBytesMax) return TooLarge("ak.public-size");
  if (input.protocol_version != pki::kProtocolVersion)
    return Error{Reason::kUnsupported, "protocol version", "protocol.version"};
  return Unit{};
}

// LogWarnings names the EK by the hash that the allow-list knows it by.
void LogWarnings(std::span<const std::string> warnings, const pki::PublicKey& ek) {
  for (const std::string& warning : warnings)
    Log(LogLevel::kWarning, "tpm_certificate_warning",
        {{"ek_sha256", HexEncode(pki::Sha256(ek.spki()))}, {"check", warning}});
}

void SetTpm(const pki::EkCertificate& certificate, std::vector<std::string> profiles, Ticket& out) {
  out.profiles = std::move(profiles);
  out.ek_manufacturer = certificate.manufacturer;
  out.ek_model = certificate.model;
  out.ek_version = certificate.version;
}

std::vector<uint32_t> WithImaPcrs(const std::vector<uint32_t>& pcrs) {
  std::set<uint32_t> all(pcrs.begin(), pcrs.end());
  for (uint32_t pcr = 0; pcr <= kImaPcr; ++pcr) all.insert(pcr);
  return {all.begin(), all.end()};
}

const ImaStart kWholeList = ImaStart::OfBoot(BankOf(kJudgedBank));

}  // namespace

Challenger::Challenger(const FlowConfig& config, Database& database, Random& random,
                       TicketSealer& sealer, Refusals& refusals, ImaStarts& ima_starts)
    : config_(config),
      database_(database),
      random_(random),
      sealer_(sealer),
      refusals_(refusals),
      ima_starts_(ima_starts),
      pcrs_with_ima_(WithImaPcrs(config.pcrs)),
      per_source_(config.limits.per_source, kRateLimitKeysMax),
      per_ek_(config.limits.per_ek, kRateLimitKeysMax),
      profiles_(std::make_shared<const Profiles>(config.profiles)) {}

void Challenger::ReplaceRoots(const std::string& profile, pki::EkRoots roots) {
  const std::lock_guard lock(profiles_mutex_);
  auto changed = std::make_shared<Profiles>(*profiles_);
  const auto found = changed->find(profile);
  if (found == changed->end()) return;
  found->second.roots = std::move(roots);
  profiles_ = std::move(changed);
}

std::shared_ptr<const Profiles> Challenger::CurrentProfiles() {
  const std::lock_guard lock(profiles_mutex_);
  return profiles_;
}

Answer<IssuedChallenge> Challenger::Begin(const Channel& channel, const BeginInput& input,
                                          UnixTime now) {
  const RefusalCase about{.purpose = std::string(pki::PurposeName(input.purpose)),
                          .source = channel.source};
  if (const Result<Unit> sizes = CheckSizes(input); !sizes.has_value())
    return refusals_.Make(sizes.error(), about, now);
  Duration retry_after = per_source_.Spend(channel.source, now);
  if (retry_after.ms > 0) return refusals_.Make(RateLimited(), about, now, retry_after);
  Result<IssuedChallenge> issued = input.purpose == pki::Purpose::kEnrol
                                       ? BeginEnrol(input, now, retry_after)
                                       : BeginReattest(input, now, retry_after);
  if (!issued.has_value()) return refusals_.Make(issued.error(), about, now, retry_after);
  return std::move(issued).value();
}

Answer<IssuedChallenge> Challenger::BeginRenewal(std::string_view device_id, UnixTime now) {
  Duration retry_after;
  Result<IssuedChallenge> issued = Renewal(device_id, now, retry_after);
  if (issued.has_value()) return std::move(issued).value();
  const RefusalCase about{.purpose = "renew", .source = "", .device_id = std::string(device_id)};
  return refusals_.Make(issued.error(), about, now, retry_after);
}

Result<Unit> Challenger::TakeEkToken(std::string_view key, UnixTime now, Duration& retry_after) {
  retry_after = per_ek_.Spend(key, now);
  if (retry_after.ms > 0) return RateLimited();
  return Unit{};
}

// A TPM is one device and a device one TPM: EK and AK were frozen together.
Result<Unit> Challenger::CheckKnown(const Sha256Digest& ek_spki_hash, const Bytes& ak_name) {
  SP_TRY(Snapshot snapshot, database_.Read());
  Devices devices(snapshot.connection());
  SP_TRY(const auto by_ek, devices.FindByEk(ek_spki_hash));
  if (by_ek.has_value() && by_ek->state == DeviceState::kRetired)
    return Error{Reason::kPolicyDenied, by_ek->name, "device.retired"};
  if (by_ek.has_value() && by_ek->tpm.ak_name != ak_name)
    return Error{Reason::kMismatch, by_ek->name + " has another attestation key", "ak.changed"};
  SP_TRY(const auto by_ak, devices.FindByAk(ak_name));
  if (by_ak.has_value() && by_ak->tpm.ek_spki_hash != ek_spki_hash)
    return Error{Reason::kMismatch, by_ak->name + " has this attestation key", "ak.other-device"};
  return Unit{};
}

Result<Ticket> Challenger::Vouch(const BeginInput& input, const pki::PublicKey& ek_key,
                                 UnixTime now) {
  const std::shared_ptr<const Profiles> profiles = CurrentProfiles();
  Ticket ticket;
  if (!input.iak.has_value()) {
    SP_TRY(ScreenedEk ek, ScreenEk(input.ek_certificates, input.ek_public, *profiles, now));
    SetTpm(ek.certificate, std::move(ek.profiles), ticket);
    LogWarnings(ek.warnings, ek_key);
    return ticket;
  }
  // Its own EK chain would say more, but two vouchers that differ say nothing.
  if (!input.ek_certificates.empty())
    return Error{Reason::kInvalidArgument, "an EK chain or an IAK chain", "begin.voucher"};
  SP_TRY(pki::MatchEkTemplate(ek_key, input.ek_public));
  SP_TRY(ScreenedIak iak, ScreenIak(*input.iak, input.ak_public, input.ek_public,
                                    config_.trust_domain.name(), *profiles, now));
  ticket.serial_listing = SerialListingKey(iak.certificate.serial);
  SetTpm(iak.certificate.certificate, std::move(iak.profiles), ticket);
  LogWarnings(iak.warnings, ek_key);
  return ticket;
}

Result<IssuedChallenge> Challenger::BeginEnrol(const BeginInput& input, UnixTime now,
                                               Duration& retry_after) {
  SP_TRY(const pki::PublicArea ek_claim, pki::ParsePublicArea(input.ek_public));
  SP_TRY(const pki::PublicKey ek_key, ek_claim.ToPublicKey());
  SP_TRY(const pki::PublicArea ak, pki::ParsePublicArea(input.ak_public));
  const Sha256Digest ek_spki_hash = pki::Sha256(ek_key.spki());
  const Bytes ak_name = pki::ObjectName(ak);
  SP_TRY(CheckKnown(ek_spki_hash, ak_name));
  SP_TRY(TakeEkToken(AsText(ek_spki_hash.view()), now, retry_after));
  SP_TRY(Ticket ticket, Vouch(input, ek_key, now));
  SP_TRY(pki::RequireAll(pki::CheckAttestationKey(ak)));
  ticket.purpose = pki::Purpose::kEnrol;
  ticket.device_id = pki::DeviceIdFromEk(config_.trust_domain, ek_key.spki()).text();
  ticket.ek_spki_hash = ek_spki_hash;
  ticket.ak_public = input.ak_public;
  // Its class is told by the token, which is not shown yet.
  if (std::ranges::any_of(config_.classes, [](const auto& c) { return c.second.ima; }))
    ticket.ima = kWholeList;
  ticket.secret.resize(32);
  random_.Fill(ticket.secret);
  SP_TRY(const pki::PublicArea ek, pki::MatchEkTemplate(ek_key, input.ek_public));
  SP_TRY(pki::MadeCredential credential, pki::MakeCredential(ek, ak_name, ticket.secret));
  IssuedChallenge out = Issue(std::move(ticket), now);
  out.credential_blob = std::move(credential.credential_blob);
  out.encrypted_secret = std::move(credential.encrypted_secret);
  return out;
}

Result<IssuedChallenge> Challenger::BeginReattest(const BeginInput& input, UnixTime now,
                                                  Duration& retry_after) {
  if (input.purpose != pki::Purpose::kReattest)
    return Error{Reason::kInvalidArgument, "enrol or reattest", "begin.purpose"};
  SP_TRY(const pki::PublicArea ak, pki::ParsePublicArea(input.ak_public));
  const Bytes ak_name = pki::ObjectName(ak);
  std::optional<DeviceRecord> device;
  {
    SP_TRY(Snapshot snapshot, database_.Read());
    SP_TRY(device, Devices(snapshot.connection()).FindByAk(ak_name));
  }
  if (!device.has_value())
    return Error{Reason::kNotFound, "no device has this attestation key", "device.unknown"};
  if (device->state == DeviceState::kRetired)
    return Error{Reason::kPolicyDenied, device->name, "device.retired"};
  SP_TRY(TakeEkToken(AsText(device->tpm.ek_spki_hash.view()), now, retry_after));
  Ticket ticket;
  ticket.purpose = pki::Purpose::kReattest;
  ticket.device_id = device->id;
  ticket.ek_spki_hash = device->tpm.ek_spki_hash;
  ticket.ak_public = device->tpm.ak_public;
  if (AsksForIma(device->placement.device_class)) ticket.ima = kWholeList;
  return Issue(std::move(ticket), now);
}

Result<IssuedChallenge> Challenger::Renewal(std::string_view device_id, UnixTime now,
                                            Duration& retry_after) {
  std::optional<DeviceRecord> device;
  {
    SP_TRY(Snapshot snapshot, database_.Read());
    SP_TRY(device, Devices(snapshot.connection()).Find(device_id));
  }
  if (!device.has_value()) return Error{Reason::kNotFound, "no such device", "device.unknown"};
  if (device->state != DeviceState::kActive)
    return Error{Reason::kPolicyDenied, "device is " + std::string(TextOf(device->state)),
                 "device.not-active"};
  // A bucket of its own: strangers who know a device's AK must not use up what it renews with.
  SP_TRY(TakeEkToken(device->id, now, retry_after));
  Ticket ticket;
  ticket.purpose = pki::Purpose::kRenew;
  ticket.device_id = device->id;
  ticket.ek_spki_hash = device->tpm.ek_spki_hash;
  ticket.ak_public = std::move(device->tpm.ak_public);
  if (AsksForIma(device->placement.device_class)) {
    const std::shared_ptr<const ImaStart> kept = ima_starts_.Find(device->id);
    ticket.ima = kept == nullptr ? kWholeList : *kept;
  }
  return Issue(std::move(ticket), now);
}

bool Challenger::AsksForIma(const std::string& device_class) const {
  const auto found = config_.classes.find(device_class);
  return found != config_.classes.end() && found->second.ima;
}

IssuedChallenge Challenger::Issue(Ticket ticket, UnixTime now) {
  ticket.id = random_.Next<TicketId>();
  ticket.nonce = random_.Next<Nonce>();
  ticket.made_at = now;
  ticket.incarnation = config_.incarnation;
  IssuedChallenge out;
  out.ticket = sealer_.Seal(ticket, now);
  out.ticket_id = ticket.id;
  out.nonce = ticket.nonce;
  out.pcr_requests = {
      {std::string(pki::HashName(kJudgedBank)), ticket.ima ? pcrs_with_ima_ : config_.pcrs}};
  if (ticket.ima) out.ima_first = ticket.ima->entries;
  out.device_id = ticket.device_id;
  out.ek_spki_hash = ticket.ek_spki_hash;
  out.expires_in = kTicketLifetime;
  pki::WipeBytes(ticket.secret);
  return out;
}

}  // namespace sallyport::server

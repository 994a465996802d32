#include "attestation-server/service/fleet.h"

#include <ctime>

#include "attestation-server/service/wire.h"
#include "attestation-server/store/devices.h"
#include "pki/base/log.h"

namespace sallyport::server {
namespace {

constexpr int64_t kRevocationsMax = 10'000;  // more are in the slices' facts anyway

std::chrono::nanoseconds ThreadCpu() {
  timespec used{};
  SP_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

api::ServerMessage RefusalMessage(const Refusal& refusal) {
  api::ServerMessage message;
  ToWire(refusal, message.mutable_refusal());
  return message;
}

}  // namespace

Fleet::Fleet(FleetParts parts, pki::StatementSigner time_signer, pki::TrustBundle bundle,
             uint64_t incarnation)
    : parts_(parts),
      time_signer_(std::move(time_signer)),
      bundle_(std::move(bundle)),
      incarnation_(incarnation) {}

void Fleet::Attach(EnrolmentFlow& flow, StreamRegistry& streams, RolloutOperations& rollouts,
                   ContentKeyOperations& content_keys) {
  flow_ = &flow;
  streams_ = &streams;
  rollouts_ = &rollouts;
  content_keys_ = &content_keys;
}

void Fleet::Changed() {
  parts_.manifests.Invalidate();
  streams_->WakeAll();
}

Result<DeviceLease> Fleet::Lease(const std::string& device_id) {
  const UnixTime now = parts_.clock.Wall();
  std::optional<LeaseRow> row;
  {
    SP_TRY(Snapshot snapshot, parts_.database.Read());
    SP_TRY(row, ReadLease(snapshot.connection(), device_id));
  }
  if (!row || !CheckLive(*row, now)) return DeviceLease{};
  const Result<uint64_t> generation = parts_.manifests.Generation(device_id, now);
  if (!generation)
    Log(LogLevel::kError, "manifest_not_made",
        {{"device", device_id}, {"reason", generation.error().ToString()}});
  return DeviceLease{true, row->epoch, row->renew_after, row->valid_until,
                     generation ? *generation : 0};
}

Result<api::Challenge> Fleet::MakeRenewalChallenge(const std::string& device_id) {
  const Answer<IssuedChallenge> answer = flow_->BeginRenewal(device_id, parts_.clock.Wall());
  if (const auto* const refusal = std::get_if<Refusal>(&answer))
    return Error{Reason::kPolicyDenied, "reference " + refusal->reference_id, "not-admitted"};
  api::Challenge wire;
  ToWire(std::get<IssuedChallenge>(answer), &wire);
  return wire;
}

api::ServerMessage Fleet::Renew(const std::string& device_id, const api::RenewRequest& request) {
  const Result<ProveInput> input = FromWire(request.ticket(), request.evidence());
  if (!input)
    return RefusalMessage({.reference_id = "",
                           .rule = std::string(input.error().name()),
                           .detail = input.error().detail,
                           .events = {},
                           .retry_after = {}});
  const std::chrono::nanoseconds before = ThreadCpu();
  const Answer<Admitted> answer = flow_->Renew(
      device_id, Channel{device_id, parts_.leaves.Hashes()}, *input, parts_.clock.Wall());
  if (const auto* const refusal = std::get_if<Refusal>(&answer)) {
    parts_.metrics.CountRefusal("renewal");
    return RefusalMessage(*refusal);
  }
  parts_.metrics.CountRenewal(ThreadCpu() - before);
  api::ServerMessage message;
  ToWire(std::get<Admitted>(answer), message.mutable_certificate());
  return message;
}

void Fleet::OnHello(const std::string& device_id, const api::Hello& hello) {
  Touch(device_id, hello.manifest_version());
}
void Fleet::OnAck(const std::string& device_id, const api::Ack& ack) {
  Touch(device_id, ack.manifest_version());
}

void Fleet::Touch(const std::string& device_id, uint64_t manifest_version) {
  parts_.database.writer().Submit(
      [device_id, manifest_version, now = parts_.clock.Wall()](Transaction& transaction) {
        return TouchDevice(transaction.connection(), device_id, now, manifest_version);
      },
      [device_id](Result<Unit> done) {
        if (!done)
          Log(LogLevel::kWarning, "contact_not_recorded",
              {{"device", device_id}, {"reason", done.error().ToString()}});
      });
}

namespace {

ota::ImageOrigins OriginsOf(const api::ImageOrigins& wire) {
  const auto count = [](const api::OriginCount& from) {
    return ota::OriginCount{from.segments(), from.bytes()};
  };
  ota::ImageOrigins out;
  out[ota::Origin::kDelta] = count(wire.delta());
  out[ota::Origin::kCopy] = count(wire.copy());
  out[ota::Origin::kChunks] = count(wire.chunks());
  out[ota::Origin::kFull] = count(wire.full());
  return out;
}

}  // namespace

void Fleet::OnUpdateReport(const std::string& device_id, const api::UpdateReport& report) {
  const auto release = ReleaseDigest::FromView(AsBytes(report.release_digest()));
  rollouts_->OnReport({device_id, release ? std::optional(*release) : std::nullopt, report.state(),
                       report.percent(), report.slot(), report.gate(), report.detail(),
                       report.log_tail(), OriginsOf(report.origins())});
}

api::EpochPush Fleet::SignTime(uint64_t epoch, const std::string& time_nonce) {
  const UnixTime now = parts_.clock.Wall();
  api::EpochPush push;
  push.set_epoch(epoch);
  push.set_time_ms(now.ms);
  push.set_incarnation(incarnation_);
  const Result<pki::SignedStatement> statement =
      time_signer_.SignStatement(pki::SignedTimeBody(now, incarnation_, AsBytes(time_nonce)));
  if (statement) push.set_time_signature(ToString(statement->signature));
  return push;
}

api::RevocationPush Fleet::Revocations(const std::string& device_id) {
  api::RevocationPush push;
  Result<Snapshot> snapshot = parts_.database.Read();
  if (!snapshot) return push;
  const Result<std::vector<Row>> rows = snapshot->connection().Query(
      "SELECT id, epoch FROM devices WHERE state IN ('quarantined', 'retired') AND id <> ? LIMIT ?",
      "ti", {device_id, kRevocationsMax});
  if (!rows) return push;
  for (const Row& row : *rows) {
    api::Revocation* const revocation = push.add_revocations();
    revocation->set_device_id(row.Text(0));
    revocation->set_min_epoch(static_cast<uint64_t>(row.Integer(1)));
  }
  return push;
}

Result<Unit> Fleet::OnAuthenticated(const pki::VerifiedPeer& peer) {
  std::optional<LeaseRow> row;
  {
    SP_TRY(Snapshot snapshot, parts_.database.Read());
    SP_TRY(row, ReadLease(snapshot.connection(), peer.name()));
  }
  if (!row) return Error{Reason::kPolicyDenied, "no such device", "lease.unknown"};
  const pki::IdentityExtension& extension = *peer.extension();
  SP_TRY(CheckLease(*row, extension.incarnation, extension.epoch, parts_.clock.Wall()));
  std::string serial = HexEncode(peer.certificate().serial);
  if (serial != row->serial_next) return Unit{};
  parts_.database.writer().Submit(
      [id = peer.name(), serial = std::move(serial)](Transaction& transaction) {
        return PromoteKey(transaction.connection(), id, serial);
      },
      [](Result<Unit> done) {
        if (!done)
          Log(LogLevel::kWarning, "key_not_promoted", {{"reason", done.error().ToString()}});
      });
  return Unit{};
}

Result<api::DeviceManifest> Fleet::Manifest(const std::string& device_id) {
  SP_TRY(const ota::DeviceManifest manifest, parts_.manifests.For(device_id, parts_.clock.Wall()));
  api::DeviceManifest wire;
  for (const Bytes& root : manifest.root_chain) wire.add_root_chain(ToString(root));
  wire.set_timestamp(ToString(manifest.timestamp));
  wire.set_snapshot(ToString(manifest.snapshot));
  wire.set_targets(ToString(manifest.targets));
  wire.set_slice(ToString(manifest.slice));
  return wire;
}

api::Bundle Fleet::Bundle() {
  api::Bundle bundle;
  bundle.set_json(pki::WriteTrustBundle(bundle_));
  return bundle;
}

Result<api::WrappedContentKey> Fleet::ContentKey(const std::string& device_id,
                                                 const api::GetContentKeyRequest& request) {
  SP_TRY(const ReleaseDigest release, ReleaseDigest::FromView(AsBytes(request.release_digest())));
  SP_TRY(const WrappedContentKey key,
         content_keys_->Deliver(device_id, {release, ToBytes(request.ek_public())},
                                parts_.clock.Wall()));
  api::WrappedContentKey wire;
  wire.set_key_id(ToString(key.id.view()));
  wire.set_credential_blob(ToString(key.credential.credential_blob));
  wire.set_encrypted_secret(ToString(key.credential.encrypted_secret));
  return wire;
}

// A renewal changes nothing that another device is told; only a change of facts wakes the fleet.
void Fleet::OnAdmitted(const DeviceRecord& device) {
  streams_->Wake(device.id);
  const Sha256Digest facts =
      pki::Sha256({AsBytes(device.name), AsBytes(TextOf(device.state)), AsBytes(device.endpoint),
                   AsBytes(std::to_string(device.epoch))});
  {
    const std::lock_guard lock(facts_mutex_);
    const auto [entry, added] = facts_.try_emplace(device.id, facts);
    if (!added && entry->second == facts) return;
    entry->second = facts;
  }
  Changed();
}

void Fleet::OnRevoked(const std::string& device_id, uint64_t min_epoch) {
  streams_->PushRevocation(device_id, min_epoch);
  parts_.manifests.Forget(device_id);
  Changed();
}

}  // namespace sallyport::server

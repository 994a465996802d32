#include "attestation-server/operations/content_keys.h"

#include "attestation-server/enrolment/limits.h"
#include "attestation-server/store/content_keys.h"
#include "attestation-server/store/devices.h"
#include "attestation-server/store/rollouts.h"
#include "ota/metadata/release.h"
#include "pki/crypto/hash.h"
#include "pki/tpm/public_area.h"

namespace sallyport::server {
namespace {

// A box opens under its own id only.
std::string BoxContext(const pki::ContentKeyId& id) {
  return "sallyport/content-key/v1/" + HexEncode(id);
}

// SealedWith names the published releases that ask for the key.
Result<std::vector<std::string>> SealedWith(Connection& connection, const pki::ContentKeyId& id) {
  SP_TRY(const std::vector<ReleaseRow> releases, ListReleases(connection));
  std::vector<std::string> out;
  for (const ReleaseRow& release : releases) {
    SP_TRY(const auto wanted, ContentKeyOf(release.json));
    if (wanted == id) out.push_back(release.product + "/" + release.version);
  }
  return out;
}

// EkOf is the endorsement key of a TPM that was enrolled: its hash is the server's, the rest of the
// public area that of a known template.
Result<pki::PublicArea> EkOf(const TpmIdentity& tpm, ByteView ek_public) {
  SP_TRY(const pki::PublicArea claim, pki::ParsePublicArea(ek_public));
  SP_TRY(const pki::PublicKey key, claim.ToPublicKey());
  if (pki::Sha256(key.spki()) != tpm.ek_spki_hash)
    return Error{Reason::kMismatch, "another endorsement key than the device enrolled with",
                 "content-key.ek"};
  return pki::MatchEkTemplate(key, ek_public);
}

}  // namespace

struct ContentKeyOperations::Order {
  pki::PublicArea ek;
  Bytes ak_name;
  ContentKeyRow key;
};

Result<std::optional<pki::ContentKeyId>> ContentKeyOf(std::string_view release_json) {
  SP_TRY(const ota::Release release, ota::ParseRelease(AsBytes(release_json)));
  return release.content_key;
}

ContentKeyOperations::ContentKeyOperations(OperationParts parts, pki::AeadKey seal_key)
    : parts_(parts), seal_key_(std::move(seal_key)), rate_(kContentKeyRate, kRateLimitKeysMax) {}

Result<JsonValue> ContentKeyOperations::Add(const Operator& caller, ByteView key, UnixTime now) {
  const auto secret = pki::ContentKey::FromView(key);
  if (!secret) return Error{Reason::kMalformed, "a content key has 32 bytes", "content-key.size"};
  const pki::ContentKeyId id = pki::ContentSeal(*secret).id();
  std::vector<std::string> releases;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(releases, SealedWith(transaction.connection(), id));
    if (releases.empty())
      return Error{Reason::kNotFound, "no release that is published here is sealed with it",
                   "content-key.no-release"};
    SP_TRY(PutContentKey(transaction.connection(),
                         {id, pki::AeadSeal(seal_key_, key, AsBytes(BoxContext(id)), parts_.random),
                          caller.id, now}));
    SP_TRY(transaction.Audit("content-key.added", JsonValue::Object({{"operator", caller.id},
                                                                     {"key_id", HexEncode(id)}})));
    return Unit{};
  }));
  return JsonValue::Object({{"key_id", HexEncode(id)}, {"releases", JsonValue::Strings(releases)}});
}

Result<ContentKeyOperations::Order> ContentKeyOperations::Decide(const std::string& device_id,
                                                                 const ContentKeyRequest& request,
                                                                 UnixTime now) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  Connection& connection = snapshot.connection();
  SP_TRY(const std::optional<LeaseRow> lease, ReadLease(connection, device_id));
  SP_TRY(const std::optional<DeviceRecord> device, Devices(connection).Find(device_id));
  if (!lease || !device) return Error{Reason::kNotFound, "no such device", "lease.unknown"};
  SP_TRY(CheckLive(*lease, now));
  SP_TRY(const std::optional<AssignedRow> assigned, FindAssignedRelease(connection, device_id));
  if (!assigned || assigned->release.digest != request.release)
    return Error{Reason::kPolicyDenied, "the director does not assign this release to the device",
                 "content-key.not-assigned"};
  SP_TRY(const auto id, ContentKeyOf(assigned->release.json));
  if (!id)
    return Error{Reason::kInvalidArgument, "the release is not sealed", "content-key.not-sealed"};
  SP_TRY(pki::PublicArea ek, EkOf(device->tpm, request.ek_public));
  SP_TRY(std::optional<ContentKeyRow> key, FindContentKey(connection, *id));
  if (!key)
    return Error{Reason::kNotFound, "no operator has given the key of this release to the service",
                 "content-key.missing"};
  return Order{std::move(ek), device->tpm.ak_name, *std::move(key)};
}

Result<WrappedContentKey> ContentKeyOperations::Wrap(const Order& order) const {
  const auto key = pki::AeadOpen(seal_key_, order.key.box, AsBytes(BoxContext(order.key.id)));
  if (!key)
    return Error{Reason::kBadSignature, "the stored content key does not open",
                 "content-key.forged"};
  SP_TRY(pki::MadeCredential credential, pki::MakeCredential(order.ek, order.ak_name, key->view()));
  return WrappedContentKey{order.key.id, std::move(credential)};
}

Result<WrappedContentKey> ContentKeyOperations::Deliver(const std::string& device_id,
                                                        const ContentKeyRequest& request,
                                                        UnixTime now) {
  if (rate_.Spend(device_id, now).ms > 0)
    return Error{Reason::kRateLimited, "the device asks again and again", "content-key.rate"};
  SP_TRY(const Order order, Decide(device_id, request, now));
  SP_TRY(WrappedContentKey wrapped, Wrap(order));
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(transaction.Audit("content-key.delivered",
                             JsonValue::Object({{"device", device_id},
                                                {"release", HexEncode(request.release)},
                                                {"key_id", HexEncode(wrapped.id)}})));
    return Unit{};
  }));
  return wrapped;
}

}  // namespace sallyport::server

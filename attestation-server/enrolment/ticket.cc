#include "attestation-server/enrolment/ticket.h"

#include <algorithm>

#include "pki/crypto/secret.h"

namespace sallyport::server {

namespace {

constexpr std::string_view kLabel = "sallyport/ticket/v1";
constexpr size_t kFieldMax = 2048;  // no field of a ticket comes near

void WriteIma(const std::optional<ImaStart>& ima, ByteWriter& out) {
  out.U8(ima.has_value() ? 1 : 0);
  if (!ima.has_value()) return;
  out.BigU64(ima->entries).Sized16(ima->aggregate.view()).Raw(ima->references.view());
  out.Sized16(ima->boot_id.has_value() ? ima->boot_id->view() : ByteView());
}

Result<std::optional<ImaStart>> ReadIma(ByteReader& in) {
  SP_TRY(const uint8_t asked, in.U8());
  if (asked == 0) return std::optional<ImaStart>();
  ImaStart ima;
  SP_TRY(ima.entries, in.BigU64());
  SP_TRY(const ByteView aggregate, in.Sized16(kLogDigestBytesMax));
  ima.aggregate = PcrDigest::Of(aggregate);
  SP_TRY(const ByteView references, in.Take(Sha256Digest::kSize));
  SP_TRY(ima.references, Sha256Digest::FromView(references));
  SP_TRY(const ByteView boot_id, in.Sized16(BootId::kSize));
  if (!boot_id.empty()) {
    SP_TRY(ima.boot_id, BootId::FromView(boot_id));
  }
  return std::optional(ima);
}

Bytes Write(const Ticket& t) {
  ByteWriter out;
  out.U8(static_cast<uint8_t>(t.purpose))
      .BigU64(t.incarnation)
      .BigU64(static_cast<uint64_t>(t.made_at.ms));
  out.Raw(t.id.view()).Raw(t.nonce.view()).Raw(t.ek_spki_hash.view());
  for (const ByteView field :
       {AsBytes(t.device_id), ByteView(t.ak_public), ByteView(t.secret), AsBytes(t.ek_manufacturer),
        AsBytes(t.ek_model), AsBytes(t.ek_version),
        t.serial_listing.has_value() ? t.serial_listing->view() : ByteView()})
    out.Sized16(field);
  WriteIma(t.ima, out);
  for (const std::string& profile : t.profiles) out.Sized16(AsBytes(profile));
  return std::move(out).Take();
}

Result<pki::Purpose> ReadPurpose(ByteReader& in) {
  SP_TRY(const uint8_t value, in.U8());
  if (value > static_cast<uint8_t>(pki::Purpose::kReattest))
    return Error{Reason::kMalformed, "ticket purpose"};
  return static_cast<pki::Purpose>(value);
}

Result<Ticket> Read(ByteView bytes) {
  ByteReader in(bytes, "ticket");
  Ticket t;
  SP_TRY(t.purpose, ReadPurpose(in));
  SP_TRY(t.incarnation, in.BigU64());
  SP_TRY(const uint64_t made_at, in.BigU64());
  t.made_at = {static_cast<int64_t>(made_at)};
  SP_TRY(const ByteView id, in.Take(TicketId::kSize));
  SP_TRY(t.id, TicketId::FromView(id));
  SP_TRY(const ByteView nonce, in.Take(Nonce::kSize));
  SP_TRY(t.nonce, Nonce::FromView(nonce));
  SP_TRY(const ByteView ek, in.Take(Sha256Digest::kSize));
  SP_TRY(t.ek_spki_hash, Sha256Digest::FromView(ek));
  SP_TRY(const ByteView device_id, in.Sized16(kFieldMax));
  t.device_id = ToString(device_id);
  SP_TRY(const ByteView ak_public, in.Sized16(kFieldMax));
  t.ak_public = ToBytes(ak_public);
  SP_TRY(const ByteView secret, in.Sized16(kFieldMax));
  t.secret = ToBytes(secret);
  for (std::string* const field : {&t.ek_manufacturer, &t.ek_model, &t.ek_version}) {
    SP_TRY(const ByteView text, in.Sized16(kFieldMax));
    *field = ToString(text);
  }
  SP_TRY(const ByteView listing, in.Sized16(Sha256Digest::kSize));
  if (!listing.empty()) {
    SP_TRY(t.serial_listing, Sha256Digest::FromView(listing));
  }
  SP_TRY(t.ima, ReadIma(in));
  while (in.remaining() > 0) {
    SP_TRY(const ByteView profile, in.Sized16(kFieldMax));
    t.profiles.push_back(ToString(profile));
  }
  return t;
}

}  // namespace

TicketSealer::TicketSealer(Random& random, uint64_t incarnation)
    : random_(random), incarnation_(incarnation) {}

void TicketSealer::Rotate(UnixTime now) {
  if (current_.has_value() && now - current_->made_at < kTicketKeyLifetime &&
      now >= current_->made_at)
    return;
  previous_ = std::move(current_);
  current_ = Key{std::make_shared<const pki::AeadKey>(pki::AeadKey::Generate(random_)), now};
}

Bytes TicketSealer::Seal(const Ticket& ticket, UnixTime now) {
  std::shared_ptr<const pki::AeadKey> key;
  {
    const std::lock_guard lock(keys_mutex_);
    Rotate(now);
    key = current_->key;
  }
  Bytes plain = Write(ticket);
  Bytes sealed = pki::AeadSeal(*key, plain, AsBytes(kLabel), random_);
  pki::WipeBytes(plain);
  SP_CHECK(sealed.size() <= kTicketBytesMax);
  return sealed;
}

Result<Ticket> TicketSealer::Open(ByteView sealed, std::initializer_list<pki::Purpose> accepted,
                                  UnixTime now) {
  if (sealed.size() > kTicketBytesMax) return Error{Reason::kTooLarge, "ticket", "ticket.size"};
  std::optional<Key> keys[2];
  {
    const std::lock_guard lock(keys_mutex_);
    keys[0] = current_;
    keys[1] = previous_;
  }
  const Error foreign{Reason::kBadSignature, "ticket was not made by this server",
                      "ticket.foreign"};
  for (const std::optional<Key>& key : keys) {
    if (!key.has_value()) continue;
    auto plain = pki::AeadOpenPlain(*key->key, sealed, AsBytes(kLabel));
    if (!plain.has_value()) continue;
    Result<Ticket> read = Read(*plain);
    pki::WipeBytes(*plain);
    SP_TRY(Ticket ticket, std::move(read));
    if (ticket.incarnation != incarnation_) return foreign;
    if (now < ticket.made_at || now - ticket.made_at > kTicketLifetime)
      return Error{Reason::kStaleNonce, "ticket lives 60 s", "ticket.expired"};
    if (std::ranges::find(accepted, ticket.purpose) == accepted.end())
      return Error{Reason::kMismatch,
                   "ticket was made for " + std::string(pki::PurposeName(ticket.purpose)),
                   "ticket.purpose"};
    return ticket;
  }
  return foreign;
}

}  // namespace sallyport::server

// The sealed ticket (architecture 6.2): what the server must remember of a challenge, carried by
// the device. XChaCha20-Poly1305; the key lives in memory and is replaced every kTicketKeyLifetime;
// no stored state.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "attestation-server/evidence/ima.h"
#include "pki/base/digest.h"
#include "pki/base/random.h"
#include "pki/base/time.h"
#include "pki/crypto/aead.h"
#include "pki/tpm/transcript.h"

namespace sallyport::server {

inline constexpr Duration kTicketLifetime = Seconds(60);
inline constexpr Duration kTicketKeyLifetime = Minutes(10);
// A ticket holds two public areas and change.
inline constexpr size_t kTicketBytesMax = 4096;

struct Ticket {
  pki::Purpose purpose = pki::Purpose::kEnrol;
  TicketId id = TicketId::FromArray({});
  std::string device_id;
  Sha256Digest ek_spki_hash = Sha256Digest::FromArray({});
  Bytes ak_public;  // TPMT_PUBLIC
  Nonce nonce = Nonce::FromArray({});
  Bytes secret;  // of the credential; empty unless enrol
  UnixTime made_at;
  uint64_t incarnation = 0;
  // Enrol only: what the EK certificate said, so that Prove need not see it again.
  std::vector<std::string> profiles;  // whose roots the chain leads to
  std::string ek_manufacturer;
  std::string ek_model;
  std::string ek_version;
  // Enrol only: where the device must stand on the allow-list when its maker vouches for it.
  std::optional<Sha256Digest> serial_listing;
  // A measurement list was asked for, from this state on. Carried here, so that any server judges
  // the answer by what was asked, whatever became of its cache since.
  std::optional<ImaStart> ima = {};
};

// TicketSealer: thread-safe. A restart makes new keys: tickets of before are foreign, and devices
// begin anew.
class TicketSealer {
 public:
  // `random` must outlive the sealer.
  TicketSealer(Random& random, uint64_t incarnation);
  Bytes Seal(const Ticket& ticket, UnixTime now);
  // Open refuses: kTooLarge "ticket.size"; kBadSignature "ticket.foreign" (another server, key or
  // incarnation, or changed in any bit); kStaleNonce "ticket.expired" (older than kTicketLifetime,
  // or made in the future); kMismatch "ticket.purpose" unless the purpose is one of `accepted`.
  Result<Ticket> Open(ByteView sealed, std::initializer_list<pki::Purpose> accepted, UnixTime now);

 private:
  struct Key {
    std::shared_ptr<const pki::AeadKey> key;  // shared with calls in flight
    UnixTime made_at;
  };
  void Rotate(UnixTime now);

  Random& random_;
  const uint64_t incarnation_;
  std::mutex keys_mutex_;
  std::optional<Key> current_;   // guarded by keys_mutex_
  std::optional<Key> previous_;  // guarded by keys_mutex_
};

}  // namespace sallyport::server

// EK certificates (TCG EK Credential Profile) and their chains to TPM vendors' roots. OpenSSL
// verifies the chain: vendors use RSA and curves that our own reader does not.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pki/base/time.h"
#include "pki/crypto/signature.h"

namespace sallyport::pki {

inline constexpr size_t kEkCertificateBytesMax = 8192;  // an NV index of a TPM holds less
inline constexpr size_t kEkChainMax = 4;  // leaf and at most three intermediates from NV

// EkCertificate was read from one DER certificate. Reading proves nothing.
struct EkCertificate {
  PublicKey key;
  std::string manufacturer;  // "id:53544D20" as written by the vendor; empty when absent
  std::string model;
  std::string version;
  UnixTime not_before;
  UnixTime not_after;  // 9999-12-31T23:59:59Z means it does not end
  Bytes der;           // exactly one SEQUENCE, NV padding cut off
};

// ParseEkCertificate cuts NV padding (trailing 0x00 or 0xFF) and a PEM armour, and screens the
// profile. kTooLarge "ek.size"; kMalformed "ek.der"; kUnsupported "ek.key" (RSA below 2048, unknown
// curve); kMismatch "ek.key-usage" (RSA: keyEncipherment, EC: keyAgreement),
// "ek.extended-key-usage" (present without 2.23.133.8.1), "ek.ca" (a CA certificate). Pure;
// thread-safe.
Result<EkCertificate> ParseEkCertificate(ByteView bytes);

// EkRoots are the anchors and known intermediates of one profile. Immutable, cheap to copy,
// thread-safe.
class EkRoots {
 public:
  // FromCertificates takes DER or PEM (several blocks). Self-signed ones become anchors, the others
  // known intermediates. kMalformed "ek.root"; kInvalidArgument "ek.no-root" without an anchor.
  static Result<EkRoots> FromCertificates(std::span<const Bytes> files);

  // Verify builds a chain from `leaf` over `intermediates` (from the TPM's NV; they add no trust)
  // to an anchor at `now`. kUntrusted "ek.chain"; kExpired "ek.expired"; kTooLarge
  // "ek.chain-length".
  Result<Unit> Verify(const EkCertificate& leaf, std::span<const Bytes> intermediates,
                      UnixTime now) const;
  size_t anchor_count() const;

 private:
  struct State;
  explicit EkRoots(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace sallyport::pki

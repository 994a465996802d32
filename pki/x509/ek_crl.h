// Certificate revocation lists of TPM vendors (RFC 5280 section 5), judged for the certificates of
// one chain. A list that is given counts: one that cannot be believed refuses.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/time.h"
#include "pki/x509/ek_check.h"

namespace sallyport::pki {

inline constexpr size_t kCrlBytesMax = 16 << 20;  // vendors revoke by the batch of chips

// EkCrl is one parsed list. Immutable, cheap to copy, thread-safe.
class EkCrl {
 public:
  // FromFile reads DER or the X509 CRL blocks of a PEM file. kTooLarge "crl.size"; kMalformed
  // "crl.der".
  static Result<std::vector<EkCrl>> FromFile(ByteView bytes);

  struct State;
  const State& state() const { return *state_; }
  // issuer is its issuer's name, for people.
  std::string issuer() const;
  Bytes ToDer() const;

 private:
  explicit EkCrl(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// CheckList requires `crl` to be a current list of `issuer` (DER): the rules below but for
// crl.scope and crl.revoked. Returns when the next one is due.
Result<UnixTime> CheckList(const EkCrl& crl, ByteView issuer, UnixTime now);

// CheckRevocation judges `chain` (DER, leaf first, anchor last) by `crls` at `now`, each list that
// an issuer of the chain has made:
//   crl.issuer              no list is of an issuer in the chain
//   crl.usage               the issuer may not sign lists
//   crl.signature           not signed by that issuer's key, or with a digest below SHA-256
//   crl.not-yet-valid, crl.stale        thisUpdate, nextUpdate (absent: never fresh)
//   crl.extension-critical  a critical extension of the list or an entry that we do not know, a
//   delta
//                           list, an indirect one, one for some reasons only
//   crl.scope               the list is for other certificates: for CAs or attributes only, or of a
//                           distribution point that the certificate does not name
//   crl.revoked             the certificate is listed, for whatever reason
// One check "crl.current" per good list. Nothing when `crls` is empty. Pure; thread-safe.
std::vector<EkCheck> CheckRevocation(std::span<const Bytes> chain, std::span<const EkCrl> crls,
                                     UnixTime now);

}  // namespace sallyport::pki

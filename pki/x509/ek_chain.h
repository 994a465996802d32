// Chains from EK certificates to TPM vendors' pinned roots. OpenSSL verifies them: vendors use RSA
// and curves that our own reader does not.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pki/x509/ek_crl.h"
#include "pki/x509/ek_profile.h"

namespace sallyport::pki {

// EkRoots are the anchors, known intermediates and revocation lists of one profile. Immutable,
// cheap to copy, thread-safe.
class EkRoots {
 public:
  // FromCertificates takes DER or PEM (several blocks) of CA certificates; others are left out.
  // Self-issued ones are roots, the others intermediates, which are anchors only where their issuer
  // is not among the certificates. `crls` hold for every chain of their issuers. kMalformed
  // "ek.root"; kInvalidArgument "ek.no-root" without any CA certificate.
  static Result<EkRoots> FromCertificates(std::span<const Bytes> files,
                                          std::span<const EkCrl> crls = {});

  struct Judgement {
    std::vector<EkCheck> checks;
    std::vector<Bytes> chain;  // DER, leaf first, anchor last; empty when none was found
  };
  // Judge builds a chain from `leaf` over `intermediates` (from the TPM's NV; they add no trust) to
  // an anchor, and runs
  //   ek.chain               names, signatures, CA flags, path lengths, name constraints
  //   ek.chain-length        at most kEkChainMax certificates from NV, and so many below the anchor
  //   ek.signature           the leaf is signed by its issuer
  //   ek.chain-strength      no key below 112 bits of strength, no SHA-1
  //   ek.validity            fails as ek.expired or ek.not-yet-valid, whichever certificate it is
  // and CheckRevocation over the roots' lists and `crls`.
  Judgement Judge(const EkCertificate& leaf, std::span<const Bytes> intermediates, UnixTime now,
                  std::span<const EkCrl> crls = {}) const;
  // Verify requires every check of Judge.
  Result<Unit> Verify(const EkCertificate& leaf, std::span<const Bytes> intermediates,
                      UnixTime now) const;
  size_t anchor_count() const;
  size_t intermediate_count() const;

 private:
  struct State;
  explicit EkRoots(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace sallyport::pki

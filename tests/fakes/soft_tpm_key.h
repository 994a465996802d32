// SoftTpmKey signs what a TPM would sign, with a software key: genuine statements and forged ones.
#pragma once

#include <optional>

#include "pki/tpm/attest.h"
#include "pki/tpm/creation_data.h"
#include "pki/tpm/name.h"
#include "pki/tpm/public_area.h"
#include "pki/tpm/signature.h"

namespace sallyport {

inline constexpr uint32_t kAkAttributes = pki::tpm::kFixedTpm | pki::tpm::kFixedParent |
                                          pki::tpm::kSensitiveDataOrigin | pki::tpm::kUserWithAuth |
                                          pki::tpm::kRestricted | pki::tpm::kSign;
inline constexpr uint32_t kTlsAttributes = pki::tpm::kFixedTpm | pki::tpm::kFixedParent |
                                           pki::tpm::kSensitiveDataOrigin |
                                           pki::tpm::kUserWithAuth | pki::tpm::kSign;

// SoftKeyKind: `hash` is that of the scheme; a Name is always SHA-256.
struct SoftKeyKind {
  pki::KeyType type = pki::KeyType::kP256;
  pki::SignatureScheme scheme = pki::SignatureScheme::kEcdsa;
  pki::HashAlgorithm hash = pki::HashAlgorithm::kSha256;
  unsigned rsa_bits = 2048;
};

class SoftTpmKey {
 public:
  explicit SoftTpmKey(uint32_t attributes, const SoftKeyKind& kind = {});

  const pki::PublicArea& area() const { return area_; }
  const pki::PrivateKey& key() const { return key_; }
  Bytes name() const { return pki::ObjectName(area_); }
  Bytes qualified_name(uint32_t hierarchy) const {
    return pki::PrimaryQualifiedName(area_.name_alg, hierarchy, name());
  }
  // Sign returns a TPMT_SIGNATURE in the scheme of the key.
  Bytes Sign(ByteView attest) const;

 private:
  pki::PrivateKey key_;
  pki::PublicArea area_;
};

// AttestFields is a TPMS_ATTEST whose every field can be wrong.
struct AttestFields {
  uint32_t magic = pki::tpm::kGenerated;
  uint16_t type = static_cast<uint16_t>(pki::tpm::AttestType::kQuote);
  Bytes qualified_signer;
  Bytes extra_data;
  pki::ClockInfo clock{1000, 5, 0, true};
  uint64_t firmware = 7;
  Bytes body;

  Bytes Write() const {
    ByteWriter out;
    out.BigU32(magic).BigU16(type).Sized16(qualified_signer).Sized16(extra_data);
    out.BigU64(clock.clock_ms)
        .BigU32(clock.reset_count)
        .BigU32(clock.restart_count)
        .U8(clock.safe ? 1 : 0);
    return std::move(out.BigU64(firmware).Raw(body)).Take();
  }
};

inline Bytes QuoteBodyBytes(const pki::PcrSelection& selection, ByteView digest) {
  ByteWriter out;
  pki::WritePcrSelection(out, selection);
  return std::move(out.Sized16(digest)).Take();
}

inline Bytes NvBodyBytes(ByteView name, ByteView contents, uint16_t offset = 0) {
  return std::move(ByteWriter().Sized16(name).BigU16(offset).Sized16(contents)).Take();
}

inline Bytes TwoSized(ByteView first, ByteView second) {
  return std::move(ByteWriter().Sized16(first).Sized16(second)).Take();
}

}  // namespace sallyport

// The templates that endorsement keys are made from (TCG EK Credential Profile 2.6, B.3 and B.4).
// Pure; thread-safe.
#pragma once

#include <array>
#include <optional>

#include "pki/tpm/public_area.h"

namespace sallyport::pki {

// EkTemplate: the low range, and of the high range what TPMs have and we can verify; not P-521
// (H-4) and SM2 (H-5).
enum class EkTemplate : uint8_t {
  kL1Rsa2048,
  kL2P256,
  kH1Rsa2048,
  kH2P256,
  kH3P384,
  kH6Rsa3072,
  kH7Rsa4096
};
inline constexpr std::array kEkTemplates{
    EkTemplate::kL1Rsa2048, EkTemplate::kL2P256,    EkTemplate::kH1Rsa2048, EkTemplate::kH2P256,
    EkTemplate::kH3P384,    EkTemplate::kH6Rsa3072, EkTemplate::kH7Rsa4096};

constexpr std::string_view EkTemplateName(EkTemplate ek_template) {
  switch (ek_template) {
    case EkTemplate::kL1Rsa2048: return "L-1";
    case EkTemplate::kL2P256: return "L-2";
    case EkTemplate::kH1Rsa2048: return "H-1";
    case EkTemplate::kH2P256: return "H-2";
    case EkTemplate::kH3P384: return "H-3";
    case EkTemplate::kH6Rsa3072: return "H-6";
    case EkTemplate::kH7Rsa4096: return "H-7";
  }
  std::abort();
}

// EkIsHighRange: the key may be used by its (empty) password. In the low range only a policy
// session that fulfils PolicyA may use it.
constexpr bool EkIsHighRange(EkTemplate ek_template) {
  return ek_template != EkTemplate::kL1Rsa2048 && ek_template != EkTemplate::kL2P256;
}

// EkCertificateIndex is the NV index of the certificate (sections 2.2.1.4 and 2.2.1.5 of the
// profile).
constexpr uint32_t EkCertificateIndex(EkTemplate ek_template) {
  switch (ek_template) {
    case EkTemplate::kL1Rsa2048: return 0x01C00002;
    case EkTemplate::kL2P256: return 0x01C0000A;
    case EkTemplate::kH1Rsa2048: return 0x01C00012;
    case EkTemplate::kH2P256: return 0x01C00014;
    case EkTemplate::kH3P384: return 0x01C00016;
    case EkTemplate::kH6Rsa3072: return 0x01C0001C;
    case EkTemplate::kH7Rsa4096: return 0x01C0001E;
  }
  std::abort();
}

// EkPolicyA is the authPolicy of the low range: PolicySecret(TPM_RH_ENDORSEMENT).
ByteView EkPolicyA();

// EkTemplateArea is the public area to give to TPM2_CreatePrimary: `unique` is zero-filled in the
// low range and empty in the high one.
PublicArea EkTemplateArea(EkTemplate ek_template);

// EkPublicFromKey builds the EK's public area from its certificate's key and the first template of
// that key type, the low range before the high one. kUnsupported (rule ek.key-type) for keys that
// no template makes.
Result<PublicArea> EkPublicFromKey(const PublicKey& key);

// MatchEkTemplate is EkPublicFromKey for the template that gives exactly `ek_public`: the client's
// word chooses among our templates and says nothing else. kMismatch (ek.key-match) for none.
Result<PublicArea> MatchEkTemplate(const PublicKey& key, ByteView ek_public);

// FindEkTemplate: the template that `area` is made from, by all but its key.
std::optional<EkTemplate> FindEkTemplate(const PublicArea& area);

}  // namespace sallyport::pki

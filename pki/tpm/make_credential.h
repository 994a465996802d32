// TPM2_MakeCredential in software (TPM 2.0 Part 1, 24): a secret that only the TPM of an EK can
// open, and only while the named key is loaded in it. Draws from OpenSSL's generator; thread-safe.
#pragma once

#include "pki/tpm/public_area.h"

namespace sallyport::pki {

// EkTemplate names the low-range templates of the TCG EK Credential Profile that we accept.
enum class EkTemplate : uint8_t { kL1Rsa2048, kL2P256 };
constexpr std::string_view EkTemplateName(EkTemplate ek_template) {
  switch (ek_template) {
    case EkTemplate::kL1Rsa2048: return "L-1";
    case EkTemplate::kL2P256: return "L-2";
  }
  std::abort();
}

// EkPolicyA is the authPolicy of both templates: PolicySecret(TPM_RH_ENDORSEMENT).
ByteView EkPolicyA();

// EkTemplateArea is the public area to give to TPM2_CreatePrimary: `unique` is zero-filled.
PublicArea EkTemplateArea(EkTemplate ek_template);

// EkPublicFromKey builds the EK's public area from its certificate's key and the known template of
// that key type; nothing a client says is used. kUnsupported (rule ek.key-type) but for RSA-2048
// (exponent 65537) and P-256.
Result<PublicArea> EkPublicFromKey(const PublicKey& key);

struct MadeCredential {
  Bytes credential_blob;   // contents of TPM2B_ID_OBJECT
  Bytes encrypted_secret;  // contents of TPM2B_ENCRYPTED_SECRET
};

// MakeCredential wraps `secret` (1..32 bytes) for the object named `object_name` in the TPM of
// `ek`. kInvalidArgument (rule credential.secret-size); kUnsupported (ek.key-type) for areas
// without AES-128; kInternal when OpenSSL fails.
Result<MadeCredential> MakeCredential(const PublicArea& ek, ByteView object_name, ByteView secret);

}  // namespace sallyport::pki

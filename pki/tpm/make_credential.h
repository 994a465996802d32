// TPM2_MakeCredential in software (TPM 2.0 Part 1, 24): a secret that only the TPM of an EK can
// open, and only while the named key is loaded in it. Draws from OpenSSL's generator; thread-safe.
#pragma once

#include "pki/tpm/ek_template.h"

namespace sallyport::pki {

struct MadeCredential {
  Bytes credential_blob;   // contents of TPM2B_ID_OBJECT
  Bytes encrypted_secret;  // contents of TPM2B_ENCRYPTED_SECRET
};

// MakeCredential wraps `secret` (1..32 bytes) for the object named `object_name` in the TPM of
// `ek`. kInvalidArgument (rule credential.secret-size); kUnsupported (ek.key-type) for areas
// of no known template; kInternal when OpenSSL fails.
Result<MadeCredential> MakeCredential(const PublicArea& ek, ByteView object_name, ByteView secret);

}  // namespace sallyport::pki

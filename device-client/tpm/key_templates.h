// The public areas of the keys that the agent makes in its TPM. Pure.
#pragma once

#include "pki/tpm/public_area.h"

namespace sallyport::device {

// AkTemplate: P-256, ECDSA with SHA-256, restricted, and exempt from lockout: no one needs to guess
// its empty password. `unique` carries our label, so that no other product's key is this one.
pki::PublicArea AkTemplate();

// TlsKeyTemplate: P-256, ECDSA with SHA-256. `entropy` (64 bytes) makes each key of a boot another
// one: a primary key is a function of its seed and its template.
pki::PublicArea TlsKeyTemplate(ByteView entropy);

}  // namespace sallyport::device

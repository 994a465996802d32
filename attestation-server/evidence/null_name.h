// Null-name certification: Linux 6.10 and later derive a primary key from the TPM's null seed when
// they start and show its Name. The seed changes at every TPM reset, so a key of that Name that the
// AK certifies now shows that the TPM was not reset since: no replayed measurements, no interposer
// in between. The Name itself is the word of the measured system. Pure; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "attestation-server/evidence/quote.h"
#include "attestation-server/evidence/tpm_health.h"

namespace sallyport::server {

struct NullNameInput {
  ByteView kernel_name;  // as the kernel shows it
  ByteView attest;       // TPM2_Certify by the AK
  ByteView signature;
};

// Rules of CheckNullName:
//   null-name.offered   the device's kernel offers it, or nobody insists
// and when it is offered:
//   null-name.size null-name.scheme null-name.signature null-name.magic null-name.type
//   null-name.structure
//   null-name.qualified-signer, null-name.extra-data   as those of the quote
//   null-name.boot       made in the boot of the quote
//   null-name.hierarchy  the key is a primary of the null hierarchy
//   null-name.kernel     its Name is the one that the kernel saw when it started
// CheckNullName adds the ones that apply to `checks` and decides them; kCertified when all passed.
NullNameState CheckNullName(const AttestationKey& ak, const std::optional<NullNameInput>& input,
                            bool required, const QuoteExpectation& policy,
                            const AuthenticatedQuote& quote, CheckList& checks);

}  // namespace sallyport::server

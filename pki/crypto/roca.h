// The fingerprint of RSA keys made by Infineon's RSALib (CVE-2017-15361, ROCA): both primes are
// k * M + (65537^a mod M) for a primorial M, so that the modulus is a power of 65537 modulo M, and
// can be factored. Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 3.
#pragma once

#include "pki/base/bytes.h"

namespace sallyport::pki {

// HasRocaFingerprint says whether the big-endian `modulus` is a power of 65537 modulo the product
// of the primes up to 167: one discrete logarithm that holds for all of them. No weak key is
// missed; a sound one is taken for weak with a probability below 2^-150. Pure; thread-safe.
bool HasRocaFingerprint(ByteView modulus);

}  // namespace sallyport::pki

// Digest and identifier types shared by every module.
#pragma once

#include "pki/base/bytes.h"

namespace sallyport {

using Sha256Digest = FixedBytes<struct Sha256DigestTag, 32>;
using Nonce = FixedBytes<struct NonceTag, 32>;
using TicketId = FixedBytes<struct TicketIdTag, 16>;
// BootId = SHA-256(AK Name, generation, resetCount, restartCount, log hash): architecture 6.6.
using BootId = FixedBytes<struct BootIdTag, 32>;
// ReleaseDigest names an OS release by the SHA-256 of its release target file.
using ReleaseDigest = FixedBytes<struct ReleaseDigestTag, 32>;

}  // namespace sallyport

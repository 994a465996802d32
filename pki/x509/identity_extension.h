// The certificate extension of device leaves: how fresh and how good the evidence behind them is
// (architecture 5a; bytes in docs/protocol.md, "Certificates"). Trusted only under the device
// issuer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::pki {

// Tier orders what was proven: none < enrolled < attested < measured.
enum class Tier : uint8_t { kNone = 0, kEnrolled = 1, kAttested = 2, kMeasured = 3 };
std::string_view TierName(Tier tier);
// ParseTier: kMalformed for any other word.
Result<Tier> ParseTier(std::string_view name);

enum class KeyProtection : uint8_t { kSoftware = 0, kTpmNullHierarchy = 1, kTpmPolicy = 2 };
std::string_view KeyProtectionName(KeyProtection protection);

constexpr int64_t kIdentityExtensionVersion = 1;

// OID 2.25.311059338878149190324830027540541135676 (a random UUID of ours, X.667), DER content
// octets.
constexpr std::string_view kIdentityExtensionOidText =
    "2.25.311059338878149190324830027540541135676";
constexpr std::array<uint8_t, 20> kIdentityExtensionOid{0x69, 0x83, 0xD4, 0x83, 0xEC, 0xDE, 0xCA,
                                                        0x95, 0xFA, 0x8D, 0xF7, 0xBF, 0xF0, 0x9F,
                                                        0x83, 0xA7, 0xF0, 0xBB, 0xB6, 0x3C};

struct IdentityExtension {
  UnixTime attested_at;  // whole seconds on the wire
  Tier tier = Tier::kNone;
  uint64_t incarnation = 0;  // below 2^63
  uint64_t epoch = 0;        // below 2^63
  BootId boot_id;
  std::optional<ReleaseDigest> release_digest;  // 32 zero bytes on the wire when unknown
  KeyProtection key_protection = KeyProtection::kSoftware;
  bool operator==(const IdentityExtension&) const = default;
};

// EncodeIdentityExtension writes the extension's value (without OID). Aborts on numbers of 2^63 and
// above.
Bytes EncodeIdentityExtension(const IdentityExtension& extension);
// ParseIdentityExtension: kUnsupported (rule extension.version) for another version, kMalformed
// otherwise.
Result<IdentityExtension> ParseIdentityExtension(ByteView der);

}  // namespace sallyport::pki

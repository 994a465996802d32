#include "pki/x509/identity_extension.h"

#include "pki/x509/der.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kRule = "extension.malformed";

Error Malformed(std::string_view why) {
  return Error{Reason::kMalformed, "identity extension: " + std::string(why), kRule};
}

bool AllZero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

Result<std::optional<ReleaseDigest>> ReadReleaseDigest(der::Reader& reader) {
  SP_TRY(const ByteView bytes, reader.Content(der::kOctetString));
  SP_TRY(const ReleaseDigest digest, ReleaseDigest::FromView(bytes));
  return AllZero(bytes) ? std::nullopt : std::optional(digest);
}

// Enumerated reads a value of a dense enumeration that ends with `last`.
template <typename Enum>
Result<Enum> Enumerated(der::Reader& reader, Enum last) {
  SP_TRY(const uint64_t value, reader.Unsigned(der::kEnumerated));
  if (value > static_cast<uint64_t>(last)) return Malformed("enumeration out of range");
  return static_cast<Enum>(value);
}

}  // namespace

std::string_view TierName(Tier tier) {
  switch (tier) {
    case Tier::kNone: return "none";
    case Tier::kEnrolled: return "enrolled";
    case Tier::kAttested: return "attested";
    case Tier::kMeasured: return "measured";
  }
  std::abort();
}

Result<Tier> ParseTier(std::string_view name) {
  for (const Tier tier : {Tier::kNone, Tier::kEnrolled, Tier::kAttested, Tier::kMeasured})
    if (TierName(tier) == name) return tier;
  return Error{Reason::kMalformed, "tier is none, enrolled, attested or measured"};
}

std::string_view KeyProtectionName(KeyProtection protection) {
  switch (protection) {
    case KeyProtection::kSoftware: return "software";
    case KeyProtection::kTpmNullHierarchy: return "tpm-null-hierarchy";
    case KeyProtection::kTpmPolicy: return "tpm-policy";
  }
  std::abort();
}

Bytes EncodeIdentityExtension(const IdentityExtension& extension) {
  SP_CHECK(extension.attested_at.ms >= 0);
  SP_CHECK(extension.incarnation <= INT64_MAX && extension.epoch <= INT64_MAX);
  const std::array<uint8_t, ReleaseDigest::kSize> unknown{};
  const ByteView release =
      extension.release_digest ? extension.release_digest->view() : ByteView(unknown);
  using der::EncodeUnsigned;
  return der::Encode(
      der::kSequence,
      {EncodeUnsigned(der::kInteger, kIdentityExtensionVersion),
       EncodeUnsigned(der::kInteger, static_cast<uint64_t>(extension.attested_at.seconds())),
       EncodeUnsigned(der::kEnumerated, static_cast<uint64_t>(extension.tier)),
       EncodeUnsigned(der::kInteger, extension.incarnation),
       EncodeUnsigned(der::kInteger, extension.epoch),
       der::Encode(der::kOctetString, {extension.boot_id.view()}),
       der::Encode(der::kOctetString, {release}),
       EncodeUnsigned(der::kEnumerated, static_cast<uint64_t>(extension.key_protection))});
}

Result<IdentityExtension> ParseIdentityExtension(ByteView bytes) {
  der::Reader outer(bytes, kRule);
  SP_TRY(der::Reader reader, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const uint64_t version, reader.Unsigned(der::kInteger));
  if (version != kIdentityExtensionVersion)
    return Error{Reason::kUnsupported, "identity extension of version " + std::to_string(version),
                 "extension.version"};
  SP_TRY(const uint64_t attested_at, reader.Unsigned(der::kInteger));
  // A time whose milliseconds overflow is no time.
  if (attested_at > INT64_MAX / 1000) return Malformed("attestedAt out of range");
  SP_TRY(const Tier tier, Enumerated(reader, Tier::kMeasured));
  SP_TRY(const uint64_t incarnation, reader.Unsigned(der::kInteger));
  SP_TRY(const uint64_t epoch, reader.Unsigned(der::kInteger));
  SP_TRY(const ByteView boot, reader.Content(der::kOctetString));
  SP_TRY(const BootId boot_id, BootId::FromView(boot));
  SP_TRY(auto release_digest, ReadReleaseDigest(reader));
  SP_TRY(const KeyProtection protection, Enumerated(reader, KeyProtection::kTpmPolicy));
  SP_TRY(reader.End());
  return IdentityExtension{UnixTime::FromSeconds(static_cast<int64_t>(attested_at)),
                           tier,
                           incarnation,
                           epoch,
                           boot_id,
                           release_digest,
                           protection};
}

}  // namespace sallyport::pki

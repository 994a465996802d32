#include "ota/metadata/usb_bundle.h"

#include <algorithm>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kFormat = "bundle/v1";

Error Refuse(Reason reason, std::string_view rule, std::string why) {
  return Error{reason, std::move(why), rule};
}

Result<UnixTime> TimeAt(const JsonCursor& body, std::string_view key) {
  SP_TRY(const std::string_view text, body.GetString(key));
  const auto time = ParseRfc3339(text);
  if (!time) return body.Refuse("not a time");
  return *time;
}

// CheckSerial applies the limits that targets, in `statement_of_targets`, gives the role.
Result<Unit> CheckSerial(const JsonValue& statement_of_targets, const BundleStatement& bundle,
                         uint64_t serial_floor) {
  const JsonCursor cursor(statement_of_targets, "targets.sallyport");
  const auto bundles = cursor.Find("bundles");
  const auto limits = bundles ? bundles->Find(bundle.role) : std::nullopt;
  if (!limits)
    return Refuse(Reason::kPolicyDenied, "bundle.no-limits",
                  "targets gives role " + bundle.role + " no serials");
  SP_TRY(const int64_t min, limits->GetInteger("serial_min", 1));
  SP_TRY(const int64_t max, limits->GetInteger("serial_max", 1));
  if (!std::in_range<int64_t>(bundle.serial) || static_cast<int64_t>(bundle.serial) < min ||
      static_cast<int64_t>(bundle.serial) > max)
    return Refuse(Reason::kPolicyDenied, "bundle.serial-limit",
                  "serial " + std::to_string(bundle.serial) + " is not from " +
                      std::to_string(min) + " to " + std::to_string(max));
  if (bundle.serial > serial_floor) return Ok();
  return Refuse(
      Reason::kReplayed, "bundle.serial-used",
      "serial " + std::to_string(bundle.serial) + " after " + std::to_string(serial_floor));
}

}  // namespace

Result<BundleStatement> ParseBundleStatement(ByteView json) {
  SP_TRY(const JsonValue tree, ParseJson(AsText(json), {.size_max = kBundleStatementSizeMax}));
  const JsonCursor body(tree, "bundle");
  SP_TRY(const std::string_view format, body.GetString("sallyport"));
  if (format != kFormat)
    return Refuse(Reason::kUnsupported, "bundle.format", "format " + std::string(format));
  SP_TRY(body.OnlyKeys({"sallyport", "role", "serial", "made_at", "expires", "release"}));
  SP_TRY(const std::string_view role, body.GetString("role"));
  SP_TRY(const int64_t serial, body.GetInteger("serial", 1));
  SP_TRY(const UnixTime made_at, TimeAt(body, "made_at"));
  SP_TRY(const UnixTime expires, TimeAt(body, "expires"));
  SP_TRY(const std::string_view release, body.GetString("release"));
  return BundleStatement{std::string(role), static_cast<uint64_t>(serial), made_at, expires,
                         std::string(release)};
}

std::string WriteBundleStatement(const BundleStatement& statement) {
  return WriteJson(JsonValue::Object({{"sallyport", kFormat},
                                      {"role", statement.role},
                                      {"serial", statement.serial},
                                      {"made_at", FormatRfc3339(statement.made_at)},
                                      {"expires", FormatRfc3339(statement.expires)},
                                      {"release", statement.release}}));
}

std::string BundleTargetPath(std::string_view role) {
  return "bundles/" + std::string(role) + ".json";
}

Result<VerifiedBundle> VerifyUsbBundle(MetadataClient& client, Fetcher& bundle,
                                       std::string_view role, uint64_t serial_floor, UnixTime now) {
  SP_TRY(const Bytes json,
         bundle.FetchMetadata(std::string(kBundleStatementFile), kBundleStatementSizeMax));
  // Nothing in the statement is believed before the role's signature over these bytes was checked;
  // until then it only says at which time the repository has to be valid.
  SP_TRY(BundleStatement statement, ParseBundleStatement(json));
  SP_TRY(TrustedMetadata trusted, client.Refresh(bundle, statement.made_at));
  SP_TRY(const MetadataClient::Target found,
         client.FindTarget(trusted, bundle, BundleTargetPath(role)));
  if (found.role != role || statement.role != role)
    return Refuse(Reason::kUntrusted, "bundle.role", "not signed by role " + std::string(role));
  if (!found.file.Check(json, kBundleStatementFile))
    return Refuse(Reason::kMismatch, "bundle.statement", "bundle.json is not what was signed");
  SP_TRY(CheckSerial(trusted.top().sallyport, statement, serial_floor));
  if (statement.expires <= std::max(now, statement.made_at))
    return Refuse(Reason::kExpired, "bundle.expired",
                  "the bundle ended at " + FormatRfc3339(statement.expires));
  const TargetFile* const file = trusted.top().Find(statement.release);
  if (file == nullptr)
    return Refuse(Reason::kUntrusted, "bundle.release", statement.release + " is not of targets");
  SP_TRY(Bytes release_json,
         client.Download(trusted, bundle, statement.release, *file, kReleaseSizeMax));
  SP_TRY(Release release, ParseRelease(release_json));
  const ReleaseDigest digest = ReleaseDigestOf(release_json);
  return VerifiedBundle{std::move(statement), digest, std::move(release), std::move(release_json)};
}

}  // namespace sallyport::ota

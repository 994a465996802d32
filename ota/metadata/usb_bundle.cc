#include "ota/metadata/usb_bundle.h"

#include <algorithm>

#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kFormat = "bundle/v1";
constexpr std::string_view kCommitLocal = "local";

Error Refuse(Reason reason, std::string_view rule, std::string why) {
  return Error{reason, std::move(why), rule};
}

Result<UnixTime> TimeAt(const JsonCursor& body, std::string_view key) {
  SP_TRY(const std::string_view text, body.GetString(key));
  const auto time = ParseRfc3339(text);
  if (!time) return body.Refuse("not a time");
  return *time;
}

// CommitsLocally reads the member `commit`: absent, or the one word that there is.
Result<JsonCursor::Flag> CommitsLocally(const JsonCursor& body) {
  if (!body.Find("commit")) return JsonCursor::Flag{false};
  SP_TRY(const std::string_view word, body.GetString("commit"));
  if (word != kCommitLocal) return body.Refuse("commit is " + std::string(word), "bundle.commit");
  return JsonCursor::Flag{true};
}

struct Running {
  std::string product;
  ReleaseVersion version;
};

// FindRunning names what runs: by the signed list of releases, or by a release.json that the device
// kept, which its own digest vouches for.
std::optional<Running> FindRunning(const Targets& top, const BundleTaker& taker) {
  if (!taker.running) return std::nullopt;
  for (const auto& [path, file] : top.targets) {
    if (file.digests.sha256() != Sha256Digest::FromArray(taker.running->array())) continue;
    const JsonCursor custom(file.custom);
    const auto product = custom.GetString("product");
    const auto version = custom.GetString("version");
    auto parsed = version ? ReleaseVersion::Parse(*version) : version.error();
    if (product && parsed) return Running{std::string(*product), *std::move(parsed)};
  }
  for (const Bytes& json : taker.known_releases) {
    if (ReleaseDigestOf(json) != *taker.running) continue;
    if (Result<Release> release = ParseRelease(json))
      return Running{release->product, release->version};
  }
  return std::nullopt;
}

Result<Unit> CheckRunning(const Release& next, const std::optional<Running>& running) {
  const std::string needs = "it goes on " + next.min_version.text() + " and later";
  if (!running) {
    if (next.min_version <= ReleaseVersion::Parse("0").value()) return Ok();
    return Refuse(Reason::kPolicyDenied, "bundle.running-unknown",
                  needs + ", and nothing says what runs here");
  }
  if (running->product != next.product)
    return Refuse(Reason::kMismatch, "bundle.product",
                  "brings " + next.product + ", and " + running->product + " runs here");
  if (running->version < next.min_version)
    return Refuse(Reason::kPolicyDenied, "bundle.min-version",
                  needs + ", and " + running->version.text() + " runs here");
  return Ok();
}

}  // namespace

// BundleJudge is the only maker of VerifiedBundle.
class BundleJudge {
 public:
  BundleJudge(MetadataClient draft, Fetcher& bundle, const BundleTaker& taker, UnixTime now)
      : draft_(std::move(draft)), bundle_(bundle), taker_(taker), now_(now) {}

  Result<VerifiedBundle> Judge(std::string_view role) {
    SP_TRY(const Bytes json,
           bundle_.FetchMetadata(std::string(kBundleStatementFile), kBundleStatementSizeMax));
    // Nothing in the statement is believed before the role's signature over these bytes was
    // checked; until then it only says at which time the repository has to be valid, and what the
    // repository says stays in the draft.
    SP_TRY(BundleStatement statement, ParseBundleStatement(json));
    SP_TRY(CheckClock(statement));
    SP_TRY(TrustedMetadata trusted, draft_.Refresh(bundle_, statement.made_at));
    SP_TRY(CheckSigned(trusted, statement, json, role));
    SP_TRY(CheckSerial(trusted.top().sallyport, statement, pki::Sha256(json)));
    SP_TRY(CheckLife(statement));
    SP_TRY(CheckImageFloors(trusted, taker_.floors));
    const TargetFile* const file = trusted.top().Find(statement.release);
    if (file == nullptr)
      return Refuse(Reason::kUntrusted, "bundle.release", statement.release + " is not of targets");
    SP_TRY(Bytes release_json,
           draft_.Download(trusted, bundle_, statement.release, *file, kReleaseSizeMax));
    SP_TRY(Release release, CheckRelease(trusted, statement.release, *file, release_json,
                                         taker_.hardware_id, taker_.floors));
    SP_TRY(CheckBundleable(release));
    SP_TRY(CheckRunning(release, FindRunning(trusted.top(), taker_)));
    SP_TRY(draft_.Adopt());
    return VerifiedBundle(std::move(statement), pki::Sha256(json), std::move(release),
                          std::move(release_json), trusted);
  }

 private:
  // A clock that is known to be wrong judges nothing: neither the repository nor the end.
  Result<Unit> CheckClock(const BundleStatement& statement) const {
    if (statement.made_at <= now_ + kBundleClockSkew) return Ok();
    return Refuse(Reason::kExpired, "bundle.clock",
                  "this machine's time is " + FormatRfc3339(now_) +
                      ", and the bundle was made at " + FormatRfc3339(statement.made_at) +
                      ": set the clock and try again");
  }

  Result<Unit> CheckSigned(TrustedMetadata& trusted, const BundleStatement& statement,
                           ByteView json, std::string_view wanted) {
    const std::string role = wanted.empty() ? statement.role : std::string(wanted);
    SP_TRY(const MetadataClient::Target found,
           draft_.FindTarget(trusted, bundle_, BundleTargetPath(role)));
    if (found.role != role || statement.role != role)
      return Refuse(Reason::kUntrusted, "bundle.role", "not signed by role " + role);
    if (!found.file.Check(json, kBundleStatementFile))
      return Refuse(Reason::kMismatch, "bundle.statement", "bundle.json is not what was signed");
    return Ok();
  }

  // CheckSerial applies the limits that targets, in `statement_of_targets`, gives the role, and
  // what this device took before.
  Result<Unit> CheckSerial(const JsonValue& statement_of_targets, const BundleStatement& bundle,
                           const Sha256Digest& digest) const {
    const JsonCursor cursor(statement_of_targets, "targets.sallyport");
    const auto bundles = cursor.Find("bundles");
    const auto limits = bundles ? bundles->Find(bundle.role) : std::nullopt;
    if (!limits)
      return Refuse(Reason::kPolicyDenied, "bundle.no-limits",
                    "targets gives role " + bundle.role + " no serials");
    SP_TRY(const int64_t min, limits->GetInteger("serial_min", 1));
    SP_TRY(const int64_t max, limits->GetInteger("serial_max", 1));
    const std::string serial = "serial " + std::to_string(bundle.serial);
    if (!std::in_range<int64_t>(bundle.serial) || static_cast<int64_t>(bundle.serial) < min ||
        static_cast<int64_t>(bundle.serial) > max)
      return Refuse(Reason::kPolicyDenied, "bundle.serial-limit",
                    serial + " is not from " + std::to_string(min) + " to " + std::to_string(max));
    const auto taken = taker_.taken.find(bundle.role);
    if (taken == taker_.taken.end() || bundle.serial > taken->second.serial) return Ok();
    const bool resumes = bundle.serial == taken->second.serial &&
                         digest == taken->second.statement && !taken->second.finished;
    if (resumes) return Ok();
    return Refuse(Reason::kReplayed, "bundle.serial-used",
                  serial + " after " + std::to_string(taken->second.serial));
  }

  Result<Unit> CheckLife(const BundleStatement& statement) const {
    if (statement.expires - statement.made_at > kBundleLifeMax)
      return Refuse(Reason::kPolicyDenied, "bundle.life", "made for longer than a bundle may live");
    if (statement.expires > std::max(now_, statement.made_at)) return Ok();
    return Refuse(Reason::kExpired, "bundle.expired",
                  "the bundle ended at " + FormatRfc3339(statement.expires) +
                      ", and this machine's time is " + FormatRfc3339(now_) +
                      ": make a new bundle, or set the clock if it is wrong");
  }

  MetadataClient draft_;
  Fetcher& bundle_;
  const BundleTaker& taker_;
  const UnixTime now_;
};

Result<Unit> CheckBundleable(const Release& release) {
  if (!release.content_key) return Ok();
  return Refuse(Reason::kUnsupported, "bundle.sealed",
                release.product + " " + release.version.text() +
                    " is sealed, and a bundle carries no keys: only the service gives them");
}

Result<BundleStatement> ParseBundleStatement(ByteView json) {
  SP_TRY(const JsonValue tree, ParseJson(AsText(json), {.size_max = kBundleStatementSizeMax}));
  const JsonCursor body(tree, "bundle");
  SP_TRY(const std::string_view format, body.GetString("sallyport"));
  if (format != kFormat)
    return Refuse(Reason::kUnsupported, "bundle.format", "format " + std::string(format));
  SP_TRY(body.OnlyKeys({"sallyport", "role", "serial", "made_at", "expires", "release", "commit"}));
  SP_TRY(const std::string_view role, body.GetString("role"));
  SP_TRY(const int64_t serial, body.GetInteger("serial", 1));
  SP_TRY(const UnixTime made_at, TimeAt(body, "made_at"));
  SP_TRY(const UnixTime expires, TimeAt(body, "expires"));
  SP_TRY(const std::string_view release, body.GetString("release"));
  SP_TRY(const JsonCursor::Flag commit, CommitsLocally(body));
  return BundleStatement{std::string(role), static_cast<uint64_t>(serial), made_at,
                         expires,           std::string(release),          commit.value};
}

std::string WriteBundleStatement(const BundleStatement& statement) {
  std::vector<JsonMember> members{{"sallyport", kFormat},
                                  {"role", statement.role},
                                  {"serial", statement.serial},
                                  {"made_at", FormatRfc3339(statement.made_at)},
                                  {"expires", FormatRfc3339(statement.expires)},
                                  {"release", statement.release}};
  if (statement.commit_locally) members.push_back({"commit", kCommitLocal});
  return WriteJson(JsonValue::Object(std::move(members)));
}

std::string BundleTargetPath(std::string_view role) {
  return "bundles/" + std::string(role) + ".json";
}

Result<VerifiedBundle> VerifyUsbBundle(MetadataClient& client, Fetcher& bundle,
                                       std::string_view role, const BundleTaker& taker,
                                       UnixTime now) {
  return BundleJudge(client.Draft(), bundle, taker, now).Judge(role);
}

}  // namespace sallyport::ota

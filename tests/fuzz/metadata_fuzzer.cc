// Update metadata of one role (FUZZED_READER) over arbitrary bytes. Whatever is read has a value or
// a named error, never both; what a role's type promises holds; and a body that is signed anew, as
// read, verifies, is the same statement and is read alike.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ota/metadata/limits.h"
#include "ota/metadata/uptane.h"
#include "tests/fakes/tuf_repository.h"

using namespace sallyport;       // NOLINT(google-build-using-namespace)
using namespace sallyport::ota;  // NOLINT(google-build-using-namespace)

namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1);
constexpr std::string_view kPath = "team/a/app.bin";
const std::string kDevice(52, 'a');

// Ok says whether there is a value; an error has a name.
template <typename T>
bool Ok(const Result<T>& result) {
  if (!result) SP_CHECK(!result.error().name().empty());
  return result.has_value();
}

[[maybe_unused]] void Check(const RoleKeys& keys) {
  SP_CHECK(keys.threshold() >= 1);
  SP_CHECK(keys.keyids().size() <= kTargetsSizeMax);
}
[[maybe_unused]] void Check(const MetaFile& file) {
  SP_CHECK(file.version >= 1);
  SP_CHECK(!file.digests || !file.digests->PathPrefix().empty());
}
[[maybe_unused]] void Check(const Root& root) {
  SP_CHECK(root.version >= 1 && root.roles.size() == kTopRoles.size());
  for (const RoleKeys& keys : root.roles) Check(keys);
}
[[maybe_unused]] void Check(const Timestamp& timestamp) {
  SP_CHECK(timestamp.version >= 1);
  Check(timestamp.snapshot);
}
[[maybe_unused]] void Check(const Snapshot& snapshot) {
  SP_CHECK(snapshot.version >= 1 && snapshot.Find("targets") != nullptr);
  for (const auto& [name, file] : snapshot.roles) Check(file);
}
[[maybe_unused]] void Check(const Targets& targets) {
  SP_CHECK(targets.version >= 1);
  for (const auto& [path, file] : targets.targets)
    SP_CHECK(!path.empty() && !file.digests.PathPrefix().empty());
  for (const Delegation& delegation : targets.delegations) {
    Check(delegation.keys);
    static_cast<void>(delegation.Matches(kPath));
    for (const Role role : kTopRoles) SP_CHECK(delegation.name != RoleName(role));
  }
}

// SignedAnew signs what was read, and reads and verifies it again.
[[maybe_unused]] VerifiedBody SignedAnew(const VerifiedBody& body) {
  static const std::vector<pki::PrivateKey> keys = {
      pki::PrivateKey::Generate(pki::KeyType::kEd25519).value()};
  static const std::string id = KeyId(keys[0].public_key());
  static const RoleKeys role = [] {
    const JsonValue json =
        JsonValue::Object({{"keyids", JsonValue::Strings({id})}, {"threshold", 1}});
    return RoleKeys::Parse(JsonCursor(json), {{id, keys[0].public_key()}}).value();
  }();
  const auto again =
      SignedDocument::Parse(TufRepository::Sign(body.cursor().value(), keys), 16 * kTargetsSizeMax);
  SP_CHECK(again.has_value());
  const auto verified = again->Verify(role, "fuzzed");
  SP_CHECK(verified && verified->digest() == body.digest());
  return *verified;
}

template <typename Contents>
[[maybe_unused]] void ReadRole(const VerifiedBody& body) {
  const auto contents = Contents::Parse(body);
  if (Ok(contents)) Check(*contents);
  SP_CHECK(Ok(Contents::Parse(SignedAnew(body))) == contents.has_value());
}

// Publish makes `body` the metadata of a role of `repository`, under a snapshot that lists it.
[[maybe_unused]] bool Publish(TufRepository& repository, const std::string& role,
                              const VerifiedBody& body) {
  const auto targets = Targets::Parse(body);
  if (!Ok(targets)) return false;
  repository.role(role).version = static_cast<int64_t>(targets->version);
  repository.edit = [&](const std::string& name, JsonValue& edited) {
    if (name == role) edited = body.cursor().value();
  };
  repository.Publish();
  repository.edit = nullptr;
  return true;
}

[[maybe_unused]] TrustedMetadata Follow(TufRepository& repository) {
  auto trusted = TrustedMetadata::Start(repository.CurrentRoot(), kNow, {}).value();
  SP_CHECK(trusted.CloseRoots().has_value());
  SP_CHECK(trusted.AddTimestamp(repository.metadata.at("timestamp.json")).has_value());
  SP_CHECK(trusted.AddSnapshot(repository.metadata.at("1.snapshot.json")).has_value());
  return trusted;
}

// A delegated role: taken exactly when it reads and is alive, and a search over it ends.
[[maybe_unused]] void ReadDelegated(const VerifiedBody& body) {
  static TufRepository repository = [] {
    TufRepository out(kNow, "");
    out.Delegate("targets", {"team", {"team/*/*"}});
    return out;
  }();
  if (!Publish(repository, "team", body)) return;
  TrustedMetadata trusted = Follow(repository);
  SP_CHECK(trusted.AddTargets(repository.metadata.at("1.targets.json")).has_value());
  const std::string file = std::to_string(repository.role("team").version) + ".team.json";
  const Targets targets = Targets::Parse(body).value();
  const auto added = trusted.AddDelegated({"targets", "team"}, repository.metadata.at(file));
  SP_CHECK(Ok(added) == (targets.expires > kNow));
  if (!added) return;
  const auto found = trusted.FindTarget(kPath);
  if (Ok(found) && std::holds_alternative<TrustedMetadata::Found>(*found))
    SP_CHECK(targets.Find(kPath) != nullptr);
  repository.metadata.erase(file);
}

// The targets of a director: whatever it says, a manifest is believed only if it was made for us
// and assigns what the image repository signed.
[[maybe_unused]] void ReadDirector(const VerifiedBody& body) {
  static TufRepository image = [] {
    TufRepository out(kNow, "edge.example");
    out.set_development(true);
    out.PublishRoot();
    AddSampleRelease(out, "2.0.0", 2);
    out.Publish();
    return out;
  }();
  static TufRepository director = [] {
    TufRepository out(kNow, "edge.example");
    out.set_development(true);
    out.PublishRoot();
    return out;
  }();
  if (!Publish(director, "targets", body)) return;
  const Bytes release = image.targets().at("releases/edge-os/2.0.0/release.json").content;
  const DeviceManifest manifest = director.Manifest({});
  const ManifestBundle bundle = {
      {image.CurrentRoot(),
       image.metadata.at("timestamp.json"),
       image.metadata.at("1.snapshot.json"),
       image.metadata.at("1.targets.json"),
       {},
       release,
       {}},
      {director.CurrentRoot(), manifest.timestamp, manifest.snapshot, manifest.targets, {}}};
  const auto verified = VerifyBundle(bundle, {kDevice, "edge.example", "virtual-x86_64"}, {}, kNow);
  director.metadata.erase(std::to_string(director.role("targets").version) + ".targets.json");
  if (!Ok(verified)) return;
  SP_CHECK(*body.cursor().value().Find("sallyport")->Find("device")->if_string() == kDevice);
  SP_CHECK(!verified->release() || verified->release()->json() == release);
  const auto again = DecodeBundle(EncodeBundle(bundle));
  SP_CHECK(again && EncodeBundle(*again) == EncodeBundle(bundle));
}

[[maybe_unused]] void ReadRelease(ByteView bytes) {
  const auto release = ParseRelease(bytes);
  if (!Ok(release)) return;
  const std::string written = WriteRelease(*release);
  const auto again = ParseRelease(AsBytes(written));
  SP_CHECK(again && WriteRelease(*again) == written);
}

// Other bytes that are read before anything is verified: any JSON, and the stored state.
[[maybe_unused]] void ReadContainers(ByteView bytes) {
  if (const auto tree =
          ParseJson(AsText(bytes), {.size_max = 1 << 20, .depth_max = kMetadataDepthMax})) {
    const auto again =
        ParseJson(WriteJson(*tree), {.size_max = 8 << 20, .depth_max = kMetadataDepthMax});
    SP_CHECK(again && CanonicalJson(*again) == CanonicalJson(*tree));
  }
  if (const auto bundle = DecodeBundle(bytes)) SP_CHECK(EncodeBundle(*bundle) == ToBytes(bytes));
}

// InDocument reads the body of a document with `read`.
template <auto read>
[[maybe_unused]] void InDocument(ByteView bytes) {
  const auto document = SignedDocument::Parse(bytes, kTargetsSizeMax);
  if (Ok(document)) read(document->TrustAnchor());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FUZZED_READER({data, size});
  return 0;
}

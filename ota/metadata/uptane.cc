#include "ota/metadata/uptane.h"

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kBundleMagic = "SPMB";
constexpr uint16_t kBundleVersion = 1;
constexpr uint64_t kBundleSizeMax = 32 << 20;  // the sum of the limits of its parts, rounded up
constexpr size_t kDirectorTargetsMax = 2;

Error Refuse(Reason reason, std::string_view rule, std::string detail) {
  return Error{reason, std::move(detail), rule};
}

Result<TrustedMetadata> OpenStored(ByteView root, ByteView timestamp, ByteView snapshot,
                                   ByteView targets, MetadataRules rules, UnixTime now) {
  SP_TRY(TrustedMetadata out, TrustedMetadata::Start(root, now, std::move(rules)));
  SP_TRY(out.CloseRoots());
  SP_TRY(out.AddTimestamp(timestamp));
  SP_TRY(out.AddSnapshot(snapshot));
  SP_TRY(out.AddTargets(targets));
  return out;
}

std::string_view KindOf(const TargetFile& target) {
  const JsonValue* kind = target.custom.Find("kind");
  return kind != nullptr && kind->if_string() != nullptr ? std::string_view(*kind->if_string())
                                                         : std::string_view();
}

struct Assigned {
  std::string path;
  const TargetFile* file;
};
struct DirectorTargets {
  std::optional<Assigned> release;
  const TargetFile* slice = nullptr;
};

Result<DirectorTargets> ReadDirectorTargets(const Targets& top) {
  if (!top.delegations.empty())
    return Refuse(Reason::kPolicyDenied, "uptane.director-delegates", "director delegates");
  const Error unexpected =
      Refuse(Reason::kPolicyDenied, "uptane.director-targets", "not one release and one slice");
  if (top.targets.size() > kDirectorTargetsMax) return unexpected;
  DirectorTargets out;
  for (const auto& [path, file] : top.targets) {
    if (KindOf(file) == "os-release" && !out.release) {
      out.release = Assigned{path, &file};
    } else if (KindOf(file) == "policy-slice" && path == kSliceTargetPath) {
      out.slice = &file;
    } else {
      return unexpected;
    }
  }
  return out;
}

}  // namespace

// ManifestJudge is the only maker of verified types.
class ManifestJudge {
 public:
  ManifestJudge(const ManifestBundle& bundle, const ManifestIdentity& identity,
                const ManifestFloors& floors)
      : bundle_(bundle), identity_(identity), floors_(floors) {}

  Result<VerifiedManifest> Judge(UnixTime now) {
    const auto& [image_bytes, director_bytes] = bundle_;
    SP_TRY(const TrustedMetadata director,
           OpenStored(director_bytes.root, director_bytes.timestamp, director_bytes.snapshot,
                      director_bytes.targets, DirectorRules(identity_.trust_domain), now));
    SP_TRY(TrustedMetadata image,
           OpenStored(image_bytes.root, image_bytes.timestamp, image_bytes.snapshot,
                      image_bytes.targets, ImageRules(identity_.trust_domain), now));
    SP_TRY(ReadStatement(director));
    SP_TRY(ReadFloors(director, image));
    SP_TRY(const DirectorTargets assigned, ReadDirectorTargets(director.top()));
    SP_TRY(ReadPolicy(image));
    SP_TRY(ReadRelease(image, assigned));
    SP_TRY(ReadSlice(assigned));
    return std::move(out_);
  }

 private:
  Result<Unit> ReadStatement(const TrustedMetadata& director) {
    const JsonCursor statement(director.top().sallyport, "signed.sallyport");
    SP_TRY(const std::string_view device, statement.GetString("device"));
    SP_TRY(const std::string_view trust_domain, statement.GetString("trust_domain"));
    SP_TRY(const int64_t incarnation, statement.GetInteger("incarnation", 0, INT32_MAX));
    SP_TRY(const std::string_view rollout, statement.GetString("rollout"));
    if (device != identity_.device_id)
      return Refuse(Reason::kMismatch, "uptane.foreign-device", "made for " + std::string(device));
    if (trust_domain != identity_.trust_domain)
      return Refuse(Reason::kMismatch, "uptane.foreign-domain",
                    "made for " + std::string(trust_domain));
    if (static_cast<uint64_t>(incarnation) != director.top().version >> 32)
      return Refuse(Reason::kMismatch, "uptane.incarnation", "version and incarnation disagree");
    out_.identity_ = identity_;
    out_.rollout_ = rollout;
    return Ok();
  }

  Result<Unit> ReadFloors(const TrustedMetadata& director, const TrustedMetadata& image) {
    out_.version_ = director.top().version;
    out_.expires_ = director.expires();
    out_.image_root_version_ = image.root().version;
    out_.image_targets_version_ = image.top().version;
    out_.development_ = image.root().profile->development;
    SP_TRY(CheckImageFloors(image, floors_));
    if (out_.version_ >= floors_.director_version) return Ok();
    return Refuse(Reason::kRollback, "uptane.floor", "older than the device's own counters say");
  }

  Result<Unit> ReadPolicy(TrustedMetadata& image) {
    if (image.snapshot().Find(kPolicyRole) == nullptr)
      return Ok();  // no policy was ever published: deny all
    SP_TRY(image.AddDelegated({"targets", std::string(kPolicyRole)}, bundle_.image.policy_role));
    SP_TRY(const TrustedMetadata::Search search, image.FindTarget(kPolicyTargetPath));
    const auto* found = std::get_if<TrustedMetadata::Found>(&search);
    if (found == nullptr || found->role != kPolicyRole)
      return Refuse(Reason::kUntrusted, "uptane.policy-role",
                    "policy manifest not signed by role policy");
    SP_TRY(found->file->Check(bundle_.image.policy_manifest, kPolicyTargetPath));
    out_.policy_manifest_ = bundle_.image.policy_manifest;
    return Ok();
  }

  Result<Unit> ReadRelease(const TrustedMetadata& image, const DirectorTargets& assigned) {
    if (!assigned.release) return Ok();
    const auto& [path, file] = *assigned.release;
    SP_TRY(const TargetFile* signed_file, FindSigned(image, path));
    if (signed_file->length != file->length || signed_file->digests != file->digests ||
        CanonicalJson(signed_file->custom) != CanonicalJson(file->custom))
      return Refuse(Reason::kMismatch, "uptane.repositories-disagree",
                    path + ": director and image repository differ");
    SP_TRY(Release release,
           CheckRelease(image, path, *file, bundle_.image.release, identity_.hardware_id, floors_));
    out_.release_ = VerifiedRelease(ReleaseDigestOf(bundle_.image.release), std::move(release),
                                    bundle_.image.release);
    return Ok();
  }

  Result<Unit> ReadSlice(const DirectorTargets& assigned) {
    if (assigned.slice == nullptr) {
      if (bundle_.director.slice.empty()) return Ok();
      return Refuse(Reason::kUntrusted, "uptane.slice-unsigned", "slice without a target");
    }
    SP_TRY(assigned.slice->Check(bundle_.director.slice, kSliceTargetPath));
    out_.slice_ = bundle_.director.slice;
    return Ok();
  }

  const ManifestBundle& bundle_;
  const ManifestIdentity& identity_;
  const ManifestFloors& floors_;
  VerifiedManifest out_;
};

MetadataRules ImageRules(const std::string& trust_domain) {
  return {.equal_version_is_identical = true,
          .product = ProductRules{.trust_domain = trust_domain}};
}

MetadataRules DirectorRules(const std::string& trust_domain) {
  return {.equal_version_is_identical = true,
          .product = ProductRules{.trust_domain = trust_domain, .targets_threshold_min = 1}};
}

Result<VerifiedManifest> VerifyBundle(const ManifestBundle& bundle,
                                      const ManifestIdentity& identity,
                                      const ManifestFloors& floors, UnixTime now) {
  return ManifestJudge(bundle, identity, floors).Judge(now);
}

Bytes EncodeBundle(const ManifestBundle& bundle) {
  const auto& [image, director] = bundle;
  ByteWriter out;
  out.Raw(AsBytes(kBundleMagic)).BigU16(kBundleVersion);
  for (const Bytes* part :
       {&image.root, &image.timestamp, &image.snapshot, &image.targets, &image.policy_role,
        &image.release, &image.policy_manifest, &director.root, &director.timestamp,
        &director.snapshot, &director.targets, &director.slice})
    out.Sized32(*part);
  return std::move(out).Take();
}

Result<ManifestBundle> DecodeBundle(ByteView bytes) {
  ByteReader reader(bytes, "verified state");
  SP_TRY(const ByteView magic, reader.Take(kBundleMagic.size()));
  SP_TRY(const uint16_t version, reader.BigU16());
  if (AsText(magic) != kBundleMagic || version != kBundleVersion)
    return Refuse(Reason::kUnsupported, "uptane.bundle-format",
                  "not a verified state of version 1");
  ManifestBundle out;
  auto& [image, director] = out;
  for (Bytes* part :
       {&image.root, &image.timestamp, &image.snapshot, &image.targets, &image.policy_role,
        &image.release, &image.policy_manifest, &director.root, &director.timestamp,
        &director.snapshot, &director.targets, &director.slice}) {
    SP_TRY(const ByteView field, reader.Sized32(kBundleSizeMax));
    *part = ToBytes(field);
  }
  SP_TRY(reader.End());
  return out;
}

ManifestVerifier::ManifestVerifier(FileSystem& files, std::string directory,
                                   ManifestIdentity identity)
    : files_(files),
      directory_(std::move(directory)),
      identity_(std::move(identity)),
      image_(files, directory_ + "/image", ImageRules(identity_.trust_domain)) {}

Result<Unit> ManifestVerifier::Provision(ByteView image_root, ByteView director_root) {
  SP_TRY(TrustedMetadata::Start(director_root, UnixTime{}, DirectorRules(identity_.trust_domain)));
  const auto image = image_.Initialise(image_root);
  if (!image && image.error().reason != Reason::kAlreadyExists) return image.error();
  SP_TRY(files_.MakeDirectories(directory_));
  const std::string path = directory_ + "/director-root.json";
  if (ReadFile(files_, path, kRootSizeMax)) return Ok();
  return WriteFileAtomically(files_, path, director_root);
}

Result<ManifestBundle> ManifestVerifier::LoadBundle(FileSystem& files,
                                                    const std::string& directory) {
  SP_TRY(const Bytes bytes, ReadFile(files, directory + "/verified-state", kBundleSizeMax));
  return DecodeBundle(bytes);
}

Bytes ManifestVerifier::StoredRelease(FileSystem& files, const std::string& directory) {
  Result<ManifestBundle> held = LoadBundle(files, directory);
  return held ? std::move(held->image.release) : Bytes{};
}

Result<VerifiedManifest> ManifestVerifier::VerifyStored(const ManifestFloors& floors,
                                                        UnixTime now) const {
  SP_TRY(const ManifestBundle bundle, LoadBundle());
  return VerifyBundle(bundle, identity_, floors, now);
}

// AdvanceDirector applies what the server sent on top of what is held, with all rollback rules.
Result<DirectorBytes> ManifestVerifier::AdvanceDirector(const DeviceManifest& manifest,
                                                        UnixTime now) const {
  if (manifest.root_chain.size() > kManifestRootsMax)
    return Error{Reason::kTooLarge, "director root chain", "uptane.root-chain"};
  const auto held = LoadBundle();
  if (!held && held.error().reason != Reason::kNotFound) return held.error();
  DirectorBytes out{{}, manifest.timestamp, manifest.snapshot, manifest.targets, manifest.slice};
  if (held) {
    out.root = held->director.root;
  } else {
    SP_TRY(out.root, ReadFile(files_, directory_ + "/director-root.json", kRootSizeMax));
  }
  SP_TRY(TrustedMetadata director,
         TrustedMetadata::Start(out.root, now, DirectorRules(identity_.trust_domain)));
  for (const Bytes& root : manifest.root_chain) {
    SP_TRY(const auto change, director.AddRootOfChain(root));
    if (change == TrustedMetadata::Change::kNew) out.root = root;
  }
  SP_TRY(director.CloseRoots());
  if (held && !director.keys_rotated()) {
    // No floor when the new root's keys no longer verify them; then the root, signed offline, says
    // so.
    static_cast<void>(director.RestoreTimestamp(held->director.timestamp));
    static_cast<void>(director.RestoreSnapshot(held->director.snapshot));
  }
  SP_TRY(director.AddTimestamp(manifest.timestamp));
  SP_TRY(director.AddSnapshot(manifest.snapshot));
  SP_TRY(director.AddTargets(manifest.targets));
  return out;
}

Result<ImageBytes> ManifestVerifier::CollectImage(const TrustedMetadata& director, Fetcher& fetcher,
                                                  UnixTime now) {
  SP_TRY(TrustedMetadata image, image_.Refresh(fetcher, now));
  ImageBytes out;
  SP_TRY(const DirectorTargets assigned, ReadDirectorTargets(director.top()));
  if (assigned.release) {
    SP_TRY(const TargetFile* file, FindSigned(image, assigned.release->path));
    SP_TRY(out.release,
           image_.Download(image, fetcher, assigned.release->path, *file, kReleaseSizeMax));
  }
  if (image.snapshot().Find(kPolicyRole) != nullptr) {
    SP_TRY(const auto target, image_.FindTarget(image, fetcher, kPolicyTargetPath));
    if (target.role != kPolicyRole)
      return Refuse(Reason::kUntrusted, "uptane.policy-role",
                    "policy manifest not signed by role policy");
    SP_TRY(out.policy_manifest,
           image_.Download(image, fetcher, kPolicyTargetPath, target.file, kPolicyManifestSizeMax));
    SP_TRY(out.policy_role, image_.Stored(kPolicyRole, kTargetsSizeMax));
  }
  SP_TRY(out.root, image_.Stored("root", kRootSizeMax));
  SP_TRY(out.timestamp, image_.Stored("timestamp", kTimestampSizeMax));
  SP_TRY(out.snapshot, image_.Stored("snapshot", kSnapshotSizeMax));
  SP_TRY(out.targets, image_.Stored("targets", kTargetsSizeMax));
  return out;
}

Result<VerifiedManifest> ManifestVerifier::Verify(const DeviceManifest& manifest, Fetcher& image,
                                                  const ManifestFloors& floors, UnixTime now) {
  ManifestBundle bundle;
  SP_TRY(bundle.director, AdvanceDirector(manifest, now));
  SP_TRY(const TrustedMetadata director,
         OpenStored(bundle.director.root, manifest.timestamp, manifest.snapshot, manifest.targets,
                    DirectorRules(identity_.trust_domain), now));
  SP_TRY(bundle.image, CollectImage(director, image, now));
  // The same judgement as at every later start, over the very bytes that are stored.
  SP_TRY(VerifiedManifest verified, VerifyBundle(bundle, identity_, floors, now));
  SP_TRY(WriteFileAtomically(files_, directory_ + "/verified-state", EncodeBundle(bundle)));
  return verified;
}

}  // namespace sallyport::ota

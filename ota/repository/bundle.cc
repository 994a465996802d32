#include "ota/repository/bundle.h"

#include <algorithm>

#include "ota/metadata/folder_fetcher.h"
#include "ota/metadata/limits.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/change_roles.h"
#include "ota/repository/create.h"

namespace sallyport::ota {
namespace {

constexpr size_t kCopySize = 1 << 20;

class Packer {
 public:
  Packer(const RepositoryFolder& folder, std::string out)
      : folder_(folder), files_(folder.files()), out_(std::move(out)) {}

  Result<Unit> Metadata(const std::string& name, ByteView bytes) {
    return Write("metadata/" + name, bytes);
  }
  Result<Unit> Role(const std::string& role) {
    SP_TRY(const auto draft, folder_.Published(role));
    const std::string file = RoleFileName(role) + ".json";
    if (role == "timestamp") return Metadata(file, draft.bytes);
    return Metadata(std::to_string(draft.version) + "." + file, draft.bytes);
  }
  Result<Unit> Roots() {
    SP_TRY(const auto newest, folder_.Published("root"));
    for (uint64_t version = 1; version <= newest.version; ++version) {
      SP_TRY(const Bytes root, folder_.PublishedVersion("root", version));
      SP_TRY(Metadata(std::to_string(version) + ".root.json", root));
    }
    return Ok();
  }
  // Target copies one target piece by piece: payloads are larger than memory should be.
  Result<Unit> Target(const std::string& path, const TargetFile& target) {
    const std::string name = ConsistentPath(path, target.digests.PathPrefix());
    SP_TRY(const auto from,
           files_.Open(folder_.TargetFilePath(path, *target.digests.sha256()), OpenMode::kRead));
    const std::string to = out_ + "/targets/" + name;
    SP_TRY(files_.MakeDirectories(ParentDirectory(to)));
    SP_TRY(const auto file, files_.Open(to, OpenMode::kCreate));
    Bytes buffer(kCopySize);
    for (uint64_t at = 0; at < target.length;) {
      SP_TRY(const size_t size, from->ReadAt(at, buffer));
      if (size == 0)
        return Error{Reason::kMismatch, path + " is shorter than its metadata says", "tuf.length"};
      SP_TRY(file->WriteAt(at, ByteView(buffer).first(size)));
      at += size;
    }
    SP_TRY(file->Sync());
    ++files_packed;
    bytes_packed += target.length;
    return Ok();
  }

  uint64_t files_packed = 0;
  uint64_t bytes_packed = 0;

 private:
  Result<Unit> Write(const std::string& name, ByteView content) {
    const std::string path = out_ + "/" + name;
    SP_TRY(files_.MakeDirectories(ParentDirectory(path)));
    SP_TRY(WriteFileAtomically(files_, path, content));
    ++files_packed;
    bytes_packed += content.size();
    return Ok();
  }

  const RepositoryFolder& folder_;
  FileSystem& files_;
  std::string out_;
};

// Chunks save downloads, and a stick is at hand.
bool IsOfChunks(std::string_view path) {
  return path.ends_with("/" + std::string(kChunksIndexName)) ||
         path.ends_with("/" + std::string(kChunksPayloadName));
}

// Statement reads what is published for the role.
Result<Bytes> Statement(const RepositoryFolder& folder, std::string_view role) {
  SP_TRY(const auto draft, folder.Published(role));
  SP_TRY(const Targets targets, DraftTargets(draft));
  const std::string path = BundleTargetPath(role);
  const TargetFile* const file = targets.Find(path);
  if (file == nullptr || !file->digests.sha256())
    return Error{Reason::kNotFound, "role " + std::string(role) + " has no statement",
                 "bundle.none"};
  SP_TRY(Bytes json, ReadFile(folder.files(), folder.TargetFilePath(path, *file->digests.sha256()),
                              kBundleStatementSizeMax));
  SP_TRY(file->Check(json, path));
  return json;
}

// RehearsingTaker has the first hardware that the release is for, and runs the release itself: what
// else runs out there is for each device to judge.
Result<BundleTaker> RehearsingTaker(const RepositoryFolder& folder,
                                    const BundleStatement& statement) {
  SP_TRY(const auto published, folder.Published("targets"));
  SP_TRY(const Targets targets, DraftTargets(published));
  const TargetFile* const file = targets.Find(statement.release);
  if (file == nullptr || !file->digests.sha256())
    return Error{Reason::kNotFound, statement.release + " is not published", "bundle.release"};
  SP_TRY(const std::vector<std::string> hardware, JsonCursor(file->custom).GetStrings("hardware"));
  if (hardware.empty()) return JsonCursor(file->custom).Refuse("no hardware", "release.hardware");
  return BundleTaker{.hardware_id = hardware.front(),
                     .running = ReleaseDigest::FromArray(file->digests.sha256()->array())};
}

// Rehearse verifies `out` as a device does that was made with the first root.
Result<Unit> Rehearse(const RepositoryFolder& folder, const BundleStatement& statement,
                      const std::string& trust_domain, const std::string& out, UnixTime now) {
  FolderFetcher source(folder.files(), out + "/metadata", out + "/targets");
  const std::string scratch = out + "/.rehearsal";
  MetadataClient device(folder.files(), scratch, ImageRules(trust_domain));
  SP_TRY(const Bytes root, folder.PublishedVersion("root", 1));
  SP_TRY(device.Initialise(root));
  SP_TRY(const BundleTaker taker, RehearsingTaker(folder, statement));
  const auto verified = VerifyUsbBundle(device, source, statement.role, taker, now);
  SP_TRY(const std::vector<std::string> names, folder.files().List(scratch));
  for (const std::string& name : names) SP_TRY(folder.files().Remove(scratch + "/" + name));
  if (!verified) return verified.error();
  return Ok();
}

}  // namespace

Result<Unit> StageBundle(RepositoryFolder& folder, const BundleStatement& statement) {
  SP_TRY(const auto published, folder.Published("targets"));
  SP_TRY(const Targets targets, DraftTargets(published));
  const TargetFile* const file = targets.Find(statement.release);
  if (file == nullptr || !file->digests.sha256())
    return Error{Reason::kNotFound, statement.release + " is not published", "bundle.release"};
  SP_TRY(const Bytes json,
         ReadFile(folder.files(), folder.TargetFilePath(statement.release, *file->digests.sha256()),
                  kReleaseSizeMax));
  SP_TRY(const Release release, ParseRelease(json));
  SP_TRY(CheckBundleable(release));
  return StageTeamFile(folder, statement.role, BundleTargetPath(statement.role),
                       AsBytes(WriteBundleStatement(statement)), statement.expires);
}

Result<PackedBundle> PackBundle(const RepositoryFolder& folder, std::string_view role,
                                const std::string& trust_domain, const std::string& out,
                                UnixTime now) {
  if (folder.files().Open(out + "/metadata/timestamp.json", OpenMode::kRead))
    return Error{Reason::kAlreadyExists, out + " holds a bundle already", "bundle.exists"};
  SP_TRY(const Bytes json, Statement(folder, role));
  SP_TRY(BundleStatement statement, ParseBundleStatement(json));
  SP_TRY(const auto published, folder.Published("targets"));
  SP_TRY(const Targets targets, DraftTargets(published));
  Packer packer(folder, out);
  SP_TRY(packer.Roots());
  for (const std::string& name :
       {std::string("snapshot"), std::string("targets"), std::string(role)})
    SP_TRY(packer.Role(name));
  SP_TRY(packer.Metadata(std::string(kBundleStatementFile), json));
  const std::string prefix = statement.release.substr(0, statement.release.rfind('/') + 1);
  for (const auto& [path, file] : targets.targets)
    if (path.starts_with(prefix) && !IsOfChunks(path)) SP_TRY(packer.Target(path, file));
  SP_TRY(packer.Role("timestamp"));  // last: a folder without it is no bundle
  if (const auto good = Rehearse(folder, statement, trust_domain, out, now); !good) {
    SP_TRY(folder.files().Remove(out + "/metadata/timestamp.json"));
    return good.error();
  }
  return PackedBundle{std::move(statement), packer.files_packed, packer.bytes_packed};
}

}  // namespace sallyport::ota

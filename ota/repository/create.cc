#include "ota/repository/create.h"

#include "ota/measure/uki.h"
#include "ota/metadata/uptane.h"
#include "ota/payload/pack.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kReadSize = 1 << 20;

Result<ReleaseFile> HashFile(FileSystem& files, const std::string& file, std::string target_path) {
  SP_TRY(const auto handle, files.Open(file, OpenMode::kRead));
  pki::Hasher hasher(pki::HashAlgorithm::kSha256);
  Bytes buffer(kReadSize);
  uint64_t length = 0;
  while (true) {
    SP_TRY(const size_t size, handle->ReadAt(length, buffer));
    if (size == 0) break;
    hasher.Update(ByteView(buffer).first(size));
    length += size;
  }
  SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(hasher.Finish()));
  return ReleaseFile{std::move(target_path), length, digest};
}

// ReleaseBuilder collects the targets of one release.
class ReleaseBuilder {
 public:
  ReleaseBuilder(RepositoryFolder& folder, const ReleaseInputs& inputs)
      : folder_(folder),
        inputs_(inputs),
        directory_(ReleaseDirectory(inputs.product, inputs.version)) {}

  Result<Release> Build() {
    SP_TRY(const Bytes uki, ReadFile(folder_.files(), inputs_.uki_path, kPeFileSizeMax));
    SP_TRY(const UkiMeasurements measured, MeasureUki(uki));
    SP_TRY(ReleaseFile uki_file, Add("uki.efi", uki));
    SP_TRY(ReleaseImage image, AddImage());
    SP_TRY(auto components, AddComponents(folder_, directory_, inputs_.components, targets_));
    Release release{inputs_.product,
                    inputs_.version,
                    inputs_.hardware,
                    inputs_.min_version,
                    inputs_.rollback_index,
                    inputs_.security_floor,
                    std::move(uki_file),
                    std::move(image),
                    {measured.pcr4_secure_boot_off, measured.pcr4_secure_boot_on, measured.pcr11},
                    std::move(components)};
    const std::string json = WriteRelease(release);
    SP_TRY(ParseRelease(AsBytes(json)));
    SP_TRY(Add("release.json", AsBytes(json), ReleaseCustom(release)));
    return release;
  }

  const TargetFiles& targets() const { return targets_; }

 private:
  Result<ReleaseFile> Add(const std::string& name, ByteView content, JsonValue custom = {}) {
    const std::string path = directory_ + "/" + name;
    SP_TRY(TargetFile target, folder_.AddTarget(path, content, std::move(custom)));
    const ReleaseFile file{path, target.length, *target.digests.sha256()};
    targets_.emplace(path, std::move(target));
    return file;
  }

  Result<ReleaseImage> AddImage() {
    FileSystem& files = folder_.files();
    const std::string scratch = folder_.ScratchPath("payload.bin");
    SP_TRY(files.MakeDirectories(scratch.substr(0, scratch.rfind('/'))));
    SP_TRY(const SegmentTable table, Pack(scratch));
    SP_TRY(ReleaseFile payload, HashFile(files, scratch, directory_ + "/payload.bin"));
    SP_TRY(folder_.AdoptTarget(scratch, payload.path, payload.sha256));
    targets_.emplace(payload.path,
                     TargetFile{payload.length, Digests::FromSha256(payload.sha256), {}});
    SP_TRY(ReleaseFile index, Add("index.json", AsBytes(table.ToJson())));
    return ReleaseImage{table.image_length(), table.image_sha256(), std::move(index),
                        std::move(payload)};
  }

  Result<SegmentTable> Pack(const std::string& scratch) {
    SP_TRY(const auto image, folder_.files().Open(inputs_.image_path, OpenMode::kRead));
    SP_TRY(const auto payload, folder_.files().Open(scratch, OpenMode::kCreate));
    SP_TRY(SegmentTable table, PackImage(*image, *payload));
    SP_TRY(payload->Sync());
    return table;
  }

  RepositoryFolder& folder_;
  const ReleaseInputs& inputs_;
  std::string directory_;
  TargetFiles targets_;
};

Result<Unit> CheckNew(const RepositoryFolder& folder, const ReleaseInputs& inputs) {
  const std::string path = ReleaseDirectory(inputs.product, inputs.version) + "/release.json";
  for (const auto& draft : {folder.Published("targets"), folder.Staged("targets")}) {
    if (!draft) continue;
    SP_TRY(const Targets targets, DraftTargets(*draft));
    if (targets.Find(path) != nullptr)
      return Error{Reason::kAlreadyExists, path + " is there already", "release.exists"};
  }
  return Ok();
}

Result<Unit> CheckNames(const ReleaseInputs& inputs) {
  if (!IsProductName(inputs.product))
    return Error{Reason::kInvalidArgument, "product name", "release.product"};
  if (inputs.hardware.empty())
    return Error{Reason::kInvalidArgument, "no hardware id", "release.hardware"};
  for (const std::string& id : inputs.hardware) {
    if (!IsProductName(id))
      return Error{Reason::kInvalidArgument, "hardware id '" + id + "'", "release.hardware"};
  }
  return Ok();
}

}  // namespace

Result<Release> CreateRelease(RepositoryFolder& folder, const ReleaseInputs& inputs,
                              UnixTime expires) {
  SP_TRY(CheckNames(inputs));
  SP_TRY(CheckNew(folder, inputs));
  ReleaseBuilder builder(folder, inputs);
  SP_TRY(Release release, builder.Build());
  SP_TRY(folder.StageTargets(RoleName(Role::kTargets), builder.targets(), expires));
  return release;
}

Result<Unit> WithdrawRelease(RepositoryFolder& folder, std::string_view product,
                             const ReleaseVersion& version, UnixTime expires) {
  const std::string directory = ReleaseDirectory(product, version);
  const auto staged = folder.StageWithout(RoleName(Role::kTargets), directory, expires);
  if (staged || staged.error().rule != "repository.no-target") return staged;
  return Error{Reason::kNotFound, directory + " is neither published nor staged",
               "release.unknown"};
}

}  // namespace sallyport::ota

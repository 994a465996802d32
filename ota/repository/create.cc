#include "ota/repository/create.h"

#include "ota/delta/delta.h"
#include "ota/measure/uki.h"
#include "ota/metadata/uptane.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/pack.h"
#include "ota/payload/sealing.h"
#include "ota/repository/old_release.h"
#include "ota/repository/verity.h"
#include "pki/crypto/file_hash.h"

namespace sallyport::ota {
namespace {

// Chunks of less are not worth their requests; of more, their table would be too large.
constexpr uint64_t kChunkedImageMin = 8u << 20;
constexpr uint64_t kChunkedImageMax = uint64_t{4} << 30;

// ReleaseBuilder collects the targets of one release.
class ReleaseBuilder {
 public:
  ReleaseBuilder(RepositoryFolder& folder, const ReleaseInputs& inputs,
                 const CreateProgress& progress)
      : folder_(folder),
        inputs_(inputs),
        progress_(progress),
        directory_(ReleaseDirectory(inputs.product, inputs.version)) {}

  Result<Release> Build() {
    SP_TRY(const Bytes uki, ReadFile(folder_.files(), inputs_.uki_path, kPeFileSizeMax));
    SP_TRY(const UkiMeasurements measured, MeasureUki(uki));
    SP_TRY(ReleaseFile uki_file, Add("uki.efi", uki));
    SP_TRY(ReleaseImage image, AddImage());
    SP_TRY(auto verity, Verity(uki, image));
    SP_TRY(auto components, AddComponents(folder_, directory_, inputs_.components, targets_));
    SP_TRY(auto deltas, AddDeltas());
    SP_TRY(auto chunks, AddChunks(image.length));
    Release release{inputs_.product,
                    inputs_.version,
                    inputs_.hardware,
                    inputs_.min_version,
                    inputs_.rollback_index,
                    inputs_.security_floor,
                    std::move(uki_file),
                    std::move(image),
                    {measured.pcr4_secure_boot_off, measured.pcr4_secure_boot_on, measured.pcr11},
                    std::move(components),
                    std::move(deltas),
                    std::move(chunks),
                    std::move(verity),
                    inputs_.install_by,
                    inputs_.seal == nullptr ? std::nullopt : std::optional(inputs_.seal->id())};
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

  Result<std::optional<VerityTree>> Verity(ByteView uki, const ReleaseImage& image) {
    SP_TRY(const auto file, folder_.files().Open(inputs_.image_path, OpenMode::kRead));
    SP_TRY(std::optional<VerityTree> tree, FindVerity(*file));
    SP_TRY(CheckVerityCommandLine(uki, tree, image.sha256, image.length));
    return tree;
  }

  struct Packed {
    SegmentTable table;
    ReleaseFile index;
    ReleaseFile payload;
  };
  using Pack = std::function<Result<SegmentTable>(File& image, File& payload)>;
  Result<Packed> AddPayload(const std::string& index_name, const std::string& payload_name,
                            const Pack& pack) {
    std::optional<SegmentTable> table;
    SP_TRY(ReleaseFile payload,
           AddPacked(payload_name, [&](File& image, File& out) -> Result<Unit> {
             SP_TRY(table, PackOrSeal<SegmentTable>(image, out, pack, SealSegments));
             return Unit{};
           }));
    SP_TRY(ReleaseFile index, AddIndex(index_name, AsBytes(table->ToJson())));
    return Packed{*std::move(table), std::move(index), std::move(payload)};
  }

  Result<ReleaseFile> AddIndex(const std::string& name, ByteView index) {
    return inputs_.seal == nullptr ? Add(name, index) : Add(name, SealIndex(index, *inputs_.seal));
  }

  // PackOrSeal packs, and seals what was packed in a second pass.
  template <typename Table>
  Result<Table> PackOrSeal(File& image, File& out,
                           const std::function<Result<Table>(File&, File&)>& pack,
                           Result<Table> (*seal)(const Table&, File&, File&,
                                                 const pki::ContentSeal&)) {
    if (inputs_.seal == nullptr) return pack(image, out);
    FileSystem& files = folder_.files();
    const std::string scratch = folder_.ScratchPath("plain.bin");
    SP_TRY(const auto plain, files.Open(scratch, OpenMode::kCreate));
    SP_TRY(const Table table, pack(image, *plain));
    auto sealed = seal(table, *plain, out, *inputs_.seal);
    SP_TRY(files.Remove(scratch));
    return sealed;
  }

  // AddPacked makes a target of what `pack` writes of the image.
  Result<ReleaseFile> AddPacked(const std::string& name,
                                const std::function<Result<Unit>(File& image, File& out)>& pack) {
    FileSystem& files = folder_.files();
    const std::string scratch = folder_.ScratchPath("payload.bin");
    SP_TRY(files.MakeDirectories(ParentDirectory(scratch)));
    SP_TRY(const auto image, files.Open(inputs_.image_path, OpenMode::kRead));
    SP_TRY(const auto out, files.Open(scratch, OpenMode::kCreate));
    SP_TRY(pack(*image, *out));
    SP_TRY(out->Sync());
    SP_TRY(const pki::FileHash found, pki::HashFile(*out));
    ReleaseFile packed{directory_ + "/" + name, found.length, found.sha256};
    SP_TRY(folder_.AdoptTarget(scratch, packed.path, packed.sha256));
    targets_.emplace(packed.path,
                     TargetFile{packed.length, Digests::FromSha256(packed.sha256), {}});
    return packed;
  }

  Result<std::optional<ReleaseChunks>> AddChunks(uint64_t image_length) {
    if (image_length < kChunkedImageMin || image_length > kChunkedImageMax)
      return std::optional<ReleaseChunks>();
    std::optional<ChunkTable> table;
    SP_TRY(ReleaseFile payload,
           AddPacked(std::string(kChunksPayloadName), [&](File& image, File& out) -> Result<Unit> {
             const auto pack_chunks = [&](File& from, File& to) {
               return PackChunks(from, to, Progress("chunks"));
             };
             SP_TRY(table, PackOrSeal<ChunkTable>(image, out, pack_chunks, SealChunks));
             return Unit{};
           }));
    SP_TRY(ReleaseFile index, AddIndex(std::string(kChunksIndexName), table->Encode()));
    return std::optional(ReleaseChunks{std::move(index), std::move(payload)});
  }

  PackProgress Progress(std::string what) const {
    if (!progress_) return {};
    return [this, what = std::move(what)](uint64_t done, uint64_t total) {
      progress_(what, done, total);
    };
  }

  Result<ReleaseImage> AddImage() {
    SP_TRY(Packed packed, AddPayload("index.json", "payload.bin", [&](File& image, File& payload) {
             return PackImage(image, payload, {}, Progress("image"));
           }));
    return ReleaseImage{packed.table.image_length(), packed.table.image_sha256(),
                        std::move(packed.index), std::move(packed.payload)};
  }

  Result<std::vector<ReleaseDelta>> AddDeltas() {
    std::vector<ReleaseDelta> out;
    for (const std::string& from : inputs_.from) {
      SP_TRY(const OldRelease old, FindOldRelease(folder_, inputs_.product, from));
      SP_TRY(ReleaseDelta delta, AddDelta(old));
      out.push_back(std::move(delta));
      SP_TRY(DropImage(folder_, old));
    }
    return out;
  }

  Result<ReleaseDelta> AddDelta(const OldRelease& old) {
    const std::string version = old.release.version.text();
    SP_TRY(const auto from, folder_.files().Open(old.image_path, OpenMode::kRead));
    SP_TRY(Packed packed, AddPayload("delta-" + version + ".json", "delta-" + version + ".bin",
                                     [&](File& image, File& payload) {
                                       return MakeDelta(*from, image, payload, {},
                                                        Progress("delta from " + version));
                                     }));
    return ReleaseDelta{old.digest,
                        old.release.version,
                        old.release.image.length,
                        old.release.image.sha256,
                        std::move(packed.index),
                        std::move(packed.payload)};
  }

  RepositoryFolder& folder_;
  const ReleaseInputs& inputs_;
  const CreateProgress& progress_;
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

Result<Unit> CheckSealable(const ReleaseInputs& inputs) {
  const auto is_file = [](const ComponentInput& input) { return !input.firmware_version; };
  if (inputs.seal == nullptr || std::ranges::none_of(inputs.components, is_file)) return Ok();
  return Error{Reason::kUnsupported, "a component would lie open beside the sealed image",
               "release.sealed-component"};
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
                              UnixTime expires, const CreateProgress& progress) {
  SP_TRY(CheckNames(inputs));
  SP_TRY(CheckSealable(inputs));
  SP_TRY(CheckNew(folder, inputs));
  ReleaseBuilder builder(folder, inputs, progress);
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

#include "ota/repository/old_release.h"

#include "ota/metadata/limits.h"
#include "ota/metadata/uptane.h"
#include "ota/payload/stream_decoder.h"
#include "pki/crypto/file_hash.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kReadSize = 1 << 20;
constexpr std::string_view kReleaseFile = "/release.json";

// The draft holds what is published, too.
Result<Targets> KnownTargets(const RepositoryFolder& folder) {
  auto draft = folder.Staged("targets");
  if (!draft) draft = folder.Published("targets");
  if (!draft) return draft.error();
  return DraftTargets(*draft);
}

struct KnownRelease {
  Release release;
  ReleaseDigest digest;
};

Result<KnownRelease> ReadRelease(const RepositoryFolder& folder, const std::string& path,
                                 const TargetFile& file) {
  SP_TRY(const Bytes json,
         ReadFile(folder.files(), folder.TargetFilePath(path, *file.digests.sha256()),
                  kReleaseSizeMax));
  SP_TRY(file.Check(json, path));
  SP_TRY(Release release, ParseRelease(json));
  return KnownRelease{std::move(release), ReleaseDigestOf(json)};
}

class FileSink final : public SegmentSink {
 public:
  explicit FileSink(File& file) : file_(file) {}
  Result<Unit> Write(const Segment& segment, ByteView decoded) override {
    return file_.WriteAt(segment.offset, decoded);
  }

 private:
  File& file_;
};

// Unpack decodes the full payload; every segment is verified on the way.
Result<Unit> Unpack(const RepositoryFolder& folder, const ReleaseImage& image,
                    const std::string& out) {
  FileSystem& files = folder.files();
  SP_TRY(
      const Bytes index,
      ReadFile(files, folder.TargetFilePath(image.index.path, image.index.sha256), kIndexSizeMax));
  if (pki::Sha256(index) != image.index.sha256)
    return Error{Reason::kMismatch, image.index.path + " is not what the release says",
                 "install.index"};
  SP_TRY(const SegmentTable table, SegmentTable::Parse(index));
  SP_TRY(
      const auto payload,
      files.Open(folder.TargetFilePath(image.payload.path, image.payload.sha256), OpenMode::kRead));
  SP_TRY(const auto file, files.Open(out, OpenMode::kCreate));
  FileSink sink(*file);
  StreamDecoder decoder(table, 0, sink);
  Bytes buffer(kReadSize);
  for (uint64_t at = 0; at < table.payload_length();) {
    SP_TRY(const size_t size, payload->ReadAt(at, buffer));
    if (size == 0) break;
    SP_TRY(decoder.Feed(ByteView(buffer).first(size)));
    at += size;
  }
  return decoder.Finish();
}

Error Unknown(const std::string& from) {
  return Error{Reason::kNotFound, from + " is no release of this repository, nor its image",
               "release.from-unknown"};
}

Result<OldRelease> FindByImage(const RepositoryFolder& folder, const Targets& targets,
                               const std::string& product, const std::string& image) {
  const auto file = folder.files().Open(image, OpenMode::kRead);
  if (!file && file.error().reason == Reason::kNotFound) return Unknown(image);
  if (!file) return file.error();
  SP_TRY(const pki::FileHash found, pki::HashFile(**file));
  const std::string prefix = "releases/" + product + "/";
  for (const auto& [path, target] : targets.targets) {
    if (!path.starts_with(prefix) || !path.ends_with(kReleaseFile)) continue;
    SP_TRY(KnownRelease known, ReadRelease(folder, path, target));
    if (known.release.image.sha256 == found.sha256)
      return OldRelease{std::move(known.release), known.digest, image, false};
  }
  return Unknown(image);
}

}  // namespace

Result<OldRelease> FindOldRelease(const RepositoryFolder& folder, const std::string& product,
                                  const std::string& from) {
  auto targets = KnownTargets(folder);
  if (!targets && targets.error().reason == Reason::kNotFound) return Unknown(from);
  if (!targets) return targets.error();
  const std::string path = "releases/" + from + std::string(kReleaseFile);
  const TargetFile* const file = targets->Find(path);
  if (file == nullptr) return FindByImage(folder, *targets, product, from);
  SP_TRY(KnownRelease known, ReadRelease(folder, path, *file));
  if (known.release.product != product) return Unknown(from);
  if (known.release.content_key)
    return Error{Reason::kUnsupported, from + " is sealed: name its raw image instead",
                 "release.from-sealed"};
  const std::string image = folder.ScratchPath("from.img");
  SP_TRY(folder.files().MakeDirectories(ParentDirectory(image)));
  SP_TRY(Unpack(folder, known.release.image, image));
  return OldRelease{std::move(known.release), known.digest, image, true};
}

Result<Unit> DropImage(const RepositoryFolder& folder, const OldRelease& old) {
  return old.unpacked ? folder.files().Remove(old.image_path) : Ok();
}

}  // namespace sallyport::ota

#include "ota/install/component_files.h"

#include <algorithm>

#include "pki/crypto/file_hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kReadSize = 1 << 20;

// CopySource reads another file of this device in place of the network.
class CopySource final : public PayloadSource {
 public:
  CopySource(FileSystem& files, const std::string& path) : files_(files), path_(path) {}
  Result<Unit> Fetch(const RemoteFile&, uint64_t offset, uint64_t length, ByteSink& sink) override {
    SP_TRY(const auto file, files_.Open(path_, OpenMode::kRead));
    Bytes buffer(kReadSize);
    for (uint64_t done = 0; done < length;) {
      SP_TRY(const size_t size, file->ReadAt(offset + done, buffer));
      if (size == 0) return Unit{};
      SP_TRY(sink.Write(
          ByteView(buffer).first(static_cast<size_t>(std::min<uint64_t>(size, length - done)))));
      done += size;
    }
    return Unit{};
  }

 private:
  FileSystem& files_;
  const std::string& path_;
};

// What cannot be read is not there: it is fetched again.
bool Holds(FileSystem& files, const std::string& path, const RemoteFile& wanted) {
  const auto file = files.Open(path, OpenMode::kRead);
  if (!file) return false;
  const auto size = (*file)->Size();
  if (!size || *size != wanted.length) return false;
  const auto found = pki::HashFile(**file);
  return found && found->sha256 == wanted.sha256;
}

// GetFile writes `file` to `path`: a copy of what stands for the other slot, or what `source` has
// when that is not it, or changes under the copy, which is read a second time.
Result<Unit> GetFile(FileSystem& files, const RemoteFile& file, const std::string& path,
                     const std::string& other, PayloadSource& source) {
  constexpr std::string_view kRule = "install.component-digest";
  CopySource copy(files, other);
  if (Holds(files, other, file) && FetchFile(files, copy, file, path, kRule)) return Unit{};
  return FetchFile(files, source, file, path, kRule);
}

Result<Unit> InstallOne(FileSystem& files, const RemoteFile& file, const std::string& path,
                        const std::string& other, PayloadSource& source) {
  if (Holds(files, path, file)) return SyncFile(files, path);
  SP_TRY(files.MakeDirectories(ParentDirectory(path)));
  const std::string temporary = path + ".tmp";
  SP_TRY(GetFile(files, file, temporary, other, source));
  SP_TRY(files.Rename(temporary, path));
  return files.SyncDirectory(ParentDirectory(path));
}

// FreeBytesFor is the room in a folder that may not be there yet.
Result<uint64_t> FreeBytesFor(FileSystem& files, std::string directory) {
  while (true) {
    auto free = files.FreeBytes(directory);
    std::string parent = ParentDirectory(directory);
    if (free || free.error().reason != Reason::kNotFound || parent == directory) return free;
    directory = std::move(parent);
  }
}

}  // namespace

Result<Unit> CheckComponentFiles(FileSystem& files, const ComponentPlaces& places,
                                 const InstallFacts& facts, Slot target) {
  std::map<std::string, uint64_t> need;  // by directory
  for (const RemoteComponent& component : facts.components) {
    if (component.firmware) continue;
    const auto place = places.find(component.name);
    if (place == places.end())
      return Error{Reason::kPolicyDenied,
                   "component " + component.name + " has no place on this device",
                   "install.component"};
    const std::string& path = place->second.Of(target);
    if (!Holds(files, path, component.file)) need[ParentDirectory(path)] += component.file.length;
  }
  for (const auto& [directory, bytes] : need) {
    SP_TRY(const uint64_t free, FreeBytesFor(files, directory));
    if (free < bytes)
      return Error{Reason::kNoSpace,
                   directory + ": components need " + std::to_string(bytes) + " bytes, has " +
                       std::to_string(free),
                   "install.component-space"};
  }
  return Unit{};
}

Result<Unit> InstallComponentFiles(FileSystem& files, const ComponentPlaces& places,
                                   const InstallFacts& facts, Slot target, PayloadSource& source) {
  for (const RemoteComponent& component : facts.components) {
    if (component.firmware) continue;
    const auto place = places.find(component.name);
    if (place == places.end())
      return Error{Reason::kPolicyDenied, "component " + component.name, "install.component"};
    SP_TRY(InstallOne(files, component.file, place->second.Of(target),
                      place->second.Of(Other(target)), source));
  }
  return Unit{};
}

}  // namespace sallyport::ota

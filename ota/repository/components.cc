#include "ota/repository/components.h"

#include <algorithm>
#include <charconv>

#include "ota/measure/capsule.h"
#include "pki/crypto/file_hash.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kCapsuleSizeMax = 256u << 20;  // as large as firmware gets

Error Refuse(std::string why) {
  return Error{Reason::kInvalidArgument, std::move(why), "release.component"};
}

// CopyFile streams: application bundles may be larger than memory.
Result<ReleaseFile> CopyFile(FileSystem& files, const std::string& from, const std::string& to,
                             std::string target_path) {
  SP_TRY(const auto in, files.Open(from, OpenMode::kRead));
  SP_TRY(const auto out, files.Open(to, OpenMode::kCreate));
  uint64_t at = 0;
  SP_TRY(const pki::FileHash found, pki::HashFile(*in, [&](ByteView piece) -> Result<Unit> {
           SP_TRY(out->WriteAt(at, piece));
           at += piece.size();
           return Ok();
         }));
  if (found.length == 0) return Refuse(from + " is empty");
  SP_TRY(out->Sync());
  return ReleaseFile{std::move(target_path), found.length, found.sha256};
}

Result<std::optional<FirmwareVersion>> FirmwareOf(FileSystem& files, const ComponentInput& input) {
  if (!input.firmware_version) return std::optional<FirmwareVersion>();
  SP_TRY(const Bytes capsule, ReadFile(files, input.path, kCapsuleSizeMax));
  SP_TRY(std::string fw_class, CapsuleFirmwareClass(capsule));
  return std::optional(FirmwareVersion{std::move(fw_class), *input.firmware_version});
}

Result<ReleaseComponent> AddComponent(RepositoryFolder& folder, const std::string& directory,
                                      const ComponentInput& input, TargetFiles& targets) {
  if (!IsProductName(input.name)) return Refuse("component name '" + input.name + "'");
  SP_TRY(auto firmware, FirmwareOf(folder.files(), input));
  const std::string scratch = folder.ScratchPath("component");
  SP_TRY(folder.files().MakeDirectories(ParentDirectory(scratch)));
  SP_TRY(ReleaseFile file,
         CopyFile(folder.files(), input.path, scratch, directory + "/components/" + input.name));
  SP_TRY(folder.AdoptTarget(scratch, file.path, file.sha256));
  targets.emplace(file.path, TargetFile{file.length, Digests::FromSha256(file.sha256), {}});
  return ReleaseComponent{input.name, std::move(file), std::move(firmware)};
}

}  // namespace

Result<ComponentInput> ParseComponentInput(std::string_view text, bool capsule) {
  const Error bad =
      Refuse("'" + std::string(text) + "' is not NAME=FILE" + (capsule ? "@VERSION" : ""));
  const size_t equals = text.find('=');
  if (equals == text.npos) return bad;
  ComponentInput out{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
  if (capsule) {
    const size_t at = out.path.rfind('@');
    if (at == out.path.npos) return bad;
    uint32_t version = 0;
    const char* const end = out.path.data() + out.path.size();
    const auto parsed = std::from_chars(out.path.data() + at + 1, end, version);
    if (parsed.ec != std::errc() || parsed.ptr != end) return bad;
    out.firmware_version = version;
    out.path.resize(at);
  }
  if (out.path.empty()) return bad;
  return out;
}

Result<std::vector<ReleaseComponent>> AddComponents(RepositoryFolder& folder,
                                                    const std::string& directory,
                                                    const std::vector<ComponentInput>& inputs,
                                                    TargetFiles& targets) {
  if (inputs.size() > kComponentsMax)
    return Refuse("at most " + std::to_string(kComponentsMax) + " components");
  std::vector<ReleaseComponent> out;
  for (const ComponentInput& input : inputs) {
    if (std::ranges::find(out, input.name, &ReleaseComponent::name) != out.end())
      return Refuse("component " + input.name + " twice");
    SP_TRY(ReleaseComponent component, AddComponent(folder, directory, input, targets));
    out.push_back(std::move(component));
  }
  return out;
}

}  // namespace sallyport::ota

#include "ota/metadata/release.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kFormat = "release/v1";
constexpr size_t kVersionParts = 8;
constexpr size_t kVersionDigits = 9;
constexpr size_t kNameSizeMax = 64;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

Result<Sha256Digest> ParseDigest(const JsonCursor& value) {
  SP_TRY(const std::string_view hex, value.String());
  SP_TRY(const Bytes bytes, HexDecode(hex));
  auto digest = Sha256Digest::FromView(bytes);
  if (!digest) return value.Refuse("expected a SHA-256 digest");
  return digest;
}

Result<Sha256Digest> GetDigest(const JsonCursor& object, std::string_view key) {
  SP_TRY(const JsonCursor member, object.Member(key));
  return ParseDigest(member);
}

Result<std::vector<Sha256Digest>> GetDigests(const JsonCursor& object, std::string_view key) {
  SP_TRY(const auto elements, object.GetElements(key));
  std::vector<Sha256Digest> out;
  for (const JsonCursor& element : elements) {
    SP_TRY(const Sha256Digest digest, ParseDigest(element));
    out.push_back(digest);
  }
  return out;
}

Result<uint64_t> GetNumber(const JsonCursor& object, std::string_view key, int64_t min) {
  SP_TRY(const int64_t number, object.GetInteger(key, min, kMax));
  return static_cast<uint64_t>(number);
}

Result<ReleaseFile> GetFile(const JsonCursor& object, std::string_view key) {
  SP_TRY(const JsonCursor file, object.Member(key));
  SP_TRY(file.OnlyKeys({"path", "length", "sha256"}));
  SP_TRY(const std::string_view path, file.GetString("path"));
  if (path.empty() || path.size() > kTargetPathSizeMax)
    return file.Refuse("target path", "release.path");
  SP_TRY(const uint64_t length, GetNumber(file, "length", 1));
  SP_TRY(const Sha256Digest digest, GetDigest(file, "sha256"));
  return ReleaseFile{std::string(path), length, digest};
}

Result<ReleaseImage> GetImage(const JsonCursor& release) {
  SP_TRY(const JsonCursor image, release.Member("image"));
  SP_TRY(image.OnlyKeys({"length", "sha256", "index", "payload"}));
  SP_TRY(const uint64_t length, GetNumber(image, "length", 1));
  SP_TRY(const Sha256Digest digest, GetDigest(image, "sha256"));
  SP_TRY(ReleaseFile index, GetFile(image, "index"));
  SP_TRY(ReleaseFile payload, GetFile(image, "payload"));
  return ReleaseImage{length, digest, std::move(index), std::move(payload)};
}

Result<ExpectedMeasurements> GetMeasurements(const JsonCursor& release) {
  SP_TRY(const JsonCursor all, release.Member("measurements"));
  SP_TRY(all.OnlyKeys({"bank", "pcr4", "pcr11"}));
  SP_TRY(const std::string_view bank, all.GetString("bank"));
  if (bank != "sha256") return all.Refuse("expected bank sha256", "release.bank");
  SP_TRY(const JsonCursor pcr4, all.Member("pcr4"));
  SP_TRY(pcr4.OnlyKeys({"secure_boot_off", "secure_boot_on"}));
  SP_TRY(const JsonCursor pcr11, all.Member("pcr11"));
  SP_TRY(pcr11.OnlyKeys({"events"}));
  SP_TRY(auto off, GetDigests(pcr4, "secure_boot_off"));
  SP_TRY(auto on, GetDigests(pcr4, "secure_boot_on"));
  SP_TRY(auto events, GetDigests(pcr11, "events"));
  if (off.empty() || on.empty()) return pcr4.Refuse("no expected event", "release.measurements");
  return ExpectedMeasurements{std::move(off), std::move(on), std::move(events)};
}

Result<ReleaseVersion> GetVersion(const JsonCursor& release, std::string_view key) {
  SP_TRY(const std::string_view text, release.GetString(key));
  return ReleaseVersion::Parse(text);
}

Result<std::vector<std::string>> GetHardware(const JsonCursor& release) {
  SP_TRY(auto hardware, release.GetStrings("hardware"));
  if (hardware.empty() || !std::ranges::all_of(hardware, IsProductName))
    return release.Refuse("hardware ids", "release.hardware");
  return hardware;
}

Result<std::optional<FirmwareVersion>> GetFirmware(const JsonCursor& component) {
  SP_TRY(const std::string_view kind, component.GetString("kind"));
  if (kind == ComponentKindName(ComponentKind::kFile)) {
    SP_TRY(component.OnlyKeys({"name", "kind", "file"}));
    return std::optional<FirmwareVersion>();
  }
  if (kind != ComponentKindName(ComponentKind::kCapsule))
    return Error{Reason::kUnsupported, "component kind " + std::string(kind), "release.component"};
  SP_TRY(component.OnlyKeys({"name", "kind", "file", "fw_class", "fw_version"}));
  SP_TRY(const std::string_view fw_class, component.GetString("fw_class"));
  if (!IsFirmwareClass(fw_class)) return component.Refuse("expected a GUID", "release.component");
  SP_TRY(const int64_t version, component.GetInteger("fw_version", 0, UINT32_MAX));
  return std::optional(FirmwareVersion{std::string(fw_class), static_cast<uint32_t>(version)});
}

Result<ReleaseComponent> GetComponent(const JsonCursor& component) {
  SP_TRY(const std::string_view name, component.GetString("name"));
  if (!IsProductName(name)) return component.Refuse("component name", "release.component");
  SP_TRY(ReleaseFile file, GetFile(component, "file"));
  SP_TRY(auto firmware, GetFirmware(component));
  return ReleaseComponent{std::string(name), std::move(file), std::move(firmware)};
}

Result<std::vector<ReleaseComponent>> GetComponents(const JsonCursor& release) {
  std::vector<ReleaseComponent> out;
  if (!release.Find("components")) return out;
  SP_TRY(const auto elements, release.GetElements("components"));
  if (elements.empty() || elements.size() > kComponentsMax)
    return release.Refuse("number of components", "release.component");
  for (const JsonCursor& element : elements) {
    SP_TRY(ReleaseComponent component, GetComponent(element));
    if (std::ranges::find(out, component.name, &ReleaseComponent::name) != out.end())
      return element.Refuse("component name twice", "release.component");
    out.push_back(std::move(component));
  }
  return out;
}

Result<ReleaseDelta> GetDelta(const JsonCursor& delta) {
  SP_TRY(delta.OnlyKeys({"from", "index", "payload"}));
  SP_TRY(const JsonCursor from, delta.Member("from"));
  SP_TRY(from.OnlyKeys({"release", "version", "length", "sha256"}));
  SP_TRY(const Sha256Digest release, GetDigest(from, "release"));
  SP_TRY(ReleaseVersion version, GetVersion(from, "version"));
  SP_TRY(const uint64_t length, GetNumber(from, "length", 1));
  SP_TRY(const Sha256Digest sha256, GetDigest(from, "sha256"));
  SP_TRY(ReleaseFile index, GetFile(delta, "index"));
  SP_TRY(ReleaseFile payload, GetFile(delta, "payload"));
  return ReleaseDelta{ReleaseDigest::FromArray(release.array()),
                      std::move(version),
                      length,
                      sha256,
                      std::move(index),
                      std::move(payload)};
}

Result<std::vector<ReleaseDelta>> GetDeltas(const JsonCursor& release) {
  std::vector<ReleaseDelta> out;
  if (!release.Find("deltas")) return out;
  SP_TRY(const auto elements, release.GetElements("deltas"));
  if (elements.empty() || elements.size() > kDeltasMax)
    return release.Refuse("number of deltas", "release.delta");
  for (const JsonCursor& element : elements) {
    SP_TRY(ReleaseDelta delta, GetDelta(element));
    if (std::ranges::find(out, delta.from, &ReleaseDelta::from) != out.end())
      return element.Refuse("two deltas from one release", "release.delta");
    out.push_back(std::move(delta));
  }
  return out;
}

Result<std::optional<ReleaseChunks>> GetChunks(const JsonCursor& release) {
  if (!release.Find("chunks")) return std::optional<ReleaseChunks>();
  SP_TRY(const JsonCursor chunks, release.Member("chunks"));
  SP_TRY(chunks.OnlyKeys({"index", "payload"}));
  SP_TRY(ReleaseFile index, GetFile(chunks, "index"));
  SP_TRY(ReleaseFile payload, GetFile(chunks, "payload"));
  return std::optional(ReleaseChunks{std::move(index), std::move(payload)});
}

// Whole seconds of UTC in the one form that the repository's metadata has (TUF 4.2.1), so that a
// time has one spelling.
Result<std::optional<UnixTime>> GetInstallBy(const JsonCursor& release) {
  if (!release.Find("install_by")) return std::optional<UnixTime>();
  SP_TRY(const std::string_view text, release.GetString("install_by"));
  const auto time = ParseRfc3339(text);
  if (!time || time->ms <= 0 || FormatRfc3339(*time) != text)
    return release.Refuse("expected install_by such as 2026-12-01T12:00:00Z", "release.install-by");
  return std::optional(*time);
}

// The tree stands behind its data and ends inside the image.
bool FitsInto(const VerityTree& tree, uint64_t image_length) {
  const bool whole = tree.data_size > 0 && tree.data_size % kVerityBlockSize == 0 &&
                     tree.hash_offset % kVerityBlockSize == 0 && tree.hash_offset >= tree.data_size;
  const std::optional<uint64_t> end = VerityEnd(tree);
  return whole && end && *end <= image_length;
}

Result<std::optional<VerityTree>> GetVerity(const JsonCursor& release, uint64_t image_length) {
  if (!release.Find("verity")) return std::optional<VerityTree>();
  SP_TRY(const JsonCursor verity, release.Member("verity"));
  SP_TRY(verity.OnlyKeys({"hash", "block_size", "root_hash", "salt", "data_size", "hash_offset"}));
  SP_TRY(const std::string_view hash, verity.GetString("hash"));
  SP_TRY(const uint64_t block_size, GetNumber(verity, "block_size", 1));
  if (hash != "sha256" || block_size != kVerityBlockSize)
    return verity.Refuse("expected sha256 in blocks of 4096 bytes", "release.verity");
  SP_TRY(const Sha256Digest root, GetDigest(verity, "root_hash"));
  SP_TRY(const std::string_view salt_hex, verity.GetString("salt"));
  SP_TRY(Bytes salt, HexDecode(salt_hex));
  SP_TRY(const uint64_t data_size, GetNumber(verity, "data_size", 1));
  SP_TRY(const uint64_t hash_offset, GetNumber(verity, "hash_offset", 1));
  VerityTree tree{root, std::move(salt), data_size, hash_offset};
  if (tree.salt.size() > kVeritySaltMax || !FitsInto(tree, image_length))
    return verity.Refuse("salt or place of the hash tree", "release.verity");
  return std::optional<VerityTree>(std::move(tree));
}

Result<std::optional<pki::ContentKeyId>> GetContentKey(const JsonCursor& release) {
  if (!release.Find("sealed")) return std::optional<pki::ContentKeyId>();
  SP_TRY(const JsonCursor sealed, release.Member("sealed"));
  SP_TRY(sealed.OnlyKeys({"scheme", "key_id"}));
  SP_TRY(const std::string_view scheme, sealed.GetString("scheme"));
  if (scheme != pki::kContentSealScheme)
    return Error{Reason::kUnsupported, "scheme " + std::string(scheme), "release.seal-scheme"};
  SP_TRY(const Sha256Digest id, GetDigest(sealed, "key_id"));
  return std::optional(pki::ContentKeyId::FromArray(id.array()));
}

JsonValue VerityToJson(const VerityTree& tree) {
  return JsonValue::Object({{"hash", "sha256"},
                            {"block_size", uint64_t{kVerityBlockSize}},
                            {"root_hash", HexEncode(tree.root_hash)},
                            {"salt", HexEncode(ByteView(tree.salt))},
                            {"data_size", tree.data_size},
                            {"hash_offset", tree.hash_offset}});
}

JsonValue DigestsToJson(const std::vector<Sha256Digest>& digests) {
  std::vector<JsonValue> out;
  for (const Sha256Digest& digest : digests) out.emplace_back(HexEncode(digest));
  return JsonValue::Array(std::move(out));
}

JsonValue FileToJson(const ReleaseFile& file) {
  return JsonValue::Object(
      {{"path", file.path}, {"length", file.length}, {"sha256", HexEncode(file.sha256)}});
}

JsonValue MeasurementsToJson(const ExpectedMeasurements& expected) {
  JsonValue pcr4 =
      JsonValue::Object({{"secure_boot_off", DigestsToJson(expected.pcr4_secure_boot_off)},
                         {"secure_boot_on", DigestsToJson(expected.pcr4_secure_boot_on)}});
  JsonValue pcr11 = JsonValue::Object({{"events", DigestsToJson(expected.pcr11_events)}});
  return JsonValue::Object(
      {{"bank", "sha256"}, {"pcr4", std::move(pcr4)}, {"pcr11", std::move(pcr11)}});
}

JsonValue ComponentsToJson(const std::vector<ReleaseComponent>& components) {
  std::vector<JsonValue> out;
  for (const ReleaseComponent& component : components) {
    std::vector<JsonMember> members = {{"name", component.name},
                                       {"kind", ComponentKindName(component.kind())},
                                       {"file", FileToJson(component.file)}};
    if (component.firmware) {
      members.push_back({"fw_class", component.firmware->fw_class});
      members.push_back({"fw_version", component.firmware->version});
    }
    out.push_back(JsonValue::Object(std::move(members)));
  }
  return JsonValue::Array(std::move(out));
}

JsonValue DeltasToJson(const std::vector<ReleaseDelta>& deltas) {
  std::vector<JsonValue> out;
  for (const ReleaseDelta& delta : deltas) {
    JsonValue from = JsonValue::Object({{"release", HexEncode(delta.from)},
                                        {"version", delta.from_version.text()},
                                        {"length", delta.from_length},
                                        {"sha256", HexEncode(delta.from_sha256)}});
    out.push_back(JsonValue::Object({{"from", std::move(from)},
                                     {"index", FileToJson(delta.index)},
                                     {"payload", FileToJson(delta.payload)}}));
  }
  return JsonValue::Array(std::move(out));
}

}  // namespace

std::string_view ComponentKindName(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::kFile: return "file";
    case ComponentKind::kCapsule: return "capsule";
  }
  std::abort();
}

Result<ReleaseVersion> ReleaseVersion::Parse(std::string_view text) {
  ReleaseVersion out;
  out.text_ = text;
  const Error bad{Reason::kMalformed, "'" + out.text_ + "' is no version", "release.version"};
  while (true) {
    const std::string_view part = text.substr(0, text.find('.'));
    uint32_t number = 0;
    const auto end = std::from_chars(part.data(), part.data() + part.size(), number);
    const bool whole = end.ec == std::errc() && end.ptr == part.data() + part.size();
    if (!whole || part.size() > kVersionDigits || (part.size() > 1 && part.front() == '0'))
      return bad;
    out.numbers_.push_back(number);
    if (out.numbers_.size() > kVersionParts) return bad;
    if (part.size() == text.size()) return out;
    text.remove_prefix(part.size() + 1);
  }
}

Result<Release> ParseRelease(ByteView json) {
  SP_TRY(const JsonValue tree,
         ParseJson(AsText(json), {.size_max = kReleaseSizeMax, .depth_max = kMetadataDepthMax}));
  const JsonCursor release(tree);
  SP_TRY(const std::string_view format, release.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "release.format"};
  SP_TRY(release.OnlyKeys({"sallyport", "product", "version", "hardware", "min_version",
                           "rollback_index", "security_floor", "uki", "image", "measurements",
                           "components", "deltas", "chunks", "verity", "install_by", "sealed"}));
  SP_TRY(const std::string_view product, release.GetString("product"));
  if (!IsProductName(product)) return release.Refuse("product name", "release.product");
  SP_TRY(ReleaseVersion version, GetVersion(release, "version"));
  SP_TRY(auto hardware, GetHardware(release));
  SP_TRY(ReleaseVersion min_version, GetVersion(release, "min_version"));
  SP_TRY(const uint64_t rollback_index, GetNumber(release, "rollback_index", 0));
  SP_TRY(const JsonCursor::Flag floor, release.GetBool("security_floor"));
  SP_TRY(ReleaseFile uki, GetFile(release, "uki"));
  SP_TRY(ReleaseImage image, GetImage(release));
  SP_TRY(ExpectedMeasurements measurements, GetMeasurements(release));
  SP_TRY(auto components, GetComponents(release));
  SP_TRY(auto deltas, GetDeltas(release));
  SP_TRY(auto chunks, GetChunks(release));
  SP_TRY(auto verity, GetVerity(release, image.length));
  SP_TRY(const auto install_by, GetInstallBy(release));
  SP_TRY(auto content_key, GetContentKey(release));
  return Release{std::string(product),   std::move(version), std::move(hardware),
                 std::move(min_version), rollback_index,     floor.value,
                 std::move(uki),         std::move(image),   std::move(measurements),
                 std::move(components),  std::move(deltas),  std::move(chunks),
                 std::move(verity),      install_by,         content_key};
}

std::string WriteRelease(const Release& release) {
  JsonValue image = JsonValue::Object({{"length", release.image.length},
                                       {"sha256", HexEncode(release.image.sha256)},
                                       {"index", FileToJson(release.image.index)},
                                       {"payload", FileToJson(release.image.payload)}});
  std::vector<JsonMember> members = {{"sallyport", kFormat},
                                     {"product", release.product},
                                     {"version", release.version.text()},
                                     {"hardware", JsonValue::Strings(release.hardware)},
                                     {"min_version", release.min_version.text()},
                                     {"rollback_index", release.rollback_index},
                                     {"security_floor", release.security_floor},
                                     {"uki", FileToJson(release.uki)},
                                     {"image", std::move(image)},
                                     {"measurements", MeasurementsToJson(release.measurements)}};
  if (!release.components.empty())
    members.push_back({"components", ComponentsToJson(release.components)});
  if (!release.deltas.empty()) members.push_back({"deltas", DeltasToJson(release.deltas)});
  if (release.chunks)
    members.push_back(
        {"chunks", JsonValue::Object({{"index", FileToJson(release.chunks->index)},
                                      {"payload", FileToJson(release.chunks->payload)}})});
  if (release.verity) members.push_back({"verity", VerityToJson(*release.verity)});
  if (release.install_by) members.push_back({"install_by", FormatRfc3339(*release.install_by)});
  if (release.content_key)
    members.push_back({"sealed", JsonValue::Object({{"scheme", pki::kContentSealScheme},
                                                    {"key_id", HexEncode(*release.content_key)}})});
  return WriteJson(JsonValue::Object(std::move(members)));
}

std::vector<const ReleaseFile*> FilesOf(const Release& release) {
  std::vector<const ReleaseFile*> out = {&release.uki, &release.image.index,
                                         &release.image.payload};
  for (const ReleaseComponent& component : release.components) out.push_back(&component.file);
  if (release.chunks) {
    out.push_back(&release.chunks->index);
    out.push_back(&release.chunks->payload);
  }
  for (const ReleaseDelta& delta : release.deltas) {
    out.push_back(&delta.index);
    out.push_back(&delta.payload);
  }
  return out;
}

ReleaseDigest ReleaseDigestOf(ByteView release_json) {
  return ReleaseDigest::FromArray(pki::Sha256(release_json).array());
}

JsonValue ReleaseCustom(const Release& release) {
  return JsonValue::Object({{"kind", "os-release"},
                            {"product", release.product},
                            {"version", release.version.text()},
                            {"hardware", JsonValue::Strings(release.hardware)}});
}

std::string ReleaseDirectory(std::string_view product, const ReleaseVersion& version) {
  return "releases/" + std::string(product) + "/" + version.text();
}

bool IsProductName(std::string_view name) {
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kNameSizeMax && is_word(name.front()) &&
         std::ranges::all_of(
             name, [&](char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace sallyport::ota

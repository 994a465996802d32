#include "device-client/agent/content_key_record.h"

#include "pki/base/json.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kVersion = "content-key/v1";
constexpr uint64_t kRecordBytesMax = 8192;  // an RSA EK of 4096 bits makes 1.4 KB of hex

std::string PathOf(const std::string& directory) { return directory + "/content-key.json"; }

Result<Bytes> GetHex(const JsonCursor& file, std::string_view key) {
  SP_TRY(const std::string_view text, file.GetString(key));
  return HexDecode(text);
}

}  // namespace

Result<std::optional<WrappedContentKey>> LoadContentKey(FileSystem& files,
                                                        const std::string& directory) {
  const Result<Bytes> bytes = ReadFile(files, PathOf(directory), kRecordBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound)
    return std::optional<WrappedContentKey>();
  if (!bytes) return bytes.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor file(json);
  SP_TRY(file.OnlyKeys({"sallyport", "release", "key_id", "credential_blob", "encrypted_secret"}));
  SP_TRY(const std::string_view version, file.GetString("sallyport"));
  if (version != kVersion) return file.Refuse("unknown version", "content-key.record-version");
  SP_TRY(const Bytes release_bytes, GetHex(file, "release"));
  SP_TRY(const ReleaseDigest release, ReleaseDigest::FromView(release_bytes));
  SP_TRY(const Bytes id_bytes, GetHex(file, "key_id"));
  SP_TRY(const pki::ContentKeyId id, pki::ContentKeyId::FromView(id_bytes));
  SP_TRY(Bytes blob, GetHex(file, "credential_blob"));
  SP_TRY(Bytes secret, GetHex(file, "encrypted_secret"));
  return std::optional(WrappedContentKey{release, id, std::move(blob), std::move(secret)});
}

Result<Unit> SaveContentKey(FileSystem& files, const std::string& directory,
                            const WrappedContentKey& key) {
  const std::string json =
      WriteJson(JsonValue::Object({{"sallyport", kVersion},
                                   {"release", HexEncode(key.release)},
                                   {"key_id", HexEncode(key.id)},
                                   {"credential_blob", HexEncode(key.credential_blob)},
                                   {"encrypted_secret", HexEncode(key.encrypted_secret)}}));
  SP_TRY(files.MakeDirectories(directory));
  return WriteFileAtomically(files, PathOf(directory), AsBytes(json));
}

}  // namespace sallyport::device

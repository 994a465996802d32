#include "attestation-server/cli/content_key_file.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kFileBytesMax = 4096;

void Wipe(std::string& text) {
  pki::WipeBytes({reinterpret_cast<uint8_t*>(text.data()), text.size()});
}

}  // namespace

Result<pki::ContentKey> ReadContentKey(FileSystem& files, const std::string& path) {
  SP_TRY(Bytes text, ReadFile(files, path, kFileBytesMax));
  std::string_view hex = AsText(text);
  if (hex.ends_with('\n')) hex.remove_suffix(1);
  auto bytes = HexDecode(hex);
  const auto key = bytes ? pki::ContentKey::FromView(*bytes) : bytes.error();
  pki::WipeBytes(text);
  if (bytes) pki::WipeBytes(*bytes);
  if (!key)
    return Error{Reason::kMalformed, path + " does not hold 64 hex digits", "content-key.file"};
  return pki::ContentKey::FromView(key->view());
}

Result<pki::ContentKey> ReadOrMakeContentKey(FileSystem& files, const std::string& path,
                                             Random& random) {
  auto held = ReadContentKey(files, path);
  if (held || held.error().reason != Reason::kNotFound) return held;
  pki::ContentKey made = pki::ContentKey::Generate(random);
  std::string text = HexEncode(ByteView(made.view())) + "\n";
  const auto written = WriteFileAtomically(files, path, AsBytes(text));
  Wipe(text);
  if (!written) return written.error();
  return made;
}

}  // namespace sallyport::server

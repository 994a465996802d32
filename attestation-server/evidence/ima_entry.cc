#include "attestation-server/evidence/ima_entry.h"

#include <charconv>

namespace sallyport::server {
namespace {

constexpr std::string_view kTemplateNg = "ima-ng";
constexpr std::string_view kTemplateSig = "ima-sig";
constexpr size_t kDescribedPathMax = 200;

// enum evm_ima_xattr_type and struct signature_v2_hdr of the kernel.
constexpr uint8_t kFileSignature = 3;
constexpr uint8_t kVeritySignature = 6;
constexpr uint8_t kVersionDigest = 2;
constexpr uint8_t kVersionFileId = 3;
constexpr size_t kSignatureHeaderBytes = 9;

// enum hash_algo of the kernel (include/uapi/linux/hash_info.h).
constexpr std::pair<uint8_t, pki::HashAlgorithm> kKernelHashes[] = {
    {4, pki::HashAlgorithm::kSha256},
    {5, pki::HashAlgorithm::kSha384},
    {6, pki::HashAlgorithm::kSha512}};

Error Fields(std::string_view what) {
  return Error{Reason::kMalformed, "template data: " + std::string(what), "ima.fields"};
}
Error OtherTemplate(std::string_view name) {
  return Error{Reason::kUnsupported, "template " + DescribePath(name), "ima.template"};
}
Error BadSignature(Reason reason, std::string_view what) {
  return Error{reason, std::string(what), "ima.signature"};
}

Result<ByteView> Field(ByteReader& in, std::string_view what) {
  const Result<uint32_t> size = in.LittleU32();
  if (!size) return Fields(what);
  const Result<ByteView> bytes = in.Take(*size);
  if (!bytes) return Fields(what);
  return *bytes;
}

std::optional<pki::HashAlgorithm> HashNamed(std::string_view name) {
  for (const auto& [id, hash] : kKernelHashes)
    if (pki::HashName(hash) == name) return hash;
  return std::nullopt;
}

// d-ng is the algorithm's name, a colon, a zero byte, the digest.
Result<Unit> ReadDigest(ByteView field, ImaEntry& out) {
  const size_t colon = AsText(field).find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 >= field.size() ||
      field[colon + 1] != 0)
    return Fields("digest without algorithm");
  out.algorithm = HashNamed(AsText(field.first(colon)));
  out.digest = field.subspan(colon + 2);
  if (out.digest.empty() || (out.algorithm && out.digest.size() != pki::DigestSize(*out.algorithm)))
    return Fields("digest of another size than its algorithm's");
  return Unit{};
}

// n-ng is a string with its zero byte.
Result<Unit> ReadPath(ByteView field, ImaEntry& out) {
  if (field.size() < 2 || AsText(field).find('\0') != field.size() - 1) return Fields("name");
  out.path = AsText(field.first(field.size() - 1));
  return Unit{};
}

// Word cuts the next word and the one space behind it.
std::string_view Word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

Error BadLine(size_t number, std::string_view what) {
  return Error{Reason::kMalformed, "line " + std::to_string(number) + ": " + std::string(what),
               "ima.structure"};
}

Result<Bytes> TemplateData(std::string_view line, bool with_signature) {
  std::string_view digest = Word(line);
  const size_t colon = std::min(digest.find(':'), digest.size());
  const std::string_view algorithm = digest.substr(0, colon);
  digest.remove_prefix(std::min(colon + 1, digest.size()));
  SP_TRY(const Bytes raw, HexDecode(digest));
  const std::string_view path = Word(line);
  ByteWriter out;
  out.LittleU32(static_cast<uint32_t>(algorithm.size() + 2 + raw.size()));
  out.Raw(AsBytes(algorithm)).U8(':').U8(0).Raw(raw);
  out.LittleU32(static_cast<uint32_t>(path.size() + 1)).Raw(AsBytes(path)).U8(0);
  if (with_signature) {
    SP_TRY(const Bytes signature, HexDecode(Word(line)));
    out.LittleU32(static_cast<uint32_t>(signature.size())).Raw(signature);
  }
  if (!line.empty()) return Fields("more words than the template has");
  return std::move(out).Take();
}

Result<Unit> ConvertLine(std::string_view line, size_t number, ByteWriter& out) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  const std::string_view pcr_word = Word(line);
  uint32_t pcr = 0;
  const char* const end = pcr_word.data() + pcr_word.size();
  const auto [stop, error] = std::from_chars(pcr_word.data(), end, pcr);
  if (error != std::errc() || stop != end) return BadLine(number, "pcr");
  const Result<Bytes> digest = HexDecode(Word(line));
  if (!digest || digest->size() != pki::kTemplateDigestBytes)
    return BadLine(number, "template digest");
  const std::string_view name = Word(line);
  if (name != kTemplateNg && name != kTemplateSig) return OtherTemplate(name);
  const Result<Bytes> data = TemplateData(line, name == kTemplateSig);
  if (!data || data->size() > pki::kTemplateDataMax) return BadLine(number, "template data");
  pki::WriteMeasuredEntry({pcr, *digest, name, *data}, out);
  return Unit{};
}

}  // namespace

Result<ImaEntry> ParseImaEntry(const pki::MeasuredEntry& entry) {
  const bool with_signature = entry.template_name == kTemplateSig;
  if (!with_signature && entry.template_name != kTemplateNg)
    return OtherTemplate(entry.template_name);
  ImaEntry out{entry.pcr, entry.violation(), entry.data, std::nullopt, {}, {}, {}};
  ByteReader in(entry.data, "template data");
  SP_TRY(const ByteView digest, Field(in, "digest"));
  SP_TRY(ReadDigest(digest, out));
  SP_TRY(const ByteView path, Field(in, "name"));
  SP_TRY(ReadPath(path, out));
  if (with_signature) {
    SP_TRY(out.signature, Field(in, "signature"));
  }
  if (in.remaining() != 0) return Fields("trailing bytes");
  return out;
}

std::string DescribePath(std::string_view path) {
  std::string out(path.substr(0, kDescribedPathMax));
  for (char& c : out)
    if (c < 0x20 || c > 0x7E) c = '?';
  return out;
}

Result<ImaSignature> ParseImaSignature(ByteView attribute) {
  if (attribute.size() <= kSignatureHeaderBytes)
    return BadSignature(Reason::kMalformed, "a signature shorter than its header");
  ByteReader in(attribute, "signature");
  SP_TRY(const uint8_t type, in.U8());
  SP_TRY(const uint8_t version, in.U8());
  if ((type != kFileSignature && type != kVeritySignature) ||
      (version != kVersionDigest && version != kVersionFileId) ||
      (type == kVeritySignature && version != kVersionFileId))
    return BadSignature(Reason::kUnsupported, "a signature of another kind");
  SP_TRY(const uint8_t kernel_hash, in.U8());
  SP_TRY(const uint32_t key_id, in.BigU32());
  SP_TRY(const uint16_t size, in.BigU16());
  if (size != in.remaining())
    return BadSignature(Reason::kMalformed, "a signature of another size than it says");
  for (const auto& [id, hash] : kKernelHashes)
    if (id == kernel_hash) return ImaSignature{type, version, hash, key_id, in.rest()};
  return BadSignature(Reason::kUnsupported, "a signature over a weak or unknown hash");
}

Result<Unit> VerifyImaSignature(const pki::PublicKey& key, const ImaSignature& signature,
                                const ImaEntry& entry) {
  if (entry.algorithm != signature.hash)
    return BadSignature(Reason::kMismatch, "signed with another hash than the file's");
  const auto scheme = key.type() == pki::KeyType::kRsa ? pki::SignatureScheme::kRsaPkcs1
                                                       : pki::SignatureScheme::kEcdsa;
  ByteWriter file_id;
  for (const auto& [id, hash] : kKernelHashes)
    if (hash == signature.hash) file_id.U8(signature.type).U8(id).Raw(entry.digest);
  const Result<Unit> verified =
      signature.version == kVersionDigest
          ? key.VerifyDigest(scheme, signature.hash, entry.digest, signature.bytes)
          : key.Verify(scheme, signature.hash, file_id.bytes(), signature.bytes);
  if (!verified) return BadSignature(verified.error().reason, verified.error().detail);
  return Unit{};
}

Result<Bytes> ImaListFromAscii(std::string_view text) {
  ByteWriter out;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return BadLine(number, "no line end");
    SP_TRY(ConvertLine(text.substr(0, end), number, out));
    text.remove_prefix(end + 1);
  }
  return std::move(out).Take();
}

}  // namespace sallyport::server

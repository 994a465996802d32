#include "ota/payload/chunk_table.h"

#include <algorithm>

#include "ota/payload/codec.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kMagic = "SPCK";
constexpr uint16_t kVersion = 1;
constexpr uint16_t kFormMax = static_cast<uint16_t>(PayloadForm::kSealed);
constexpr int kLevel = 9;  // a fallback is not worth the time of the full payload's level

Error Refuse(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

Result<Chunk> ReadChunk(ByteReader& reader) {
  SP_TRY(const uint32_t length, reader.LittleU32());
  SP_TRY(const ByteView sha256, reader.Take(Sha256Digest::kSize));
  SP_TRY(const uint32_t data_length, reader.LittleU32());
  SP_TRY(const ByteView data_sha256, reader.Take(Sha256Digest::kSize));
  return Chunk{length, *Sha256Digest::FromView(sha256), data_length,
               *Sha256Digest::FromView(data_sha256)};
}

struct Header {
  uint64_t image_length;
  Sha256Digest image_sha256;
  uint32_t count;
  PayloadForm form;
};

Result<Header> ReadHeader(ByteReader& reader) {
  SP_TRY(const ByteView magic, reader.Take(kMagic.size()));
  SP_TRY(const uint16_t version, reader.LittleU16());
  SP_TRY(const uint16_t form, reader.LittleU16());
  if (AsText(magic) != kMagic) return Refuse("chunks.index", "no chunk index");
  if (version != kVersion || form > kFormMax)
    return Error{Reason::kUnsupported,
                 "version " + std::to_string(version) + ", form " + std::to_string(form),
                 "chunks.format"};
  SP_TRY(const uint64_t image_length, reader.LittleU64());
  SP_TRY(const ByteView sha256, reader.Take(Sha256Digest::kSize));
  SP_TRY(const uint32_t count, reader.LittleU32());
  return Header{image_length, *Sha256Digest::FromView(sha256), count,
                static_cast<PayloadForm>(form)};
}

Result<ChunkTable> ReadTable(ByteView index) {
  ByteReader reader(index, "chunk index");
  SP_TRY(const Header header, ReadHeader(reader));
  if (header.count > kChunksMax) return Refuse("chunks.count", std::to_string(header.count));
  std::vector<Chunk> chunks;
  chunks.reserve(header.count);
  for (uint32_t i = 0; i < header.count; ++i) {
    SP_TRY(const Chunk chunk, ReadChunk(reader));
    chunks.push_back(chunk);
  }
  SP_TRY(reader.End());
  return ChunkTable::Make(header.image_length, header.image_sha256, std::move(chunks), header.form);
}

}  // namespace

Result<ChunkTable> ChunkTable::Make(uint64_t image_length, const Sha256Digest& image_sha256,
                                    std::vector<Chunk> chunks, PayloadForm form) {
  if (chunks.empty() || chunks.size() > kChunksMax)
    return Refuse("chunks.count", std::to_string(chunks.size()) + " chunks");
  ChunkTable table(image_length, image_sha256, std::move(chunks), form);
  const uint64_t overhead = form == PayloadForm::kSealed ? kSealOverhead : 0;
  uint64_t length = 0;
  for (const Chunk& chunk : table.chunks_) {
    if (chunk.length == 0 || chunk.length > kChunkMax)
      return Refuse("chunks.length", std::to_string(chunk.length) + " bytes");
    if (chunk.data_length <= overhead ||
        chunk.data_length - overhead > EncodedSizeMax(chunk.length))
      return Refuse("chunks.data-size", std::to_string(chunk.data_length) + " bytes of data");
    length += chunk.length;
    table.payload_length_ += chunk.data_length;
  }
  if (length != image_length)
    return Refuse("chunks.length", "the chunks are not as long as the image");
  return table;
}

Result<ChunkTable> ChunkTable::Parse(ByteView index) {
  auto table = ReadTable(index);
  if (!table && table.error().rule.empty()) return Refuse("chunks.index", table.error().detail);
  return table;
}

Bytes ChunkTable::Encode() const {
  ByteWriter out;
  out.Raw(AsBytes(kMagic)).LittleU16(kVersion).LittleU16(static_cast<uint16_t>(form_));
  out.LittleU64(image_length_);
  out.Raw(image_sha256_.view()).LittleU32(static_cast<uint32_t>(chunks_.size()));
  for (const Chunk& chunk : chunks_)
    out.LittleU32(chunk.length)
        .Raw(chunk.sha256.view())
        .LittleU32(chunk.data_length)
        .Raw(chunk.data_sha256.view());
  return std::move(out).Take();
}

Result<Unit> ForEachChunk(File& file, uint64_t length, const TakeChunk& take) {
  Bytes window(2 * kChunkMax);
  uint64_t at = 0;
  while (at < length) {
    const std::span<uint8_t> room(
        window.data(), static_cast<size_t>(std::min<uint64_t>(window.size(), length - at)));
    SP_TRY(const size_t held, file.ReadAt(at, room));
    if (held == 0) return Unit{};
    const bool last = held < window.size();
    ByteView rest(window.data(), held);
    while (!rest.empty() && (last || rest.size() >= kChunkMax)) {
      const size_t size = ChunkLength(rest);
      SP_TRY(take(at, rest.first(size)));
      rest = rest.subspan(size);
      at += size;
    }
    if (last) return Unit{};
  }
  return Unit{};
}

Result<ChunkTable> PackChunks(File& image, File& payload,
                              const std::function<void(uint64_t done, uint64_t total)>& progress) {
  SP_TRY(const uint64_t total, image.Size());
  const auto zstd = MakeZstdCodec(kLevel);
  pki::Hasher hash(pki::HashAlgorithm::kSha256);
  std::vector<Chunk> chunks;
  uint64_t written = 0;
  SP_TRY(ForEachChunk(image, total, [&](uint64_t offset, ByteView bytes) -> Result<Unit> {
    SP_TRY(const Bytes data, zstd->Encode(bytes));
    SP_TRY(payload.WriteAt(written, data));
    chunks.push_back({static_cast<uint32_t>(bytes.size()), pki::Sha256(bytes),
                      static_cast<uint32_t>(data.size()), pki::Sha256(data)});
    written += data.size();
    hash.Update(bytes);
    if (progress) progress(offset + bytes.size(), total);
    return Unit{};
  }));
  SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(hash.Finish()));
  return ChunkTable::Make(total, digest, std::move(chunks));
}

}  // namespace sallyport::ota

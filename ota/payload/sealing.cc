#include "ota/payload/sealing.h"

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kMagic = "SPSX";
constexpr uint16_t kVersion = 1;
constexpr size_t kHeaderSize = kMagic.size() + 4;
constexpr std::string_view kIndexContext = "sallyport/sealed-index/v1";
constexpr std::string_view kPartContext = "sallyport/sealed-segment/v1";

// What a box is part of.
enum class Kind : uint8_t { kFull = 1, kDelta = 2, kChunks = 3 };

struct Place {
  Kind kind;
  uint64_t offset;  // in the image
  uint64_t length;
  const Sha256Digest& sha256;  // of what it makes
  CodecId codec;
  const std::optional<SegmentSource>& source;
};

Bytes ContextOf(const Place& place) {
  ByteWriter out;
  out.Raw(AsBytes(kPartContext)).U8(0).U8(static_cast<uint8_t>(place.kind));
  out.BigU64(place.offset).BigU64(place.length).Raw(place.sha256.view());
  out.Sized16(AsBytes(CodecName(place.codec)));
  if (place.source) out.Raw(place.source->sha256.view());
  return std::move(out).Take();
}

Bytes ContextOf(const SegmentTable& table, const Segment& segment) {
  return ContextOf({table.source() ? Kind::kDelta : Kind::kFull, segment.offset, segment.length,
                    segment.sha256, segment.codec, segment.source});
}

Bytes ContextOf(const Chunk& chunk, uint64_t offset) {
  return ContextOf(
      {Kind::kChunks, offset, chunk.length, chunk.sha256, CodecId::kZstd, std::nullopt});
}

Error NotOpened(const std::string& what) {
  return Error{Reason::kMismatch, what + " does not open under the release's key",
               "payload.sealed-data"};
}

Result<ByteView> Open(std::span<uint8_t> data, const Bytes& context, uint64_t offset,
                      const pki::ContentSeal* seal) {
  const std::string what = "the segment at " + std::to_string(offset);
  if (seal == nullptr)
    return Error{Reason::kMismatch, what + " is sealed, and there is no key", "payload.no-key"};
  const auto text = seal->OpenInPlace(data, context);
  if (!text) return NotOpened(what);
  return ByteView(*text);
}

Result<Bytes> ReadPart(File& in, uint64_t offset, uint64_t length, const Sha256Digest& sha256) {
  Bytes data(static_cast<size_t>(length));
  SP_TRY(const size_t size, in.ReadAt(offset, data));
  if (size != data.size() || pki::Sha256(data) != sha256)
    return Error{Reason::kMismatch, "the payload changed", "payload.data-digest"};
  return data;
}

}  // namespace

Result<SegmentTable> SealSegments(const SegmentTable& plain, File& in, File& out,
                                  const pki::ContentSeal& seal) {
  std::vector<Segment> segments = plain.segments();
  uint64_t written = 0;
  for (Segment& segment : segments) {
    const uint64_t offset = std::exchange(segment.data_offset, written);
    if (segment.data_length == 0) continue;
    SP_TRY(const Bytes data, ReadPart(in, offset, segment.data_length, segment.data_sha256));
    const Bytes box = seal.Seal(data, ContextOf(plain, segment));
    SP_TRY(out.WriteAt(written, box));
    segment.data_length = box.size();
    segment.data_sha256 = pki::Sha256(box);
    written += box.size();
  }
  return SegmentTable::Make(plain.image_length(), plain.image_sha256(), plain.segment_size(),
                            std::move(segments), plain.source(), PayloadForm::kSealed);
}

Result<ChunkTable> SealChunks(const ChunkTable& plain, File& in, File& out,
                              const pki::ContentSeal& seal) {
  std::vector<Chunk> chunks = plain.chunks();
  uint64_t read = 0;
  uint64_t written = 0;
  uint64_t offset = 0;
  for (Chunk& chunk : chunks) {
    SP_TRY(const Bytes data, ReadPart(in, read, chunk.data_length, chunk.data_sha256));
    const Bytes box = seal.Seal(data, ContextOf(chunk, offset));
    SP_TRY(out.WriteAt(written, box));
    chunk.data_length = static_cast<uint32_t>(box.size());
    chunk.data_sha256 = pki::Sha256(box);
    read += data.size();
    written += box.size();
    offset += chunk.length;
  }
  return ChunkTable::Make(plain.image_length(), plain.image_sha256(), std::move(chunks),
                          PayloadForm::kSealed);
}

Bytes SealIndex(ByteView index, const pki::ContentSeal& seal) {
  ByteWriter out;
  out.Raw(AsBytes(kMagic)).LittleU16(kVersion).LittleU16(0);
  out.Raw(seal.Seal(index, AsBytes(kIndexContext)));
  return std::move(out).Take();
}

Result<Bytes> OpenIndex(Bytes file, const pki::ContentSeal* seal) {
  const bool sealed = AsText(file).starts_with(kMagic);
  SP_TRY(CheckForm(sealed ? PayloadForm::kSealed : PayloadForm::kPlain, seal));
  if (!sealed) return file;
  ByteReader header(ByteView(file).subspan(kMagic.size()), "sealed index");
  const auto version = header.LittleU16();
  const auto reserved = header.LittleU16();
  if (!version || !reserved) return NotOpened("the index");
  if (*version != kVersion || *reserved != 0)
    return Error{Reason::kUnsupported, "version " + std::to_string(*version),
                 "payload.seal-version"};
  const auto text = seal->OpenInPlace(std::span(file).subspan(kHeaderSize), AsBytes(kIndexContext));
  if (!text) return NotOpened("the index");
  std::ranges::copy(*text, file.begin());
  file.resize(text->size());
  return file;
}

Result<Unit> CheckForm(PayloadForm form, const pki::ContentSeal* seal) {
  if (form == PayloadForm::kPlain && seal != nullptr)
    return Error{Reason::kMismatch, "the release says that it is sealed, its payload is not",
                 "payload.not-sealed"};
  if (form == PayloadForm::kSealed && seal == nullptr)
    return Error{Reason::kMismatch, "the payload is sealed, the release does not say so",
                 "payload.sealed"};
  return Unit{};
}

Result<ByteView> OpenSegment(const SegmentTable& table, const Segment& segment,
                             std::span<uint8_t> data, const pki::ContentSeal* seal) {
  if (table.form() == PayloadForm::kPlain || data.empty()) return ByteView(data);
  return Open(data, ContextOf(table, segment), segment.offset, seal);
}

Result<ByteView> OpenChunk(const ChunkTable& table, const Chunk& chunk, uint64_t offset,
                           std::span<uint8_t> data, const pki::ContentSeal* seal) {
  if (table.form() == PayloadForm::kPlain) return ByteView(data);
  return Open(data, ContextOf(chunk, offset), offset, seal);
}

}  // namespace sallyport::ota

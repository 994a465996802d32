#include "ota/install/image_writer.h"

#include <algorithm>

#include "ota/install/chunk_writer.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

// Chunks compress less well than segments: they must save one part in so many of the full payload.
constexpr uint64_t kChunksWorthwhile = 8;

class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(uint64_t length) : length_(length) {}
  Result<Unit> Write(ByteView bytes) override {
    SP_TRY(CheckRoom(held_.size(), bytes.size(), length_));
    Append(held_, bytes);
    return Unit{};
  }
  const Bytes& held() const { return held_; }
  Bytes Take() && { return std::move(held_); }

 private:
  const uint64_t length_;
  Bytes held_;
};

class DecodingSink final : public ByteSink {
 public:
  explicit DecodingSink(StreamDecoder& decoder) : decoder_(decoder) {}
  Result<Unit> Write(ByteView bytes) override { return decoder_.Feed(bytes); }

 private:
  StreamDecoder& decoder_;
};

class RunningSlot final : public SourceReader {
 public:
  explicit RunningSlot(File& file) : file_(file) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    SP_TRY(const size_t size, file_.ReadAt(offset, out));
    if (size != out.size()) return Error{Reason::kUnavailable, "the running slot ends early"};
    return Unit{};
  }

 private:
  File& file_;
};

// SegmentAt is the segment that holds `offset`; the number of segments at the end and for an offset
// that cannot come from us.
size_t SegmentAt(const SegmentTable& table, uint64_t offset) {
  return static_cast<size_t>(offset >= table.image_length() ? table.segments().size()
                                                            : offset / table.segment_size());
}

// SegmentEnd is the first segment that begins at or behind `offset`.
size_t SegmentEnd(const SegmentTable& table, uint64_t offset) {
  return SegmentAt(table, offset + table.segment_size() - 1);
}

uint64_t DataOffset(const SegmentTable& table, size_t segment) {
  return segment < table.segments().size() ? table.segments()[segment].data_offset
                                           : table.payload_length();
}

// IsOneSegments says whether an error concerns a segment, so that the next one may be better.
bool IsOneSegments(const Error& error) {
  return error.reason == Reason::kMismatch || error.reason == Reason::kMalformed;
}

}  // namespace

Result<Unit> ImageWriter::SlotWriter::Write(const Segment& segment, ByteView decoded) {
  auto written = WriteDurably(segment, decoded);
  failed_ = !written;
  return written;
}

Result<Unit> ImageWriter::SlotWriter::WriteDurably(const Segment& segment, ByteView decoded) {
  SP_TRY(parts_.target.WriteAt(segment.offset, decoded));
  pending_ += decoded.size();
  const uint64_t end = segment.offset + segment.length;
  origins_.Count(segment.codec == CodecId::kCopy ? Origin::kCopy : origin_, segment.length);
  parts_.progress(end, origins_);
  auto go_on = parts_.go_on ? parts_.go_on() : Ok();
  if (go_on && pending_ < parts_.checkpoint_bytes) return Unit{};
  SP_TRY(parts_.target.Sync());
  SP_TRY(parts_.checkpoint(end));
  pending_ = 0;
  return go_on;
}

ImageWriter::ImageWriter(ImageWriterParts parts) : parts_(std::move(parts)), writer_(parts_) {}

Result<Unit> ImageWriter::Write(uint64_t resume_offset) {
  const uint64_t at = resume_offset > parts_.facts.image_length ? 0 : resume_offset;
  const RemoteDelta* const delta = ChooseDelta();
  return delta == nullptr ? WriteWithoutDelta(at) : WriteByDelta(*delta, at);
}

const RemoteDelta* ImageWriter::ChooseDelta() const {
  if (parts_.running == nullptr || !parts_.running_release) return nullptr;
  const auto& deltas = parts_.facts.deltas;
  const auto found = std::ranges::find(deltas, *parts_.running_release, &RemoteDelta::from);
  return found == deltas.end() ? nullptr : &*found;
}

Result<Unit> ImageWriter::WriteByDelta(const RemoteDelta& delta, uint64_t at) {
  const uint64_t image_end = parts_.facts.image_length;
  const auto table =
      FetchIndex({delta.index, delta.payload}, SourceImage{delta.from_length, delta.from_sha256});
  if (!table && MayPass(table.error().reason)) return table.error();
  if (!table) return WriteWithoutDelta(at);
  RunningSlot old(*parts_.running);
  size_t next = SegmentAt(*table, at);
  while (true) {
    writer_.Expect(Origin::kDelta);
    const auto done = Run(*table, delta.payload, next, table->segments().size(), &old);
    if (done || writer_.failed() || MayPass(done.error().reason)) return done;
    if (next == table->segments().size()) return Unit{};  // every segment is verified and written
    const uint64_t begin = table->segments()[next].offset;
    if (!IsOneSegments(done.error())) return WriteWithoutDelta(begin);
    const uint64_t end = std::min(begin + table->segment_size(), image_end);
    SP_TRY(WriteInFull(begin, end));
    next = SegmentAt(*table, end);
    if (end == image_end) return Unit{};
  }
}

Result<Unit> ImageWriter::WriteWithoutDelta(uint64_t at) {
  if (parts_.running != nullptr && parts_.facts.chunks) {
    const auto done = WriteByChunks(at);
    if (done || writer_.failed() || MayPass(done.error().reason)) return done;
  }
  return WriteInFull(at, parts_.facts.image_length);
}

// `at` moves on with what was written, also when the rest has to come from elsewhere.
Result<Unit> ImageWriter::WriteByChunks(uint64_t& at) {
  SP_TRY(const Bytes index, FetchTable(parts_.facts.chunks->index, kChunkIndexSizeMax));
  SP_TRY(const ChunkTable table, ChunkTable::Parse(index));
  SP_TRY(CheckForm(table.form(), parts_.seal));
  const bool agrees = table.image_length() == parts_.facts.image_length &&
                      table.image_sha256() == parts_.facts.image_sha256 &&
                      table.payload_length() == parts_.facts.chunks->payload.length;
  if (!agrees || at >= table.image_length())
    return Error{Reason::kMismatch, "the chunks make another image", "install.index"};
  ChunkWriter chunks(
      {table, parts_.facts.chunks->payload, parts_.source, *parts_.running, writer_, parts_.seal});
  SP_TRY(const uint64_t missing, chunks.Scan(at));
  if (missing >= parts_.facts.payload.length / kChunksWorthwhile * (kChunksWorthwhile - 1))
    return Error{Reason::kMismatch, "the running slot has too few of the chunks",
                 "install.chunks-missing"};
  writer_.Expect(Origin::kChunks);
  auto done = chunks.Write(at);
  at = std::max(at, chunks.written());
  return done;
}

Result<Unit> ImageWriter::WriteInFull(uint64_t at, uint64_t end) {
  if (!full_) {
    SP_TRY(full_, FetchIndex({parts_.facts.index, parts_.facts.payload}, {}));
  }
  writer_.Expect(Origin::kFull);
  size_t next = SegmentAt(*full_, at);
  return Run(*full_, parts_.facts.payload, next, SegmentEnd(*full_, end), nullptr);
}

Result<Unit> ImageWriter::Run(const SegmentTable& table, const RemoteFile& payload, size_t& next,
                              size_t end, SourceReader* old) {
  StreamDecoder decoder(table, next, writer_, old, end, parts_.seal);
  DecodingSink sink(decoder);
  const auto run = [&]() -> Result<Unit> {
    const uint64_t start = decoder.payload_offset();
    const uint64_t stop = DataOffset(table, end);
    if (start < stop) SP_TRY(parts_.source.Fetch(payload, start, stop - start, sink));
    SP_TRY(CheckComplete(decoder.payload_offset(), stop));
    return decoder.Finish();
  };
  auto done = run();
  next = decoder.next();
  return done;
}

Result<Bytes> ImageWriter::FetchTable(const RemoteFile& file, uint64_t size_max) {
  if (file.length > size_max)
    return Error{Reason::kTooLarge, "index of the payload", "install.index-size"};
  MemorySink sink(file.length);
  SP_TRY(parts_.source.Fetch(file, 0, file.length, sink));
  SP_TRY(CheckComplete(sink.held().size(), file.length));
  if (pki::Sha256(sink.held()) != file.sha256)
    return Error{Reason::kMismatch, "the index is not the one that was signed", "install.index"};
  return OpenIndex(std::move(sink).Take(), parts_.seal);
}

Result<SegmentTable> ImageWriter::FetchIndex(const Files& files,
                                             const std::optional<SourceImage>& from) {
  SP_TRY(const Bytes index, FetchTable(files.index, kIndexSizeMax));
  SP_TRY(SegmentTable table, SegmentTable::Parse(index));
  SP_TRY(CheckForm(table.form(), parts_.seal));
  const bool agrees = table.image_length() == parts_.facts.image_length &&
                      table.image_sha256() == parts_.facts.image_sha256 &&
                      table.payload_length() == files.payload.length && table.source() == from;
  if (!agrees)
    return Error{Reason::kMismatch, "the index describes another image", "install.index"};
  return table;
}

}  // namespace sallyport::ota

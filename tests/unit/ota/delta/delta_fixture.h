// A pair of images as two builds of one product are: most blocks the same, some moved, some changed
// in many small places, some new, some gone.
#pragma once

#include "ota/delta/delta.h"
#include "ota/payload/stream_decoder.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {

inline std::unique_ptr<File> FileOf(MemoryFileSystem& files, const std::string& name,
                                    ByteView content) {
  auto file = *files.Open(name, OpenMode::kCreate);
  SP_CHECK(file->WriteAt(0, content).has_value());
  return file;
}

// BuiltAgain is `code` with an address changed every 24 bytes and a few bytes inserted.
inline Bytes BuiltAgain(const Bytes& code) {
  Bytes out(code.begin(), code.begin() + 1000);
  Append(out, AsBytes("a new function"));
  out.insert(out.end(), code.begin() + 1000, code.end());
  for (size_t i = 1500; i < out.size(); i += 24) out[i] = static_cast<uint8_t>(out[i] + 16);
  return out;
}

struct ImagePair {
  Bytes from;
  Bytes to;
};

inline ImagePair MakeImagePair() {
  const Bytes code = Noise(60000, 3);
  ImagePair pair;
  const auto add = [](Bytes& image, const Bytes& file) {
    Append(image, file);
    image.resize((image.size() + 4095) / 4096 * 4096);
  };
  add(pair.from, Noise(50000, 1));
  add(pair.from, code);
  add(pair.from, Bytes(40000));
  add(pair.from, Noise(70000, 2));
  add(pair.to, Noise(50000, 1));
  add(pair.to, Noise(9000, 4));
  add(pair.to, BuiltAgain(code));
  add(pair.to, Noise(70000, 2));
  add(pair.to, Bytes(50000));
  Append(pair.to, Noise(777, 5));
  return pair;
}

struct MadeDelta {
  SegmentTable table;
  Bytes payload;
};

inline MadeDelta MakeDeltaForTest(const Bytes& from, const Bytes& to, const DeltaOptions& options) {
  MemoryFileSystem files;
  const auto old = FileOf(files, "from", from);
  const auto fresh = FileOf(files, "to", to);
  const auto payload = *files.Open("payload", OpenMode::kCreate);
  auto table = MakeDelta(*old, *fresh, *payload, options);
  SP_CHECK(table.has_value());
  return {*std::move(table), *ReadFile(files, "payload", uint64_t{1} << 30)};
}

class BytesReader final : public SourceReader {
 public:
  explicit BytesReader(ByteView bytes) : bytes_(bytes) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return Error{Reason::kUnavailable, "beyond the end"};
    std::ranges::copy(bytes_.subspan(static_cast<size_t>(offset), out.size()), out.begin());
    return Unit{};
  }

 private:
  ByteView bytes_;
};

class BytesSink final : public SegmentSink {
 public:
  Result<Unit> Write(const Segment&, ByteView decoded) override {
    Append(image, decoded);
    return Unit{};
  }
  Bytes image;
};

}  // namespace sallyport::ota

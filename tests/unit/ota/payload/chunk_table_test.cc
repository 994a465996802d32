#include "ota/payload/chunk_table.h"

#include "ota/payload/codec.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

class ChunkTableTest : public ::testing::Test {
 protected:
  ChunkTable Pack(const Bytes& image) {
    const auto in = *files_.Open("image", OpenMode::kCreate);
    EXPECT_TRUE(in->WriteAt(0, image));
    const auto out = *files_.Open("payload", OpenMode::kCreate);
    return *PackChunks(*in, *out, {});
  }
  static std::string_view RuleOf(const Result<ChunkTable>& table) {
    return table ? "ok" : table.error().name();
  }
  static std::string_view Make(uint64_t length, std::vector<Chunk> chunks) {
    return RuleOf(ChunkTable::Make(length, pki::Sha256(Bytes()), std::move(chunks)));
  }
  MemoryFileSystem files_;
};

TEST_F(ChunkTableTest, DescribesAnImageAndItsPayload) {
  const Bytes image = Noise(3 << 20, 1);
  const ChunkTable table = Pack(image);
  const Bytes payload = *ReadFile(files_, "payload", 64 << 20);

  EXPECT_EQ(table.image_length(), image.size());
  EXPECT_EQ(table.image_sha256(), pki::Sha256(image));
  EXPECT_EQ(table.payload_length(), payload.size());
  CodecSet codecs;
  size_t at = 0;
  size_t data_at = 0;
  for (const Chunk& chunk : table.chunks()) {
    const ByteView data = ByteView(payload).subspan(data_at, chunk.data_length);
    Bytes decoded(chunk.length);
    ASSERT_EQ(pki::Sha256(data), chunk.data_sha256);
    ASSERT_TRUE(codecs.Decode(CodecId::kZstd, data, {}, decoded));
    ASSERT_TRUE(Equal(decoded, ByteView(image).subspan(at, chunk.length)));
    at += chunk.length;
    data_at += chunk.data_length;
  }
  EXPECT_EQ(at, image.size());
}

TEST_F(ChunkTableTest, ReadsWhatItWrites) {
  const ChunkTable table = Pack(Noise(1 << 20, 2));
  const auto again = ChunkTable::Parse(table.Encode());
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->chunks(), table.chunks());
  EXPECT_EQ(again->Encode(), table.Encode());
}

TEST_F(ChunkTableTest, RefusesEveryTruncationAndTrailingBytes) {
  Bytes index = Pack(Noise(200'000, 3)).Encode();
  for (size_t size = 0; size < index.size(); ++size)
    EXPECT_EQ(RuleOf(ChunkTable::Parse(ByteView(index).first(size))), "chunks.index") << size;
  index.push_back(0);
  EXPECT_EQ(RuleOf(ChunkTable::Parse(index)), "chunks.index");
}

TEST_F(ChunkTableTest, RefusesOtherFormats) {
  Bytes index = Pack(Noise(100'000, 4)).Encode();
  index[0] ^= 1;
  EXPECT_EQ(RuleOf(ChunkTable::Parse(index)), "chunks.index");
  index[0] ^= 1;
  index[4] = 2;
  EXPECT_EQ(RuleOf(ChunkTable::Parse(index)), "chunks.format");
}

TEST_F(ChunkTableTest, RefusesTablesThatLie) {
  const Sha256Digest digest = pki::Sha256(Bytes());
  const Chunk good{5000, digest, 100, digest};
  EXPECT_EQ(Make(10'000, {good, good}), "ok");
  EXPECT_EQ(Make(0, {}), "chunks.count");
  EXPECT_EQ(Make(9'999, {good, good}), "chunks.length");
  EXPECT_EQ(Make(5'000, {good, {0, digest, 1, digest}}), "chunks.length");
  EXPECT_EQ(Make(kChunkMax + 1, {{kChunkMax + 1, digest, 1, digest}}), "chunks.length");
  EXPECT_EQ(Make(5'000, {{5000, digest, 0, digest}}), "chunks.data-size");
  EXPECT_EQ(Make(5'000, {{5000, digest, 1u << 20, digest}}), "chunks.data-size");
  EXPECT_EQ(Make(kChunksMax + 1, std::vector<Chunk>(kChunksMax + 1, {1, digest, 1, digest})),
            "chunks.count");
}

TEST_F(ChunkTableTest, CutsAFileOnlyAsFarAsAsked) {
  const Bytes image = Noise(2 << 20, 5);
  const auto file = *files_.Open("image", OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(0, image));
  uint64_t seen = 0;
  ASSERT_TRUE(ForEachChunk(*file, 1'000'000, [&](uint64_t offset, ByteView chunk) {
    EXPECT_EQ(offset, seen);
    seen += chunk.size();
    return Ok();
  }));
  EXPECT_EQ(seen, 1'000'000u);
}

}  // namespace
}  // namespace sallyport::ota

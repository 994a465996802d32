// Updates by content-defined chunks: from any older image, at any place of it.
#include "ota/install/chunk_writer.h"

#include "ota/install/image_writer.h"
#include "ota/payload/sealing.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

// A slot in memory, with room for more than an image.
class Slot : public BlockTarget {
 public:
  Result<uint64_t> Size() override { return uint64_t{held.size()}; }
  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    if (left < bytes.size()) return Error{Reason::kUnavailable, "the power went away"};
    left -= bytes.size();
    std::ranges::copy(bytes, held.begin() + static_cast<ptrdiff_t>(offset));
    return Unit{};
  }
  Result<Unit> Sync() override { return Unit{}; }
  Result<Unit> DropCache() override { return Unit{}; }
  Result<Unit> ReadAt(uint64_t, std::span<uint8_t>) override { return Unit{}; }
  Bytes held = Bytes(8 << 20);
  uint64_t left = UINT64_MAX;
};

class Source final : public PayloadSource {
 public:
  Result<Unit> Fetch(const RemoteFile& file, uint64_t offset, uint64_t length,
                     ByteSink& sink) override {
    ++requests;
    fetched[file.path] += length;
    const Bytes& content = files.at(file.path);
    for (size_t at = offset; at < offset + length && at < content.size(); at += 10'000)
      SP_TRY(sink.Write(ByteView(content).subspan(
          at, std::min<size_t>({10'000, offset + length - at, content.size() - at}))));
    return Unit{};
  }
  std::map<std::string, Bytes> files;
  std::map<std::string, uint64_t> fetched;
  unsigned requests = 0;
};

class ChunkInstallTest : public ::testing::Test {
 protected:
  // The new image is the old one with something put in front and one part replaced.
  ChunkInstallTest() {
    old_ = Noise(3 << 20, 1);
    image_ = Noise(100'003, 2);
    Append(image_, old_);
    std::ranges::copy(Noise(150'000, 3), image_.begin() + (1 << 20));
    MemoryFileSystem files;
    const auto in = *files.Open("image", OpenMode::kCreate);
    EXPECT_TRUE(in->WriteAt(0, image_));
    const auto out = *files.Open("chunks", OpenMode::kCreate);
    const Bytes index = PackChunks(*in, *out, {})->Encode();
    const PackedImage full = PackForTest(image_, 1 << 20);
    source_.files = {{"chunks.index", index},
                     {"chunks.bin", *ReadFile(files, "chunks", 64 << 20)},
                     {"index.json", ToBytes(full.table.ToJson())},
                     {"payload.bin", full.payload}};
    Run(old_);
  }
  void Run(const Bytes& running) {
    running_ = *slots_.Open("running", OpenMode::kCreate);
    EXPECT_TRUE(running_->WriteAt(0, running));
  }
  RemoteFile Remote(const std::string& path) {
    return {path, source_.files.at(path).size(), pki::Sha256(source_.files.at(path))};
  }
  InstallFacts Facts() {
    return {.release = ReleaseDigest::FromArray({1}),
            .product = "edge-os",
            .version = "2",
            .rollback_index = 1,
            .security_floor = false,
            .image_length = image_.size(),
            .image_sha256 = pki::Sha256(image_),
            .uki = Remote("index.json"),
            .index = Remote("index.json"),
            .payload = Remote("payload.bin"),
            .chunks = RemoteChunks{Remote("chunks.index"), Remote("chunks.bin")}};
  }
  std::string_view Write(const InstallFacts& facts, uint64_t from = 0) {
    ImageWriter writer(
        {.facts = facts,
         .source = source_,
         .target = slot_,
         .running = running_.get(),
         .running_release = std::nullopt,
         .checkpoint_bytes = 256 * 1024,
         .checkpoint =
             [&](uint64_t durable) {
               durable_ = durable;
               return Ok();
             },
         .progress = [this](uint64_t, const ImageOrigins& origins) { origins_ = origins; },
         .seal = seal_});
    const auto written = writer.Write(from);
    return written ? "ok" : written.error().name();
  }
  std::string_view Write() { return Write(Facts()); }
  [[nodiscard]] bool Holds() const {
    return Equal(ByteView(slot_.held).first(image_.size()), image_);
  }
  uint64_t Fetched(const std::string& path) { return source_.fetched[path]; }

  Bytes old_;
  Bytes image_;
  MemoryFileSystem slots_;
  std::unique_ptr<File> running_;
  Slot slot_;
  Source source_;
  // SealFiles seals full payload and chunks as they stand in source_.
  void SealFiles(const pki::ContentSeal& seal) {
    const auto keep = [&](const char* index, const char* payload, Bytes table) {
      source_.files[index] = SealIndex(table, seal);
      source_.files[payload] = *ReadFile(slots_, "sealed", 64 << 20);
    };
    const auto in = *slots_.Open("chunks", OpenMode::kCreate);
    EXPECT_TRUE(in->WriteAt(0, source_.files["chunks.bin"]));
    const ChunkTable chunks = *SealChunks(*ChunkTable::Parse(source_.files["chunks.index"]), *in,
                                          **slots_.Open("sealed", OpenMode::kCreate), seal);
    keep("chunks.index", "chunks.bin", chunks.Encode());
    const auto full = *slots_.Open("full", OpenMode::kCreate);
    EXPECT_TRUE(full->WriteAt(0, source_.files["payload.bin"]));
    const SegmentTable segments =
        *SealSegments(*SegmentTable::Parse(source_.files["index.json"]), *full,
                      **slots_.Open("sealed", OpenMode::kCreate), seal);
    keep("index.json", "payload.bin", ToBytes(segments.ToJson()));
  }
  uint64_t durable_ = 0;
  ImageOrigins origins_;
  const pki::ContentSeal* seal_ = nullptr;
};

TEST_F(ChunkInstallTest, FetchesOnlyWhatTheRunningSlotDoesNotHave) {
  EXPECT_EQ(Write(), "ok");

  EXPECT_TRUE(Holds());
  EXPECT_EQ(Fetched("payload.bin"), 0u);
  EXPECT_LT(Fetched("chunks.bin"), image_.size() / 3);
  EXPECT_LE(source_.requests, 4u) << "neighbours come in one range";
  EXPECT_GT(origins_[Origin::kCopy].bytes, image_.size() / 2);
  EXPECT_GT(origins_[Origin::kChunks].bytes, 0u);
  EXPECT_EQ(origins_[Origin::kCopy].bytes + origins_[Origin::kChunks].bytes, image_.size());
}

TEST_F(ChunkInstallTest, TakesTheFullPayloadWhereTheRunningSlotHasNothing) {
  Run(Noise(3 << 20, 99));
  EXPECT_EQ(Write(), "ok");
  EXPECT_TRUE(Holds());
  EXPECT_EQ(Fetched("chunks.bin"), 0u);
}

TEST_F(ChunkInstallTest, TakesTheFullPayloadWithoutChunks) {
  InstallFacts facts = Facts();
  facts.chunks.reset();
  EXPECT_EQ(Write(facts), "ok");
  EXPECT_TRUE(Holds());
}

TEST_F(ChunkInstallTest, TakesTheRestFromTheFullPayloadWhenAChunkIsSpoiled) {
  source_.files["chunks.bin"].back() ^= 1;  // behind the last chunk that is missing
  source_.files["chunks.bin"][0] ^= 1;
  EXPECT_EQ(Write(), "ok");
  EXPECT_TRUE(Holds());
  EXPECT_GT(Fetched("payload.bin"), 0u);
}

TEST_F(ChunkInstallTest, TakesTheFullPayloadWhenTheChunksMakeAnotherImage) {
  InstallFacts facts = Facts();
  Bytes& index = source_.files["chunks.index"];
  index[16] ^= 1;  // the image's digest
  facts.chunks->index = Remote("chunks.index");
  EXPECT_EQ(Write(facts), "ok");
  EXPECT_TRUE(Holds());
  EXPECT_EQ(Fetched("chunks.bin"), 0u);
}

TEST_F(ChunkInstallTest, GoesOnAtACheckpoint) {
  slot_.left = 2 << 20;
  EXPECT_EQ(Write(), "unavailable");
  const uint64_t at = durable_;
  ASSERT_GT(at, 0u);
  slot_.left = UINT64_MAX;
  std::ranges::fill(std::span(slot_.held).subspan(static_cast<size_t>(at)), uint8_t{0});
  EXPECT_EQ(Write(Facts(), at), "ok");
  EXPECT_TRUE(Holds());
}

TEST_F(ChunkInstallTest, OpensSealedChunks) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  SealFiles(seal);
  seal_ = &seal;
  EXPECT_EQ(Write(), "ok");
  EXPECT_TRUE(Holds());
  EXPECT_EQ(Fetched("payload.bin"), 0u);
  EXPECT_LT(Fetched("chunks.bin"), image_.size() / 3);
}

TEST_F(ChunkInstallTest, TakesTheFullPayloadWhenSealedChunksAreSpoiledOrNotSealed) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  const Bytes plain = source_.files["chunks.index"];
  SealFiles(seal);
  seal_ = &seal;
  source_.files["chunks.bin"][0] ^= 1;
  EXPECT_EQ(Write(), "ok");
  EXPECT_TRUE(Holds());
  EXPECT_GT(Fetched("payload.bin"), 0u);
  source_.files["chunks.index"] = SealIndex(plain, seal);
  source_.fetched.clear();
  EXPECT_EQ(Write(), "ok");
  EXPECT_EQ(Fetched("chunks.bin"), 0u);
}

// The running slot changes between the scan and the copy.
TEST_F(ChunkInstallTest, FetchesWhatTheRunningSlotLostMeanwhile) {
  const ChunkTable table = *ChunkTable::Parse(source_.files["chunks.index"]);
  const RemoteFile payload = Remote("chunks.bin");
  class Sink final : public SegmentSink {
   public:
    Result<Unit> Write(const Segment& segment, ByteView decoded) override {
      EXPECT_EQ(segment.offset, held.size());
      Append(held, decoded);
      return Unit{};
    }
    Bytes held;
  } sink;
  ChunkWriter writer({table, payload, source_, *running_, sink});
  ASSERT_TRUE(writer.Scan(0));
  ASSERT_TRUE(running_->WriteAt(2 << 20, Noise(400'000, 5)));
  ASSERT_TRUE(writer.Write(0));
  EXPECT_EQ(sink.held, image_);
  EXPECT_EQ(writer.written(), image_.size());
}

}  // namespace
}  // namespace sallyport::ota

#include "tests/fakes/component_release.h"

#include "ota/payload/chunk_table.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/capsule_builder.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport {
namespace {

constexpr uint64_t kSegmentSize = 4096;

ota::RemoteFile Remote(const std::string& path, ByteView bytes) {
  return {path, bytes.size(), pki::Sha256(bytes)};
}

TestRelease With(TestRelease release, const std::string& name, Bytes content,
                 std::optional<ota::FirmwareVersion> firmware) {
  ota::InstallFacts facts = release.plan.facts();
  const std::string path = "releases/edge-os/" + facts.version + "/" + name;
  facts.components.push_back({name, Remote(path, content), std::move(firmware)});
  release.more[path] = std::move(content);
  release.plan = ota::InstallPlanForTest::Make(std::move(facts));
  return release;
}

}  // namespace

TestRelease WithFiles(TestRelease release, uint32_t seed) {
  const Bytes app = TestImage(3000, seed);
  const Bytes maps = TestImage(2500, 77);
  release = With(std::move(release), "app", app, std::nullopt);
  release = With(std::move(release), "maps", maps, std::nullopt);
  release.components = {{"app", app}, {"maps", maps}};
  return release;
}

Bytes CapsuleOf(uint32_t version) { return BuildCapsule(TestImage(2200, version)); }

TestRelease WithCapsule(TestRelease release, uint32_t version) {
  return With(std::move(release), "bios", CapsuleOf(version),
              ota::FirmwareVersion{std::string(kTestFirmwareClass), version});
}

TestRelease MakeChunkRelease(const std::string& version, const TestRelease& from) {
  TestRelease made = MakeTestRelease(version, 98);
  made.image = TestImage(3 * kSegmentSize + 10, 4712);
  // The slot has room for a little more than the old image.
  Append(made.image, ByteView(from.image).first(from.image.size() - 3 * kSegmentSize));
  const PackedImage full = PackForTest(made.image, kSegmentSize);
  made.payload = full.payload;
  made.index = full.table.ToJson();
  MemoryFileSystem files;
  const auto in = *files.Open("image", OpenMode::kCreate);
  const auto out = *files.Open("chunks", OpenMode::kCreate);
  SP_CHECK(in->WriteAt(0, made.image).has_value());
  const Bytes index = ota::PackChunks(*in, *out, {})->Encode();
  const Bytes chunks = *ReadFile(files, "chunks", uint64_t{1} << 30);
  ota::InstallFacts facts = made.plan.facts();
  facts.image_length = made.image.size();
  facts.image_sha256 = pki::Sha256(made.image);
  facts.index = Remote(facts.index.path, AsBytes(made.index));
  facts.payload = Remote(facts.payload.path, made.payload);
  const std::string base = "releases/edge-os/" + version + "/chunks";
  facts.chunks = ota::RemoteChunks{Remote(base + ".index", index), Remote(base + ".bin", chunks)};
  made.more = {{base + ".index", index}, {base + ".bin", chunks}};
  made.plan = ota::InstallPlanForTest::Make(std::move(facts));
  return made;
}

}  // namespace sallyport

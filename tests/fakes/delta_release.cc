#include "tests/fakes/delta_release.h"

#include "ota/delta/delta.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport {
namespace {

constexpr uint64_t kSegmentSize = 4096;
constexpr uint64_t kDeltaSegmentSize = 8192;

ota::RemoteFile Remote(const std::string& path, ByteView bytes) {
  return {path, bytes.size(), pki::Sha256(bytes)};
}

Bytes Changed(Bytes image) {
  for (size_t i = 50; i < image.size(); i += 2 * kSegmentSize) image[i] ^= 0x55;
  // One block is altogether new, so that the delta carries data of its own.
  const Bytes fresh = TestImage(kSegmentSize, 4711);
  std::ranges::copy(fresh, image.begin() + 8 * kSegmentSize);
  return image;
}

PackedImage Delta(const Bytes& from, const Bytes& to) {
  MemoryFileSystem files;
  const auto old = *files.Open("from", OpenMode::kCreate);
  const auto fresh = *files.Open("to", OpenMode::kCreate);
  SP_CHECK(old->WriteAt(0, from).has_value() && fresh->WriteAt(0, to).has_value());
  const auto payload = *files.Open("payload", OpenMode::kCreate);
  auto table = ota::MakeDelta(*old, *fresh, *payload, {.segment_size = kDeltaSegmentSize});
  SP_CHECK(table.has_value());
  return {*std::move(table), *ReadFile(files, "payload", uint64_t{1} << 30)};
}

}  // namespace

TestRelease MakeDeltaRelease(const std::string& version, const TestRelease& from) {
  const ota::InstallFacts& old = from.plan.facts();
  TestRelease made = MakeTestRelease(version, 99);
  made.image = Changed(from.image);
  const PackedImage full = PackForTest(made.image, kSegmentSize);
  made.payload = full.payload;
  made.index = full.table.ToJson();
  ota::InstallFacts facts = made.plan.facts();
  facts.image_length = made.image.size();
  facts.image_sha256 = pki::Sha256(made.image);
  facts.index = Remote(facts.index.path, AsBytes(made.index));
  facts.payload = Remote(facts.payload.path, made.payload);
  const PackedImage delta = Delta(from.image, made.image);
  const Bytes index = ToBytes(delta.table.ToJson());
  const std::string base = "releases/edge-os/" + version + "/delta-" + old.version;
  facts.deltas = {{old.release, from.image.size(), pki::Sha256(from.image),
                   Remote(base + ".json", index), Remote(base + ".bin", delta.payload)}};
  made.more = {{base + ".json", index}, {base + ".bin", delta.payload}};
  made.plan = ota::InstallPlanForTest::Make(std::move(facts));
  return made;
}

}  // namespace sallyport

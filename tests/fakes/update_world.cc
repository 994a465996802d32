#include "tests/fakes/update_world.h"

#include <algorithm>

#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport {
namespace {

constexpr uint64_t kSegmentSize = 4096;
constexpr size_t kServedChunk = 1000;
constexpr uint64_t kUkiMax = 1 << 20;
constexpr uint64_t kImageMax = 64 << 20;

ota::RemoteFile Remote(const std::string& path, ByteView bytes) {
  return {path, bytes.size(), pki::Sha256(bytes)};
}

class FileTarget final : public ota::BlockTarget {
 public:
  explicit FileTarget(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<uint64_t> Size() override { return file_->Size(); }
  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    return file_->WriteAt(offset, bytes);
  }
  Result<Unit> Sync() override { return file_->Sync(); }
  Result<Unit> DropCache() override { return file_->Sync(); }
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    SP_TRY(const size_t size, file_->ReadAt(offset, out));
    if (size != out.size()) return Error{Reason::kUnavailable, "the slot ends early"};
    return Unit{};
  }

 private:
  std::unique_ptr<File> file_;
};

}  // namespace

TestRelease MakeTestRelease(const std::string& version, uint32_t seed, uint64_t rollback_index,
                            bool security_floor, const TestSizes& sizes) {
  const Bytes image = TestImage(sizes.image, seed);
  const Bytes uki = TestImage(sizes.uki, seed + 1000);
  const PackedImage packed = PackForTest(image, kSegmentSize);
  const std::string index = packed.table.ToJson();
  const std::string base = "releases/edge-os/" + version + "/";
  ota::InstallFacts facts{ReleaseDigest::FromArray(pki::Sha256(AsBytes(version)).array()),
                          "edge-os",
                          version,
                          rollback_index,
                          security_floor,
                          image.size(),
                          pki::Sha256(image),
                          Remote(base + "uki.efi", uki),
                          Remote(base + "index.json", AsBytes(index)),
                          Remote(base + "payload.bin", packed.payload)};
  return {ota::InstallPlanForTest::Make(std::move(facts)), image, uki, index, packed.payload};
}

ReleaseSource::ReleaseSource(const TestRelease& release) {
  files_[release.plan.facts().uki.path] = release.uki;
  files_[release.plan.facts().index.path] = ToBytes(release.index);
  files_[release.plan.facts().payload.path] = release.payload;
  for (const auto& [path, bytes] : release.more) files_[path] = bytes;
}

Result<Unit> ReleaseSource::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                                  ota::ByteSink& sink) {
  const auto found = files_.find(file.path);
  if (found == files_.end()) return Error{Reason::kNotFound, file.path};
  const ByteView all = found->second;
  const size_t end = static_cast<size_t>(std::min<uint64_t>(all.size(), offset + length));
  for (size_t at = static_cast<size_t>(offset); at < end; at += kServedChunk) {
    const size_t size = std::min(kServedChunk, end - at);
    if (left_ < size) return Error{Reason::kUnavailable, "injected: the source broke off"};
    left_ -= left_ == UINT64_MAX ? 0 : size;
    served_ += size;
    SP_TRY(sink.Write(all.subspan(at, size)));
  }
  return Unit{};
}

Result<std::unique_ptr<ota::BlockTarget>> UpdateWorld::SlotOpener::Open(const std::string& path) {
  SP_TRY(std::unique_ptr<File> file, files_.Open(path, OpenMode::kReadWrite));
  return std::unique_ptr<ota::BlockTarget>(std::make_unique<FileTarget>(std::move(file)));
}

ota::InstallerConfig UpdateWorld::Config() const {
  return {{"slots/a", loader_->KernelImageOf(ota::Slot::kA)},
          {"slots/b", loader_->KernelImageOf(ota::Slot::kB)},
          "esp",
          3 * kSegmentSize,
          {{"app", {"apps/a", "apps/b"}}, {"maps", {"maps/a", "maps/b"}}},
          {"proc/meminfo", "proc/mountinfo", "power"}};
}

UpdateWorld::UpdateWorld(const TestRelease& installed, BootLoader loader)
    : loader_(BootLoaderModel::Make(loader, files_)),
      record_(files_, kRecordPath),
      firmware_(files_, loader == BootLoader::kSystemdBoot ? CapsuleOrder::kUpdatesFirst
                                                           : CapsuleOrder::kRemovesFirst),
      firmware_update_(files_, {"esp", "efivars", FirmwareModel::kTable}) {
  files_.WithoutJournal("esp/");
  const size_t slot_size = std::max(kSlotSize, installed.image.size() + kSegmentSize);
  Bytes slot = installed.image;
  slot.resize(slot_size);
  Store("slots/a", slot);
  Store("slots/b", Bytes(slot_size, 0xEE));
  const std::string uki = loader_->KernelImageOf(ota::Slot::kA);
  Store(uki, installed.uki);
  Store(uki + ".release", AsBytes(HexEncode(installed.plan.facts().release)));
  Store(loader_->KernelImageOf(ota::Slot::kB), Bytes(3000, 0xEE));
  for (const auto& [name, content] : installed.components) {
    Store(Config().components.at(name).slot_a, content);
    Store(Config().components.at(name).slot_b, Bytes(1500, 0xEE));
  }
  loader_->Provision();
  files_.Plant("proc/meminfo", AsBytes("MemTotal: 99999 kB\nMemAvailable:   65536 kB\n"));
  files_.Plant("proc/mountinfo", AsBytes("23 1 8:2 / / rw,relatime - ext4 /dev/root rw\n"));
  AddRelease(installed);
  SP_CHECK(PowerOn() == ota::Slot::kA);
}

void UpdateWorld::Store(const std::string& path, ByteView bytes) {
  SP_CHECK(WriteFileAtomically(files_, path, bytes).has_value());
}

void UpdateWorld::AddRelease(const TestRelease& release) {
  signed_ukis_[release.plan.facts().version] = release.uki;
}

ota::Installer UpdateWorld::MakeInstaller(ota::MonotonicFloor* floor, ota::FirmwareUpdate* firmware,
                                          ota::ContentKeySource* content_keys) {
  return ota::Installer(
      {files_, slots_, loader_->control(), record_, floor, firmware, content_keys}, Config());
}

bool UpdateWorld::Accepts(const std::string& path) {
  const auto uki = ReadFile(files_, path, kUkiMax);
  return uki && std::ranges::any_of(signed_ukis_, [&](const auto& signed_uki) {
           return signed_uki.second == *uki;
         });
}

std::optional<ota::Slot> UpdateWorld::PowerOn(PowerLoss loss, uint64_t seed) {
  while (true) {
    files_.Reboot(loss, seed);
    if (!firmware_.PowerOn()) {
      SP_CHECK(files_.cut());
      continue;
    }
    const auto slot = loader_->Boot([this](const std::string& path) { return Accepts(path); });
    if (slot) return *slot;
    SP_CHECK(files_.cut());
  }
}

bool UpdateWorld::HoldsRelease(ota::Slot slot, const TestRelease& release) {
  const ota::InstallerConfig config = Config();
  const ota::SlotPaths& paths = slot == ota::Slot::kA ? config.slot_a : config.slot_b;
  auto image = ReadFile(files_, paths.image, kImageMax);
  const auto entries = loader_->control().Entries(paths.uki);
  if (!image || !entries || entries->empty()) return false;
  image->resize(release.image.size());
  for (const auto& [name, content] : release.components) {
    const auto held = ReadFile(files_, config.components.at(name).Of(slot), kUkiMax);
    if (!held || *held != content) return false;
  }
  return *image == release.image && std::ranges::all_of(*entries, [&](const std::string& entry) {
    const auto uki = ReadFile(files_, entry, kUkiMax);
    return uki && *uki == release.uki;
  });
}

}  // namespace sallyport

#include "tests/fakes/update_world.h"

#include <algorithm>

#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport {
namespace {

constexpr const char* kVariables = "efivars";
constexpr const char* kGuid = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr size_t kUkiSize = 9000;
constexpr uint64_t kSegmentSize = 4096;
constexpr size_t kServedChunk = 1000;

ota::RemoteFile Remote(const std::string& path, ByteView bytes) {
  return {path, bytes.size(), pki::Sha256(bytes)};
}

constexpr ota::EfiPartition kEspPartition{1, 2048, 262144, {0x11, 0x22, 0x33}};

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

uint16_t Little16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) | bytes.at(at + 1) << 8);
}

// FileOfEntry takes the file path node out of an EFI_LOAD_OPTION: "\a\b" becomes "a/b".
std::string FileOfEntry(const Bytes& option) {
  size_t at = 6;
  while (Little16(option, at) != 0) at += 2;
  at += 2;
  while (option.at(at) != 0x7f) {
    const uint16_t size = Little16(option, at + 2);
    std::string path;
    if (option.at(at) == 4 && option.at(at + 1) == 4)
      for (size_t i = at + 4; i + 2 < at + size; i += 2) path += static_cast<char>(option.at(i));
    std::ranges::replace(path, '\\', '/');
    if (!path.empty()) return "esp" + path;
    at += size;
  }
  return "";
}

}  // namespace

TestRelease MakeTestRelease(const std::string& version, uint32_t seed, uint64_t rollback_index,
                            bool security_floor) {
  const Bytes image = TestImage(UpdateWorld::kImageSize, seed);
  const Bytes uki = TestImage(kUkiSize, seed + 1000);
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

ota::EfiBootConfig UpdateWorld::EfiConfig() {
  return {kVariables, {"Sallyport A", "\\sallyport\\a.efi"}, {"Sallyport B", "\\sallyport\\b.efi"}};
}

ota::InstallerConfig UpdateWorld::Config() {
  return {{"slots/a", "esp/sallyport/a.efi"},
          {"slots/b", "esp/sallyport/b.efi"},
          "esp",
          3 * kSegmentSize};
}

UpdateWorld::UpdateWorld(const TestRelease& installed)
    : boot_(files_, EfiConfig()), record_(files_, kRecordPath) {
  Bytes slot = installed.image;
  slot.resize(kSlotSize);
  Store("slots/a", slot);
  Store("slots/b", Bytes(kSlotSize, 0xEE));
  Store("esp/sallyport/a.efi", installed.uki);
  Store("esp/sallyport/a.efi.release", AsBytes(HexEncode(installed.plan.facts().release)));
  Store("esp/sallyport/b.efi", Bytes(3000, 0xEE));
  SP_CHECK(boot_.Provision(ota::Slot::kA, kEspPartition).has_value());
  SP_CHECK(boot_.MakeDefault(ota::Slot::kA).has_value());
  AddRelease(installed);
  SP_CHECK(PowerOn() == ota::Slot::kA);
}

void UpdateWorld::Store(const std::string& path, ByteView bytes) {
  SP_CHECK(WriteFileAtomically(files_, path, bytes).has_value());
}

void UpdateWorld::AddRelease(const TestRelease& release) {
  signed_ukis_[release.plan.facts().version] = release.uki;
}

ota::Installer UpdateWorld::MakeInstaller(ota::MonotonicFloor* floor) {
  return ota::Installer({files_, slots_, boot_, record_, floor}, Config());
}

Bytes UpdateWorld::Variable(const std::string& name) {
  const auto file = ReadFile(files_, std::string(kVariables) + "/" + name + kGuid, 65536);
  if (!file || file->size() < 4) return {};
  return Bytes(file->begin() + 4, file->end());
}

std::optional<ota::Slot> UpdateWorld::TryEntry(uint16_t entry) {
  char name[9];
  std::snprintf(name, sizeof name, "Boot%04X", entry);
  const Bytes option = Variable(name);
  if (option.empty()) return std::nullopt;
  const std::string path = FileOfEntry(option);
  const auto uki = ReadFile(files_, path, 1 << 20);
  const bool accepted = uki && std::ranges::any_of(signed_ukis_, [&](const auto& signed_uki) {
                          return signed_uki.second == *uki;
                        });
  if (!accepted) return std::nullopt;
  Store(std::string(kVariables) + "/BootCurrent" + kGuid,
        ByteWriter().LittleU32(6).LittleU16(entry).bytes());
  return path == Config().slot_a.uki ? ota::Slot::kA : ota::Slot::kB;
}

std::optional<ota::Slot> UpdateWorld::PowerOn(PowerLoss loss) {
  files_.Restart(loss);
  const Bytes next = Variable("BootNext");
  if (!next.empty()) {
    SP_CHECK(files_.Remove(std::string(kVariables) + "/BootNext" + kGuid).has_value());
    SP_CHECK(files_.SyncDirectory(kVariables).has_value());
    if (const auto slot = TryEntry(Little16(next, 0))) return slot;
  }
  const Bytes order = Variable("BootOrder");
  for (size_t i = 0; i + 1 < order.size(); i += 2)
    if (const auto slot = TryEntry(Little16(order, i))) return slot;
  return std::nullopt;
}

bool UpdateWorld::HoldsRelease(ota::Slot slot, const TestRelease& release) {
  const ota::SlotPaths paths = slot == ota::Slot::kA ? Config().slot_a : Config().slot_b;
  auto image = ReadFile(files_, paths.image, kSlotSize);
  const auto uki = ReadFile(files_, paths.uki, 1 << 20);
  if (!image || !uki) return false;
  image->resize(release.image.size());
  return *image == release.image && *uki == release.uki;
}

std::string UpdateWorld::BootOrder() {
  std::string out;
  const Bytes order = Variable("BootOrder");
  for (size_t i = 0; i + 1 < order.size(); i += 2) {
    char name[9];
    std::snprintf(name, sizeof name, "Boot%04X", Little16(order, i));
    out += FileOfEntry(Variable(name)) == Config().slot_a.uki ? "A" : "B";
  }
  return out;
}

}  // namespace sallyport

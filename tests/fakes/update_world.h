// UpdateWorld: a machine with two slots, an EFI system partition and a boot loader, all on a
// MemoryFileSystem whose power can be cut. The firmware refuses kernel images that no release has
// (Secure Boot).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/fakes/boot_loader_model.h"
#include "tests/fakes/firmware_model.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport {

// TestRelease is a release with everything a source must serve.
struct TestRelease {
  ota::InstallPlan plan;
  Bytes image;
  Bytes uki;
  std::string index;
  Bytes payload;
  std::map<std::string, Bytes> more = {};        // other files by path
  std::map<std::string, Bytes> components = {};  // files beside the image, by name
};
struct TestSizes {
  size_t image = 40 * 1024 + 100;
  size_t uki = 9000;
};
TestRelease MakeTestRelease(const std::string& version, uint32_t seed, uint64_t rollback_index = 1,
                            bool security_floor = false, const TestSizes& sizes = {});

// ReleaseSource serves one release in chunks; tests may spoil what it serves.
class ReleaseSource final : public ota::PayloadSource {
 public:
  explicit ReleaseSource(const TestRelease& release);
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;

  Bytes& File(const std::string& path) { return files_.at(path); }
  void Lose(const std::string& path) { files_.erase(path); }
  void Add(const std::string& path, Bytes content) { files_[path] = std::move(content); }
  // BreakOffAfter makes the source unreachable when that many bytes have been served.
  void BreakOffAfter(uint64_t bytes) { left_ = bytes; }
  uint64_t served() const { return served_; }

 private:
  std::map<std::string, Bytes> files_;
  uint64_t left_ = UINT64_MAX;
  uint64_t served_ = 0;
};

class UpdateWorld {
 public:
  static constexpr size_t kSlotSize = 64 * 1024;
  static constexpr size_t kImageSize = TestSizes{}.image;
  static constexpr const char* kRecordPath = "state/update";

  // Slot A runs `installed` and is the default; slot B holds old bytes that no release has. A slot
  // has room for an image of the size of `installed`.
  explicit UpdateWorld(const TestRelease& installed, BootLoader loader = BootLoader::kEfi);

  // AddRelease lets the firmware accept the release's kernel image.
  void AddRelease(const TestRelease& release);
  // PowerOn loses what the cut loses, lets the firmware choose, and returns the slot; nullopt when
  // nothing boots. A cut that falls into the firmware's own writes is a cut like any other.
  std::optional<ota::Slot> PowerOn(PowerLoss loss = PowerLoss::kAll, uint64_t seed = 0);
  // HoldsRelease says whether slot, kernel image and components are all exactly those of `release`.
  [[nodiscard]] bool HoldsRelease(ota::Slot slot, const TestRelease& release);
  // BootOrder lists the slots that boot without a trial, the default first.
  std::string BootOrder() { return loader_->Order(); }

  ota::Installer MakeInstaller(ota::MonotonicFloor* floor = nullptr,
                               ota::FirmwareUpdate* firmware = nullptr,
                               ota::ContentKeySource* content_keys = nullptr);
  ota::BootControl& boot() { return loader_->control(); }
  ota::RecordStore& record() { return record_; }
  FirmwareModel& firmware() { return firmware_; }
  // firmware_update is for MakeInstaller.
  ota::FirmwareUpdate& firmware_update() { return firmware_update_; }
  MemoryFileSystem& files() { return files_; }
  ota::InstallerConfig Config() const;

 private:
  class SlotOpener final : public ota::BlockTargetOpener {
   public:
    explicit SlotOpener(MemoryFileSystem& files) : files_(files) {}
    Result<std::unique_ptr<ota::BlockTarget>> Open(const std::string& path) override;

   private:
    MemoryFileSystem& files_;
  };
  void Store(const std::string& path, ByteView bytes);
  [[nodiscard]] bool Accepts(const std::string& path);

  MemoryFileSystem files_;
  SlotOpener slots_{files_};
  std::unique_ptr<BootLoaderModel> loader_;
  ota::RecordStore record_;
  FirmwareModel firmware_;
  ota::FirmwareUpdate firmware_update_;
  std::map<std::string, Bytes> signed_ukis_;
};

}  // namespace sallyport

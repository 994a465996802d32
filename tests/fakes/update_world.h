// UpdateWorld: a machine with two slots, an EFI system partition, EFI variables and a firmware that
// boots as UEFI 2.10 section 3.1 says, all on a MemoryFileSystem whose power can be cut. The
// firmware reads the variables with its own few lines, and refuses kernel images that no release
// has (Secure Boot).
#pragma once

#include <map>
#include <optional>
#include <string>

#include "ota/install/efi_boot_control.h"
#include "ota/install/installer.h"
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
  std::map<std::string, Bytes> more = {};  // other files by path
};
TestRelease MakeTestRelease(const std::string& version, uint32_t seed, uint64_t rollback_index = 1,
                            bool security_floor = false);

// ReleaseSource serves one release in chunks; tests may spoil what it serves.
class ReleaseSource final : public ota::PayloadSource {
 public:
  explicit ReleaseSource(const TestRelease& release);
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;

  Bytes& File(const std::string& path) { return files_.at(path); }
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
  static constexpr size_t kImageSize = 40 * 1024 + 100;
  static constexpr const char* kRecordPath = "state/update";

  // Slot A runs `installed`, the boot order is A, B; slot B holds old bytes that no release has.
  explicit UpdateWorld(const TestRelease& installed);

  // AddRelease lets the firmware accept the release's kernel image.
  void AddRelease(const TestRelease& release);
  // PowerOn loses what the cut loses, lets the firmware choose, and returns the slot; nullopt when
  // nothing boots.
  std::optional<ota::Slot> PowerOn(PowerLoss loss = PowerLoss::kAll);
  // HoldsRelease says whether slot and kernel image are both exactly those of `release`.
  [[nodiscard]] bool HoldsRelease(ota::Slot slot, const TestRelease& release);
  // BootOrder lists the slots of the boot order.
  std::string BootOrder();

  ota::Installer MakeInstaller(ota::MonotonicFloor* floor = nullptr);
  ota::EfiBootControl& boot() { return boot_; }
  ota::RecordStore& record() { return record_; }
  MemoryFileSystem& files() { return files_; }
  static ota::EfiBootConfig EfiConfig();
  static ota::InstallerConfig Config();

 private:
  class SlotOpener final : public ota::BlockTargetOpener {
   public:
    explicit SlotOpener(MemoryFileSystem& files) : files_(files) {}
    Result<std::unique_ptr<ota::BlockTarget>> Open(const std::string& path) override;

   private:
    MemoryFileSystem& files_;
  };
  void Store(const std::string& path, ByteView bytes);
  Bytes Variable(const std::string& name);
  std::optional<ota::Slot> TryEntry(uint16_t entry);

  MemoryFileSystem files_;
  SlotOpener slots_{files_};
  ota::EfiBootControl boot_;
  ota::RecordStore record_;
  std::map<std::string, Bytes> signed_ukis_;
};

}  // namespace sallyport

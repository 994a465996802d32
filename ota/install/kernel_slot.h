// KernelSlot: the running slot for boot loaders that leave no variable behind (U-Boot, GRUB). The
// word `sallyport.slot=a` or `=b` of the kernel's command line says it; without the word, the block
// device that holds the root file system, through device mapper if need be.
#pragma once

#include <string>
#include <string_view>

#include "ota/install/slot.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

struct KernelSlotConfig {
  std::string device_a;  // the kernel's name of slot A: mmcblk0p2
  std::string device_b;
  std::string command_line = "/proc/cmdline";
  std::string mounts = "/proc/self/mountinfo";
  std::string devices = "/sys/dev/block";
};

class KernelSlot {
 public:
  // Borrows `files`.
  KernelSlot(FileSystem& files, KernelSlotConfig config)
      : files_(files), config_(std::move(config)) {}

  // Find: kMalformed, slot.command-line, when the word is there and names no slot or is repeated;
  // kNotFound, slot.unknown, when neither says which slot runs.
  Result<Slot> Find();

 private:
  Result<Slot> OfDevice(const std::string& device, int depth);
  Result<Slot> OfRoot();

  FileSystem& files_;
  const KernelSlotConfig config_;
};

}  // namespace sallyport::ota

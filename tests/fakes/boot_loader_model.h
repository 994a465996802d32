// BootLoaderModel: what firmware and boot loader do between power-on and kernel, written from their
// documentation apart from the product's code, with every write going through a MemoryFileSystem
// whose power can be cut.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ota/install/boot_control.h"
#include "ota/install/installer.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport {

enum class BootLoader : uint8_t { kEfi, kSystemdBoot, kUBoot, kGrub };
inline constexpr BootLoader kBootLoaders[] = {BootLoader::kEfi, BootLoader::kSystemdBoot,
                                              BootLoader::kUBoot, BootLoader::kGrub};
std::string_view BootLoaderName(BootLoader loader);

class BootLoaderModel {
 public:
  // Accepts says whether the firmware starts the file: it is there, and signed.
  using Accepts = std::function<bool(const std::string& path)>;

  // Borrows `files`.
  static std::unique_ptr<BootLoaderModel> Make(BootLoader loader, MemoryFileSystem& files);
  virtual ~BootLoaderModel() = default;

  // Provision makes what a factory leaves behind: slot A is the default. The kernel images are
  // there already.
  virtual void Provision() = 0;
  virtual ota::BootControl& control() = 0;
  // KernelImageOf is the slot's path in the installer's configuration.
  virtual std::string KernelImageOf(ota::Slot slot) const = 0;
  // Boot chooses a slot; nullopt when nothing starts; an error when the power went away meanwhile.
  virtual Result<std::optional<ota::Slot>> Boot(const Accepts& accepts) = 0;
  // Order lists the slots that boot without a trial, the default first.
  virtual std::string Order() = 0;
};

}  // namespace sallyport

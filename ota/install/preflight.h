// Preflight: every constraint of an installation, looked at before the first byte of the target is
// changed. Each says which resource, what is needed and what is there; the same list is printed by
// `sallyport-agent update preflight`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/install/block_target.h"
#include "ota/install/boot_control.h"
#include "ota/install/install_plan.h"
#include "ota/install/state_record.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// What the agent may take while it installs (docs/architecture.md, budgets).
inline constexpr uint64_t kInstallMemory = 40u << 20;
// A trial costs two boots and the installation its minutes; below this a battery may not last.
inline constexpr unsigned kBatteryPercentMin = 30;
// Directory entries and the last clusters of the files on the EFI system partition.
inline constexpr uint64_t kEspSlack = 64 * 1024;
// The record itself, its temporary copy, and a file system's own blocks.
inline constexpr uint64_t kRecordSpace = 64 * 1024;

// `uki` stands below the mounted EFI system partition; beside it `<uki>.release` names the release
// in hex.
struct SlotPaths {
  std::string image;  // block device or file
  std::string uki;
};

// Where the kernel describes the machine.
struct MachineFiles {
  std::string memory = "/proc/meminfo";
  std::string mounts = "/proc/self/mountinfo";
  std::string power = "/sys/class/power_supply";
};

// PreflightNeeds are the sizes of a release; zero is a release that is not known yet.
struct PreflightNeeds {
  uint64_t image_length = 0;
  uint64_t esp_length = 0;  // kernel image, and the firmware that is staged beside it
};

struct PreflightCheck {
  std::string resource;  // slot, esp-space, esp-directory, esp-mount, state-space, state-mount,
                         // memory, boot-loader, power, component, firmware
  std::string need;
  std::string have;
  std::optional<Error> failure;  // its detail names resource, need and have
};

// PreflightSubject is borrowed for the call.
struct PreflightSubject {
  FileSystem& files;
  BlockTargetOpener& slots;
  BootControl& boot;
  const std::string& record;
  const SlotPaths& target;
  const std::string& esp;
  const MachineFiles& machine;
  PreflightNeeds needs;
};

// RunPreflight changes nothing and makes every check, also behind one that failed. Failures:
// kNoSpace with install.slot-size, install.esp-space, install.esp-directory (entries or name
// length), install.record-space; kUnavailable, which may pass, with install.read-only,
// install.memory, install.power; those of opening the slot (slot.in-use) and of BootControl::Check.
std::vector<PreflightCheck> RunPreflight(const PreflightSubject& subject);
// FirstFailure is what an installation returns.
Result<Unit> FirstFailure(const std::vector<PreflightCheck>& checks);
// ComponentCheck says what was found for one component of a release.
PreflightCheck ComponentCheck(const RemoteComponent& component, const Result<Unit>& found);
// DescribePreflight renders the checks for people, or as one JSON object. `release` is the title of
// the one whose sizes were checked; empty: none is known (preflight.no-release), and sizes counted
// as zero.
std::string DescribePreflight(const std::vector<PreflightCheck>& checks, std::string_view release,
                              bool json);

}  // namespace sallyport::ota

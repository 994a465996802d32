// VirtualNode: an edge node in a directory. Everything the agent touches is real but the machine
// below it: a software TPM, an EFI system partition and EFI variables as directories, two slots as
// files.
//
//   node.json   tpm/   efivars/   esp/EFI/sallyport/{a,b}.efi   slot-{a,b}.img
//   run/binary_bios_measurements run/binary_runtime_measurements state/ (the agent's)
//   ek-{p256,rsa2048}.der   hardware.yaml (the part of agent.yaml that names all these) agent.yaml
//   and enrolment.json are put there by whoever enrols the node.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/install/efi_boot_control.h"
#include "pki/base/time.h"
#include "tests/node/vendor_ca.h"
#include "tests/node/virtual_firmware.h"

namespace sallyport::node {

using ota::Slot;
using ota::SlotName;
// The boot entry of a slot is also its number: Boot0000 and Boot0001.
constexpr uint16_t BootEntryOf(Slot slot) { return static_cast<uint16_t>(slot); }

struct NodeSpec {
  std::string name;
  uint64_t slot_bytes;
  std::string vendor_dir;  // VendorCa::Save
  std::string uki;         // copied into slot A
  std::string image;       // copied into slot A
  std::string release;  // the release.json that UKI and image are of; empty when they are of none
  Duration watchdog;    // how long a hung kernel runs before the node resets
};

// What became of one power-on.
enum class BootOutcome : uint8_t {
  kRunning,   // the slot's system is up: its agent may start
  kNoImage,   // no boot entry started anything
  kPanicked,  // the kernel refused its slot image or was made to panic
  kHung,      // the kernel is up and does nothing
};

struct BootReport {
  BootOutcome outcome;
  std::optional<Slot> slot;           // from BootCurrent; nothing for kNoImage
  std::vector<std::string> refusals;  // boot entries that did not start, and why
  std::string detail;                 // why the kernel panicked
};

// VirtualNode owns the TPM's process. One thread at a time; see ChildProcess about threads.
class VirtualNode {
 public:
  // Create makes the directory and leaves the node off. kAlreadyExists when `dir` holds a node;
  // kNoSpace when the image is larger than a slot.
  static Result<std::vector<EndorsementKey>> Create(const std::string& dir, const NodeSpec& spec,
                                                    UnixTime now, Random& random);
  static Result<VirtualNode> Open(const std::string& dir);

  // PowerOn runs from power-on to a running kernel, with a TPM reset when the TPM was on.
  Result<BootReport> PowerOn(Random& random);
  // CutPower ends the TPM at once; PowerOff shuts it down in order.
  void CutPower();
  void PowerOff();

  // RunFile is a program of this content that starts on the running node: its kernel lists it.
  Result<Unit> RunFile(const std::string& file, std::string_view content);

  // Tamper flips one bit of the image that BootOrder starts first; a second call flips it back.
  Result<Unit> Tamper();
  // SwapTpm puts a new TPM of the same vendor into the node, which must be off.
  Result<Unit> SwapTpm(UnixTime now, Random& random);

  const std::string& dir() const { return dir_; }
  const std::string& name() const { return name_; }
  Duration watchdog() const { return watchdog_; }
  // tcti and the TPM are valid while the node is on.
  SwTpm* tpm() { return tpm_ ? &*tpm_ : nullptr; }
  std::string EventLogPath() const { return dir_ + "/run/binary_bios_measurements"; }
  std::string ImaListPath() const { return dir_ + "/run/binary_runtime_measurements"; }
  std::string EfiVariablesDir() const { return dir_ + "/efivars"; }
  // BootConfig names the boot entries as the agent's boot control knows them.
  ota::EfiBootConfig BootConfig() const { return {.variables = EfiVariablesDir()}; }
  std::string UkiPath(Slot slot) const;
  std::string SlotPath(Slot slot) const;

 private:
  explicit VirtualNode(std::string dir) : dir_(std::move(dir)) {}
  Result<Unit> LoadConfig();
  FirmwareConfig Firmware() const;
  Result<BootReport> StartKernel(const BootedImage& image);
  Result<Unit> CheckSlotImage(Slot slot, std::string_view cmdline);

  std::string dir_;
  std::string name_;
  std::string vendor_dir_;
  uint64_t slot_bytes_ = 0;
  Duration watchdog_{};
  PosixFileSystem files_;
  std::optional<SwTpm> tpm_;
};

}  // namespace sallyport::node

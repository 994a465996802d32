// The virtual node's firmware, boot stub and kernel stub: which image starts, and what they measure
// on the way. It follows what OVMF 2022.11, systemd-stub 252 and Linux 6.1 were seen to do
// (docs/architecture.md, "The virtual node"); tests compare it with logs of real boots. Secure Boot
// is on when there is a PK variable; then an image starts when db lists its hash and dbx does not.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pki/base/random.h"
#include "tests/node/measured_log.h"
#include "tests/node/partition_table.h"

namespace sallyport::node {

inline constexpr uint64_t kImageBytesMax = 64 << 20;  // UKIs of virtual nodes are below 1 MiB

struct FirmwareConfig {
  std::string efivars_dir;
  std::string esp_dir;
  std::string version;  // of the firmware itself: another version has other PCR 0 values
  Disk disk;
};

struct BootedImage {
  uint16_t entry;    // BootCurrent
  std::string path;  // of the UKI, in the host's file system
  std::string cmdline;
};

struct FirmwareResult {
  Bytes event_log;
  std::optional<BootedImage> image;  // nothing when no entry starts: the node stays in its firmware
  std::vector<std::string> refusals;  // one sentence per entry that was tried and did not start
};

// RunFirmware boots: BootNext once, then BootOrder, falling through entries that are missing,
// inactive or do not start. The TPM must have been powered on just before; its platform hierarchy
// is locked afterwards. kUnavailable when the TPM or the variables fail.
Result<FirmwareResult> RunFirmware(const FirmwareConfig& config, FileSystem& files, EsysTpm& tpm,
                                   Random& random);

}  // namespace sallyport::node

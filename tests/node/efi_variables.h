// EFI variables as Linux shows them (efivarfs: one file per variable, u32 attributes, then the
// data), and the load options that some of them hold (UEFI 2.10, sections 3.1.3, 3.3 and 10.3).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "pki/base/file_system.h"

namespace sallyport::node {

using Guid = std::array<uint8_t, 16>;  // as stored: the first three fields little-endian

// "8be4df61-93ca-11d2-aa0d-00e098032b8c" and the image security database's GUID.
inline constexpr Guid kGlobalVariable{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                      0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
inline constexpr Guid kImageSecurity{0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                     0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f};
inline constexpr uint32_t kVolatile = 6;     // boot services, runtime
inline constexpr uint32_t kNonVolatile = 7;  // and kept without power
inline constexpr uint64_t kVariableBytesMax = 64 << 10;

// Utf16 writes ASCII as UTF-16LE, without a terminator.
Bytes Utf16(std::string_view ascii);
std::string GuidText(const Guid& guid);

// EfiVariables is a directory of variables, by default of the global GUID. One thread at a time.
class EfiVariables {
 public:
  EfiVariables(FileSystem& files, std::string dir) : files_(files), dir_(std::move(dir)) {}
  // Get returns the data, or nothing when the variable is missing or too short to hold attributes.
  std::optional<Bytes> Get(const std::string& name, const Guid& guid = kGlobalVariable) const;
  Result<Unit> Set(const std::string& name, uint32_t attributes, ByteView data,
                   const Guid& guid = kGlobalVariable);
  Result<Unit> Delete(const std::string& name);
  // GetU16s reads a list of boot entry numbers; empty when missing or of odd size.
  std::vector<uint16_t> GetU16s(const std::string& name) const;
  Result<Unit> SetU16s(const std::string& name, uint32_t attributes,
                       const std::vector<uint16_t>& values);

 private:
  std::string Path(const std::string& name, const Guid& guid = kGlobalVariable) const {
    return dir_ + "/" + name + "-" + GuidText(guid);
  }
  FileSystem& files_;
  std::string dir_;
};

// BootEntryName is "Boot" and four upper-case hex digits.
std::string BootEntryName(uint16_t number);

struct LoadOption {
  bool active;
  std::string file;  // below the EFI system partition, with '/' between names
  Bytes device_path;
};

// ParseLoadOption: kMalformed; kNotFound when the device path names no file. Firmware skips such an
// entry.
Result<LoadOption> ParseLoadOption(ByteView data);

}  // namespace sallyport::node

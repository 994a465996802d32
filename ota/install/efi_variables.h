// EfiVariableStore: EFI variables as files `Name-GUID` holding {u32 attributes, data}, as Linux
// efivarfs shows them (UEFI 2.10, 8.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/file_system.h"

namespace sallyport::ota {

// EFI_GLOBAL_VARIABLE; systemd's boot loader interface.
inline constexpr std::string_view kEfiGlobalGuid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
inline constexpr std::string_view kLoaderGuid = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

// Errors: kMalformed with efi.variable (a variable is not as the specification says), kMismatch
// with efi.read-back. One thread at a time.
class EfiVariableStore {
 public:
  // Borrows `files`.
  EfiVariableStore(FileSystem& files, std::string directory, std::string_view guid)
      : files_(files), directory_(std::move(directory)), guid_(guid) {}

  // Read returns the data without the attributes.
  Result<std::optional<Bytes>> Read(const std::string& name);
  // Write is durable and read back.
  Result<Unit> Write(const std::string& name, ByteView data);
  // Delete does nothing when there is no such variable.
  Result<Unit> Delete(const std::string& name);
  // Names lists the variables of this GUID.
  Result<std::vector<std::string>> Names();
  // CheckWritable fails as a write of the existing variable `name` would; it changes no variable.
  Result<Unit> CheckWritable(const std::string& name);

 private:
  std::string Path(const std::string& name) const;

  FileSystem& files_;
  const std::string directory_;
  const std::string guid_;
};

// Text of variables and load options: UTF-16, NUL-terminated. AppendUtf16 aborts unless `text` is
// printable ASCII; ReadUtf16 takes text up to its NUL, nullopt unless it is printable ASCII.
void AppendUtf16(ByteWriter& out, std::string_view text);
std::optional<std::string> ReadUtf16(ByteReader& reader);
Error BadEfiVariable(const std::string& name);

}  // namespace sallyport::ota

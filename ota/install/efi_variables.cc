#include "ota/install/efi_variables.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sallyport::ota {
namespace {

constexpr uint32_t kAttributes = 7;  // non-volatile, boot services, run time
constexpr size_t kAttributesSize = 4;
// UEFI sets no limit; firmware stores variables of some 32 KiB at most.
constexpr uint64_t kVariableSizeMax = 64 * 1024;

// Linux makes variables that it does not know immutable against careless removal; those of systemd
// are among them (kernel documentation, efivarfs). What this cannot change fails in the write.
void Unlock(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  unsigned flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0) {
    flags &= ~static_cast<unsigned>(FS_IMMUTABLE_FL);
    static_cast<void>(::ioctl(fd, FS_IOC_SETFLAGS, &flags));
  }
  ::close(fd);
}

}  // namespace

void AppendUtf16(ByteWriter& out, std::string_view text) {
  for (const char c : text) {
    SP_CHECK(c >= 0x20 && c < 0x7f);
    out.LittleU16(static_cast<uint8_t>(c));
  }
  out.LittleU16(0);
}

std::optional<std::string> ReadUtf16(ByteReader& reader) {
  std::string text;
  while (true) {
    const auto unit = reader.LittleU16();
    if (!unit) return std::nullopt;
    if (*unit == 0) return text;
    if (*unit < 0x20 || *unit >= 0x7f) return std::nullopt;
    text += static_cast<char>(*unit);
  }
}

Error BadEfiVariable(const std::string& name) {
  return Error{Reason::kMalformed, "EFI variable " + name, "efi.variable"};
}

std::string EfiVariableStore::Path(const std::string& name) const {
  return directory_ + "/" + name + "-" + guid_;
}

// An empty file is a variable whose creation was cut off: it does not exist for the firmware.
Result<std::optional<Bytes>> EfiVariableStore::Read(const std::string& name) {
  auto file = ReadFile(files_, Path(name), kVariableSizeMax);
  if (!file && file.error().reason == Reason::kNotFound) return std::optional<Bytes>();
  if (!file) return std::move(file).error();
  if (file->empty()) return std::optional<Bytes>();
  if (file->size() <= kAttributesSize) return BadEfiVariable(name);
  return std::optional<Bytes>(Bytes(file->begin() + kAttributesSize, file->end()));
}

// A plain directory can replace a file atomically. efivarfs refuses any name that is no variable's,
// wants the whole variable in one write, has no fsync and writes through. A variable that keeps its
// size is overwritten in place.
Result<Unit> EfiVariableStore::Write(const std::string& name, ByteView data) {
  SP_TRY(const std::optional<Bytes> held, Read(name));
  Unlock(Path(name));
  const bool in_place = held && held->size() == data.size();
  const Bytes variable = ByteWriter().LittleU32(kAttributes).Raw(data).bytes();
  if (in_place || !WriteFileAtomically(files_, Path(name), variable)) {
    SP_TRY(const auto file,
           files_.Open(Path(name), in_place ? OpenMode::kReadWrite : OpenMode::kCreate));
    SP_TRY(file->WriteAt(0, variable));
    static_cast<void>(file->Sync().has_value());
    SP_TRY(files_.SyncDirectory(directory_));
  }
  SP_TRY(const std::optional<Bytes> written, Read(name));
  if (!written || !Equal(*written, data))
    return Error{Reason::kMismatch, "EFI variable " + name + " does not read back",
                 "efi.read-back"};
  return Unit{};
}

Result<Unit> EfiVariableStore::Delete(const std::string& name) {
  Unlock(Path(name));
  SP_TRY(RemoveIfThere(files_, Path(name)));
  return files_.SyncDirectory(directory_);
}

Result<std::vector<std::string>> EfiVariableStore::Names() {
  SP_TRY(const std::vector<std::string> files, files_.List(directory_));
  const std::string end = "-" + guid_;
  std::vector<std::string> out;
  for (const std::string& file : files)
    if (file.ends_with(end)) out.push_back(file.substr(0, file.size() - end.size()));
  return out;
}

Result<Unit> EfiVariableStore::CheckWritable(const std::string& name) {
  Unlock(Path(name));
  auto file = files_.Open(Path(name), OpenMode::kReadWrite);
  if (!file && file.error().reason != Reason::kNotFound) return std::move(file).error();
  return Unit{};
}

}  // namespace sallyport::ota

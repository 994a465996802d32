#include "ota/install/efi_boot_control.h"

#include <algorithm>
#include <charconv>

namespace sallyport::ota {
namespace {

constexpr std::string_view kGlobalGuid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr uint32_t kAttributes = 7;  // non-volatile, boot services, run time
constexpr size_t kAttributesSize = 4;
constexpr uint32_t kLoadOptionActive = 1;
// UEFI sets no limit; firmware stores variables of some 32 KiB at most.
constexpr uint64_t kVariableSizeMax = 64 * 1024;
constexpr uint32_t kEntryNumbers = 0x10000;
// Device path nodes (UEFI 2.10, 10.3).
constexpr size_t kNodeHeaderSize = 4;
constexpr uint8_t kMediaNode = 4;
constexpr uint8_t kFileNode = 4;
constexpr uint8_t kEndNode = 0x7f;

void AppendUtf16(ByteWriter& out, const std::string& text) {
  for (const char c : text) {
    SP_CHECK(c >= 0x20 && c < 0x7f);
    out.LittleU16(static_cast<uint8_t>(c));
  }
  out.LittleU16(0);
}

// UEFI 2.10, 10.3.5.1: hard drive media device path, GPT, short form.
void AppendPartition(ByteWriter& out, const EfiPartition& partition) {
  constexpr uint16_t kSize = 42;
  out.U8(4).U8(1).LittleU16(kSize).LittleU32(partition.number).LittleU64(partition.start_lba);
  out.LittleU64(partition.size_lba).Raw(partition.guid).U8(2).U8(2);
}

// UEFI 2.10, 10.3.5.4: file path media device path.
void AppendFile(ByteWriter& out, const std::string& file) {
  out.U8(4).U8(4).LittleU16(static_cast<uint16_t>(4 + 2 * (file.size() + 1)));
  AppendUtf16(out, file);
}

Error BadVariable(const std::string& name) {
  return Error{Reason::kMalformed, "EFI variable " + name, "efi.variable"};
}

std::string EntryName(uint16_t number) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string name = "Boot";
  for (int shift = 12; shift >= 0; shift -= 4) name += kDigits[(number >> shift) & 0xf];
  return name;
}

// ParseEntryName takes file names such as Boot001F-8be4...
std::optional<uint16_t> ParseEntryName(std::string_view file) {
  constexpr size_t kNameSize = 8;
  if (file.size() != kNameSize + 1 + kGlobalGuid.size() || !file.starts_with("Boot"))
    return std::nullopt;
  if (file[kNameSize] != '-' || file.substr(kNameSize + 1) != kGlobalGuid) return std::nullopt;
  uint16_t number = 0;
  const char* const end = file.data() + kNameSize;
  const auto parsed = std::from_chars(file.data() + 4, end, number, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

Bytes Little16(uint16_t value) { return ByteWriter().LittleU16(value).bytes(); }

// ReadUtf16 takes text up to its NUL; nullopt unless it is printable ASCII.
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

// ReadFilePath finds the one file path node of a device path.
std::optional<std::string> ReadFilePath(ByteReader& path) {
  std::optional<std::string> file;
  while (path.remaining() > 0) {
    const auto type = path.U8();
    const auto subtype = path.U8();
    const auto size = path.LittleU16();
    if (!type || !subtype || !size || *size < kNodeHeaderSize) return std::nullopt;
    const auto body = path.Take(*size - kNodeHeaderSize);
    if (!body) return std::nullopt;
    if (*type == kEndNode) return path.remaining() == 0 ? file : std::nullopt;
    if (*type != kMediaNode || *subtype != kFileNode) continue;
    ByteReader text(*body, "file path");
    if (file) return std::nullopt;
    file = ReadUtf16(text);
    if (!file) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

// UEFI 2.10, 3.1.3: EFI_LOAD_OPTION.
Bytes EfiLoadOption::Encode(const EfiPartition& partition) const {
  ByteWriter path;
  AppendPartition(path, partition);
  AppendFile(path, file);
  path.U8(0x7f).U8(0xff).LittleU16(4);
  ByteWriter out;
  out.LittleU32(kLoadOptionActive).LittleU16(static_cast<uint16_t>(path.bytes().size()));
  AppendUtf16(out, description);
  out.Raw(path.bytes());
  return std::move(out).Take();
}

std::optional<EfiLoadOption> EfiLoadOption::Decode(ByteView data) {
  ByteReader reader(data, "load option");
  const auto attributes = reader.LittleU32();
  const auto path_size = reader.LittleU16();
  if (!attributes || !path_size) return std::nullopt;
  const auto description = ReadUtf16(reader);
  const auto path_bytes = reader.Take(*path_size);
  if (!description || !path_bytes) return std::nullopt;
  ByteReader path(*path_bytes, "device path");
  const auto file = ReadFilePath(path);
  if (!file) return std::nullopt;
  return EfiLoadOption{*description, *file};
}

EfiBootControl::EfiBootControl(FileSystem& files, EfiBootConfig config)
    : files_(files), config_(std::move(config)) {}

std::string EfiBootControl::Path(const std::string& name) const {
  return config_.variables + "/" + name + "-" + std::string(kGlobalGuid);
}

// An empty file is a variable whose creation was cut off: it does not exist for the firmware.
Result<std::optional<Bytes>> EfiBootControl::Read(const std::string& name) {
  auto file = ReadFile(files_, Path(name), kVariableSizeMax);
  if (!file && file.error().reason == Reason::kNotFound) return std::optional<Bytes>();
  if (!file) return std::move(file).error();
  if (file->empty()) return std::optional<Bytes>();
  if (file->size() <= kAttributesSize) return BadVariable(name);
  return std::optional<Bytes>(Bytes(file->begin() + kAttributesSize, file->end()));
}

// A plain directory can replace a file atomically. efivarfs refuses any name that is no variable's,
// wants the whole variable in one write, has no fsync and writes through. A variable that keeps its
// size is overwritten in place.
Result<Unit> EfiBootControl::Write(const std::string& name, ByteView data) {
  SP_TRY(const std::optional<Bytes> held, Read(name));
  const bool in_place = held && held->size() == data.size();
  const Bytes variable = ByteWriter().LittleU32(kAttributes).Raw(data).bytes();
  if (in_place || !WriteFileAtomically(files_, Path(name), variable)) {
    SP_TRY(const auto file,
           files_.Open(Path(name), in_place ? OpenMode::kReadWrite : OpenMode::kCreate));
    SP_TRY(file->WriteAt(0, variable));
    static_cast<void>(file->Sync().has_value());
    SP_TRY(files_.SyncDirectory(config_.variables));
  }
  SP_TRY(const std::optional<Bytes> written, Read(name));
  if (!written || !Equal(*written, data))
    return Error{Reason::kMismatch, "EFI variable " + name + " does not read back",
                 "efi.read-back"};
  return Unit{};
}

Result<Unit> EfiBootControl::Delete(const std::string& name) {
  const auto removed = files_.Remove(Path(name));
  if (!removed && removed.error().reason != Reason::kNotFound) return removed;
  return files_.SyncDirectory(config_.variables);
}

Result<std::optional<uint16_t>> EfiBootControl::ReadNumber(const std::string& name) {
  SP_TRY(const std::optional<Bytes> data, Read(name));
  if (!data) return std::optional<uint16_t>();
  ByteReader reader(*data, "EFI variable");
  const auto number = reader.LittleU16();
  if (!number || reader.remaining() != 0) return BadVariable(name);
  return std::optional<uint16_t>(*number);
}

Result<std::vector<uint16_t>> EfiBootControl::ReadOrder() {
  SP_TRY(const std::optional<Bytes> data, Read("BootOrder"));
  std::vector<uint16_t> order;
  if (!data) return order;
  if (data->size() % 2 != 0) return BadVariable("BootOrder");
  ByteReader reader(*data, "BootOrder");
  while (reader.remaining() > 0) {
    SP_TRY(const uint16_t entry, reader.LittleU16());
    order.push_back(entry);
  }
  return order;
}

Result<Unit> EfiBootControl::WriteOrder(const std::vector<uint16_t>& order) {
  SP_TRY(const std::vector<uint16_t> held, ReadOrder());
  if (held == order) return Unit{};
  ByteWriter data;
  for (const uint16_t entry : order) data.LittleU16(entry);
  return Write("BootOrder", data.bytes());
}

Result<std::optional<uint16_t>> EfiBootControl::FindEntry(Slot slot) {
  SP_TRY(const std::vector<std::string> names, files_.List(config_.variables));
  for (const std::string& name : names) {
    const std::optional<uint16_t> number = ParseEntryName(name);
    if (!number) continue;
    SP_TRY(const std::optional<Bytes> data, Read(EntryName(*number)));
    if (data && EfiLoadOption::Decode(*data) == Option(slot)) return number;
  }
  return std::optional<uint16_t>();
}

Result<uint16_t> EfiBootControl::RequireEntry(Slot slot) {
  SP_TRY(const std::optional<uint16_t> entry, FindEntry(slot));
  if (!entry)
    return Error{Reason::kNotFound, "no boot entry of slot " + std::string(SlotName(slot)),
                 "efi.no-entry"};
  return *entry;
}

Result<uint16_t> EfiBootControl::EnsureEntry(Slot slot, const EfiPartition& esp) {
  SP_TRY(const std::optional<uint16_t> found, FindEntry(slot));
  if (found) return *found;
  for (uint32_t number = 0; number < kEntryNumbers; ++number) {
    const auto candidate = static_cast<uint16_t>(number);
    SP_TRY(const std::optional<Bytes> held, Read(EntryName(candidate)));
    if (held) continue;
    SP_TRY(Write(EntryName(candidate), Option(slot).Encode(esp)));
    return candidate;
  }
  return Error{Reason::kNoSpace, "every boot entry is taken", "efi.no-free-entry"};
}

Result<std::optional<Slot>> EfiBootControl::SlotOf(uint16_t entry) {
  SP_TRY(const std::optional<Bytes> data, Read(EntryName(entry)));
  for (const Slot slot : {Slot::kA, Slot::kB})
    if (data && EfiLoadOption::Decode(*data) == Option(slot)) return std::optional<Slot>(slot);
  return std::optional<Slot>();
}

Result<Unit> EfiBootControl::Provision(Slot running, const EfiPartition& esp) {
  SP_TRY(const uint16_t first, EnsureEntry(running, esp));
  SP_TRY(const uint16_t other, EnsureEntry(Other(running), esp));
  SP_TRY(std::vector<uint16_t> order, ReadOrder());
  const bool provisioned =
      std::ranges::any_of(order, [&](uint16_t n) { return n == first || n == other; });
  if (provisioned) return Unit{};
  order.insert(order.begin(), first);
  return WriteOrder(order);
}

Result<Slot> EfiBootControl::RunningSlot() {
  SP_TRY(const std::optional<uint16_t> current, ReadNumber("BootCurrent"));
  if (!current)
    return Error{Reason::kNotFound, "the firmware did not say what it booted", "efi.no-entry"};
  SP_TRY(const std::optional<Slot> slot, SlotOf(*current));
  if (!slot)
    return Error{Reason::kNotFound, "booted from " + EntryName(*current) + ", no slot of ours",
                 "efi.no-entry"};
  return *slot;
}

Result<std::optional<Slot>> EfiBootControl::NextBoot() {
  SP_TRY(const std::optional<uint16_t> next, ReadNumber("BootNext"));
  if (!next) return std::optional<Slot>();
  return SlotOf(*next);
}

Result<Unit> EfiBootControl::Disarm(Slot slot) {
  SP_TRY(const uint16_t other, RequireEntry(Other(slot)));
  SP_TRY(const std::optional<uint16_t> entry, FindEntry(slot));
  SP_TRY(const std::optional<uint16_t> next, ReadNumber("BootNext"));
  if (next && next == entry) SP_TRY(Delete("BootNext"));
  SP_TRY(std::vector<uint16_t> order, ReadOrder());
  std::erase_if(order, [&](uint16_t number) { return number == other || number == entry; });
  order.insert(order.begin(), other);
  return WriteOrder(order);
}

Result<Unit> EfiBootControl::ArmOnce(Slot slot) {
  SP_TRY(const uint16_t entry, RequireEntry(slot));
  return Write("BootNext", Little16(entry));
}

Result<Unit> EfiBootControl::MakeDefault(Slot slot) {
  SP_TRY(const uint16_t entry, RequireEntry(slot));
  SP_TRY(const uint16_t other, RequireEntry(Other(slot)));
  SP_TRY(std::vector<uint16_t> order, ReadOrder());
  std::erase_if(order, [&](uint16_t number) { return number == other || number == entry; });
  order.insert(order.begin(), {entry, other});
  return WriteOrder(order);
}

}  // namespace sallyport::ota

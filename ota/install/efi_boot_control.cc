#include "ota/install/efi_boot_control.h"

#include <algorithm>
#include <charconv>

namespace sallyport::ota {
namespace {

constexpr uint32_t kLoadOptionActive = 1;
constexpr uint32_t kEntryNumbers = 0x10000;
// Device path nodes (UEFI 2.10, 10.3).
constexpr size_t kNodeHeaderSize = 4;
constexpr uint8_t kMediaNode = 4;
constexpr uint8_t kFileNode = 4;
constexpr uint8_t kEndNode = 0x7f;

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

std::string EntryName(uint16_t number) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string name = "Boot";
  for (int shift = 12; shift >= 0; shift -= 4) name += kDigits[(number >> shift) & 0xf];
  return name;
}

// ParseEntryName takes names such as Boot001F.
std::optional<uint16_t> ParseEntryName(std::string_view name) {
  constexpr size_t kNameSize = 8;
  if (name.size() != kNameSize || !name.starts_with("Boot")) return std::nullopt;
  uint16_t number = 0;
  const char* const end = name.data() + kNameSize;
  const auto parsed = std::from_chars(name.data() + 4, end, number, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

Bytes Little16(uint16_t value) { return ByteWriter().LittleU16(value).bytes(); }

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
    : variables_(files, config.variables, kEfiGlobalGuid), config_(std::move(config)) {}

Result<std::optional<uint16_t>> EfiBootControl::ReadNumber(const std::string& name) {
  SP_TRY(const std::optional<Bytes> data, variables_.Read(name));
  if (!data) return std::optional<uint16_t>();
  ByteReader reader(*data, "EFI variable");
  const auto number = reader.LittleU16();
  if (!number || reader.remaining() != 0) return BadEfiVariable(name);
  return std::optional<uint16_t>(*number);
}

Result<std::vector<uint16_t>> EfiBootControl::ReadOrder() {
  SP_TRY(const std::optional<Bytes> data, variables_.Read("BootOrder"));
  std::vector<uint16_t> order;
  if (!data) return order;
  if (data->size() % 2 != 0) return BadEfiVariable("BootOrder");
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
  return variables_.Write("BootOrder", data.bytes());
}

Result<std::optional<uint16_t>> EfiBootControl::FindEntry(Slot slot) {
  SP_TRY(const std::vector<std::string> names, variables_.Names());
  for (const std::string& name : names) {
    const std::optional<uint16_t> number = ParseEntryName(name);
    if (!number) continue;
    SP_TRY(const std::optional<Bytes> data, variables_.Read(EntryName(*number)));
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
    SP_TRY(const std::optional<Bytes> held, variables_.Read(EntryName(candidate)));
    if (held) continue;
    SP_TRY(variables_.Write(EntryName(candidate), Option(slot).Encode(esp)));
    return candidate;
  }
  return Error{Reason::kNoSpace, "every boot entry is taken", "efi.no-free-entry"};
}

Result<std::optional<Slot>> EfiBootControl::SlotOf(uint16_t entry) {
  SP_TRY(const std::optional<Bytes> data, variables_.Read(EntryName(entry)));
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
  if (next && next == entry) SP_TRY(variables_.Delete("BootNext"));
  SP_TRY(std::vector<uint16_t> order, ReadOrder());
  std::erase_if(order, [&](uint16_t number) { return number == other || number == entry; });
  order.insert(order.begin(), other);
  return WriteOrder(order);
}

Result<Unit> EfiBootControl::ArmOnce(Slot slot) {
  SP_TRY(const uint16_t entry, RequireEntry(slot));
  return variables_.Write("BootNext", Little16(entry));
}

Result<Unit> EfiBootControl::MakeDefault(Slot slot) {
  SP_TRY(const uint16_t entry, RequireEntry(slot));
  SP_TRY(const uint16_t other, RequireEntry(Other(slot)));
  SP_TRY(std::vector<uint16_t> order, ReadOrder());
  std::erase_if(order, [&](uint16_t number) { return number == other || number == entry; });
  order.insert(order.begin(), {entry, other});
  return WriteOrder(order);
}

Result<Unit> EfiBootControl::Check() {
  SP_TRY(RunningSlot());
  for (const Slot slot : {Slot::kA, Slot::kB}) SP_TRY(RequireEntry(slot));
  SP_TRY(ReadOrder());
  return variables_.CheckWritable("BootOrder");
}

}  // namespace sallyport::ota

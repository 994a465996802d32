#include "ota/install/systemd_boot_control.h"

#include <algorithm>

#include "ota/install/update_machine.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kSuffix = ".efi";
constexpr char kOneShot[] = "LoaderEntryOneShot";
constexpr char kDefault[] = "LoaderEntryDefault";
constexpr char kSelected[] = "LoaderEntrySelected";

std::string Stem(Slot slot) { return slot == Slot::kA ? "sallyport-a" : "sallyport-b"; }
std::string Fresh(std::string_view stem) {
  return std::string(stem) + "+" + std::to_string(kTrialAttemptsMax) + "-0.efi";
}
std::string Spent(std::string_view stem) {
  return std::string(stem) + "+0-" + std::to_string(kTrialAttemptsMax) + ".efi";
}

// Systemd 252 matches entries by their whole file name, later ones without the tries; both take
// patterns (fnmatch). This one is neither of the other slot nor of anyone else's entry.
std::string Pattern(Slot slot) { return Stem(slot) + "[+.]*"; }

bool IsNumber(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// NamesSlot takes STEM.efi, STEM+LEFT.efi and STEM+LEFT-DONE.efi.
bool NamesSlot(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem) || !name.ends_with(kSuffix)) return false;
  if (name.size() < stem.size() + kSuffix.size()) return false;
  std::string_view tries = name.substr(stem.size());
  tries.remove_suffix(kSuffix.size());
  if (tries.empty()) return true;
  if (tries.front() != '+') return false;
  const size_t dash = tries.find('-');
  return IsNumber(tries.substr(1, dash == tries.npos ? dash : dash - 1)) &&
         (dash == tries.npos || IsNumber(tries.substr(dash + 1)));
}

std::string_view StemOf(std::string_view uki) {
  uki.remove_prefix(uki.rfind('/') + 1);
  return uki.substr(0, uki.size() - kSuffix.size());
}

}  // namespace

std::string SystemdBootSlotFile(Slot slot) { return Stem(slot) + std::string(kSuffix); }

SystemdBootControl::SystemdBootControl(FileSystem& files, SystemdBootConfig config)
    : files_(files), variables_(files, config.variables, kLoaderGuid), config_(std::move(config)) {}

Result<std::vector<std::string>> SystemdBootControl::Names(std::string_view stem) {
  SP_TRY(std::vector<std::string> names, files_.List(config_.directory));
  std::erase_if(names, [&](const std::string& name) { return !NamesSlot(name, stem); });
  return names;
}

Result<Unit> SystemdBootControl::RequireEntry(Slot slot) {
  SP_TRY(const std::vector<std::string> names, Names(Stem(slot)));
  if (names.empty())
    return Error{Reason::kNotFound, "no kernel image of slot " + std::string(SlotName(slot)),
                 "systemd-boot.no-entry"};
  return Unit{};
}

// A rename is the atomic operation that FAT has. A second name of the slot, left by one that was
// cut, would make the boot loader's choice a matter of sorting.
Result<Unit> SystemdBootControl::Rename(Slot slot, const std::string& name) {
  SP_TRY(const std::vector<std::string> names, Names(Stem(slot)));
  const bool there = std::ranges::find(names, name) != names.end();
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string path = config_.directory + "/" + names[i];
    if (names[i] == name) continue;
    if (i == 0 && !there)
      SP_TRY(files_.Rename(path, config_.directory + "/" + name));
    else
      SP_TRY(files_.Remove(path));
  }
  return files_.SyncDirectory(config_.directory);
}

Result<std::optional<Slot>> SystemdBootControl::ReadSlot(const std::string& variable) {
  SP_TRY(const std::optional<Bytes> data, variables_.Read(variable));
  if (!data) return std::optional<Slot>();
  ByteReader reader(*data, "loader variable");
  const std::optional<std::string> text = ReadUtf16(reader);
  if (!text || reader.remaining() != 0) return BadEfiVariable(variable);
  for (const Slot slot : {Slot::kA, Slot::kB})
    if (*text == Pattern(slot) || NamesSlot(*text, Stem(slot))) return std::optional<Slot>(slot);
  return std::optional<Slot>();
}

Result<Unit> SystemdBootControl::WriteSlot(const std::string& variable, Slot slot) {
  ByteWriter data;
  AppendUtf16(data, Pattern(slot));
  SP_TRY(const std::optional<Bytes> held, variables_.Read(variable));
  if (held == data.bytes()) return Unit{};
  return variables_.Write(variable, data.bytes());
}

Result<Slot> SystemdBootControl::RunningSlot() {
  SP_TRY(const std::optional<Slot> slot, ReadSlot(kSelected));
  if (!slot)
    return Error{Reason::kNotFound, "systemd-boot did not start a slot of ours",
                 "systemd-boot.not-used"};
  return *slot;
}

Result<std::optional<Slot>> SystemdBootControl::NextBoot() { return ReadSlot(kOneShot); }

Result<Unit> SystemdBootControl::Disarm(Slot slot) {
  SP_TRY(RequireEntry(Other(slot)));
  SP_TRY(const std::optional<Slot> next, NextBoot());
  if (next == slot) SP_TRY(variables_.Delete(kOneShot));
  SP_TRY(WriteSlot(kDefault, Other(slot)));
  return Rename(slot, Spent(Stem(slot)));
}

Result<Unit> SystemdBootControl::ArmOnce(Slot slot) {
  SP_TRY(RequireEntry(slot));
  SP_TRY(Rename(slot, Fresh(Stem(slot))));
  return WriteSlot(kOneShot, slot);
}

Result<Unit> SystemdBootControl::MakeDefault(Slot slot) {
  SP_TRY(RequireEntry(slot));
  SP_TRY(Rename(slot, SystemdBootSlotFile(slot)));
  return WriteSlot(kDefault, slot);
}

// A slot that is to be written may hold no kernel image yet.
Result<Unit> SystemdBootControl::Check() {
  SP_TRY(const Slot running, RunningSlot());
  SP_TRY(RequireEntry(running));
  SP_TRY(NextBoot());
  return variables_.CheckWritable(kDefault);
}

std::string SystemdBootControl::NewEntry(const std::string& uki) const {
  return config_.directory + "/" + Fresh(StemOf(uki));
}

Result<std::vector<std::string>> SystemdBootControl::Entries(const std::string& uki) {
  SP_TRY(std::vector<std::string> names, Names(StemOf(uki)));
  for (std::string& name : names) name = config_.directory + "/" + name;
  return names;
}

}  // namespace sallyport::ota

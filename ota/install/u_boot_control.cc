#include "ota/install/u_boot_control.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kBootSlot = "boot_slot";
constexpr std::string_view kUpgradeAvailable = "upgrade_available";
constexpr std::string_view kBootCount = "bootcount";
constexpr std::string_view kBootLimit = "bootlimit";

std::string_view Letter(Slot slot) { return slot == Slot::kA ? "a" : "b"; }

Result<Slot> BootSlot(const UBootEnvironment& environment) {
  const auto value = environment.Get(kBootSlot);
  for (const Slot slot : {Slot::kA, Slot::kB})
    if (value == Letter(slot)) return slot;
  return Error{Reason::kMalformed, "boot_slot is neither a nor b", "uboot.slot"};
}

}  // namespace

Result<Bytes> UBootControl::ReadCopy(const UBootCopy& copy) {
  SP_TRY(const auto file, files_.Open(copy.device, OpenMode::kRead));
  Bytes bytes(static_cast<size_t>(copy.size));
  SP_TRY(const size_t size, file->ReadAt(copy.offset, bytes));
  bytes.resize(size);
  return bytes;
}

// A copy with a wrong checksum is one whose writing was cut. One whose checksum is right but whose
// content we do not understand is U-Boot's choice all the same, so it is an error.
Result<UBootControl::Held> UBootControl::Load() {
  std::optional<Held> held;
  for (size_t i = 0; i < copies_.size(); ++i) {
    SP_TRY(const Bytes bytes, ReadCopy(copies_[i]));
    auto environment = UBootEnvironment::Parse(bytes);
    if (!environment && environment.error().rule == "uboot.variable")
      return std::move(environment).error();
    if (!environment || (held && !IsAhead(environment->flags, held->environment.flags))) continue;
    held = Held{*std::move(environment), 1 - i};
  }
  if (!held)
    return Error{Reason::kMalformed, "both copies of U-Boot's environment are damaged",
                 "uboot.both-damaged"};
  return *std::move(held);
}

Result<Unit> UBootControl::Save(const Held& held) {
  const UBootCopy& copy = copies_[held.other];
  UBootEnvironment next = held.environment;
  ++next.flags;
  SP_TRY(const Bytes bytes, next.Encode(static_cast<size_t>(copy.size)));
  {
    SP_TRY(const auto file, files_.Open(copy.device, OpenMode::kReadWrite));
    SP_TRY(file->WriteAt(copy.offset, bytes));
    SP_TRY(file->Sync());
  }
  SP_TRY(const Bytes written, ReadCopy(copy));
  SP_TRY(const Held now, Load());
  if (written != bytes || now.environment != next)
    return Error{Reason::kMismatch, "U-Boot's environment does not read back", "uboot.read-back"};
  return Unit{};
}

// Overwriting a copy whose twin is in memory only could leave none after a cut.
Result<Unit> UBootControl::Settle() {
  for (const UBootCopy& copy : copies_) SP_TRY(SyncFile(files_, copy.device));
  return Unit{};
}

Result<Unit> UBootControl::Choose(Slot slot, bool once) {
  SP_TRY(Settle());
  SP_TRY(Held held, Load());
  const UBootEnvironment before = held.environment;
  held.environment.Set(kBootSlot, Letter(slot));
  held.environment.Set(kUpgradeAvailable, once ? "1" : "0");
  held.environment.Set(kBootCount, "0");
  if (once) held.environment.Set(kBootLimit, "1");
  if (held.environment == before) return Unit{};
  return Save(held);
}

// With the count above zero the one boot has been spent, and U-Boot goes back by itself.
Result<std::optional<Slot>> UBootControl::NextBoot() {
  SP_TRY(const Held held, Load());
  const bool once = held.environment.Get(kUpgradeAvailable) == "1";
  if (!once || held.environment.Get(kBootCount) != "0") return std::optional<Slot>();
  SP_TRY(const Slot slot, BootSlot(held.environment));
  return std::optional<Slot>(slot);
}

Result<Unit> UBootControl::Disarm(Slot slot) { return Choose(Other(slot), false); }
Result<Unit> UBootControl::ArmOnce(Slot slot) { return Choose(slot, true); }
Result<Unit> UBootControl::MakeDefault(Slot slot) { return Choose(slot, false); }

Result<Unit> UBootControl::Check() {
  SP_TRY(RunningSlot());
  SP_TRY(Held held, Load());
  SP_TRY(BootSlot(held.environment));
  if (!held.environment.Get("altbootcmd"))
    return Error{Reason::kNotFound, "U-Boot's environment has no altbootcmd", "uboot.no-fallback"};
  for (const std::string_view name : {kUpgradeAvailable, kBootCount, kBootLimit})
    held.environment.Set(name, "0");
  for (const UBootCopy& copy : copies_) {
    SP_TRY(held.environment.Encode(static_cast<size_t>(copy.size)));
    SP_TRY(files_.Open(copy.device, OpenMode::kReadWrite));
  }
  return Unit{};
}

}  // namespace sallyport::ota

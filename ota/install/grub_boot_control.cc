#include "ota/install/grub_boot_control.h"

#include <algorithm>

namespace sallyport::ota {
namespace {

constexpr size_t kSector = 512;
constexpr std::string_view kOrder = "ORDER";

std::string_view Try(Slot slot) { return slot == Slot::kA ? "A_TRY" : "B_TRY"; }
std::string_view Allowed(Slot slot) { return slot == Slot::kA ? "A_OK" : "B_OK"; }
std::string_view OrderFrom(Slot first) { return first == Slot::kA ? "A B" : "B A"; }

const std::vector<std::string_view>& OurNames() {
  static const std::vector<std::string_view> names{kOrder, "A_OK", "A_TRY", "B_OK", "B_TRY"};
  return names;
}

bool IsFlag(std::optional<std::string_view> value) { return value == "0" || value == "1"; }

Result<Unit> CheckValues(const GrubEnvironment& environment) {
  const auto order = environment.Get(kOrder);
  bool good = order == OrderFrom(Slot::kA) || order == OrderFrom(Slot::kB);
  for (const Slot slot : {Slot::kA, Slot::kB})
    good = good && IsFlag(environment.Get(Try(slot))) && IsFlag(environment.Get(Allowed(slot)));
  const bool both = environment.Get("A_TRY") == "1" && environment.Get("B_TRY") == "1";
  if (!good || both)
    return Error{Reason::kMalformed, "ORDER, A_OK, A_TRY, B_OK, B_TRY in GRUB's environment",
                 "grub.variable"};
  return Unit{};
}

// Comments before our variables could push them out of the first sector.
bool StandsInFirstSector(ByteView block) {
  const std::string_view sector = AsText(block.first(kSector));
  return std::ranges::all_of(OurNames(), [&](std::string_view name) {
    const size_t at = sector.find("\n" + std::string(name) + "=");
    return at != sector.npos && sector.find('\n', at + 1) != sector.npos;
  });
}

bool SameBehindFirstSector(ByteView a, ByteView b) {
  return a.size() == b.size() && Equal(a.subspan(kSector), b.subspan(kSector));
}

}  // namespace

Result<GrubEnvironment> GrubBootControl::Load() {
  SP_TRY(const Bytes block, ReadFile(files_, path_, kGrubBlockSize));
  SP_TRY(GrubEnvironment environment, GrubEnvironment::Parse(block));
  SP_TRY(CheckValues(environment));
  return environment;
}

// A block whose second sector changes too, since our variables were further behind, is replaced as
// a file.
Result<Unit> GrubBootControl::Save(GrubEnvironment environment) {
  environment.MoveToFront(OurNames());
  SP_TRY(const Bytes block, environment.Encode());
  if (!StandsInFirstSector(block))
    return Error{Reason::kNoSpace, "comments fill the first sector of GRUB's environment",
                 "grub.full"};
  SP_TRY(const Bytes held, ReadFile(files_, path_, kGrubBlockSize));
  if (held == block) return SyncFile(files_, path_);
  if (SameBehindFirstSector(held, block)) {
    SP_TRY(const auto file, files_.Open(path_, OpenMode::kReadWrite));
    SP_TRY(file->WriteAt(0, ByteView(block).first(kSector)));
    SP_TRY(file->Sync());
  } else {
    SP_TRY(WriteFileAtomically(files_, path_, block));
  }
  SP_TRY(const Bytes written, ReadFile(files_, path_, kGrubBlockSize));
  if (written != block)
    return Error{Reason::kMismatch, "GRUB's environment does not read back", "grub.read-back"};
  return Unit{};
}

Result<std::optional<Slot>> GrubBootControl::NextBoot() {
  SP_TRY(const GrubEnvironment environment, Load());
  for (const Slot slot : {Slot::kA, Slot::kB})
    if (environment.Get(Try(slot)) == "1") return std::optional<Slot>(slot);
  return std::optional<Slot>();
}

Result<Unit> GrubBootControl::Disarm(Slot slot) {
  SP_TRY(GrubEnvironment environment, Load());
  environment.Set(Try(slot), "0");
  environment.Set(Allowed(slot), "0");
  environment.Set(Allowed(Other(slot)), "1");
  environment.Set(kOrder, OrderFrom(Other(slot)));
  return Save(std::move(environment));
}

Result<Unit> GrubBootControl::ArmOnce(Slot slot) {
  SP_TRY(GrubEnvironment environment, Load());
  environment.Set(Try(slot), "1");
  environment.Set(Try(Other(slot)), "0");
  return Save(std::move(environment));
}

Result<Unit> GrubBootControl::MakeDefault(Slot slot) {
  SP_TRY(GrubEnvironment environment, Load());
  for (const Slot each : {Slot::kA, Slot::kB}) {
    environment.Set(Try(each), "0");
    environment.Set(Allowed(each), "1");
  }
  environment.Set(kOrder, OrderFrom(slot));
  return Save(std::move(environment));
}

Result<Unit> GrubBootControl::Check() {
  SP_TRY(RunningSlot());
  SP_TRY(Load());
  SP_TRY(files_.Open(path_, OpenMode::kReadWrite));
  return Unit{};
}

}  // namespace sallyport::ota

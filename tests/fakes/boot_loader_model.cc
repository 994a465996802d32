#include "tests/fakes/boot_loader_model.h"

#include <algorithm>

#include "ota/install/efi_boot_control.h"
#include "ota/install/grub_boot_control.h"
#include "ota/install/systemd_boot_control.h"
#include "ota/install/u_boot_control.h"

namespace sallyport {
namespace {

using ota::Slot;

constexpr const char* kVariables = "efivars";
constexpr const char* kGlobal = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr const char* kLoader = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
constexpr uint64_t kFileMax = 4 << 20;
constexpr ota::EfiPartition kEspPartition{1, 2048, 262144, {0x11, 0x22, 0x33}};
constexpr Slot kSlots[] = {Slot::kA, Slot::kB};

uint16_t Little16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) | bytes.at(at + 1) << 8);
}

std::string Letter(Slot slot) { return slot == Slot::kA ? "a" : "b"; }

// FileOfEntry takes the file path node out of an EFI_LOAD_OPTION: "\a\b" becomes "esp/a/b".
std::string FileOfEntry(const Bytes& option) {
  size_t at = 6;
  while (Little16(option, at) != 0) at += 2;
  at += 2;
  while (option.at(at) != 0x7f) {
    const uint16_t size = Little16(option, at + 2);
    std::string path;
    if (option.at(at) == 4 && option.at(at + 1) == 4)
      for (size_t i = at + 4; i + 2 < at + size; i += 2) path += static_cast<char>(option.at(i));
    std::ranges::replace(path, '\\', '/');
    if (!path.empty()) return "esp" + path;
    at += size;
  }
  return "";
}

class Model : public BootLoaderModel {
 public:
  explicit Model(MemoryFileSystem& files) : files_(files) {}

  std::string KernelImageOf(Slot slot) const override {
    return "esp/sallyport/" + Letter(slot) + ".efi";
  }

 protected:
  Bytes Variable(const std::string& name, const char* guid) {
    const auto file = ReadFile(files_, std::string(kVariables) + "/" + name + guid, kFileMax);
    if (!file || file->size() < 4) return {};
    return Bytes(file->begin() + 4, file->end());
  }
  Result<Unit> DeleteVariable(const std::string& name, const char* guid) {
    SP_TRY(files_.Remove(std::string(kVariables) + "/" + name + guid));
    return files_.SyncDirectory(kVariables);
  }
  // Volatile variables and /proc are no storage: setting them is no operation that a cut could hit.
  void SetVolatile(const std::string& name, const char* guid, ByteView data) {
    files_.Plant(std::string(kVariables) + "/" + name + guid,
                 ByteWriter().LittleU32(6).Raw(data).bytes());
  }
  void SetCommandLine(Slot slot) {
    files_.Plant("proc/cmdline", AsBytes("quiet sallyport.slot=" + Letter(slot) + "\n"));
  }
  ota::KernelSlot Running() { return ota::KernelSlot(files_, {"", "", "proc/cmdline"}); }

  MemoryFileSystem& files_;
};

// UEFI 2.10, 3.1.
class EfiModel final : public Model {
 public:
  explicit EfiModel(MemoryFileSystem& files)
      : Model(files),
        control_(files, {kVariables,
                         {"Sallyport A", "\\sallyport\\a.efi"},
                         {"Sallyport B", "\\sallyport\\b.efi"}}) {}

  void Provision() override {
    SP_CHECK(control_.Provision(Slot::kA, kEspPartition).has_value());
    SP_CHECK(control_.MakeDefault(Slot::kA).has_value());
  }
  ota::BootControl& control() override { return control_; }

  Result<std::optional<Slot>> Boot(const Accepts& accepts) override {
    const Bytes next = Variable("BootNext", kGlobal);
    if (!next.empty()) {
      SP_TRY(DeleteVariable("BootNext", kGlobal));
      if (const auto slot = Try(Little16(next, 0), accepts)) return slot;
    }
    const Bytes order = Variable("BootOrder", kGlobal);
    for (size_t i = 0; i + 1 < order.size(); i += 2)
      if (const auto slot = Try(Little16(order, i), accepts)) return slot;
    return std::optional<Slot>();
  }

  std::string Order() override {
    std::string out;
    const Bytes order = Variable("BootOrder", kGlobal);
    for (size_t i = 0; i + 1 < order.size(); i += 2)
      out += FileOfEntry(Entry(Little16(order, i))) == KernelImageOf(Slot::kA) ? "A" : "B";
    return out;
  }

 private:
  Bytes Entry(uint16_t number) {
    char name[9];
    std::snprintf(name, sizeof name, "Boot%04X", number);
    return Variable(name, kGlobal);
  }
  std::optional<Slot> Try(uint16_t number, const Accepts& accepts) {
    const Bytes option = Entry(number);
    if (option.empty()) return std::nullopt;
    const std::string path = FileOfEntry(option);
    if (!accepts(path)) return std::nullopt;
    SetVolatile("BootCurrent", kGlobal, ByteWriter().LittleU16(number).bytes());
    return path == KernelImageOf(Slot::kA) ? Slot::kA : Slot::kB;
  }

  ota::EfiBootControl control_;
};

// systemd 252: src/boot/efi/boot.c, and "Automatic Boot Assessment".
class SystemdBootModel final : public Model {
 public:
  explicit SystemdBootModel(MemoryFileSystem& files)
      : Model(files), control_(files, {kVariables, kFolder}) {}

  void Provision() override { SP_CHECK(control_.MakeDefault(Slot::kA).has_value()); }
  ota::BootControl& control() override { return control_; }
  std::string KernelImageOf(Slot slot) const override {
    return std::string(kFolder) + "/sallyport-" + Letter(slot) + ".efi";
  }

  Result<std::optional<Slot>> Boot(const Accepts& accepts) override {
    std::vector<Entry> tried;
    if (const auto chosen = Match("LoaderEntryOneShot")) tried.push_back(*chosen);
    if (!Variable("LoaderEntryOneShot", kLoader).empty())
      SP_TRY(DeleteVariable("LoaderEntryOneShot", kLoader));
    if (const auto chosen = Match("LoaderEntryDefault")) tried.push_back(*chosen);
    for (const Entry& entry : Entries()) tried.push_back(entry);
    for (const Entry& entry : tried) {
      const std::string path = std::string(kFolder) + "/" + entry.name;
      if (!accepts(path)) continue;
      SP_TRY(CountDown(entry));
      Bytes id = Utf16(entry.name);
      SetVolatile("LoaderEntrySelected", kLoader, id);
      return std::optional(entry.name.starts_with("sallyport-a") ? Slot::kA : Slot::kB);
    }
    return std::optional<Slot>();
  }

  std::string Order() override {
    std::string out;
    if (const auto chosen = Match("LoaderEntryDefault")) out += LetterOf(*chosen);
    for (const Entry& entry : Entries())
      if (entry.left != 0 && entry.left == kUncounted && out.find(LetterOf(entry)) == out.npos)
        out += LetterOf(entry);
    return out;
  }

 private:
  static constexpr const char* kFolder = "esp/EFI/Linux";
  static constexpr unsigned kUncounted = UINT32_MAX;
  struct Entry {
    std::string name;
    std::string stem;
    unsigned left;
    unsigned done;
  };
  static char LetterOf(const Entry& entry) { return entry.stem == "sallyport-a" ? 'A' : 'B'; }
  static Bytes Utf16(const std::string& text) {
    ByteWriter out;
    for (const char c : text) out.LittleU16(static_cast<uint8_t>(c));
    return out.LittleU16(0).bytes();
  }
  static Entry Parse(const std::string& name) {
    Entry entry{name, name.substr(0, name.find_first_of("+.")), kUncounted, 0};
    if (const size_t plus = name.find('+'); plus != name.npos)
      SP_CHECK(std::sscanf(name.c_str() + plus, "+%u-%u", &entry.left, &entry.done) >= 1);
    return entry;
  }
  // Entries: the bad ones last, then by name, the newer first.
  std::vector<Entry> Entries() {
    std::vector<Entry> out;
    const std::vector<std::string> names = *files_.List(kFolder);
    for (const std::string& name : names)
      if (name.ends_with(".efi")) out.push_back(Parse(name));
    std::ranges::sort(out, [](const Entry& a, const Entry& b) {
      if ((a.left == 0) != (b.left == 0)) return b.left == 0;
      return a.name > b.name;
    });
    return out;
  }
  // Match understands patterns of the form `STEM[+.]*`, and plain names.
  std::optional<Entry> Match(const std::string& variable) {
    const Bytes data = Variable(variable, kLoader);
    std::string pattern;
    for (size_t i = 0; i + 1 < data.size() && Little16(data, i) != 0; i += 2)
      pattern += static_cast<char>(data[i]);
    const size_t set = pattern.find("[+.]*");
    for (const Entry& entry : Entries()) {
      const bool fits = set == pattern.npos ? entry.name == pattern
                                            : entry.stem == pattern.substr(0, set) &&
                                                  entry.name.size() > entry.stem.size();
      if (fits) return entry;
    }
    return std::nullopt;
  }
  Result<Unit> CountDown(const Entry& entry) {
    if (entry.left == kUncounted) return Unit{};
    const std::string next = entry.stem + "+" + std::to_string(entry.left - (entry.left > 0)) +
                             "-" + std::to_string(entry.done + 1) + ".efi";
    SP_TRY(
        files_.Rename(std::string(kFolder) + "/" + entry.name, std::string(kFolder) + "/" + next));
    return files_.SyncDirectory(kFolder);
  }

  ota::SystemdBootControl control_;
};

// U-Boot with CONFIG_BOOTCOUNT_ENV, CONFIG_BOOTCOUNT_LIMIT and the commands of docs/updates.md.
class UBootModel final : public Model {
 public:
  explicit UBootModel(MemoryFileSystem& files)
      : Model(files), control_(files, Copies(), Running()) {}

  void Provision() override {
    ota::UBootEnvironment environment;
    for (const auto& [name, value] :
         {std::pair{"bootdelay", "2"}, {"altbootcmd", "run go_back"}, {"boot_slot", "a"}})
      environment.Set(name, value);
    // Variables that fill more than a sector, so that a write can tear.
    environment.Set("operator", std::string(kSize / 2, 'x'));
    environment.Set("upgrade_available", "0");
    const Bytes copy = *environment.Encode(kSize);
    files_.Plant(kDevice, Bytes(2 * kSize, 0xff));
    const auto file = *files_.Open(kDevice, OpenMode::kReadWrite);
    SP_CHECK(file->WriteAt(0, copy).has_value() && file->Sync().has_value());
  }
  ota::BootControl& control() override { return control_; }

  Result<std::optional<Slot>> Boot(const Accepts& accepts) override {
    if (!Load()) return std::optional<Slot>();
    if (Get("upgrade_available") == "1") {
      const int count = std::stoi(Get("bootcount")) + 1;
      environment_.Set("bootcount", std::to_string(count));
      SP_TRY(SaveEnv());
      if (count > std::stoi(Get("bootlimit"))) SP_TRY(GoBack());
    }
    if (!Starts(accepts)) SP_TRY(GoBack());
    if (!Starts(accepts)) return std::optional<Slot>();
    SetCommandLine(SlotToBoot());
    return std::optional(SlotToBoot());
  }

  std::string Order() override {
    SP_CHECK(Load());
    return SlotToBoot() == Slot::kA ? "AB" : "BA";
  }

 private:
  static constexpr const char* kDevice = "disk/environment";
  static constexpr size_t kSize = 2048;
  static std::array<ota::UBootCopy, 2> Copies() {
    return {ota::UBootCopy{kDevice, 0, kSize}, ota::UBootCopy{kDevice, kSize, kSize}};
  }
  std::string Get(std::string_view name) {
    return std::string(environment_.Get(name).value_or(""));
  }
  Slot SlotToBoot() { return Get("boot_slot") == "a" ? Slot::kA : Slot::kB; }
  bool Starts(const Accepts& accepts) { return accepts(KernelImageOf(SlotToBoot())); }

  [[nodiscard]] bool Load() {
    const Bytes device = *ReadFile(files_, kDevice, kFileMax);
    const auto first = ota::UBootEnvironment::Parse(ByteView(device).first(kSize));
    const auto second = ota::UBootEnvironment::Parse(ByteView(device).subspan(kSize));
    if (!first && !second) return false;
    current_ = first && (!second || !ota::IsAhead(second->flags, first->flags)) ? 0 : 1;
    environment_ = current_ == 0 ? *first : *second;
    return true;
  }
  Result<Unit> SaveEnv() {
    ++environment_.flags;
    current_ = 1 - current_;
    SP_TRY(const auto file, files_.Open(kDevice, OpenMode::kReadWrite));
    SP_TRY(file->WriteAt(current_ * kSize, *environment_.Encode(kSize)));
    return file->Sync();
  }
  Result<Unit> GoBack() {
    environment_.Set("boot_slot", SlotToBoot() == Slot::kA ? "b" : "a");
    environment_.Set("upgrade_available", "0");
    environment_.Set("bootcount", "0");
    return SaveEnv();
  }

  ota::UBootControl control_;
  ota::UBootEnvironment environment_;
  size_t current_ = 0;
};

// GRUB 2.06 with the script of docs/updates.md.
class GrubModel final : public Model {
 public:
  explicit GrubModel(MemoryFileSystem& files) : Model(files), control_(files, kBlock, Running()) {}

  void Provision() override {
    ota::GrubEnvironment environment;
    for (const auto& [name, value] : {std::pair{"saved_entry", "gnulinux-simple"},
                                      {"ORDER", "A B"},
                                      {"A_OK", "1"},
                                      {"A_TRY", "0"},
                                      {"B_OK", "0"},
                                      {"B_TRY", "0"}})
      environment.Set(name, value);
    files_.Plant(kBlock, *environment.Encode());
  }
  ota::BootControl& control() override { return control_; }

  Result<std::optional<Slot>> Boot(const Accepts& accepts) override {
    if (!Load()) return std::optional<Slot>();
    for (const Slot slot : kSlots) {
      if (Get(Name(slot) + "_TRY") != "1") continue;
      environment_.Set(Name(slot) + "_TRY", "0");
      SP_TRY(SaveEnv());
      if (accepts(KernelImageOf(slot))) return Start(slot);
    }
    for (const char name : Order())
      if (const Slot slot = name == 'A' ? Slot::kA : Slot::kB; accepts(KernelImageOf(slot)))
        return Start(slot);
    return std::optional<Slot>();
  }

  std::string Order() override {
    SP_CHECK(Load());
    std::string out;
    for (const char name : Get("ORDER"))
      if (name != ' ' && Get(std::string(1, name) + "_OK") == "1") out += name;
    return out;
  }

 private:
  static constexpr const char* kBlock = "esp/grub/grubenv";
  static std::string Name(Slot slot) { return slot == Slot::kA ? "A" : "B"; }
  std::string Get(const std::string& name) { return std::string(environment_.Get(name).value()); }
  std::optional<Slot> Start(Slot slot) {
    SetCommandLine(slot);
    return slot;
  }
  [[nodiscard]] bool Load() {
    const auto parsed = ota::GrubEnvironment::Parse(*ReadFile(files_, kBlock, kFileMax));
    if (parsed) environment_ = *parsed;
    return parsed.has_value();
  }
  Result<Unit> SaveEnv() {
    SP_TRY(const auto file, files_.Open(kBlock, OpenMode::kReadWrite));
    SP_TRY(file->WriteAt(0, *environment_.Encode()));
    return file->Sync();
  }

  ota::GrubBootControl control_;
  ota::GrubEnvironment environment_;
};

}  // namespace

std::string_view BootLoaderName(BootLoader loader) {
  switch (loader) {
    case BootLoader::kEfi: return "efi";
    case BootLoader::kSystemdBoot: return "systemd-boot";
    case BootLoader::kUBoot: return "u-boot";
    case BootLoader::kGrub: return "grub";
  }
  std::abort();
}

std::unique_ptr<BootLoaderModel> BootLoaderModel::Make(BootLoader loader, MemoryFileSystem& files) {
  switch (loader) {
    case BootLoader::kEfi: return std::make_unique<EfiModel>(files);
    case BootLoader::kSystemdBoot: return std::make_unique<SystemdBootModel>(files);
    case BootLoader::kUBoot: return std::make_unique<UBootModel>(files);
    case BootLoader::kGrub: return std::make_unique<GrubModel>(files);
  }
  std::abort();
}

}  // namespace sallyport

#include "ota/install/preflight.h"

#include <algorithm>
#include <charconv>

#include "pki/base/json.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kKernelFileMax = 1 << 20;
// FAT: long names of 255 characters, 13 in an entry beside the short one; 65536 entries of 32 bytes
// in a directory.
constexpr size_t kNameMax = 255;
constexpr size_t kNameInEntry = 13;
constexpr size_t kDirectoryEntriesMax = 65536;

std::string Size(uint64_t count) { return std::to_string(count) + " bytes"; }

std::string Name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

PreflightCheck Pass(std::string resource, std::string need, std::string have) {
  return {std::move(resource), std::move(need), std::move(have), std::nullopt};
}

PreflightCheck Fail(std::string resource, std::string need, std::string have, Reason reason,
                    std::string_view rule) {
  Error error{reason, resource + ": need " + need + ", have " + have, rule};
  return {std::move(resource), std::move(need), std::move(have), std::move(error)};
}

// FailWith keeps reason and rule of what went wrong on the way to the answer.
PreflightCheck FailWith(std::string resource, std::string need, const Error& error) {
  return Fail(std::move(resource), std::move(need), error.ToString(), error.reason, error.rule);
}

PreflightCheck AtLeast(std::string resource, uint64_t need, uint64_t have, Reason reason,
                       std::string_view rule) {
  if (have >= need) return Pass(std::move(resource), Size(need), Size(have));
  return Fail(std::move(resource), Size(need), Size(have), reason, rule);
}

PreflightCheck CheckSlot(const PreflightSubject& subject) {
  const auto slot = subject.slots.Open(subject.target.image);
  if (!slot) return FailWith("slot", Size(subject.needs.image_length), slot.error());
  const Result<uint64_t> size = (*slot)->Size();
  if (!size) return FailWith("slot", Size(subject.needs.image_length), size.error());
  return AtLeast("slot", subject.needs.image_length, *size, Reason::kNoSpace, "install.slot-size");
}

Result<uint64_t> SizeOrZero(FileSystem& files, const std::string& path) {
  auto file = files.Open(path, OpenMode::kRead);
  if (!file && file.error().reason == Reason::kNotFound) return uint64_t{0};
  if (!file) return std::move(file).error();
  return (*file)->Size();
}

// The old kernel image of the target goes before the new one comes.
Result<uint64_t> EspSpace(const PreflightSubject& subject) {
  SP_TRY(uint64_t have, subject.files.FreeBytes(subject.esp));
  SP_TRY(const std::vector<std::string> entries, subject.boot.Entries(subject.target.uki));
  for (const std::string& entry : entries) {
    SP_TRY(const uint64_t size, SizeOrZero(subject.files, entry));
    have += size;
  }
  return have;
}

PreflightCheck CheckEspSpace(const PreflightSubject& subject) {
  const uint64_t need = subject.needs.esp_length + kEspSlack;
  const Result<uint64_t> have = EspSpace(subject);
  if (!have) return FailWith("esp-space", Size(need), have.error());
  return AtLeast("esp-space", need, *have, Reason::kNoSpace, "install.esp-space");
}

size_t EntriesOf(const std::string& name) {
  return 1 + (name.size() + kNameInEntry - 1) / kNameInEntry;
}

// The names that an installation makes in the folder of the kernel images.
PreflightCheck CheckEspDirectory(const PreflightSubject& subject) {
  const std::string uki = Name(subject.target.uki);
  size_t need = 0;
  size_t longest = 0;
  for (const std::string& name : {uki + ".tmp", Name(subject.boot.NewEntry(subject.target.uki)),
                                  uki + ".release", uki + ".release.tmp"}) {
    need += EntriesOf(name);
    longest = std::max(longest, name.size());
  }
  const auto names = subject.files.List(ParentDirectory(subject.target.uki));
  const std::string wanted =
      std::to_string(need) + " entries, names of " + std::to_string(longest) + " characters";
  if (!names) return FailWith("esp-directory", wanted, names.error());
  size_t used = 0;
  for (const std::string& name : *names) used += EntriesOf(name);
  const size_t have = kDirectoryEntriesMax - std::min(used, kDirectoryEntriesMax);
  const std::string there =
      std::to_string(have) + " entries, names of " + std::to_string(kNameMax) + " characters";
  if (have >= need && longest <= kNameMax) return Pass("esp-directory", wanted, there);
  return Fail("esp-directory", wanted, there, Reason::kNoSpace, "install.esp-directory");
}

std::string_view NextWord(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  return word;
}

bool IsBelow(std::string_view path, std::string_view mount) {
  if (mount == "/") return true;
  return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/');
}

// MountOptions of the file system that holds `path` (proc_pid_mountinfo(5)): the longest mount
// point above it, the last of equals; per mount and per file system.
std::string MountOptions(std::string_view mounts, const std::string& path) {
  std::string found;
  size_t longest = 0;
  while (!mounts.empty()) {
    std::string_view line = mounts.substr(0, mounts.find('\n'));
    mounts.remove_prefix(std::min(line.size() + 1, mounts.size()));
    for (int skipped = 0; skipped < 4; ++skipped) NextWord(line);
    const std::string_view point = NextWord(line);
    if (point.size() < longest || !IsBelow(path, point)) continue;
    longest = point.size();
    found = "," + std::string(NextWord(line)) + ",";
    const size_t super = line.rfind(' ');
    if (super != line.npos) found += std::string(line.substr(super + 1)) + ",";
  }
  return found;
}

PreflightCheck CheckMount(const PreflightSubject& subject, const std::string& resource,
                          const std::string& path) {
  const std::string need = path + " writable";
  const auto mounts = ReadFile(subject.files, subject.machine.mounts, kKernelFileMax);
  if (!mounts) return FailWith(resource, need, mounts.error());
  const std::string options =
      MountOptions(AsText(*mounts), path.starts_with('/') ? path : "/" + path);
  if (options.empty())
    return Fail(resource, need, "no mount of it", Reason::kUnavailable, "install.read-only");
  if (options.find(",ro,") != options.npos)
    return Fail(resource, need, "a read-only mount", Reason::kUnavailable, "install.read-only");
  return Pass(resource, need, "a writable mount");
}

PreflightCheck CheckRecordSpace(const PreflightSubject& subject) {
  const Result<uint64_t> have = subject.files.FreeBytes(ParentDirectory(subject.record));
  if (!have) return FailWith("state-space", Size(kRecordSpace), have.error());
  return AtLeast("state-space", kRecordSpace, *have, Reason::kNoSpace, "install.record-space");
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  text.remove_prefix(start == text.npos ? text.size() : start);
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

PreflightCheck CheckMemory(const PreflightSubject& subject) {
  constexpr std::string_view kKey = "MemAvailable:";
  const auto text = ReadFile(subject.files, subject.machine.memory, kKernelFileMax);
  if (!text) return FailWith("memory", Size(kInstallMemory), text.error());
  const size_t at = AsText(*text).find(kKey);
  const auto kib = at == std::string_view::npos
                       ? std::nullopt
                       : ParseNumber(AsText(*text).substr(at + kKey.size()));
  if (!kib)
    return Fail("memory", Size(kInstallMemory), "no MemAvailable", Reason::kUnavailable,
                "install.memory");
  return AtLeast("memory", kInstallMemory, *kib * 1024, Reason::kUnavailable, "install.memory");
}

PreflightCheck CheckBoot(const PreflightSubject& subject) {
  const std::string need = "both slots can be chosen";
  const Result<Unit> checked = subject.boot.Check();
  if (!checked) return FailWith("boot-loader", need, checked.error());
  return Pass("boot-loader", need, "entries and a writable place");
}

// Supply is what sysfs says of one power supply (Linux, sysfs-class-power).
class Supply {
 public:
  Supply(FileSystem& files, const std::string& folder) : files_(files), folder_(folder) {}
  std::string Get(const char* name) const {
    const auto text = ReadFile(files_, folder_ + "/" + name, kKernelFileMax);
    std::string value = text ? ToString(*text) : "";
    while (!value.empty() && value.back() == '\n') value.pop_back();
    return value;
  }
  // A mouse's battery does not power the machine.
  bool IsBattery() const { return Get("type") == "Battery" && Get("scope") != "Device"; }
  bool IsOnline() const { return Get("type") != "Battery" && Get("online") == "1"; }
  bool Lasts() const {
    const auto percent = ParseNumber(Get("capacity"));
    return Get("status") == "Charging" || Get("status") == "Full" ||
           (percent && *percent >= kBatteryPercentMin);
  }
  std::string Describe() const { return Get("capacity") + " %, " + Get("status"); }

 private:
  FileSystem& files_;
  const std::string folder_;
};

PreflightCheck CheckPower(const PreflightSubject& subject) {
  const std::string need = "mains or a battery at " + std::to_string(kBatteryPercentMin) + " %";
  const auto names = subject.files.List(subject.machine.power);
  std::string weak;
  for (const std::string& name : names ? *names : std::vector<std::string>()) {
    const Supply supply(subject.files, subject.machine.power + "/" + name);
    if (supply.IsOnline()) return Pass("power", need, "mains (" + name + ")");
    if (!supply.IsBattery()) continue;
    if (supply.Lasts()) return Pass("power", need, name + " at " + supply.Describe());
    weak = name + " at " + supply.Describe();
  }
  if (!weak.empty()) return Fail("power", need, weak, Reason::kUnavailable, "install.power");
  return Pass("power", need, "no battery in this machine");
}

}  // namespace

std::vector<PreflightCheck> RunPreflight(const PreflightSubject& subject) {
  return {CheckBoot(subject),
          CheckSlot(subject),
          CheckMount(subject, "esp-mount", subject.esp),
          CheckEspSpace(subject),
          CheckEspDirectory(subject),
          CheckMount(subject, "state-mount", ParentDirectory(subject.record)),
          CheckRecordSpace(subject),
          CheckMemory(subject),
          CheckPower(subject)};
}

Result<Unit> FirstFailure(const std::vector<PreflightCheck>& checks) {
  for (const PreflightCheck& check : checks)
    if (check.failure) return *check.failure;
  return Unit{};
}

PreflightCheck ComponentCheck(const RemoteComponent& component, const Result<Unit>& found) {
  const std::string resource = component.firmware ? "firmware" : "component";
  const std::string need =
      component.name + ": " +
      (component.firmware ? "firmware " + component.firmware->fw_class + " that takes version " +
                                std::to_string(component.firmware->version)
                          : "a place for " + Size(component.file.length));
  return found ? Pass(resource, need, component.firmware ? "such firmware" : "such a place")
               : FailWith(resource, need, found.error());
}

std::string DescribePreflight(const std::vector<PreflightCheck>& checks, std::string_view release,
                              bool json) {
  constexpr std::string_view kUnknown = "preflight.no-release";
  std::string text =
      release.empty()
          ? "no release is assigned, sizes count as zero: " + std::string(kUnknown) + "\n"
          : "release " + std::string(release) + "\n";
  std::vector<JsonValue> list;
  for (const PreflightCheck& check : checks) {
    const std::string_view verdict = check.failure ? check.failure->name() : "ok";
    text += check.resource + ": need " + check.need + ", have " + check.have + ": " +
            std::string(verdict) + "\n";
    list.push_back(JsonValue::Object({{"resource", check.resource},
                                      {"need", check.need},
                                      {"have", check.have},
                                      {"verdict", verdict}}));
  }
  if (!json) return text;
  const bool ready = FirstFailure(checks).has_value();
  return WriteJson(JsonValue::Object(
             {{"ready", ready},
              {"release", release.empty() ? JsonValue() : JsonValue(release)},
              {"release_unknown", release.empty() ? kUnknown : std::string_view()},
              {"checks", JsonValue::Array(std::move(list))}})) +
         "\n";
}

}  // namespace sallyport::ota

#include "ota/install/kernel_slot.h"

#include <optional>

namespace sallyport::ota {
namespace {

constexpr uint64_t kKernelFileMax = 1 << 20;
constexpr std::string_view kWord = "sallyport.slot=";
// Verity over a partition is one step; more than this is no stack of ours.
constexpr int kStackMax = 4;

// NextWord takes one word off the front of `text`.
std::string_view NextWord(std::string_view& text) {
  constexpr std::string_view kSpace = " \t\n";
  const size_t start = text.find_first_not_of(kSpace);
  text.remove_prefix(start == text.npos ? text.size() : start);
  const std::string_view word = text.substr(0, text.find_first_of(kSpace));
  text.remove_prefix(word.size());
  return word;
}

Result<std::optional<Slot>> SlotInCommandLine(std::string_view text) {
  std::optional<Slot> found;
  while (true) {
    const std::string_view word = NextWord(text);
    if (word.empty()) return found;
    if (!word.starts_with(kWord)) continue;
    const std::string_view name = word.substr(kWord.size());
    if (found || (name != "a" && name != "b"))
      return Error{Reason::kMalformed, std::string(word) + " on the kernel's command line",
                   "slot.command-line"};
    found = name == "a" ? Slot::kA : Slot::kB;
  }
}

// RootDevice is MAJOR:MINOR of the last file system mounted at / (proc_pid_mountinfo(5)).
std::string RootDevice(std::string_view mounts) {
  std::string device;
  while (!mounts.empty()) {
    std::string_view line = mounts.substr(0, mounts.find('\n'));
    mounts.remove_prefix(std::min(line.size() + 1, mounts.size()));
    NextWord(line);
    NextWord(line);
    const std::string_view id = NextWord(line);
    NextWord(line);
    if (NextWord(line) == "/") device = id;
  }
  return device;
}

std::string DeviceName(std::string_view uevent) {
  constexpr std::string_view kKey = "DEVNAME=";
  const size_t at = uevent.find(kKey);
  if (at == uevent.npos) return "";
  uevent.remove_prefix(at + kKey.size());
  return std::string(uevent.substr(0, uevent.find('\n')));
}

Error Unknown(const std::string& device) {
  return Error{Reason::kNotFound, "the root file system is on " + device + ", no slot of ours",
               "slot.unknown"};
}

}  // namespace

Result<Slot> KernelSlot::OfDevice(const std::string& device, int depth) {
  const auto uevent = ReadFile(files_, config_.devices + "/" + device + "/uevent", kKernelFileMax);
  if (!uevent) return Unknown(device);
  const std::string name = DeviceName(AsText(*uevent));
  if (name == config_.device_a) return Slot::kA;
  if (name == config_.device_b) return Slot::kB;
  const std::string slaves = config_.devices + "/" + device + "/slaves";
  const auto below = files_.List(slaves);
  if (!below || below->size() != 1 || depth == kStackMax) return Unknown(name);
  const auto next = ReadFile(files_, slaves + "/" + below->front() + "/dev", kKernelFileMax);
  if (!next) return Unknown(name);
  std::string_view text = AsText(*next);
  return OfDevice(std::string(NextWord(text)), depth + 1);
}

Result<Slot> KernelSlot::OfRoot() {
  SP_TRY(const Bytes mounts, ReadFile(files_, config_.mounts, kKernelFileMax));
  return OfDevice(RootDevice(AsText(mounts)), 0);
}

Result<Slot> KernelSlot::Find() {
  SP_TRY(const Bytes line, ReadFile(files_, config_.command_line, kKernelFileMax));
  SP_TRY(const std::optional<Slot> named, SlotInCommandLine(AsText(line)));
  if (named) return *named;
  return OfRoot();
}

}  // namespace sallyport::ota

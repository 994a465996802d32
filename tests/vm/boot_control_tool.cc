// Lets a boot adapter write into a real boot loader's environment, from outside the machine:
// boot_control_tool u-boot FW_ENV_CONFIG disarm|arm|default a|b
// boot_control_tool u-boot FW_ENV_CONFIG next
#include <cstdio>
#include <string_view>

#include "ota/install/u_boot_control.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kConfigBytesMax = 64 * 1024;

std::optional<Slot> ParseSlot(std::string_view text) {
  if (text == "a") return Slot::kA;
  if (text == "b") return Slot::kB;
  return std::nullopt;
}

Result<Unit> PrintNext(BootControl& boot) {
  SP_TRY(const std::optional<Slot> next, boot.NextBoot());
  std::puts(next ? std::string(SlotName(*next)).c_str() : "none");
  return Unit{};
}

Result<Unit> Change(BootControl& boot, std::string_view change, Slot slot) {
  if (change == "disarm") return boot.Disarm(slot);
  if (change == "arm") return boot.ArmOnce(slot);
  if (change == "default") return boot.MakeDefault(slot);
  return Error{Reason::kInvalidArgument, "no change " + std::string(change)};
}

Result<Unit> Run(const std::vector<std::string>& words) {
  if (words.size() < 3 || words[0] != "u-boot")
    return Error{Reason::kInvalidArgument, "u-boot FW_ENV_CONFIG CHANGE SLOT"};
  PosixFileSystem files;
  SP_TRY(const Bytes text, ReadFile(files, words[1], kConfigBytesMax));
  SP_TRY(auto copies, ParseFwEnvConfig(AsText(text)));
  UBootControl boot(files, std::move(copies), KernelSlot(files, {}));
  if (words[2] == "next") return PrintNext(boot);
  const std::optional<Slot> slot = words.size() == 4 ? ParseSlot(words[3]) : std::nullopt;
  if (!slot) return Error{Reason::kInvalidArgument, "slot a or b"};
  return Change(boot, words[2], *slot);
}

}  // namespace
}  // namespace sallyport::ota

int main(int argc, char** argv) {
  const auto done = sallyport::ota::Run({argv + 1, argv + argc});
  if (!done) std::fprintf(stderr, "boot_control_tool: %s\n", done.error().ToString().c_str());
  return done ? 0 : 1;
}

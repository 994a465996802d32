// What the installer reads of other programs' making: update records, EFI load options, the
// environments of U-Boot and GRUB, fw_env.config, verity superblocks. Whatever is accepted survives
// writing it again, with every variable that is not ours.
#include "ota/install/efi_boot_control.h"
#include "ota/install/grub_environment.h"
#include "ota/install/state_record.h"
#include "ota/install/u_boot_environment.h"
#include "ota/measure/verity.h"

using namespace sallyport;

namespace {

void FuzzRecord(ByteView input) {
  if (const auto record = ota::DecodeRecord(input))
    SP_CHECK(Equal(ota::EncodeRecord(*record), input));
}

void FuzzLoadOption(ByteView input) {
  const auto option = ota::EfiLoadOption::Decode(input);
  if (!option) return;
  SP_CHECK(ota::EfiLoadOption::Decode(option->Encode({1, 2048, 4096, {}})) == option);
}

void FuzzUBoot(ByteView input) {
  const auto parsed = ota::UBootEnvironment::Parse(input);
  if (!parsed) return;
  const auto written = parsed->Encode(input.size());
  SP_CHECK(written && *ota::UBootEnvironment::Parse(*written) == *parsed);
  ota::UBootEnvironment changed = *parsed;
  changed.Set("boot_slot", "b");
  for (const std::string& text : parsed->texts())
    SP_CHECK(text.starts_with("boot_slot=") ||
             std::ranges::find(changed.texts(), text) != changed.texts().end());
}

// The fuzzer cannot find checksums; it gets the data behind one that is right.
void FuzzUBootData(ByteView input) {
  uint32_t crc = UINT32_MAX;
  for (const uint8_t byte : input) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  FuzzUBoot(ByteWriter().LittleU32(~crc).U8(7).Raw(input).bytes());
}

void FuzzGrub(ByteView input) {
  Bytes block = ToBytes(std::string_view("# GRUB Environment Block\n"));
  Append(block, input);
  block.resize(ota::kGrubBlockSize, '#');
  for (const ByteView view : {input, ByteView(block)}) {
    const auto parsed = ota::GrubEnvironment::Parse(view);
    if (!parsed) continue;
    SP_CHECK(Equal(*parsed->Encode(), view));
    ota::GrubEnvironment changed = *parsed;
    changed.Set("ORDER", "A B");
    changed.MoveToFront({"ORDER"});
    for (const std::string& line : parsed->lines())
      SP_CHECK(line.starts_with("ORDER=") ||
               std::ranges::find(changed.lines(), line) != changed.lines().end());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  FuzzRecord(input);
  FuzzLoadOption(input);
  FuzzUBoot(input);
  FuzzUBootData(input);
  FuzzGrub(input);
  static_cast<void>(ota::ParseFwEnvConfig(AsText(input)).has_value());
  const auto verity = ota::ParseVeritySuperblock(input);
  if (verity && *verity) SP_CHECK((*verity)->salt.size() <= ota::kVeritySaltMax);
  return 0;
}

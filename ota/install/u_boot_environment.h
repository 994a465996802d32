// U-Boot's redundant environment: two copies of {CRC-32, flags, `name=value` texts}, written in
// turn (U-Boot env/common.c, env_import_redund; libubootenv). Pure; whatever is not ours is kept.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/bytes.h"

namespace sallyport::ota {

// A place of one copy, as a line of fw_env.config gives it.
struct UBootCopy {
  std::string device;  // block device or file; raw flash (MTD) needs erasing and is not supported
  uint64_t offset;
  uint64_t size;
  bool operator==(const UBootCopy&) const = default;
};

// ParseFwEnvConfig reads fw_env.config. kMalformed, uboot.config: not two copies of one size that
// begin and end on sectors and do not overlap.
Result<std::array<UBootCopy, 2>> ParseFwEnvConfig(std::string_view text);

// UBootEnvironment is the content of one copy. Independent copies; one thread at a time.
class UBootEnvironment {
 public:
  // Parse: kMalformed with uboot.crc, uboot.size, and, though the CRC is right, uboot.variable (a
  // text without a name, or a name twice).
  static Result<UBootEnvironment> Parse(ByteView copy);
  // Encode: kNoSpace, uboot.full, when the variables do not fit.
  Result<Bytes> Encode(size_t size) const;

  std::optional<std::string_view> Get(std::string_view name) const;
  // Set keeps the place of a variable that is there. Aborts on '=' or NUL in our own texts.
  void Set(std::string_view name, std::string_view value);
  const std::vector<std::string>& texts() const { return texts_; }

  uint8_t flags = 0;  // counts writes; U-Boot takes the copy that is ahead
  bool operator==(const UBootEnvironment&) const = default;

 private:
  std::vector<std::string> texts_;  // name=value
};

// IsAhead says whether U-Boot would rather take a copy with these flags than one with `other`; the
// count wraps.
constexpr bool IsAhead(uint8_t flags, uint8_t other) {
  if (flags == 0 && other == UINT8_MAX) return true;
  if (flags == UINT8_MAX && other == 0) return false;
  return flags > other;
}

}  // namespace sallyport::ota

// GRUB's environment block: 1024 bytes of `name=value` lines behind a signature, filled up with '#'
// (GRUB 2.06, grub-core/lib/envblk.c). Pure; lines that are not ours are kept byte for byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/bytes.h"

namespace sallyport::ota {

inline constexpr size_t kGrubBlockSize = 1024;

// Independent copies; one thread at a time.
class GrubEnvironment {
 public:
  // Parse: kMalformed with grub.size, grub.signature, grub.line (neither comment nor variable, or a
  // name twice), grub.fill (something else than '#' behind the last line).
  static Result<GrubEnvironment> Parse(ByteView block);
  // Encode: kNoSpace, grub.full, when the lines do not fit.
  Result<Bytes> Encode() const;

  // Get returns the value as it stands in the block: GRUB escapes '\' and line ends.
  std::optional<std::string_view> Get(std::string_view name) const;
  // Set keeps the place of a variable that is there. Aborts on texts that would need escaping.
  void Set(std::string_view name, std::string_view value);
  // MoveToFront puts these variables, those that are there, before all others.
  void MoveToFront(const std::vector<std::string_view>& names);
  const std::vector<std::string>& lines() const { return lines_; }
  bool operator==(const GrubEnvironment&) const = default;

 private:
  std::vector<std::string> lines_;  // without their line ends
};

}  // namespace sallyport::ota

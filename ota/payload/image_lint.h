// The linter of slot images: what about an image will make its updates large, slow or impossible,
// found on the machine that builds it (ota-reference E3: the format decides which delta works).
#pragma once

#include <optional>
#include <vector>

#include "ota/payload/image_format.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// kError: such an image is not released; kWarning: it works, and costs.
enum class LintSeverity : uint8_t { kWarning, kError };

// LintFinding: `rule` is one of those in kLintRules; `detail` is what was found, `advice` what to
// do about it.
struct LintFinding {
  std::string_view rule;
  LintSeverity severity;
  std::string detail;
  std::string advice;
};

struct LintRule {
  std::string_view rule;
  LintSeverity severity;
  std::string_view what;
};
// One row per rule; docs/updates.md holds DescribeLintRules and a test compares.
inline constexpr LintRule kLintRules[] = {
    {"image.empty", LintSeverity::kError, "the image has no bytes"},
    {"image.format", LintSeverity::kError,
     "an archive, a compressed file or a whole disk, not one file system"},
    {"image.unknown-format", LintSeverity::kWarning, "no EROFS, squashfs or ext file system"},
    {"image.block-size", LintSeverity::kError,
     "the file system's blocks are not 4096 bytes: content moves by less than a block"},
    {"image.alignment", LintSeverity::kWarning, "the length is no multiple of 4096 bytes"},
    {"image.truncated", LintSeverity::kError,
     "the file system says that it is longer than the image"},
    {"image.compressed-fs", LintSeverity::kWarning,
     "the file system compresses: a small change rewrites whole clusters"},
    {"image.compressed-content", LintSeverity::kWarning,
     "more than a quarter of the content is compressed already"},
    {"image.not-reproducible", LintSeverity::kError, "a second build of the same source differs"},
    {"image.format-change", LintSeverity::kWarning,
     "the older image has another format or block size"},
    {"image.identity", LintSeverity::kWarning, "UUID or hash seed differs from the older image"},
    {"image.layout", LintSeverity::kWarning,
     "content of the older image is there, but moved by other than whole blocks"},
    {"slot.size", LintSeverity::kError, "the image does not fit the slot"},
    {"esp.space", LintSeverity::kError, "two kernel images do not fit the EFI system partition"},
};
std::string DescribeLintRules();

// LintInputs: borrowed files; what is absent is not judged.
struct LintInputs {
  File& image;
  File* again = nullptr;  // a second build of the same source
  File* from = nullptr;   // the image of an older release
  std::optional<uint64_t> slot_size = std::nullopt;
  std::optional<uint64_t> uki_size = std::nullopt;
  std::optional<uint64_t> esp_size = std::nullopt;
};

struct LintReport {
  ImageFacts facts;
  uint64_t length = 0;
  uint64_t changed = 0;  // bytes in blocks that the older image has nowhere; 0 without one
  std::vector<LintFinding> findings;

  [[nodiscard]] bool Refuses() const;
};

// LintImage reads every file once from its start, in constant memory but for 16 bytes per block of
// `from`. Errors of reading only.
Result<LintReport> LintImage(const LintInputs& inputs);

}  // namespace sallyport::ota

#include "pki/base/content_request.h"

#include <algorithm>
#include <charconv>

#include "pki/base/digest.h"

namespace sallyport {
namespace {

constexpr size_t kPathBytesMax = 512;  // ours have about 120
constexpr std::string_view kUnit = "bytes=";
constexpr size_t kHexDigestSize = 2 * Sha256Digest::kSize;

Error NoSuchFile() { return Error{Reason::kNotFound, "no such file", "content.path"}; }
Error BadRange() {
  return Error{Reason::kInvalidArgument, "not one range of this file", "content.range"};
}

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.+").find(c) != std::string_view::npos;
}

std::vector<std::string> Segments(std::string_view path) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    out.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool IsPlainSegment(std::string_view segment) {
  return !segment.empty() && segment.front() != '.' && std::ranges::all_of(segment, IsPlain);
}

Result<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return BadRange();
  return value;
}

}  // namespace

Result<ContentPath> ContentPath::Parse(std::string_view target, std::string_view prefix) {
  if (!target.starts_with(prefix)) return NoSuchFile();
  const std::string_view path = target.substr(prefix.size());
  if (path.size() > kPathBytesMax || !std::ranges::all_of(Segments(path), IsPlainSegment))
    return NoSuchFile();
  return ContentPath(std::string(path));
}

std::vector<std::string> ContentPath::segments() const { return Segments(text_); }

std::string ContentPath::etag() const {
  const std::string_view name = std::string_view(text_).substr(text_.rfind('/') + 1);
  const size_t digest = std::min(name.find_first_not_of("0123456789abcdef"), name.size());
  if (digest != kHexDigestSize || digest == name.size() || name[digest] != '.') return "";
  return '"' + std::string(name.substr(0, digest)) + '"';
}

Result<ContentRange> ParseRange(std::string_view header, uint64_t size) {
  const size_t dash = header.find('-');
  if (!header.starts_with(kUnit) || dash == std::string_view::npos || size == 0) return BadRange();
  const std::string_view from = header.substr(kUnit.size(), dash - kUnit.size());
  const std::string_view to = header.substr(dash + 1);
  if (from.empty()) {
    SP_TRY(const uint64_t suffix, Number(to));
    if (suffix == 0) return BadRange();
    return ContentRange{size - std::min(suffix, size), size - 1};
  }
  SP_TRY(const uint64_t first, Number(from));
  if (first >= size) return BadRange();
  if (to.empty()) return ContentRange{first, size - 1};
  SP_TRY(const uint64_t last, Number(to));
  if (last < first) return BadRange();
  return ContentRange{first, std::min(last, size - 1)};
}

}  // namespace sallyport

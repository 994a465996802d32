#include "pki/base/printable.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace sallyport {
namespace {

struct Character {
  uint32_t code = 0;
  size_t size = 0;  // 0: not valid UTF-8
};

// The smallest code of each length: longer forms of the same code are refused (RFC 3629).
constexpr std::array<uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};

size_t SizeOf(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  return lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
}

Character Next(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text.front());
  const size_t size = SizeOf(lead);
  if (size == 0 || size > text.size()) return {};
  if (size == 1) return {lead, 1};
  uint32_t code = lead & (0x7FU >> size);
  for (const char c : text.substr(1, size - 1)) {
    if ((static_cast<uint8_t>(c) & 0xC0) != 0x80) return {};
    code = code << 6 | (static_cast<uint8_t>(c) & 0x3F);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kSmallest[size] || surrogate || code > 0x10FFFF ? Character{}
                                                                : Character{code, size};
}

bool Steers(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

std::string PrintableText(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character next = Next(text);
    const size_t size = std::max<size_t>(next.size, 1);
    if (next.size == 0) {
      out += '?';
    } else if (text.starts_with("\r\n")) {
      // The newline that follows stands for both.
    } else if (next.code == '\n') {
      out += '\n';
    } else if (next.code == '\t') {
      out += ' ';
    } else if (Steers(next.code)) {
      out += '?';
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return out;
}

std::string PrintableLine(std::string_view text) {
  std::string out = PrintableText(text);
  std::ranges::replace(out, '\n', ' ');
  return out;
}

std::string_view TailOf(std::string_view utf8, size_t bytes_max) {
  if (utf8.size() <= bytes_max) return utf8;
  std::string_view tail = utf8.substr(utf8.size() - bytes_max);
  while (!tail.empty() && IsContinuation(tail.front())) tail.remove_prefix(1);
  const size_t line = tail.find('\n');
  return line == std::string_view::npos || line + 1 == tail.size() ? tail : tail.substr(line + 1);
}

}  // namespace sallyport

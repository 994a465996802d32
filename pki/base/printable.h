// Text of a stranger made safe to keep and to print: valid UTF-8 without what steers a terminal or
// turns the reading order around. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sallyport {

// PrintableText replaces by '?' each byte that is not part of valid UTF-8, each control character
// (C0, DEL, C1) but newline, and each character that hides or reorders others (U+200B..200F,
// U+2028..202E, U+2060..206F, U+FEFF); a tab becomes a space, CR LF a newline. It is at most as
// long as `text`.
std::string PrintableText(std::string_view text);
// PrintableLine is PrintableText with each newline a space.
std::string PrintableLine(std::string_view text);
// TailOf keeps the last `bytes_max` bytes, begun at a whole character, and if it can at a whole
// line.
std::string_view TailOf(std::string_view utf8, size_t bytes_max);

}  // namespace sallyport

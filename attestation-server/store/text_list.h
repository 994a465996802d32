// Lists of words in one TEXT column: joined by commas. The words themselves hold none (they are
// checked where they come in).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::server {

inline std::string JoinList(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ',';
    out += word;
  }
  return out;
}

inline std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

}  // namespace sallyport::server

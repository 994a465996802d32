#include "ota/install/grub_environment.h"

#include <algorithm>
#include <set>

namespace sallyport::ota {
namespace {

constexpr std::string_view kSignature = "# GRUB Environment Block\n";

Error Refuse(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

std::string_view NameOf(std::string_view line) { return line.substr(0, line.find('=')); }
bool IsComment(std::string_view line) { return line.starts_with('#'); }

// EndOfLine finds the line end that no backslash escapes.
size_t EndOfLine(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') return i;
    if (text[i] == '\\' && !IsComment(text)) ++i;
  }
  return text.npos;
}

bool IsVariable(std::string_view line) {
  const size_t equals = line.find('=');
  return equals != 0 && equals != line.npos && line.find('\0') == line.npos;
}

}  // namespace

Result<GrubEnvironment> GrubEnvironment::Parse(ByteView block) {
  std::string_view text = AsText(block);
  if (text.size() != kGrubBlockSize)
    return Refuse("grub.size", std::to_string(text.size()) + " bytes");
  if (!text.starts_with(kSignature)) return Refuse("grub.signature", "no environment block");
  text.remove_prefix(kSignature.size());
  GrubEnvironment out;
  std::set<std::string_view> names;
  for (size_t end = EndOfLine(text); end != text.npos; end = EndOfLine(text)) {
    const std::string_view line = text.substr(0, end);
    const bool good = IsComment(line) || (IsVariable(line) && names.insert(NameOf(line)).second);
    if (!good) return Refuse("grub.line", "line " + std::to_string(out.lines_.size() + 1));
    out.lines_.emplace_back(line);
    text.remove_prefix(end + 1);
  }
  if (!std::ranges::all_of(text, [](char c) { return c == '#'; }))
    return Refuse("grub.fill", "text behind the last line");
  return out;
}

Result<Bytes> GrubEnvironment::Encode() const {
  std::string text(kSignature);
  for (const std::string& line : lines_) text += line + "\n";
  if (text.size() > kGrubBlockSize)
    return Error{Reason::kNoSpace, "GRUB's environment block is full", "grub.full"};
  text.resize(kGrubBlockSize, '#');
  return ToBytes(text);
}

std::optional<std::string_view> GrubEnvironment::Get(std::string_view name) const {
  for (const std::string& line : lines_)
    if (!IsComment(line) && NameOf(line) == name)
      return std::string_view(line).substr(name.size() + 1);
  return std::nullopt;
}

void GrubEnvironment::Set(std::string_view name, std::string_view value) {
  const std::string line = std::string(name) + "=" + std::string(value);
  SP_CHECK(IsVariable(line) && !IsComment(line) && line.find_first_of("\\\n") == line.npos);
  const auto found = std::ranges::find_if(
      lines_, [&](const std::string& held) { return !IsComment(held) && NameOf(held) == name; });
  if (found == lines_.end())
    lines_.push_back(line);
  else
    *found = line;
}

void GrubEnvironment::MoveToFront(const std::vector<std::string_view>& names) {
  auto place = std::ranges::find_if_not(lines_, IsComment);
  for (const std::string_view name : names) {
    const auto found = std::find_if(place, lines_.end(), [&](const std::string& held) {
      return !IsComment(held) && NameOf(held) == name;
    });
    if (found == lines_.end()) continue;
    std::rotate(place, found, found + 1);
    ++place;
  }
}

}  // namespace sallyport::ota

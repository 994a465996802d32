#include "tests/lint/rules.h"

#include <algorithm>
#include <array>
#include <regex>
#include <set>

namespace sallyport::lint {
namespace {

constexpr std::array<std::string_view, 5> kModules{"pki", "policies", "ota", "attestation-server",
                                                   "device-client"};
// Folders whose behaviour only whole programs show: their tests are under tests/integration and
// tests/e2e.
constexpr std::array<std::string_view, 4> kShells{"attestation-server", "attestation-server/api",
                                                  "device-client", "device-client/transport"};
// Enums that carry values from the wire, which may have no name.
constexpr std::array<std::string_view, 1> kOpenEnums{"EventType"};

bool IsCode(const SourceFile& file) {
  return file.extension() == ".h" || file.extension() == ".cc";
}
bool IsTest(const SourceFile& file) { return file.module() == "tests"; }
bool InModule(const SourceFile& file) {
  return std::ranges::find(kModules, file.module()) != kModules.end();
}

// Blank returns `text` with comments, strings and characters replaced by spaces, so that braces can
// be counted.
std::string Blank(std::string_view text) {
  static const std::regex kNoise(
      R"re(//[^\n]*|/\*[\s\S]*?\*/|R"(\w*)\([\s\S]*?\)\1"|"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])+')re");
  std::string out(text);
  for (std::cregex_iterator it(text.data(), text.data() + text.size(), kNoise), end; it != end;
       ++it)
    for (auto at = it->position(); at < it->position() + it->length(); ++at)
      if (out[static_cast<size_t>(at)] != '\n') out[static_cast<size_t>(at)] = ' ';
  return out;
}

size_t LineOf(std::string_view text, size_t offset) {
  return 1 + static_cast<size_t>(std::ranges::count(text.substr(0, offset), '\n'));
}

// CloseOf returns the offset of the brace that closes the one at `open`.
size_t CloseOf(std::string_view text, size_t open) {
  size_t depth = 0;
  for (size_t at = open; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return text.size();
}

// OpensScope: whether the text before a brace opens a namespace or type, whose content is still
// outside functions.
bool OpensScope(std::string_view before) {
  static const std::regex kScope(R"(\b(namespace|class|struct|union|enum)\b[^()]*$|extern\s*$)");
  return std::regex_search(before.begin(), before.end(), kScope);
}

struct Range {
  size_t begin;
  size_t end;
};

// Functions finds the outermost braces below namespaces and types whose introduction has a
// parameter list.
std::vector<Range> Functions(std::string_view text) {
  std::vector<Range> out;
  size_t introduction = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == ';' || text[at] == '}') introduction = at + 1;
    if (text[at] != '{') continue;
    const std::string_view before = text.substr(introduction, at - introduction);
    introduction = at + 1;
    if (OpensScope(before)) continue;
    const size_t close = CloseOf(text, at);
    const bool table =
        before.find('=') != std::string_view::npos && before.find(')') == std::string_view::npos;
    if (!table && before.find('(') != std::string_view::npos) out.push_back({at, close});
    at = close;
    introduction = std::min(close + 1, text.size());
  }
  return out;
}

// ForEachMatch reports every line on which `pattern` is found.
std::vector<Finding> ForEachMatch(const SourceFile& file, const std::regex& pattern,
                                  const std::string& what) {
  std::vector<Finding> out;
  size_t number = 0;
  for (const std::string_view line : file.Lines()) {
    ++number;
    if (std::regex_search(line.begin(), line.end(), pattern))
      out.push_back({file.path, number, what});
  }
  return out;
}

std::set<std::string> FoldersWithCode(const std::vector<SourceFile>& tree) {
  std::set<std::string> out;
  for (const SourceFile& file : tree)
    if (InModule(file) && IsCode(file)) out.emplace(file.folder());
  return out;
}

}  // namespace

std::vector<Finding> CheckHeader(const SourceFile& file) {
  std::vector<Finding> out;
  if (file.extension() != ".h") return out;
  if (!file.text.starts_with("// "))
    out.push_back({file.path, 1, "a header begins with a comment on its purpose"});
  if (file.text.find("\n#pragma once\n") == std::string::npos)
    out.push_back({file.path, 1, "no #pragma once"});
  return out;
}

std::vector<Finding> CheckSizes(const SourceFile& file) {
  std::vector<Finding> out;
  if (!IsCode(file)) return out;
  const size_t lines = file.Lines().size();
  if (!IsTest(file) && lines > kFileLinesMax)
    out.push_back({file.path, lines, std::to_string(lines) + " lines: two files, please"});
  const std::string text = Blank(file.text);
  for (const Range& function : Functions(text)) {
    const size_t first = LineOf(text, function.begin),
                 length = LineOf(text, function.end) - first + 1;
    if (length > kFunctionLinesMax)
      out.push_back({file.path, first, "a function of " + std::to_string(length) + " lines"});
  }
  return out;
}

std::vector<Finding> CheckSwitches(const SourceFile& file) {
  static const std::regex kSwitch(R"(\bswitch\s*\()");
  static const std::regex kOurCase(R"(\bcase\s+(\w+::)*([A-Z]\w*)::k[A-Z])");
  static const std::regex kDefault(R"(\bdefault\s*:)");
  std::vector<Finding> out;
  if (!IsCode(file)) return out;
  const std::string text = Blank(file.text);
  for (std::sregex_iterator it(text.begin(), text.end(), kSwitch), end; it != end; ++it) {
    const size_t open = text.find('{', static_cast<size_t>(it->position()));
    const std::string body = text.substr(open, CloseOf(text, open) - open);
    std::smatch ours;
    if (!std::regex_search(body, ours, kOurCase) ||
        std::ranges::find(kOpenEnums, ours[2].str()) != kOpenEnums.end())
      continue;
    if (std::regex_search(body, kDefault))
      out.push_back(
          {file.path, LineOf(text, open), "a default hides new values of an enum of ours"});
  }
  return out;
}

std::vector<Finding> CheckNotes(const SourceFile& file) {
  static const std::regex kNote(R"(\b(TODO|FIXME)\b(?!\(#[0-9]+\)))");
  if (!IsCode(file) || IsUnder(file.path, "tests/lint")) return {};
  return ForEachMatch(file, kNote, "a note without the number of its issue");
}

std::vector<Finding> CheckPaths(const SourceFile& file) {
  static const std::regex kMachine(R"((^|[^\w.$}])/(home|root|work|farm|Users)/\w)");
  return ForEachMatch(file, kMachine, "a path of somebody's machine");
}

std::vector<Finding> CheckSleeps(const SourceFile& file) {
  static const std::regex kSleep(R"(sleep_for|sleep_until|\busleep\(|[^\w]sleep\()");
  if (!IsTest(file) || !IsCode(file) || IsUnder(file.path, "tests/lint")) return {};
  return ForEachMatch(file, kSleep, "a test that sleeps");
}

std::vector<Finding> CheckTestsAreBuilt(const std::vector<SourceFile>& tree) {
  static const std::regex kProgram(R"(/([^/]*_(test|bench|fuzzer)\.cc)$)");
  std::vector<Finding> out;
  for (const SourceFile& file : tree) {
    std::smatch name;
    if (!IsTest(file) || !std::regex_search(file.path, name, kProgram)) continue;
    const auto lists =
        std::ranges::find(tree, std::string(file.folder()) + "/CMakeLists.txt", &SourceFile::path);
    if (lists == tree.end() || lists->text.find(name[1].str()) == std::string::npos)
      out.push_back({file.path, 1, "not named in the CMakeLists.txt beside it"});
  }
  return out;
}

std::vector<Finding> CheckTestMirror(const std::vector<SourceFile>& tree) {
  static const std::regex kUnitTest(R"(^tests/unit/(.*)/[^/]*_test\.cc$)");
  const std::set<std::string> sources = FoldersWithCode(tree);
  std::set<std::string> tested;
  std::vector<Finding> out;
  for (const SourceFile& file : tree) {
    std::smatch match;
    if (!std::regex_match(file.path, match, kUnitTest)) continue;
    tested.insert(match[1].str());
    if (!sources.contains(match[1].str()))
      out.push_back({file.path, 1, "mirrors no folder with code"});
  }
  for (const std::string& folder : sources)
    if (!tested.contains(folder) && std::ranges::find(kShells, folder) == kShells.end())
      out.push_back({folder, 1, "no tests in tests/unit/" + folder});
  return out;
}

}  // namespace sallyport::lint

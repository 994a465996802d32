#include "tests/lint/layering.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sallyport::lint {
namespace {

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool UnderAny(std::string_view path, const std::vector<std::string>& folders) {
  return std::ranges::any_of(folders,
                             [&](const std::string& folder) { return IsUnder(path, folder); });
}

// Included returns what an include line names, with its opening character: `<zstd.h` or
// `"pki/base/bytes.h`.
std::string_view Included(std::string_view line) {
  constexpr std::string_view kInclude = "#include ";
  if (!line.starts_with(kInclude)) return {};
  line.remove_prefix(kInclude.size());
  return line.substr(0, line.find_first_of(">\"", 1));
}

std::string CheckQuoted(const SourceFile& file, std::string_view header,
                        const LayeringTable& table) {
  const std::string_view module = header.substr(0, header.find('/'));
  if (!table.modules.contains(module))
    return "include by the path from the root: " + std::string(header);
  for (const auto& [suffix, folders] : table.protos)
    if (header.ends_with(suffix) && !UnderAny(file.path, folders))
      return "generated header outside its folders: " + std::string(header);
  if (module == file.module() || UnderAny(header, table.modules.at(std::string(file.module()))))
    return {};
  return std::string(file.module()) + " may not depend on " + std::string(header);
}

std::string CheckAngled(const SourceFile& file, std::string_view header,
                        const LayeringTable& table) {
  for (const auto& [prefix, folders] : table.headers)
    if (header.starts_with(prefix) && !UnderAny(file.path, folders))
      return "<" + std::string(header) + "> belongs behind another folder";
  return {};
}

std::string CheckInclude(const SourceFile& file, std::string_view included,
                         const LayeringTable& table) {
  if (included.empty()) return {};
  const std::string_view header = included.substr(1);
  return included.front() == '"' ? CheckQuoted(file, header, table)
                                 : CheckAngled(file, header, table);
}

}  // namespace

LayeringTable ParseLayeringTable(std::string_view text) {
  LayeringTable table;
  for (const std::string& line : Split(text, '\n')) {
    if (line.starts_with('#')) continue;
    std::vector<std::string> row = Split(line, '\t');
    row.resize(std::max<size_t>(row.size(), 3));
    const std::vector<std::string> folders = Split(row[2], ' ');
    if (row[0] == "module")
      table.modules[row[1]] = folders;
    else if (row[0] == "header")
      table.headers.emplace_back(row[1], folders);
    else if (row[0] == "proto")
      table.protos.emplace_back(row[1], folders);
    else if (row[0] == "word")
      table.words.emplace_back(row[1], folders);
    else {
      std::fprintf(stderr, "layering.tsv: %s\n", line.c_str());
      std::abort();
    }
  }
  return table;
}

std::vector<Finding> CheckLayering(const SourceFile& file, const LayeringTable& table) {
  std::vector<Finding> out;
  if (!table.modules.contains(file.module())) return out;
  const bool product = file.module() != "tests";
  size_t number = 0;
  for (const std::string_view line : file.Lines()) {
    ++number;
    if (std::string what = CheckInclude(file, Included(line), table); !what.empty())
      out.push_back({file.path, number, std::move(what)});
    for (const auto& [word, folders] : table.words)
      if (product && line.find(word) != std::string_view::npos && !UnderAny(file.path, folders))
        out.push_back({file.path, number, word + " outside the shells"});
  }
  return out;
}

}  // namespace sallyport::lint

#include "tests/lint/source_tree.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>

namespace sallyport::lint {
namespace {

constexpr std::array<std::string_view, 8> kFolders{
    "pki", "policies", "ota", "attestation-server", "device-client", "tests", "docs", ".ci"};
constexpr std::array<std::string_view, 14> kExtensions{".h",     ".cc",  ".txt",  ".cmake",  ".sh",
                                                       ".proto", ".md",  ".json", ".sql",    ".tsv",
                                                       ".yaml",  ".yml", "",      ".service"};
constexpr std::string_view kVectors = "tests/vectors";
constexpr std::string_view kCorpus = "corpus";

std::string Read(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

bool Belongs(const std::string& path) {
  if (path == ".git" || IsUnder(path, kVectors) || path.find(kCorpus) != std::string::npos)
    return false;
  return std::ranges::find(kExtensions, std::filesystem::path(path).extension().string()) !=
         kExtensions.end();
}

}  // namespace

std::vector<std::string_view> SourceFile::Lines() const {
  std::vector<std::string_view> out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    out.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

std::string_view SourceFile::extension() const {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::string_view() : std::string_view(path).substr(dot);
}

std::string_view SourceFile::folder() const {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string_view() : std::string_view(path).substr(0, slash);
}

std::string_view SourceFile::module() const {
  return std::string_view(path).substr(0, path.find('/'));
}

std::ostream& operator<<(std::ostream& out, const Finding& finding) {
  return out << finding.path << ":" << finding.line << ": " << finding.what;
}

std::vector<SourceFile> ReadTree(const std::string& root) {
  std::vector<SourceFile> out;
  const auto add = [&](const std::filesystem::directory_entry& entry) {
    const std::string path = std::filesystem::relative(entry.path(), root).generic_string();
    if (entry.is_regular_file() && Belongs(path)) out.push_back({path, Read(entry.path())});
  };
  for (const std::string_view folder : kFolders) {
    const std::filesystem::path below = std::filesystem::path(root) / folder;
    if (!std::filesystem::exists(below)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(below)) add(entry);
  }
  for (const auto& entry : std::filesystem::directory_iterator(root)) add(entry);
  std::ranges::sort(out, {}, &SourceFile::path);
  return out;
}

bool IsUnder(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

}  // namespace sallyport::lint

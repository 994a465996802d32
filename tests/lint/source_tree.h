// The repository's own text, as the lint rules read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::lint {

struct SourceFile {
  std::string path;  // from the root of the repository, with '/'
  std::string text;

  std::vector<std::string_view> Lines() const;
  std::string_view extension() const;
  // folder is the path without the file name.
  std::string_view folder() const;
  // module is the first part of the path.
  std::string_view module() const;
};

// Finding is one breach: where, and what to do about it.
struct Finding {
  std::string path;
  size_t line;
  std::string what;
};
std::ostream& operator<<(std::ostream& out, const Finding& finding);

// ReadTree reads every text file that belongs to the project: the five modules, tests without
// borrowed vectors, docs and the files of the root. Aborts when `root` is not readable.
std::vector<SourceFile> ReadTree(const std::string& root);

// IsUnder: `path` is `folder` itself or lies below it.
bool IsUnder(std::string_view path, std::string_view folder);

}  // namespace sallyport::lint

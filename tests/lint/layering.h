// Which folder may include what: the table in layering.tsv, applied to every source file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/lint/source_tree.h"

namespace sallyport::lint {

struct LayeringTable {
  std::map<std::string, std::vector<std::string>, std::less<>>
      modules;  // module -> folders it may include
  std::vector<std::pair<std::string, std::vector<std::string>>> headers;  // prefix -> folders
  std::vector<std::pair<std::string, std::vector<std::string>>> protos;   // suffix -> folders
  std::vector<std::pair<std::string, std::vector<std::string>>> words;    // text -> folders
};

// ParseLayeringTable aborts on a row that it does not understand: the table is part of the source.
LayeringTable ParseLayeringTable(std::string_view text);

std::vector<Finding> CheckLayering(const SourceFile& file, const LayeringTable& table);

}  // namespace sallyport::lint

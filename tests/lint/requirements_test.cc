// Pages name only tests that exist; those that promise behaviour name one in every row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "tests/lint/source_tree.h"

namespace sallyport::lint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kDocuments[] = {"docs/metadata.md", "docs/requirements.md"};

// Tests lists `Suite.Name` of every test program.
std::set<std::string> Tests(const std::vector<SourceFile>& tree) {
  static const std::regex kTest(R"(\bTEST(_F|_P)?\(\s*(\w+),\s*(\w+)\s*\))");
  std::set<std::string> out;
  for (const SourceFile& file : tree) {
    if (!IsUnder(file.path, "tests") || file.extension() != ".cc") continue;
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), kTest), end; it != end; ++it)
      out.insert((*it)[2].str() + "." + (*it)[3].str());
  }
  return out;
}

// Missing lists what the last column of the table names and the repository does not have: tests as
// `Suite.Name`, scripts as paths. A row without either is a finding too.
std::vector<Finding> Missing(const SourceFile& document, const std::vector<SourceFile>& tree) {
  static const std::regex kRow(R"(^\|.*\|([^|]*)\|\s*$)");
  static const std::regex kName(R"(`([^`]+)`)");
  const std::set<std::string> tests = Tests(tree);
  std::vector<Finding> out;
  size_t number = 0;
  for (const std::string_view line : document.Lines()) {
    ++number;
    std::cmatch row;
    if (!std::regex_match(line.begin(), line.end(), row, kRow)) continue;
    const std::string proof = row[1].str();
    if (proof.find_first_not_of("-: ") == std::string::npos || proof.find(" test ") == 0) continue;
    std::sregex_iterator it(proof.begin(), proof.end(), kName), end;
    if (it == end) out.push_back({document.path, number, "a behaviour without a test"});
    for (; it != end; ++it) {
      const std::string name = (*it)[1].str();
      const bool file = std::ranges::find(tree, name, &SourceFile::path) != tree.end();
      if (!file && !tests.contains(name))
        out.push_back({document.path, number, "no such test: " + name});
    }
  }
  return out;
}

TEST(Requirements, NameOnlyTestsThatExist) {
  const auto tree = ReadTree(SALLYPORT_SOURCE_DIR);
  for (const std::string_view path : kDocuments) {
    const auto document = std::ranges::find(tree, path, &SourceFile::path);
    ASSERT_NE(document, tree.end()) << path;
    EXPECT_THAT(Missing(*document, tree), IsEmpty());
  }
}

// RPCs are written like tests.
bool IsRpc(std::string_view name) {
  return name.starts_with("Device.") || name.starts_with("Enrolment.") ||
         name.starts_with("Admin.");
}

// Strangers lists what a page names as a test, `Suite.BehaviourInWords`, and the repository lacks.
std::vector<Finding> Strangers(const SourceFile& document, const std::vector<SourceFile>& tree) {
  static const std::regex kTestName(R"(`([A-Z]\w*\.[A-Z]\w*)`)");
  const std::set<std::string> tests = Tests(tree);
  std::vector<Finding> out;
  size_t number = 0;
  for (const std::string_view line : document.Lines()) {
    ++number;
    for (std::cregex_iterator it(line.begin(), line.end(), kTestName), end; it != end; ++it)
      if (const std::string name = (*it)[1].str(); !tests.contains(name) && !IsRpc(name))
        out.push_back({document.path, number, "no such test: " + name});
  }
  return out;
}

TEST(Documents, NameOnlyTestsThatExist) {
  const auto tree = ReadTree(SALLYPORT_SOURCE_DIR);
  size_t read = 0;
  for (const SourceFile& file : tree) {
    if (!IsUnder(file.path, "docs") || file.extension() != ".md") continue;
    EXPECT_THAT(Strangers(file, tree), IsEmpty());
    ++read;
  }
  EXPECT_GE(read, 5u);
}

TEST(Documents, AMissingTestIsFoundWhereverItStands) {
  const std::vector<SourceFile> tree{{"tests/unit/a_test.cc", "TEST_P(Suite, Works) {}\n"}};
  EXPECT_THAT(
      Strangers({"docs/verifier.md", "See `Suite.Works`.\nAnd (`Suite.Fails`) too.\n"}, tree),
      ElementsAre(testing::Field(&Finding::line, 2u)));
}

TEST(Requirements, AMissingTestIsFound) {
  const std::vector<SourceFile> tree{{"tests/unit/a_test.cc", "TEST_F(Suite, Works) {}\n"}};
  const SourceFile document{"docs/requirements.md",
                            "| behaviour | test |\n|---|---|\n| a | `Suite.Works` |\n| b | "
                            "`Suite.Fails` |\n| c | none |\n"};

  EXPECT_THAT(Missing(document, tree),
              ElementsAre(testing::Field(&Finding::line, 4u), testing::Field(&Finding::line, 5u)));
}

TEST(Requirements, AScriptMayBeTheProof) {
  const std::vector<SourceFile> tree{{"tests/e2e/demo/run.sh", ""}};

  EXPECT_THAT(Missing({"docs/requirements.md", "| a | `tests/e2e/demo/run.sh` |\n"}, tree),
              IsEmpty());
  EXPECT_THAT(Missing({"docs/requirements.md", "| a | `tests/e2e/other/run.sh` |\n"}, tree),
              SizeIs(1));
}

}  // namespace
}  // namespace sallyport::lint

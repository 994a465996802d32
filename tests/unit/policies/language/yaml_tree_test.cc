#include "policies/language/yaml_tree.h"

namespace sallyport::policy {
namespace {

// Finding is "line:col code" of the first finding, or "" when the text is accepted.
std::string Finding(std::string_view text) {
  Diagnostics out("f.yaml");
  const auto tree = ReadYaml(text, out);
  EXPECT_EQ(tree.has_value(), out.all().empty());
  if (out.all().empty()) return "";
  const Diagnostic& d = out.all()[0];
  return std::to_string(d.at.line) + ":" + std::to_string(d.at.column) + " " +
         std::string(CodeName(d.code));
}

TEST(ReadYaml, KnowsThePlaceOfEveryNode) {
  Diagnostics out("f.yaml");

  const auto tree = ReadYaml("a: 1\nb:\n  - x\n  - {c: \"y\"}\n", out);

  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->entries.size(), 2u);
  const YamlNode& list = tree->entries[1].value;
  EXPECT_EQ(list.items[0].at.line, 3);
  EXPECT_EQ(list.items[0].at.column, 5);
  EXPECT_EQ(list.items[1].entries[0].value.text, "y");
  EXPECT_TRUE(list.items[1].entries[0].value.quoted);
  EXPECT_EQ(list.items[1].entries[0].value.at.column, 9);
}

TEST(ReadYaml, RefusesDuplicateKeys) {
  EXPECT_EQ(Finding("a: 1\nb: 2\na: 3\n"), "3:1 E-DUPLICATE");
  EXPECT_EQ(Finding("x: {a: 1, a: 1}\n"), "1:11 E-DUPLICATE");
}

TEST(ReadYaml, RefusesAnchorsAliasesAndMergeKeys) {
  EXPECT_EQ(Finding("a: &x 1\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: &x {}\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: &x []\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: &x ~\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: {<<: {b: 1}}\n"), "1:5 E-SYNTAX");
  Diagnostics out("f.yaml");
  EXPECT_FALSE(ReadYaml("a: &x 1\nb: *x\n", out));
  EXPECT_EQ(out.all().size(), 2u);
}

TEST(ReadYaml, RefusesTags) {
  EXPECT_EQ(Finding("a: !!str 1\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: !mine {}\n"), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: !!seq []\n"), "1:4 E-SYNTAX");
}

TEST(ReadYaml, RefusesSecondDocumentAndEmptyFile) {
  EXPECT_EQ(Finding("a: 1\n---\nb: 2\n").substr(1), ":1 E-SYNTAX");
  EXPECT_EQ(Finding(""), "1:1 E-SYNTAX");
  EXPECT_EQ(Finding("# only a comment\n"), "1:1 E-SYNTAX");
}

TEST(ReadYaml, RefusesKeysThatAreNotWords) {
  EXPECT_EQ(Finding("? [a]\n: 1\n"), "1:3 E-SYNTAX");
  EXPECT_EQ(Finding("~: 1\n"), "1:1 E-SYNTAX");
}

TEST(ReadYaml, RefusesBrokenYamlWithItsPlace) {
  EXPECT_EQ(Finding("a: [1, 2\nb: 3\n").substr(0, 2), "2:");
  EXPECT_EQ(Finding("\ta: 1\n").substr(0, 2), "1:");
}

TEST(ReadYaml, RefusesTextThatIsNotPlainUtf8) {
  EXPECT_EQ(Finding("\xEF\xBB\xBFname: x\n"), "1:1 E-SYNTAX");
  EXPECT_EQ(Finding(std::string("a: b\0c\n", 7)), "1:5 E-SYNTAX");
  for (const char* bad : {"a: \x80", "a: \xC0\xAF", "a: \xC3", "a: \xE0\x80\x80", "a: \xED\xA0\x80",
                          "a: \xF0\x80\x80\x80", "a: \xF4\x90\x80\x80", "a: \xF5\x80\x80\x80"})
    EXPECT_EQ(Finding(bad), "1:4 E-SYNTAX");
  EXPECT_EQ(Finding("a: \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n"), "");
}

TEST(ReadYaml, RefusesDeepNestingWithoutCrashing) {
  std::string at_limit =
      "a: " + std::string(kYamlDepthMax - 1, '[') + std::string(kYamlDepthMax - 1, ']');
  std::string deeper = "a: " + std::string(kYamlDepthMax, '[') + std::string(kYamlDepthMax, ']');

  EXPECT_EQ(Finding(at_limit), "");
  EXPECT_NE(Finding(deeper), "");
  EXPECT_NE(Finding(std::string(100'000, '[')), "");
}

TEST(ReadYaml, SurvivesTruncationAtEveryByte) {
  const std::string text =
      "sallyport: policy/v1\ngroups: {a: {tags: [x, \"y\"]}}\ngrants:\n  - id: g\n    from: a\n";
  for (size_t i = 0; i < text.size(); ++i) {
    Diagnostics out("f.yaml");
    const auto tree = ReadYaml(text.substr(0, i), out);
    EXPECT_EQ(tree.has_value(), !out.has_errors()) << i;
  }
}

}  // namespace
}  // namespace sallyport::policy

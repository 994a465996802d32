// The repository keeps its own rules; and the rules see what they are meant to see.
#include "tests/lint/layering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lint/rules.h"

namespace sallyport::lint {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<SourceFile>& Tree() {
  static const std::vector<SourceFile> tree = ReadTree(SALLYPORT_SOURCE_DIR);
  return tree;
}

const LayeringTable& Table() {
  static const LayeringTable table = [] {
    for (const SourceFile& file : Tree())
      if (file.path == "tests/lint/layering.tsv") return ParseLayeringTable(file.text);
    return LayeringTable{};
  }();
  return table;
}

// OfAll applies a rule to each file of the repository.
template <typename Rule>
std::vector<Finding> OfAll(const Rule& rule) {
  std::vector<Finding> out;
  for (const SourceFile& file : Tree())
    for (Finding& finding : rule(file)) out.push_back(std::move(finding));
  return out;
}

auto At(size_t line, std::string_view what) {
  return testing::AllOf(Field(&Finding::line, line),
                        Field(&Finding::what, HasSubstr(std::string(what))));
}

TEST(Repository, DependsOnlyDownwards) {
  EXPECT_THAT(OfAll([](const SourceFile& file) { return CheckLayering(file, Table()); }),
              IsEmpty());
}
TEST(Repository, ExplainsEachHeader) { EXPECT_THAT(OfAll(CheckHeader), IsEmpty()); }
TEST(Repository, KeepsFunctionsAndFilesShort) { EXPECT_THAT(OfAll(CheckSizes), IsEmpty()); }
TEST(Repository, ListsEveryEnumeratorInSwitches) { EXPECT_THAT(OfAll(CheckSwitches), IsEmpty()); }
TEST(Repository, LeavesNoUnnumberedNotes) { EXPECT_THAT(OfAll(CheckNotes), IsEmpty()); }
TEST(Repository, NamesNoPathOfAMachine) { EXPECT_THAT(OfAll(CheckPaths), IsEmpty()); }
TEST(Repository, HasNoTestThatSleeps) { EXPECT_THAT(OfAll(CheckSleeps), IsEmpty()); }
TEST(Repository, BuildsEveryTest) { EXPECT_THAT(CheckTestsAreBuilt(Tree()), IsEmpty()); }
TEST(Repository, MirrorsItsModulesInUnitTests) { EXPECT_THAT(CheckTestMirror(Tree()), IsEmpty()); }

TEST(CheckLayering, RefusesAnEdgeThatPointsUpwards) {
  const SourceFile file{"pki/base/x.cc",
                        "#include \"pki/base/x.h\"\n#include \"policies/language/model.h\"\n"};

  EXPECT_THAT(CheckLayering(file, Table()), ElementsAre(At(2, "may not depend on policies")));
}

TEST(CheckLayering, LetsTheDeviceSeeOnlyTheApiOfTheServer) {
  const SourceFile file{"device-client/transport/x.cc",
                        "#include \"attestation-server/api/tls.h\"\n#include "
                        "\"attestation-server/store/devices.h\"\n"};

  EXPECT_THAT(CheckLayering(file, Table()),
              ElementsAre(At(2, "may not depend on attestation-server/store")));
}

TEST(CheckLayering, KeepsThirdPartyHeadersBehindTheirFolders) {
  const SourceFile file{
      "ota/measure/x.cc",
      "#include <vector>\n#include <openssl/evp.h>\n#include <tss2/tss2_esys.h>\n"};

  EXPECT_THAT(CheckLayering(file, Table()), ElementsAre(At(2, "openssl"), At(3, "tss2")));
}

TEST(CheckLayering, KeepsGeneratedHeadersAtTheEdge) {
  const SourceFile file{"attestation-server/store/x.cc",
                        "#include \"attestation-server/api/v1/device.pb.h\"\n"};

  EXPECT_THAT(CheckLayering(file, Table()), ElementsAre(At(1, "generated header")));
}

TEST(CheckLayering, KeepsTimeAndEnvironmentOutOfCores) {
  const SourceFile file{"policies/decision/x.cc",
                        "auto t = std::chrono::system_clock::now();\nstd::getenv(\"X\");\n"};

  EXPECT_THAT(CheckLayering(file, Table()), SizeIs(2));
}

TEST(CheckLayering, RefusesIncludesThatAreNotFromTheRoot) {
  EXPECT_THAT(CheckLayering({"pki/base/x.cc", "#include \"x.h\"\n"}, Table()),
              ElementsAre(At(1, "from the root")));
}

TEST(CheckHeader, AsksForAPurposeAndAGuard) {
  EXPECT_THAT(CheckHeader({"pki/base/x.h", "#include <vector>\n"}), SizeIs(2));
  EXPECT_THAT(CheckHeader({"pki/base/x.h", "// What x is.\n#pragma once\n"}), IsEmpty());
}

TEST(CheckSizes, MeasuresFunctionsButNotTablesOrTypes) {
  const std::string lines(80, '\n');

  EXPECT_THAT(CheckSizes({"pki/base/x.cc", "namespace a {\nint F(int x) {" + lines + "}\n}\n"}),
              ElementsAre(At(2, "81")));
  EXPECT_THAT(CheckSizes({"pki/base/x.cc", "const int kTable[] = {" + lines + "};\n"}), IsEmpty());
  EXPECT_THAT(CheckSizes({"pki/base/x.h", "class A {" + lines + " int F() { return 1; }\n};\n"}),
              IsEmpty());
}

TEST(CheckSizes, IsNotFooledByBracesInTextAndComments) {
  const std::string text = "int F() {\n  return '{' + *\"{{\";  // {\n}\n" + std::string(80, '\n') +
                           "int G() { return 1; }\n";

  EXPECT_THAT(CheckSizes({"pki/base/x.cc", text}), IsEmpty());
}

TEST(CheckSizes, MeasuresFilesOutsideTests) {
  const std::string text(700, '\n');

  EXPECT_THAT(CheckSizes({"pki/base/x.cc", text}), SizeIs(1));
  EXPECT_THAT(CheckSizes({"tests/unit/pki/base/x_test.cc", text}), IsEmpty());
}

TEST(CheckSwitches, RefusesADefaultOverOurEnums) {
  EXPECT_THAT(CheckSwitches({"a.cc", "switch (x) {\n case A::kB: break;\n default: break;\n}"}),
              SizeIs(1));
  EXPECT_THAT(CheckSwitches({"a.cc", "switch (x) {\n case A::kB: break;\n}"}), IsEmpty());
  EXPECT_THAT(CheckSwitches({"a.cc", "switch (c) {\n case 'x': break;\n default: break;\n}"}),
              IsEmpty());
}

TEST(CheckNotes, AsksForTheNumberOfAnIssue) {
  EXPECT_THAT(CheckNotes({"a.cc", "// TODO: later\n// TODO(#12): later\n// FIXME\n"}),
              ElementsAre(At(1, ""), At(3, "")));
}

TEST(CheckPaths, FindsPathsOfMachines) {
  EXPECT_THAT(CheckPaths({"a.md", std::string("see /") + "home/me/x\nsee docs/home/x\n"}),
              ElementsAre(At(1, "")));
}

TEST(CheckSleeps, FindsSleepingTests) {
  EXPECT_THAT(
      CheckSleeps({"tests/unit/a_test.cc", std::string("std::this_thread::sleep") + "_for(1s);\n"}),
      SizeIs(1));
}

TEST(CheckTestsAreBuilt, MissesNoTest) {
  const SourceFile test{"tests/unit/pki/base/x_test.cc", ""};

  EXPECT_THAT(CheckTestsAreBuilt({test}), SizeIs(1));
  EXPECT_THAT(
      CheckTestsAreBuilt({{"tests/unit/pki/base/CMakeLists.txt", "SOURCES y_test.cc"}, test}),
      SizeIs(1));
  EXPECT_THAT(
      CheckTestsAreBuilt({{"tests/unit/pki/base/CMakeLists.txt", "SOURCES x_test.cc"}, test}),
      IsEmpty());
}

TEST(CheckTestMirror, SeesMissingAndMisplacedTests) {
  const SourceFile source{"pki/base/x.cc", ""}, other{"pki/crypto/y.cc", ""};
  const SourceFile test{"tests/unit/pki/base/x_test.cc", ""},
      misplaced{"tests/unit/pki/x_test.cc", ""};

  EXPECT_THAT(CheckTestMirror({source, test}), IsEmpty());
  EXPECT_THAT(CheckTestMirror({source}), SizeIs(1));
  EXPECT_THAT(CheckTestMirror({source, test, misplaced}),
              ElementsAre(Field(&Finding::path, misplaced.path)));
  EXPECT_THAT(CheckTestMirror({source, other, test}),
              ElementsAre(Field(&Finding::path, "pki/crypto")));
}

}  // namespace
}  // namespace sallyport::lint

// The cases of the public tuf-conformance suite: delegations, odd names and downloads.
#include <filesystem>

#include "tests/conformance/suite.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

using Names = std::vector<std::string>;
constexpr size_t kRequestsOfRefresh = 4;

class Graph : public Suite {
 protected:
  struct Edge {
    const char* from;
    const char* to;
    Names paths = {"*"};
    bool terminating = false;
  };
  void Build(const std::vector<Edge>& edges) {
    for (const Edge& edge : edges)
      repo_.AddDelegation(edge.from, {edge.to, edge.paths, edge.terminating});
  }
  void PublishAll() {
    Names roles;
    for (const auto& [name, files] : repo_.targets)
      if (name != "targets") roles.push_back(name);
    repo_.Publish(roles);
    repo_.Publish({"targets", "snapshot", "timestamp"});
  }
  // Visited lists the delegated roles that were asked for, in order.
  Names Visited() const {
    return {repo_.metadata_requests.begin() + kRequestsOfRefresh, repo_.metadata_requests.end()};
  }
};

class Traversal : public Graph, public testing::WithParamInterface<size_t> {
 public:
  struct Case {
    const char* what;
    std::vector<Edge> edges;
    Names visited;
  };
  static const std::vector<Case>& Cases();
};

const std::vector<Traversal::Case>& Traversal::Cases() {
  static const std::vector<Case> cases = {
      {"one", {{"targets", "A"}}, {"A 1"}},
      {"two", {{"targets", "A"}, {"targets", "B"}}, {"A 1", "B 1"}},
      {"two levels", {{"targets", "A"}, {"targets", "B"}, {"B", "C"}}, {"A 1", "B 1", "C 1"}},
      {"children before siblings",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C"}, {"A", "D"}},
       {"A 1", "C 1", "D 1", "B 1"}},
      {"grandchildren before siblings",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C"}, {"C", "D"}},
       {"A 1", "C 1", "D 1", "B 1"}},
      {"terminating ends all but its descendants",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*"}, true}, {"A", "D"}},
       {"A 1", "C 1"}},
      {"terminating with descendants",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*"}, true}, {"C", "D"}},
       {"A 1", "C 1", "D 1"}},
      {"a branch that does not match is not walked",
       {{"targets", "A", {"*.py"}}, {"targets", "B"}, {"A", "C"}},
       {"B 1"}},
      {"a deeper branch that does not match is not walked",
       {{"targets", "A"}, {"targets", "B"}, {"A", "C", {"*.py"}}, {"C", "D"}},
       {"A 1", "B 1"}},
      {"a cycle ends",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"C", "D"}, {"D", "B"}},
       {"A 1", "B 1", "C 1", "D 1"}},
      {"two delegators of one role",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"A", "C"}},
       {"A 1", "C 1", "B 1"}},
      {"two delegators of one role, one of which does not match",
       {{"targets", "A"}, {"targets", "B"}, {"B", "C"}, {"A", "C", {"*.py"}}},
       {"A 1", "B 1", "C 1"}},
  };
  return cases;
}

TEST_P(Traversal, IsPreOrderAndVisitsEachRoleOnce) {
  const Case& c = Cases()[GetParam()];
  ASSERT_EQ(Init(), 0);
  Build(c.edges);
  PublishAll();
  EXPECT_EQ(Download("missingpath"), 1) << c.what;
  EXPECT_EQ(Visited(), c.visited) << c.what;
}

INSTANTIATE_TEST_SUITE_P(Cases, Traversal, testing::Range<size_t>(0, 12));

class Search : public Graph {
 protected:
  Search() {
    Build({{"targets", "A", {"*.doc", "*.md"}},
           {"targets", "B", {"releases/*/*"}},
           {"B", "C", {"releases/x/*"}},
           {"B", "D", {"releases/y/*.zip"}}});
    repo_.AddArtifact("targets", "targetfile", "targetfile content");
    repo_.AddArtifact("A", "README.md", "README by A");
    repo_.AddArtifact("C", "releases/x/x_v1", "x release by C");
    repo_.AddArtifact("D", "releases/y/y_v1.zip", "y release by D");
    repo_.AddArtifact("D", "releases/z/z_v1.zip", "z release by D");
    PublishAll();
    EXPECT_EQ(Init(), 0);
  }
};

TEST_F(Search, WalksOnlyWhatDelegatesThePath) {
  const struct {
    const char* path;
    Names visited;
  } cases[] = {{"targetfile", {}},
               {"README.md", {"A 1"}},
               {"releases/x/x_v1", {"B 1", "C 1"}},
               {"releases/y/y_v1.zip", {"B 1", "D 1"}}};
  for (const auto& c : cases) {
    repo_.metadata_requests.clear();
    std::filesystem::remove_all(directory_ + "/metadata");
    std::filesystem::create_directory(directory_ + "/metadata");
    ASSERT_EQ(Init(), 0);
    EXPECT_EQ(Download(c.path), 0) << c.path;
    EXPECT_EQ(Visited(), c.visited) << c.path;
    EXPECT_EQ(Downloaded().back(), ToString(repo_.artifacts.at(c.path).content));
  }
}

TEST_F(Search, EndsWhenOneRoleOfTheChainDoesNotDelegateThePath) {
  EXPECT_EQ(Download("releases/z/z_v1.zip"), 1);
  EXPECT_EQ(Visited(), Names{"B 1"});
}

TEST_F(Graph, HashPrefixesDelegateByTheDigestOfThePath) {
  ASSERT_EQ(Init(), 0);
  // SHA-256("boo") begins with 6, SHA-256("too") with 9.
  repo_.AddDelegation("targets", {"low", {}, false, {"0", "1", "2", "3", "4", "5", "6", "7"}});
  repo_.AddDelegation("targets", {"high", {}, false, {"8", "9", "a", "b", "c", "d", "e", "f"}});
  PublishAll();
  EXPECT_EQ(Download("boo"), 1);
  EXPECT_EQ(Download("too"), 1);
  EXPECT_EQ(repo_.metadata_requests[4], "low 1");
  EXPECT_EQ(repo_.metadata_requests.back(), "high 1");
}

class OddRole : public Suite, public testing::WithParamInterface<std::string> {};

TEST_P(OddRole, NamesAreQuotedAndNeverBecomePaths) {
  repo_.AddDelegation("targets", {GetParam(), {"*"}});
  repo_.Publish({GetParam(), "targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Download("nonexistent target"), 1);
  EXPECT_EQ(repo_.metadata_requests.back(), RoleFileName(GetParam()) + " 1");
  size_t stored = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/metadata"))
    stored += entry.path().extension() == ".json";
  EXPECT_EQ(stored, 5U);
}

INSTANTIATE_TEST_SUITE_P(Names, OddRole,
                         testing::Values<std::string>("?", "#", "/delegatedrole",
                                                      "../delegatedrole", "..", ".", "a b", "%2e",
                                                      "\xF0\x9F\x91\xBB", "1.root",
                                                      std::string(128, '/')));

class Artifacts : public Suite {};

TEST_F(Artifacts, AreNotDownloadedByARefresh) {
  ASSERT_EQ(Init(), 0);
  repo_.AddArtifact("targets", "target_file.txt", "target file contents");
  repo_.Publish({"targets", "snapshot", "timestamp"});
  EXPECT_EQ(Refresh(), 0);
  EXPECT_EQ(Downloaded(), Names{});
  EXPECT_EQ(Download("target_file.txt"), 0);
  EXPECT_EQ(Downloaded(), Names{"target file contents"});
}

TEST_F(Artifacts, WithOddNamesAreDownloaded) {
  ASSERT_EQ(Init(), 0);
  const Names paths = {"path/to/a/target_file.txt",
                       "a?b",
                       "a#b",
                       "a b",
                       "%41",
                       "\xC3\xA9/x",
                       "../x",
                       ".x",
                       "a&b=c",
                       "-x"};
  for (const std::string& path : paths) repo_.AddArtifact("targets", path, path);
  repo_.Publish({"targets", "snapshot", "timestamp"});
  for (const std::string& path : paths) {
    EXPECT_EQ(Download(path), 0) << path;
    EXPECT_EQ(Downloaded().back(), path);
  }
  EXPECT_EQ(Downloaded().size(), paths.size());
}

TEST_F(Artifacts, SubstitutedByTheRepositoryAreRefused) {
  ASSERT_EQ(Init(), 0);
  repo_.AddArtifact("targets", "one", "one contents");
  repo_.AddArtifact("targets", "two", "content");
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Download("one"), 0);
  for (const char* path : {"one", "two"}) repo_.artifacts[path].content = ToBytes("malicious data");
  Download("one");
  EXPECT_EQ(Downloaded(), Names{"one contents"});
  EXPECT_EQ(Download("two"), 1);
  EXPECT_EQ(Downloaded(), Names{"one contents"});
}

TEST_F(Artifacts, ChangeManyTimes) {
  ASSERT_EQ(Init(), 0);
  Names expected = {"first"};
  repo_.AddArtifact("targets", "file", "first");
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Download("file"), 0);
  for (int i = 0; i < 11; ++i) {
    const std::string changed = "changed " + std::to_string(i);
    const std::string added = "added-" + std::to_string(i);
    repo_.AddArtifact("targets", "file", changed);
    repo_.AddArtifact("targets", added, added);
    repo_.Publish({"targets", "snapshot", "timestamp"});
    if (i % 5 != 0) continue;
    EXPECT_EQ(Download("file"), 0);
    EXPECT_EQ(Download(added), 0);
    std::erase_if(expected, [](const std::string& c) { return c == "first" || c[0] == 'c'; });
    expected.insert(expected.end(), {changed, added});
    EXPECT_EQ(Downloaded(), expected);

    repo_.artifacts["file"].content = ToBytes("malicious");
    repo_.Publish({"targets", "snapshot", "timestamp"});
    Download("file");
    EXPECT_EQ(Downloaded(), expected);
  }
}

TEST_F(Artifacts, WithSha256OrSha512OrBothAreDownloaded) {
  for (const Names& algorithms : {Names{"sha256"}, Names{"sha512"}, Names{"sha256", "sha512"}}) {
    const std::string path = "file-" + std::to_string(algorithms.size()) + algorithms[0];
    repo_.AddArtifact("targets", path, path, algorithms);
  }
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  for (const auto& [path, artifact] : repo_.artifacts) EXPECT_EQ(Download(path), 0) << path;
  EXPECT_EQ(Downloaded().size(), 3U);
}

TEST_F(Artifacts, WithOnlyAnUnknownDigestAreRefused) {
  repo_.AddArtifact("targets", "file", "contents", {"unknown-hash"});
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Download("file"), 1);
  EXPECT_EQ(Downloaded(), Names{});
}

TEST_F(Artifacts, ThatAreHeldAreNotDownloadedAgain) {
  repo_.AddArtifact("targets", "file", "contents");
  repo_.Publish({"targets", "snapshot", "timestamp"});
  ASSERT_EQ(Init(), 0);
  EXPECT_EQ(Download("file"), 0);
  EXPECT_EQ(Download("file"), 0);
  EXPECT_EQ(repo_.artifact_requests.size(), 1U);
}

}  // namespace
}  // namespace sallyport::ota

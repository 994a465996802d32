// Repositories that other projects made, with the results their own tests state
// (tests/vectors/tuf).
#include <gtest/gtest.h>

#include "ota/metadata/client.h"
#include "ota/metadata/folder_fetcher.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

const std::string kVectors = SALLYPORT_SOURCE_DIR "/tests/vectors/tuf/";

class Vector {
 public:
  Vector(const std::string& folder, std::string_view now)
      : fetcher_(disk_, kVectors + folder + "/server", kVectors + folder + "/targets"),
        client_(files_, "/tuf", {}),
        now_(ParseRfc3339(now).value()) {
    EXPECT_TRUE(files_.MakeDirectories("/tuf"));
    for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
      const auto bytes = ReadFile(disk_, kVectors + folder + "/client/" + role + ".json", 1 << 20);
      if (!bytes) continue;
      EXPECT_TRUE(WriteFileAtomically(files_, std::string("/tuf/") + role + ".json", *bytes));
    }
  }
  Result<TrustedMetadata> Refresh() { return client_.Refresh(fetcher_, now_); }
  std::string Ends() {
    const auto trusted = Refresh();
    if (!trusted) return std::string(trusted.error().name());
    std::string out = std::to_string(trusted->root().version);
    for (const uint64_t version :
         {trusted->timestamp().version, trusted->snapshot().version, trusted->top().version})
      out += "." + std::to_string(version);
    return out;
  }
  std::string RoleOf(std::string_view path) {
    auto trusted = Refresh();
    if (!trusted) return trusted.error().ToString();
    const auto target = client_.FindTarget(*trusted, fetcher_, path);
    return target ? target->role : std::string(target.error().name());
  }
  Result<Bytes> Download(std::string_view path) {
    SP_TRY(auto trusted, Refresh());
    SP_TRY(const auto target, client_.FindTarget(trusted, fetcher_, path));
    return client_.Download(trusted, fetcher_, path, target.file, 1000);
  }

 private:
  PosixFileSystem disk_;
  FolderFetcher fetcher_;
  MemoryFileSystem files_;
  MetadataClient client_;
  UnixTime now_;
};

TEST(GoTufRepositories, EndAsGoTufStates) {
  struct Case {
    const char* name;
    std::string ends;  // versions of root.timestamp.snapshot.targets, or the rule
  };
  const std::vector<Case> cases = {
      {"Published1Time", "1.1.1.1"},
      {"Published1Time_client_no_root", "not-found"},
      {"Published2Times_keyrotated", "2.1.1.1"},
      {"Published2Times_keyrotated_initialrootexpired", "2.1.1.1"},
      {"Published2Times_keyrotated_invalidOldRootSignature", "2.1.1.1"},
      {"Published2Times_snapshot_keyrotated", "2.2.2.1"},
      {"Published2Times_timestamp_keyrotated", "2.2.1.1"},
      {"Published3Times_keyrotated_forwardRootVersion", "tuf.version-not-next"},
      {"Published3Times_keyrotated_initialrootsexpired_clientversionis2", "3.1.1.1"},
      {"PublishedTwiceMultiKeysadd_9_revoke_2_threshold_4_root", "2.1.1.1"},
      {"PublishedTwiceMultiKeysadd_9_revoke_2_threshold_4_timestamp", "2.2.1.1"},
      {"PublishedTwiceMultiKeysadd_9_revoke_4_threshold_4_snapshot", "2.1.1.1"},
      {"PublishedTwiceMultiKeysadd_9_revoke_4_threshold_4_targets", "2.1.1.1"}};
  size_t matched = 0;
  for (const Case& c : cases) {
    const std::string ends = Vector(std::string("gotuf/") + c.name, "2025-09-01T00:00:00Z").Ends();
    EXPECT_EQ(ends, c.ends) << c.name;
    matched += ends == c.ends;
  }
  std::printf("gotuf: %zu/%zu\n", matched, cases.size());
}

TEST(PhpTufRepository, WalksThreeLevelsOfDelegations) {
  Vector vector("php-tuf/3LevelDelegation", "2020-01-01T12:00:00Z");
  for (const char* role : {"a", "b", "c", "d", "e", "f", "targets"})
    EXPECT_EQ(vector.RoleOf(std::string(role) + ".txt"), role);
  EXPECT_EQ(vector.RoleOf("g.txt"), "tuf.unknown-target");
}

TEST(TufOnCiRepository, DeliversADelegatedTargetSignedWithEcdsa) {
  Vector vector("tuf-on-ci-0.11", "2025-02-09T09:17:23Z");
  const auto bytes = vector.Download("delegatedrole/artifact");
  ASSERT_TRUE(bytes) << bytes.error().ToString();
  EXPECT_EQ(bytes->size(), 34U);
}

}  // namespace
}  // namespace sallyport::ota

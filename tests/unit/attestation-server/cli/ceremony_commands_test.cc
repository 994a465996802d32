#include "attestation-server/cli/ceremony_commands.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "attestation-server/cli/release_commands.h"
#include "pki/base/json.h"
#include "tests/fakes/fake_terminal.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class CeremonyCommands : public testing::Test {
 protected:
  CeremonyCommands() {
    EXPECT_EQ(ReleaseKeysFound(files_, terminal_,
                               {.keys = "/keys",
                                .repository = "/repo",
                                .trust_domain = "edge.example",
                                .unsealed = true},
                               kNow)
                  .code,
              ExitCode::kYes);
  }
  static std::string PathOf(const std::string& key) { return "/keys/offline/" + key + ".pem"; }
  std::string Make(const std::string& key, const std::string& type = "ed25519") {
    const CommandResult made = ReleaseKeysCreate(
        files_, terminal_, {.out = PathOf(key), .type = type, .unsealed = true, .json = true});
    EXPECT_EQ(made.code, ExitCode::kYes) << made.err;
    return PathOf(key) + ".pub";
  }
  std::string IdOf(const std::string& key) {
    const CommandResult shown =
        ReleaseKeysPublic(files_, terminal_, {.key = PathOf(key) + ".pub", .json = true});
    return *ParseJson(shown.out)->Find("keyid")->if_string();
  }
  CommandResult Sign(const std::string& role, const std::string& key, bool director = false) {
    return ReleaseSign(
        files_, terminal_,
        {.repository = "/repo", .role = role, .director = director, .key = PathOf(key)});
  }
  CommandResult Publish(bool director = false) {
    return ReleasePublish(files_, {.repository = "/repo", .director = director, .keys = "/keys"},
                          kNow);
  }
  MemoryFileSystem files_;
  FakeTerminal terminal_;
};

TEST_F(CeremonyCommands, ExchangeASignerOfRoot) {
  const ReleaseRootOptions change{.repository = "/repo",
                                  .role = "root",
                                  .add = {Make("root-4", "p-256")},
                                  .remove = {IdOf("root-1")}};
  ASSERT_EQ(ReleaseRoot(files_, change, kNow).code, ExitCode::kYes);
  for (const char* key : {"root-2", "root-4"}) ASSERT_EQ(Sign("root", key).code, ExitCode::kYes);
  EXPECT_EQ(Publish().code, ExitCode::kNo);
  ASSERT_EQ(Sign("root", "root-3").code, ExitCode::kYes);
  EXPECT_EQ(Publish().code, ExitCode::kYes);
}

TEST_F(CeremonyCommands, MergeSignaturesOfTwoCopies) {
  ASSERT_EQ(ReleaseRoot(files_, {.repository = "/repo"}, kNow).code, ExitCode::kYes);
  const Bytes draft = ReadFile(files_, "/repo/staged/root.json", 1 << 20).value();
  ASSERT_EQ(Sign("root", "root-1").code, ExitCode::kYes);
  const Bytes alice = ReadFile(files_, "/repo/staged/root.json", 1 << 20).value();
  ASSERT_TRUE(WriteFileAtomically(files_, "/alice.json", alice));
  ASSERT_TRUE(WriteFileAtomically(files_, "/repo/staged/root.json", draft));
  ASSERT_EQ(Sign("root", "root-2").code, ExitCode::kYes);
  const CommandResult merged = ReleaseMerge(
      files_, {.repository = "/repo", .role = "root", .files = {"/alice.json"}, .json = true});
  ASSERT_EQ(merged.code, ExitCode::kYes) << merged.err;
  EXPECT_TRUE(*ParseJson(merged.out)->Find("ready")->if_bool());
}

TEST_F(CeremonyCommands, PublishTheDirectorsRootWithoutOnlineKeys) {
  ASSERT_EQ(ReleaseRoot(files_, {.repository = "/repo", .director = true}, kNow).code,
            ExitCode::kYes);
  ASSERT_EQ(Sign("root", "root-1", true).code, ExitCode::kYes);
  EXPECT_EQ(Publish(true).code, ExitCode::kNo);
  ASSERT_EQ(Sign("root", "root-2", true).code, ExitCode::kYes);
  EXPECT_EQ(Publish(true).out, "published director/2.root.json\n");
}

TEST_F(CeremonyCommands, LetATeamPublishItsFiles) {
  const ReleaseDelegateOptions team{.repository = "/repo",
                                    .name = "maps",
                                    .keys = {Make("m-1"), Make("m-2")},
                                    .paths = {"maps/*"}};
  ASSERT_EQ(ReleaseDelegate(files_, team, kNow).code, ExitCode::kYes);
  for (const char* key : {"targets-1", "targets-2"})
    ASSERT_EQ(Sign("targets", key).code, ExitCode::kYes);
  ASSERT_EQ(Publish().code, ExitCode::kYes);
  ASSERT_TRUE(WriteFileAtomically(files_, "/map", AsBytes("a map")));
  ReleaseAddOptions add{.repository = "/repo", .role = "maps", .path = "other/x", .file = "/map"};
  EXPECT_EQ(ReleaseAdd(files_, add, kNow).code, ExitCode::kNo);
  add.path = "maps/x";
  ASSERT_EQ(ReleaseAdd(files_, add, kNow).code, ExitCode::kYes);
  for (const char* key : {"m-1", "m-2"}) ASSERT_EQ(Sign("maps", key).code, ExitCode::kYes);
  EXPECT_EQ(Publish().out,
            "published 1.maps.json\npublished 3.snapshot.json\npublished timestamp.json\n");
}

TEST_F(CeremonyCommands, RenewARoleThatNearsItsEnd) {
  ASSERT_EQ(ReleaseRenew(files_, {.repository = "/repo", .expires_in = "500d"}, kNow).code,
            ExitCode::kYes);
  for (const char* key : {"targets-1", "targets-2"})
    ASSERT_EQ(Sign("targets", key).code, ExitCode::kYes);
  EXPECT_EQ(Publish().code, ExitCode::kYes);
  EXPECT_EQ(ReleaseRenew(files_, {.repository = "/repo", .role = "timestamp"}, kNow).code,
            ExitCode::kUsage);
  EXPECT_EQ(ReleaseRenew(files_, {.repository = "/repo", .role = "absent"}, kNow).code,
            ExitCode::kUsage);
}

TEST_F(CeremonyCommands, SayUsageToWrongInput) {
  EXPECT_EQ(ReleaseKeysCreate(files_, terminal_, {.out = "/k.pem"}).code, ExitCode::kUsage);
  EXPECT_EQ(
      ReleaseKeysCreate(files_, terminal_, {.out = "/k.pem", .type = "rsa", .unsealed = true}).code,
      ExitCode::kUsage);
  EXPECT_EQ(ReleaseKeysCreate(files_, terminal_,
                              {.out = "/k.pem", .passphrase = {.file = "/p"}, .unsealed = true})
                .code,
            ExitCode::kUsage);
  EXPECT_EQ(ReleaseRoot(files_, {.repository = "/repo", .role = "policy"}, kNow).code,
            ExitCode::kUsage);
  EXPECT_EQ(ReleaseRoot(files_, {.repository = "/repo", .threshold = 3}, kNow).code,
            ExitCode::kUsage);
  EXPECT_EQ(ReleaseRoot(files_, {.repository = "/absent"}, kNow).code, ExitCode::kUsage);
}

TEST_F(CeremonyCommands, RegisterTheirOptions) {
  CLI::App app;
  CommandSink sink;
  AddReleaseCommands(app, sink);
  app.parse("release root --repository r --director --role root --add a --remove b", false);
  EXPECT_TRUE(sink.command());
  EXPECT_THROW(
      app.parse("release keys create --out k --passphrase-file f --passphrase-fd 3", false),
      CLI::ParseError);
  EXPECT_THROW(app.parse("release keys create --out k --passphrase secret", false),
               CLI::ParseError);
}

}  // namespace
}  // namespace sallyport::server

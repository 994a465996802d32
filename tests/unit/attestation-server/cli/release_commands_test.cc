#include "attestation-server/cli/release_commands.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "attestation-server/cli/ceremony_commands.h"
#include "pki/base/json.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/pe_builder.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

// FakeTerminal answers with what the test expects to be asked for, in order.
class FakeTerminal final : public Terminal {
 public:
  bool present() const override { return !answers.empty() || !asked.empty(); }
  Result<std::string> Ask(const std::string& prompt, bool) override {
    asked.push_back(prompt);
    if (answers.empty()) return Error{Reason::kUnavailable, "nobody there"};
    std::string answer = answers.front();
    answers.erase(answers.begin());
    return answer;
  }
  std::vector<std::string> answers;
  std::vector<std::string> asked;
};

class ReleaseCommands : public testing::Test {
 protected:
  ReleaseCommands() {
    Write("/in/pass", ToBytes("a passphrase\n"));
    Write("/in/empty", ToBytes("\n"));
    Write("/in/root.img", Bytes(5000, 3));
    const Bytes kernel = BuildPe({{".text", ToBytes("kernel")}});
    Write(
        "/in/uki.efi",
        BuildPe({{".text", ToBytes("stub")}, {".linux", kernel}, {".cmdline", ToBytes("quiet")}}));
  }
  void Write(const std::string& path, ByteView bytes) {
    EXPECT_TRUE(files_.MakeDirectories("/in"));
    EXPECT_TRUE(WriteFileAtomically(files_, path, bytes));
  }
  CommandResult Found() {
    return ReleaseKeysFound(
        files_, terminal_,
        {.keys = "/keys", .repository = "/repo", .trust_domain = "edge.example", .unsealed = true},
        kNow);
  }
  CommandResult Create() {
    return ReleaseCreate(files_,
                         {.repository = "/repo",
                          .product = "edge-os",
                          .version = "2.0.0",
                          .hardware = {"virtual-x86_64"},
                          .uki = "/in/uki.efi",
                          .image = "/in/root.img"},
                         kNow);
  }
  CommandResult Sign(const std::string& key, bool json = false) {
    return ReleaseSign(
        files_, terminal_,
        {.repository = "/repo", .key = "/keys/offline/" + key + ".pem", .json = json});
  }
  CommandResult Publish() {
    return ReleasePublish(files_, {.repository = "/repo", .keys = "/keys"}, kNow);
  }
  MemoryFileSystem files_;
  FakeTerminal terminal_;
};

JsonValue Json(const CommandResult& result) { return ParseJson(result.out).value(); }

TEST_F(ReleaseCommands, LeadFromTheCeremonyToAPublishedRelease) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  const CommandResult created = Create();
  ASSERT_EQ(created.code, ExitCode::kYes) << created.err;
  EXPECT_EQ(*Json(Sign("targets-1", true)).Find("ready")->if_bool(), false);
  EXPECT_EQ(Publish().code, ExitCode::kNo);
  EXPECT_EQ(*Json(Sign("targets-2", true)).Find("ready")->if_bool(), true);
  EXPECT_EQ(Publish().out,
            "published 2.targets.json\npublished 2.snapshot.json\npublished timestamp.json\n");

  const CommandResult list = ReleaseList(files_, {.path = "/repo", .json = true}, kNow);
  EXPECT_EQ(*Json(list).Find("releases")->if_array()->front().Find("version")->if_string(),
            "2.0.0");
  const CommandResult inspect = ReleaseInspect(files_, {.path = "/repo"}, kNow);
  EXPECT_NE(inspect.out.find("targets  version 2  threshold 2"), std::string::npos) << inspect.out;
}

TEST_F(ReleaseCommands, SayNoToForeignKeysAndUsageToWrongInput) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  const CommandResult foreign = Sign("policy-1", true);
  EXPECT_EQ(foreign.code, ExitCode::kNo);
  EXPECT_EQ(*Json(foreign).Find("error")->Find("reason")->if_string(), "repository.foreign-key");
  EXPECT_EQ(Sign("absent").code, ExitCode::kUsage);
  EXPECT_EQ(Create().code, ExitCode::kUsage);
  EXPECT_EQ(Found().code, ExitCode::kUsage);
  EXPECT_EQ(ReleaseInspect(files_, {.path = "/in"}, kNow).code, ExitCode::kUsage);
}

TEST_F(ReleaseCommands, SealKeysByPassphraseFile) {
  const CommandResult made = ReleaseKeysCreate(files_, terminal_,
                                               {.out = "/k/a.pem",
                                                .passphrase = {.file = "/in/pass"},
                                                .kdf = pki::kKdfForTests,
                                                .json = true});
  ASSERT_EQ(made.code, ExitCode::kYes);
  EXPECT_EQ(Json(made).Find("keyid")->if_string()->size(), 64U);
  EXPECT_NE(ToString(ReadFile(files_, "/k/a.pem", 1 << 20).value()).find("SALLYPORT SEALED KEY"),
            std::string::npos);
  EXPECT_EQ(
      ReleaseKeysCreate(files_, terminal_, {.out = "/k/b.pem", .passphrase = {.file = "/in/empty"}})
          .code,
      ExitCode::kUsage);
}

TEST_F(ReleaseCommands, RefuseAThresholdOfOneOutsideDevelopment) {
  const CommandResult result = ReleaseKeysFound(files_, terminal_,
                                                {.keys = "/keys",
                                                 .repository = "/repo",
                                                 .trust_domain = "edge.example",
                                                 .threshold = 1,
                                                 .unsealed = true},
                                                kNow);
  EXPECT_EQ(result.code, ExitCode::kNo);
}

TEST_F(ReleaseCommands, RegisterTheirOptions) {
  CLI::App app;
  CommandSink sink;
  AddReleaseCommands(app, sink);
  app.parse("release sign --repository r --role policy --key k --json", false);
  EXPECT_TRUE(sink.command());
  EXPECT_THROW(app.parse("release create --repository r", false), CLI::ParseError);
}

}  // namespace
}  // namespace sallyport::server

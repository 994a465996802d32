#include "attestation-server/cli/release_commands.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "attestation-server/cli/ceremony_commands.h"
#include "pki/base/json.h"
#include "tests/fakes/fake_terminal.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/pe_builder.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

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

TEST_F(ReleaseCommands, WithdrawAReleaseAndNothingElse) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  Sign("targets-1");
  Sign("targets-2");
  ASSERT_EQ(Publish().code, ExitCode::kYes);
  const auto withdraw = [this](const std::string& release) {
    return ReleaseWithdraw(files_, {.repository = "/repo", .release = release, .json = true}, kNow);
  };
  for (const char* const wrong : {"edge-os", "edge-os/", "/2.0.0", "../2.0.0", "edge-os/2.0.1"})
    EXPECT_EQ(withdraw(wrong).code, ExitCode::kUsage) << wrong;
  const CommandResult done = withdraw("edge-os/2.0.0");
  ASSERT_EQ(done.code, ExitCode::kYes) << done.err;
  EXPECT_EQ(*Json(done).Find("review")->Find("withdrawn_releases")->if_array()->front().if_string(),
            "releases/edge-os/2.0.0/release.json");
  EXPECT_EQ(Publish().code, ExitCode::kNo) << "it takes the signatures of targets";
  EXPECT_NE(Sign("targets-1").out.find("WITHDRAWN release"), std::string::npos);
  Sign("targets-2");
  ASSERT_EQ(Publish().code, ExitCode::kYes);
  const CommandResult list = ReleaseList(files_, {.path = "/repo", .json = true}, kNow);
  EXPECT_TRUE(Json(list).Find("releases")->if_array()->empty());
}

TEST_F(ReleaseCommands, CreateSealsUnderAKeyThatStaysInAFileOfItsOwn) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  const auto create = [this](const std::string& version, const std::string& key, bool encrypt) {
    return ReleaseCreate(files_,
                         {.repository = "/repo",
                          .product = "edge-os",
                          .version = version,
                          .hardware = {"virtual-x86_64"},
                          .uki = "/in/uki.efi",
                          .image = "/in/root.img",
                          .encrypt = encrypt,
                          .content_key = key,
                          .json = true},
                         kNow);
  };
  const CommandResult first = create("2.0.0", "/in/key", true);
  ASSERT_EQ(first.code, ExitCode::kYes) << first.err;
  const std::string key = ToString(*ReadFile(files_, "/in/key", 100));
  EXPECT_EQ(key.size(), 65u);
  EXPECT_EQ(first.out.find(key.substr(0, 64)), std::string::npos);
  const auto id = [](const CommandResult& result) {
    return *Json(result).Find("sealed")->Find("key_id")->if_string();
  };
  EXPECT_EQ(id(create("2.0.1", "/in/key", true)), id(first)) << "the file is used again";
  EXPECT_EQ(ToString(*ReadFile(files_, "/in/key", 100)), key);
  EXPECT_NE(id(create("2.0.2", "/in/other", true)), id(first));
  EXPECT_EQ(Json(create("2.0.3", "", false)).Find("sealed"), nullptr);

  const CommandResult plain = create("2.0.4", "/in/key", false);
  EXPECT_EQ(plain.code, ExitCode::kUsage);
  EXPECT_NE(plain.out.find("--content-key needs --encrypt"), std::string::npos) << plain.out;
  Write("/in/bad", ToBytes("not a key"));
  const CommandResult bad = create("2.0.5", "/in/bad", true);
  EXPECT_NE(bad.code, ExitCode::kYes);
  EXPECT_NE(bad.out.find("64 hex digits"), std::string::npos) << bad.out;
}

TEST_F(ReleaseCommands, CreateIsRefusedByTheLinterUnlessTheRuleIsAllowed) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  Bytes packed(8192, 3);
  packed[0] = 0x1f;
  packed[1] = 0x8b;
  ASSERT_TRUE(WriteFileAtomically(files_, "/in/root.gz", packed));
  ReleaseCreateOptions options{.repository = "/repo",
                               .product = "edge-os",
                               .version = "2.1.0",
                               .hardware = {"virtual-x86_64"},
                               .uki = "/in/uki.efi",
                               .image = "/in/root.gz"};
  const CommandResult refused = ReleaseCreate(files_, options, kNow);
  EXPECT_EQ(refused.code, ExitCode::kNo);
  EXPECT_NE(refused.err.find("image.format"), std::string::npos) << refused.err;
  options.allow = {"image.format"};
  const CommandResult made = ReleaseCreate(files_, options, kNow);
  EXPECT_EQ(made.code, ExitCode::kYes) << made.err;
  EXPECT_NE(made.out.find("fail  image.format"), std::string::npos) << made.out;
}

TEST_F(ReleaseCommands, CreateSignsADeadlineThatIsAheadAndShowsIt) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ReleaseCreateOptions options{.repository = "/repo",
                               .product = "edge-os",
                               .version = "2.0.0",
                               .hardware = {"virtual-x86_64"},
                               .uki = "/in/uki.efi",
                               .image = "/in/root.img"};
  for (const std::string& wrong :
       {std::string("tomorrow"), FormatRfc3339(kNow), FormatRfc3339(kNow - Seconds(1))}) {
    options.install_by = wrong;
    const CommandResult refused = ReleaseCreate(files_, options, kNow);
    EXPECT_EQ(refused.code, ExitCode::kUsage) << wrong;
    EXPECT_NE(refused.err.find("install-by"), std::string::npos) << refused.err;
  }
  options.install_by = FormatRfc3339(kNow + Seconds(1));
  options.json = true;
  const CommandResult made = ReleaseCreate(files_, options, kNow);
  ASSERT_EQ(made.code, ExitCode::kYes) << made.err;
  EXPECT_EQ(*Json(made).Find("install_by")->if_string(), options.install_by);

  EXPECT_NE(Sign("targets-1").out.find("from " + options.install_by + " on no window"),
            std::string::npos)
      << "whoever signs is told";
  Sign("targets-2");
  ASSERT_EQ(Publish().code, ExitCode::kYes);
  EXPECT_NE(
      ReleaseInspect(files_, {.path = "/repo"}, kNow).out.find("install by " + options.install_by),
      std::string::npos);
}

TEST_F(ReleaseCommands, SayWhatDevicesWillDownload) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  ReleaseCreateOptions options{.repository = "/repo",
                               .product = "edge-os",
                               .version = "2.1.0",
                               .hardware = {"virtual-x86_64"},
                               .uki = "/in/uki.efi",
                               .image = "/in/root.img",
                               .from = {"edge-os/2.0.0"},
                               .json = true};
  const CommandResult made = ReleaseCreate(files_, options, kNow);
  ASSERT_EQ(made.code, ExitCode::kYes) << made.err;
  const JsonValue facts = Json(made);
  const JsonValue& download = *facts.Find("download");
  EXPECT_GT(*download.Find("full")->if_integer(), 0);
  const JsonValue& delta = download.Find("deltas")->if_array()->front();
  EXPECT_EQ(*delta.Find("from")->if_string(), "2.0.0");
  EXPECT_GT(*delta.Find("bytes")->if_integer(), 0);
  options.version = "2.2.0";
  options.json = false;
  const std::string text = ReleaseCreate(files_, options, kNow).out;
  EXPECT_NE(text.find("\ndownload from 2.0.0 0.00 MB\n"), std::string::npos) << text;
  options.version = "2.3.0";
  options.from = {"edge-os/9.9.9"};
  EXPECT_NE(ReleaseCreate(files_, options, kNow).err.find("release.from-unknown"),
            std::string::npos);
}

TEST_F(ReleaseCommands, MakeDeltasFromWhatTheFleetRuns) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  ReleaseCreateOptions options{
      .repository = "/repo",
      .product = "edge-os",
      .version = "2.1.0",
      .hardware = {"virtual-x86_64"},
      .uki = "/in/uki.efi",
      .image = "/in/root.img",
      .from = {"fleet:2", "edge-os/2.0.0"},
      .fleet =
          [] {
            return Result<std::vector<std::string>>(
                std::vector<std::string>{"gateway/1.0", "edge-os/2.0.0", "edge-os/2.0.0"});
          },
      .json = true};
  const CommandResult made = ReleaseCreate(files_, options, kNow);
  ASSERT_EQ(made.code, ExitCode::kYes) << made.err;
  EXPECT_EQ(Json(made).Find("deltas")->if_array()->size(), 1u);

  options.version = "2.2.0";
  for (const char* bad : {"fleet:", "fleet:0", "fleet:17", "fleet:x"}) {
    options.from = {bad};
    EXPECT_NE(ReleaseCreate(files_, options, kNow).err.find("release.from-fleet"),
              std::string::npos);
  }
  options.from = {"fleet"};
  options.fleet = nullptr;
  EXPECT_EQ(ReleaseCreate(files_, options, kNow).code, ExitCode::kUsage);
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

TEST_F(ReleaseCommands, ShowWhatIsSignedAndTakeNoForAnAnswer) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  terminal_.answers = {"no", "", "y", "yes"};
  for (int i = 0; i < 3; ++i) {
    const CommandResult declined = Sign("targets-1", true);
    EXPECT_EQ(declined.code, ExitCode::kNo);
    EXPECT_EQ(*Json(declined).Find("error")->Find("reason")->if_string(), "sign.declined");
  }
  EXPECT_NE(terminal_.asked.front().find("new release: edge-os 2.0.0"), std::string::npos);
  EXPECT_NE(terminal_.asked.front().find("payload SHA-256"), std::string::npos);
  EXPECT_EQ(Sign("targets-1").code, ExitCode::kYes);
}

TEST_F(ReleaseCommands, SignOnlyTheExpectedDigestWhenOneIsGiven) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  const CommandResult signed_once = Sign("targets-1", true);
  const std::string digest = *Json(signed_once).Find("review")->Find("payload_sha256")->if_string();
  const auto with = [&](const std::string& expected) {
    return ReleaseSign(
               files_, terminal_,
               {.repository = "/repo", .key = "/keys/offline/targets-2.pem", .digest = expected})
        .code;
  };
  EXPECT_EQ(with(std::string(64, '0')), ExitCode::kNo);
  EXPECT_EQ(with(digest.substr(0, 63)), ExitCode::kNo);
  EXPECT_EQ(with(digest), ExitCode::kYes);
}

TEST_F(ReleaseCommands, AskForThePassphraseOfASealedKeyWithoutShowingIt) {
  ASSERT_EQ(Found().code, ExitCode::kYes);
  ASSERT_EQ(Create().code, ExitCode::kYes);
  terminal_.answers = {"sealed", "sealed", "yes", "wrong"};
  ASSERT_EQ(
      ReleaseKeysCreate(files_, terminal_, {.out = "/keys/offline/x.pem", .kdf = pki::kKdfForTests})
          .code,
      ExitCode::kYes);
  const CommandResult wrong = Sign("x", true);
  EXPECT_EQ(*Json(wrong).Find("error")->Find("reason")->if_string(), "key.passphrase");
  EXPECT_EQ(wrong.out.find("sealed\""), std::string::npos);
  EXPECT_EQ(terminal_.hidden, 3);
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

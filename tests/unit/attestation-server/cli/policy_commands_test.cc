#include "attestation-server/cli/policy_commands.h"

#include "pki/base/json.h"
#include "policies/decision/canonical.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

Result<policy::ZoneRule> TestZones(std::string_view name) {
  if (name == "UTC") return policy::ZoneRule::Parse("UTC0");
  return Error{Reason::kNotFound, "not in the test"};
}

const char* kPolicy =
    "# comment stays\n"
    "sallyport: policy/v1\nname: t\n"
    "groups: {cameras: {tags: [camera]}, recorders: {tags: [recorder]}}\n"
    "services: {rtsp: tcp/8554}\n"
    "conditions: {healthy: {attested_within: 1h}}\n"
    "grants:\n  - {id: g, from: cameras, to: recorders, service: rtsp, require_from: healthy, why: "
    "video, owner: ops}\n"
    "tests:\n  - {from: cam-1, to: rec-1, service: rtsp, expect: allow}\n";
const char* kInventory =
    "sallyport: inventory/v1\ndevices:\n  - {id: cam-1, tags: [camera], tier: measured, attested: "
    "5m}\n"
    "  - {id: rec-1, tags: [recorder], tier: measured, attested: 5m}\n";

class PolicyCommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    Put("p.yaml", kPolicy);
    Put("i.yaml", kInventory);
  }
  void Put(const std::string& path, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(files_, path, AsBytes(text)));
  }
  std::string Get(const std::string& path) {
    return ToString(ByteView(*ReadFile(files_, path, 1 << 20)));
  }
  PolicyWorld world() { return {files_, TestZones, *ParseRfc3339("2026-11-21T12:00:00Z")}; }
  PolicyExplainOptions Ask(const std::string& attested) {
    return {"p.yaml", "i.yaml", "cam-1", "rec-1", "rtsp", "", attested, "", true};
  }

  MemoryFileSystem files_;
};

TEST_F(PolicyCommandsTest, CheckWithoutInventoryRunsNoTests) {
  const CommandResult result = CheckPolicies(world(), {{"p.yaml"}, "", true});
  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_EQ(result.out, "{\"errors\":[],\"tests\":null,\"warnings\":[]}\n");
}

TEST_F(PolicyCommandsTest, TestCountsItsTests) {
  const CommandResult result = CheckPolicies(world(), {{"p.yaml"}, "i.yaml", true});
  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_EQ(result.out, "{\"errors\":[],\"tests\":{\"failed\":0,\"passed\":1},\"warnings\":[]}\n");
}

TEST_F(PolicyCommandsTest, AFailedTestIsAClearNo) {
  Put("p.yaml",
      std::string(kPolicy) + "  - {from: cam-1, to: rec-1, service: rtsp, expect: deny}\n");
  const CommandResult result = CheckPolicies(world(), {{"p.yaml"}, "i.yaml", true});
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_NE(result.out.find(R"("code":"E-TEST","column":5,"file":"p.yaml","line":11)"),
            std::string::npos)
      << result.out;
}

TEST_F(PolicyCommandsTest, AnInvalidPolicyIsWrongInput) {
  Put("p.yaml", std::string(kPolicy) + "colour: red\n");
  const CommandResult result = CheckPolicies(world(), {{"p.yaml"}, "i.yaml", true});
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_EQ(result.err, "p.yaml:11:1: error E-UNKNOWN-KEY: unknown key 'colour' in the policy\n");
}

TEST_F(PolicyCommandsTest, EveryFileIsChecked) {
  Put("bad.yaml", "a: 1\n");
  const CommandResult result =
      CheckPolicies(world(), {{"bad.yaml", "missing.yaml", "p.yaml"}, "", false});
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_NE(result.err.find("bad.yaml:1:1"), std::string::npos);
  EXPECT_NE(result.err.find("missing.yaml: error E-SYNTAX"), std::string::npos);
}

TEST_F(PolicyCommandsTest, ABrokenInventoryIsReportedInItsFile) {
  Put("i.yaml", "sallyport: inventory/v1\ndevices: 5\n");
  const CommandResult result = CheckPolicies(world(), {{"p.yaml"}, "i.yaml", false});
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_EQ(result.err.substr(0, 11), "i.yaml:2:10");
}

TEST_F(PolicyCommandsTest, ExplainAllowSaysUntilWhen) {
  const CommandResult result = ExplainPolicy(world(), Ask("10m"));
  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_EQ(
      result.out,
      R"({"by":"g","decision":"allow","nearest":null,"reason":"granted","valid_until":"2026-11-21T12:50:00Z"})"
      "\n");
}

TEST_F(PolicyCommandsTest, ExplainDenyNamesTheNearestGrant) {
  const CommandResult result = ExplainPolicy(world(), Ask("1h"));
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_EQ(
      result.out,
      R"({"by":null,"decision":"deny","nearest":{"failed":"attested_within","grant":"g","side":"from"},"reason":"no-grant","valid_until":null})"
      "\n");
}

TEST_F(PolicyCommandsTest, ExplainInWordsCarriesWhyAndOwner) {
  PolicyExplainOptions options = Ask("");
  options.json = false;
  EXPECT_EQ(ExplainPolicy(world(), options).out,
            "allow by g\nvalid until 2026-11-21T12:55:00Z\nwhy: video\nowner: ops\n");
  options.at = "2026-11-22T12:00:00Z";
  options.attested = "2h";
  EXPECT_EQ(ExplainPolicy(world(), options).out,
            "deny: no-grant\nnearest: g failed attested_within (from)\n");
}

TEST_F(PolicyCommandsTest, ExplainRefusesWhatItDoesNotKnow) {
  PolicyExplainOptions options = Ask("");
  options.from = "cam-l";
  EXPECT_EQ(ExplainPolicy(world(), options).code, ExitCode::kUsage);
  EXPECT_NE(ExplainPolicy(world(), options).err.find("did you mean 'cam-1'"), std::string::npos);
  options = Ask("soon");
  EXPECT_EQ(ExplainPolicy(world(), options).code, ExitCode::kUsage);
  options = Ask("");
  options.service = "ssh";
  EXPECT_EQ(ExplainPolicy(world(), options).code, ExitCode::kUsage);
  options = Ask("");
  options.at = "yesterday";
  EXPECT_EQ(ExplainPolicy(world(), options).code, ExitCode::kUsage);
  options = Ask("");
  options.file = "missing.yaml";
  EXPECT_EQ(ExplainPolicy(world(), options).code, ExitCode::kUsage);
}

TEST_F(PolicyCommandsTest, ExplainOfABrokenPolicyNamesFileLineAndColumn) {
  Put("p.yaml", "sallyport: policy/v1\nname: t\nx: 1\n");
  const CommandResult result = ExplainPolicy(world(), Ask(""));
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_NE(result.out.find(R"("file":"p.yaml","line":3,"column":1)"), std::string::npos)
      << result.out;
}

TEST_F(PolicyCommandsTest, FormatKeepsCommentsAndMeaning) {
  Put("p.yaml", "\n\n" + std::string(kPolicy) + "  \n\n\n# end \t\r\n\n");
  EXPECT_EQ(FormatPolicy(world(), {"p.yaml", false}).out, std::string(kPolicy) + "\n# end\n");
  EXPECT_EQ(FormatPolicy(world(), {"p.yaml", true}).out, "");
  EXPECT_EQ(Get("p.yaml"), std::string(kPolicy) + "\n# end\n");
}

TEST_F(PolicyCommandsTest, FormatLeavesAFileWhoseMeaningWouldChange) {
  std::string text(kPolicy);
  text.replace(text.find("why: video"), 10, "why: \"a \n\n\n b\"");
  Put("p.yaml", text);
  const CommandResult result = FormatPolicy(world(), {"p.yaml", true});
  EXPECT_NE(result.code, ExitCode::kYes);
  EXPECT_EQ(Get("p.yaml"), text);
}

TEST_F(PolicyCommandsTest, ManifestListsEveryGrantOfAPolicyThatPasses) {
  PolicyManifestOptions options{"p.yaml",      "i.yaml", 3, "", "2027-01-01T00:00:00Z",
                                "policy.json", false};
  ASSERT_EQ(MakeManifest(world(), options).code, ExitCode::kYes);
  const auto manifest = policy::ParsePolicyManifest(Get("policy.json"));
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->version, 3);
  EXPECT_EQ(manifest->grants.count("g"), 1u);
  EXPECT_EQ(FormatRfc3339(manifest->not_before), "2026-11-21T12:00:00Z");
}

TEST_F(PolicyCommandsTest, ManifestOfAFailingPolicyIsRefused) {
  Put("p.yaml",
      std::string(kPolicy) + "  - {from: cam-1, to: rec-1, service: rtsp, expect: deny}\n");
  PolicyManifestOptions options{"p.yaml",      "i.yaml", 3, "", "2027-01-01T00:00:00Z",
                                "policy.json", false};
  EXPECT_EQ(MakeManifest(world(), options).code, ExitCode::kNo);
  EXPECT_FALSE(ReadFile(files_, "policy.json", 100));
  Put("p.yaml", kPolicy);
  options.expires = "2026-01-01T00:00:00Z";
  EXPECT_EQ(MakeManifest(world(), options).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/config.h"

#include "pki/base/file_system.h"

namespace sallyport::server {
namespace {

using ::testing::HasSubstr;

const std::string kGood = R"(sallyport: server/v1
trust_domain: edge.example
state: /var/lib/sallyport
runtime: /run/sallyport
unlock_file: /etc/sallyport/unlock
profiles:
  tpm: {roots: /etc/sallyport/ek}
listen:
  enrol: 0.0.0.0:8441
  device: 0.0.0.0:8442
  admin: 127.0.0.1:8443
  content: 0.0.0.0:8444
  http: 127.0.0.1:8445
operators:
  alice: admin
classes:
  edge: {evidence_lifetime: 30m}
)";

// With replaces the first `from` by `to`.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  SP_CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string Findings(const std::string& text) {
  const auto config = ParseConfig(text, "server.yaml");
  if (config) return "accepted";
  EXPECT_EQ(config.error().reason, Reason::kMalformed);
  EXPECT_EQ(config.error().rule, "config");
  return config.error().detail;
}

TEST(ServerConfig, ReadsAFullFile) {
  const auto config = ParseConfig(kGood, "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->trust_domain, "edge.example");
  EXPECT_EQ(config->name, "control");
  EXPECT_EQ(config->operators.at("alice"), OperatorRole::kAdmin);
  EXPECT_EQ(config->classes.at("edge").evidence_lifetime, Minutes(30));
  EXPECT_TRUE(config->profiles.at("tpm").vendor);
  EXPECT_EQ(config->pcrs, (std::vector<uint32_t>{0, 2, 4, 7, 11, 12, 13}));
  EXPECT_EQ(config->advertise.device, "0.0.0.0:8442");
}

TEST(ServerConfig, AnnouncesTheEndOfUpdateMetadataWhenTold) {
  const auto with = [](const std::string& alarms) {
    return "update_alarms: " + alarms + "\n" + kGood;
  };
  const auto config = ParseConfig(with("{notice: 60d, critical: 1d}"), "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->update_alarms.notice, Days(60));
  EXPECT_EQ(config->update_alarms.warning, Days(14));
  EXPECT_EQ(config->update_alarms.critical, Days(1));
  EXPECT_THAT(Findings(with("{notice: 10d}")), HasSubstr("do not fall"));
  EXPECT_THAT(Findings(with("{warning: 2d}")), HasSubstr("do not fall"));
  EXPECT_THAT(Findings(with("{notice: 2y}")), HasSubstr("server.yaml:1"));
  EXPECT_THAT(Findings(with("{loud: 2d}")), HasSubstr("loud"));
}

TEST(ServerConfig, BoundsLagAndSilenceWhenTold) {
  const auto usual = ParseConfig(kGood, "server.yaml");
  EXPECT_EQ(usual->manifest_lag, Minutes(30));
  EXPECT_EQ(usual->classes.at("edge").silence, Days(1));
  const auto config =
      ParseConfig("manifest_lag: 5m\n" + With("30m}", "30m, silence: 3d}"), "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->manifest_lag, Minutes(5));
  EXPECT_EQ(config->classes.at("edge").silence, Days(3));
  EXPECT_THAT(Findings("manifest_lag: 5s\n" + std::string(kGood)), HasSubstr("server.yaml:1"));
  EXPECT_THAT(Findings(With("30m}", "30m, silence: 400d}")), HasSubstr("E-RANGE"));
}

TEST(ServerConfig, TakesTheAdvisoriesThatAProfileAccepts) {
  const auto config = ParseConfig(
      With("/etc/sallyport/ek}", "/etc/sallyport/ek, accept_advisories: [CVE-2017-15361]}"),
      "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->profiles.at("tpm").accept_advisories,
            std::vector<std::string>{"CVE-2017-15361"});
  EXPECT_THAT(Findings(With("/etc/sallyport/ek}", "/e, accept_advisories: [CVE-1]}")),
              HasSubstr("server.yaml:7:40: error E-RANGE"));
  EXPECT_THAT(Findings(With("/etc/sallyport/ek}", "/e, accept_advisories: all}")),
              HasSubstr("E-TYPE"));
}

TEST(ServerConfig, TakesWhatAProfileAsksOfItsTpms) {
  const auto config = ParseConfig(
      With("/etc/sallyport/ek}",
           "/e, bank: sha384, tpm_banks: [sha1, sha256, sha384], firmware_floor: 0007005500000001, "
           "tpm_kind: dtpm, require_null_name: true}"),
      "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  const ProfileConfig& profile = config->profiles.at("tpm");
  EXPECT_EQ(profile.bank, "sha384");
  EXPECT_EQ(profile.tpm_banks, (std::vector<std::string>{"sha1", "sha256", "sha384"}));
  EXPECT_EQ(profile.firmware_floor, 0x0007005500000001u);
  EXPECT_EQ(profile.tpm_kind, "dtpm");
  EXPECT_TRUE(profile.require_null_name);
}

TEST(ServerConfig, SaysWhereAProfileAsksTheWrongThingOfItsTpms) {
  const auto findings = [](const std::string& keys) {
    return Findings(With("/etc/sallyport/ek}", "/e, " + keys + "}"));
  };
  EXPECT_THAT(findings("bank: sha1"), HasSubstr("server.yaml:7:26: error"));
  EXPECT_THAT(findings("tpm_banks: [sha256, md5]"), HasSubstr("server.yaml:7:40: error E-RANGE"));
  EXPECT_THAT(findings("tpm_banks: [sha256, sha256]"), HasSubstr("E-RANGE"));
  EXPECT_THAT(findings("tpm_banks: all"), HasSubstr("E-TYPE"));
  EXPECT_THAT(findings("tpm_banks: [sha1, sha384]"), HasSubstr("lacks the bank that is judged"));
  EXPECT_THAT(findings("firmware_floor: 7.85"), HasSubstr("server.yaml:7:36: error E-RANGE"));
  EXPECT_THAT(findings("firmware_floor: 00070055"), HasSubstr("E-RANGE"));
  EXPECT_THAT(findings("tpm_kind: chip"), HasSubstr("server.yaml:7:30: error"));
  EXPECT_THAT(findings("require_null_name: 1"), HasSubstr("E-TYPE"));
}

TEST(ServerConfig, AsksForFilesThatRanWhereAClassSaysSo) {
  EXPECT_FALSE(ParseConfig(kGood, "server.yaml")->classes.at("edge").ima);
  const auto config = ParseConfig(With("30m}", "30m, ima: true}"), "server.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_TRUE(config->classes.at("edge").ima);
  EXPECT_THAT(Findings(With("30m}", "30m, ima: some}")), HasSubstr("server.yaml:17:39: error"));
}

TEST(ServerConfig, SaysWhereAnUnknownKeyIs) {
  EXPECT_THAT(Findings(kGood + "colour: red\n"),
              HasSubstr("server.yaml:18:1: error E-UNKNOWN-KEY"));
  EXPECT_THAT(Findings(With("alice: admin", "alice: admin\nlogging: {}")),
              HasSubstr("server.yaml:16:1: error"));
  EXPECT_THAT(Findings(With("  enrol:", "  enroll: 0.0.0.0:1\n  enrol:")),
              HasSubstr("server.yaml:9:3: error"));
  EXPECT_THAT(Findings(With("{roots:", "{root: a, roots:")), HasSubstr("server.yaml:7:9: error"));
}

TEST(ServerConfig, SaysWhereADuplicateIs) {
  EXPECT_THAT(Findings(kGood + "state: /elsewhere\n"),
              HasSubstr("server.yaml:18:1: error E-DUPLICATE"));
  EXPECT_THAT(Findings(With("alice: admin", "alice: admin\n  alice: viewer")),
              HasSubstr("server.yaml:16:3: error"));
}

TEST(ServerConfig, RefusesEachMissingKey) {
  for (const char* line :
       {"sallyport: server/v1\n", "trust_domain: edge.example\n", "state: /var/lib/sallyport\n",
        "runtime: /run/sallyport\n", "unlock_file: /etc/sallyport/unlock\n",
        "  enrol: 0.0.0.0:8441\n", "  device: 0.0.0.0:8442\n", "  admin: 127.0.0.1:8443\n",
        "  content: 0.0.0.0:8444\n", "  http: 127.0.0.1:8445\n",
        "profiles:\n  tpm: {roots: /etc/sallyport/ek}\n", "operators:\n  alice: admin\n",
        "classes:\n  edge: {evidence_lifetime: 30m}\n"})
    EXPECT_THAT(Findings(With(line, "")), HasSubstr("is missing")) << line;
  EXPECT_THAT(Findings(With("{roots: /etc/sallyport/ek}", "{}")), HasSubstr("'roots' is missing"));
}

TEST(ServerConfig, SaysWhereATypeIsWrong) {
  EXPECT_THAT(Findings(With("state: /var/lib/sallyport", "state: [a]")),
              HasSubstr("server.yaml:3:8: error E-TYPE"));
  EXPECT_THAT(Findings(With("state: /var/lib/sallyport", "state: ''")),
              HasSubstr("server.yaml:3:8: error E-TYPE"));
  EXPECT_THAT(Findings(With("operators:\n  alice: admin", "operators: alice")),
              HasSubstr("server.yaml:14:12: error"));
  EXPECT_THAT(Findings(With("{evidence_lifetime: 30m}", "30m")),
              HasSubstr("server.yaml:17:9: error E-TYPE"));
  EXPECT_THAT(Findings(With("30m", "half an hour")), HasSubstr("server.yaml:17:29: error E-TYPE"));
  EXPECT_THAT(Findings(With("/etc/sallyport/ek}", "/e, vendor: maybe}")),
              HasSubstr("server.yaml:7:28: error E-TYPE"));
  EXPECT_THAT(Findings("- a\n"), HasSubstr("server.yaml:1:1: error E-TYPE"));
  EXPECT_THAT(Findings(kGood + "pcrs: 4\n"), HasSubstr("server.yaml:18:7: error E-TYPE"));
}

TEST(ServerConfig, SaysWhereAValueIsOutOfRange) {
  EXPECT_THAT(Findings(With("server/v1", "server/v2")),
              HasSubstr("server.yaml:1:12: error E-RANGE"));
  EXPECT_THAT(Findings(With("alice: admin", "alice: root")),
              HasSubstr("server.yaml:15:10: error E-RANGE"));
  for (const char* lifetime : {"9s", "8d"})
    EXPECT_THAT(Findings(With("30m", lifetime)), HasSubstr("server.yaml:17:29: error E-RANGE"))
        << lifetime;
  for (const char* lifetime : {"10s", "7d"})
    EXPECT_EQ(Findings(With("30m", lifetime)), "accepted") << lifetime;
  for (const char* address :
       {"nowhere", "0.0.0.0:0", "0.0.0.0:32768", "0.0.0.0:99999999999", "':8441'", "0.0.0.0:84x"})
    EXPECT_THAT(Findings(With("0.0.0.0:8441", address)),
                HasSubstr("server.yaml:9:10: error E-RANGE"))
        << address;
  EXPECT_THAT(Findings(kGood + "log_level: loud\n"), HasSubstr("server.yaml:18:12: error E-RANGE"));
}

TEST(ServerConfig, TakesRisingPcrsOnly) {
  EXPECT_EQ(Findings(kGood + "pcrs: [0, 23]\n"), "accepted");
  for (const char* pcrs : {"[24]", "[-1]", "[4, 4]", "[7, 4]", "[4x]", "[a]", "['']", "[[4]]"})
    EXPECT_THAT(Findings(kGood + "pcrs: " + pcrs + "\n"), HasSubstr("server.yaml:18:")) << pcrs;
}

TEST(ServerConfig, LeavesNothingOpenThatComesBesideAnImage) {
  EXPECT_EQ(Findings(kGood + "pcrs: [4, 7, 11, 12, 13]\n"), "accepted");
  for (const char* pcrs : {"[4, 7, 11]", "[4, 7, 11, 12]", "[4, 7, 11, 13]"})
    EXPECT_THAT(Findings(kGood + "pcrs: " + pcrs + "\n"),
                HasSubstr("leaves command lines, credentials and extensions open"))
        << pcrs;
}

TEST(ServerConfig, ReportsEveryFinding) {
  const std::string findings = Findings(With("alice: admin", "alice: root") + "colour: red\n");
  EXPECT_THAT(findings, HasSubstr("server.yaml:15:10:"));
  EXPECT_THAT(findings, HasSubstr("\nserver.yaml:18:1:"));
}

TEST(ServerConfig, DescribesEachKey) {
  for (const char* key : {"`trust_domain`", "`listen.enrol`", "`pcrs`", "`unlock_file`"})
    EXPECT_THAT(DescribeConfig(), HasSubstr(key));
}

TEST(ServerConfig, IsDocumented) {
  PosixFileSystem files;
  const Bytes document =
      *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/operations/config.md", 1 << 20);

  EXPECT_NE(AsText(document).find(DescribeConfig()), std::string_view::npos);
}

}  // namespace
}  // namespace sallyport::server

#include "device-client/config.h"

namespace sallyport::device {
namespace {

using ::testing::HasSubstr;

const std::string kGood = R"(sallyport: agent/v1
state: /var/lib/sallyport
tcti: device:/dev/tpmrm0
enrolment_file: /etc/sallyport/enrolment.json
hardware: virtual-x86_64
proxy:
  inbound: {mqtt: 127.0.0.1:1883}
  outbound:
    - {service: mqtt, to: broker, listen: 127.0.0.1:1884}
update: {slot_a: /dev/sda2, slot_b: /dev/sda3, esp: /efi, efivars: /sys/firmware/efi/efivars}
)";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  SP_CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string Findings(const std::string& text) {
  const auto config = ParseConfig(text, "agent.yaml");
  if (config) return "accepted";
  EXPECT_EQ(config.error().reason, Reason::kMalformed);
  EXPECT_EQ(config.error().rule, "config");
  return config.error().detail;
}

TEST(AgentConfig, ReadsAFullFile) {
  const auto config = ParseConfig(kGood, "agent.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->tcti, "device:/dev/tpmrm0");
  EXPECT_EQ(config->ek, pki::EkTemplate::kL2P256);
  EXPECT_EQ(config->backoff_max, Minutes(5));
  EXPECT_EQ(config->proxy.inbound.at("mqtt"), "127.0.0.1:1883");
  EXPECT_EQ(config->proxy.outbound.at(0).to, "broker");
  EXPECT_EQ(config->update.slot_b, "/dev/sda3");
}

TEST(AgentConfig, ReadsTheOtherEndorsementKey) {
  EXPECT_EQ(ParseConfig(kGood + "ek: rsa-2048\n", "agent.yaml")->ek, pki::EkTemplate::kL1Rsa2048);
}

TEST(AgentConfig, SaysWhereAnUnknownKeyIs) {
  EXPECT_THAT(Findings(kGood + "insecure: true\n"), HasSubstr("agent.yaml:11:1: error E-UNKNOWN-KEY"));
  EXPECT_THAT(Findings(With("{service: mqtt,", "{service: mqtt, via: x,")), HasSubstr("agent.yaml:9:"));
  EXPECT_THAT(Findings(With("esp: /efi,", "esp: /efi, slot_c: x,")), HasSubstr("agent.yaml:10:"));
}

TEST(AgentConfig, SaysWhereADuplicateIs) {
  EXPECT_THAT(Findings(kGood + "state: /elsewhere\n"), HasSubstr("agent.yaml:11:1: error E-DUPLICATE"));
}

TEST(AgentConfig, RefusesEachMissingKey) {
  for (const char* line : {"sallyport: agent/v1\n", "state: /var/lib/sallyport\n", "tcti: device:/dev/tpmrm0\n",
                           "enrolment_file: /etc/sallyport/enrolment.json\n", "hardware: virtual-x86_64\n",
                           "slot_a: /dev/sda2, ", "to: broker, "})
    EXPECT_THAT(Findings(With(line, "")), HasSubstr("is missing")) << line;
}

TEST(AgentConfig, SaysWhereATypeIsWrong) {
  EXPECT_THAT(Findings(With("state: /var/lib/sallyport", "state: {a: b}")), HasSubstr("agent.yaml:2:8: error E-TYPE"));
  EXPECT_THAT(Findings(With("{mqtt: 127.0.0.1:1883}", "[mqtt]")), HasSubstr("agent.yaml:7:12: error E-TYPE"));
  EXPECT_THAT(Findings(kGood + "backoff_max: often\n"), HasSubstr("agent.yaml:11:14: error E-TYPE"));
}

TEST(AgentConfig, SaysWhereAValueIsOutOfRange) {
  EXPECT_THAT(Findings(With("agent/v1", "agent/v2")), HasSubstr("agent.yaml:1:12: error E-RANGE"));
  EXPECT_THAT(Findings(With("127.0.0.1:1883", "127.0.0.1:40000")), HasSubstr("agent.yaml:7:19: error E-RANGE"));
  for (const char* backoff : {"999ms", "2h"})
    EXPECT_THAT(Findings(kGood + "backoff_max: " + backoff + "\n"), HasSubstr("agent.yaml:11:14: error E-RANGE"));
  EXPECT_THAT(Findings(kGood + "ek: rsa-1024\n"), HasSubstr("agent.yaml:11:5: error E-RANGE"));
}

TEST(AgentConfig, DescribesEachKey) {
  for (const char* key : {"`tcti`", "`proxy.inbound`", "`update.esp`"}) EXPECT_THAT(DescribeConfig(), HasSubstr(key));
}

}  // namespace
}  // namespace sallyport::device

#include "policies/decision/review.h"

#include <fstream>
#include <sstream>

#include "tests/unit/policies/decision/policy_fixture.h"

namespace sallyport::policy {
namespace {

struct Reviewed {
  TestCounts counts;
  std::vector<std::string> findings;  // "line CODE"
  std::string first;
};

Reviewed Review(const std::string& policy, const std::string& devices = kDevices) {
  const World world = World::Make(policy, devices);
  Diagnostics out("p.yaml");
  ReviewRules(world.policy, world.rules, out);
  Reviewed reviewed;
  reviewed.counts =
      ReviewOver(world.policy, world.inventory, world.compiled, At("2026-11-21T12:00:00Z"), out);
  for (const Diagnostic& d : out.all())
    reviewed.findings.push_back(std::to_string(d.at.line) + " " + std::string(CodeName(d.code)));
  if (!out.all().empty()) reviewed.first = FormatDiagnostic(out.all()[0]);
  return reviewed;
}

std::string ReadExample(const std::string& name) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/policies/examples/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Review, TheExamplePassesItsOwnTests) {
  const std::string inventory = ReadExample("video-edge-inventory.yaml");
  const Reviewed reviewed =
      Review(ReadExample("video-edge.yaml"), inventory.substr(inventory.find("devices:") + 9));
  EXPECT_EQ(reviewed.counts.passed, 8u);
  EXPECT_EQ(reviewed.counts.failed, 0u);
  EXPECT_THAT(reviewed.findings, testing::IsEmpty()) << reviewed.first;
}

const std::string kGrant = "  - {id: g, from: cameras, to: recorders, service: rtsp}\n";
const std::string kTested = "tests:\n  - {from: cam-1, to: rec-1, service: rtsp, expect: allow}\n";

TEST(Review, ReportsFailedTestsAtTheirPlace) {
  EXPECT_THAT(
      Review(
          PolicyText(kGrant, "tests:\n  - {from: cam-1, to: rec-1, service: rtsp, expect: deny}\n"))
          .findings,
      testing::Contains("10 E-TEST"));
  EXPECT_THAT(
      Review(
          PolicyText(kGrant, "tests:\n  - {from: cam-1, to: gw-1, service: rtsp, expect: allow}\n"))
          .findings,
      testing::Contains("10 E-TEST"));
  EXPECT_THAT(Review(PolicyText(kGrant,
                                "tests:\n  - {from: cam-1, to: gw-1, service: rtsp, expect: deny, "
                                "because: window}\n"))
                  .findings,
              testing::Contains("10 E-TEST"));
  EXPECT_THAT(
      Review(
          PolicyText(kGrant + "  - {id: h, from: tech, to: cameras, service: rtsp}\n",
                     "tests:\n  - {from: cam-1, to: rec-1, service: rtsp, expect: allow, by: h}\n"))
          .findings,
      testing::Contains("11 E-TEST"));
}

TEST(Review, ReportsUnknownDevicesInTests) {
  const Reviewed reviewed = Review(
      PolicyText(kGrant, "tests:\n  - {from: cam-1, to: rec-l, service: rtsp, expect: deny}\n"));
  EXPECT_EQ(reviewed.first,
            "p.yaml:10:23: error E-REF: unknown device 'rec-l' in a test (did you mean 'rec-1'?)");
}

TEST(Review, ProvesReachTestsOverEveryDevice) {
  EXPECT_EQ(
      Review(PolicyText(
                 kGrant,
                 kTested + "  - {nobody_in: cameras, reaches: {group: gateway, service: any}}\n"))
          .counts.passed,
      2u);
  const Reviewed failed = Review(PolicyText(
      kGrant, kTested + "  - {nobody_in: cameras, reaches: {group: recorders, service: rtsp}}\n"));
  EXPECT_EQ(failed.counts.failed, 1u);
  EXPECT_NE(failed.first.find("cam-1 can reach rec-1:rtsp by grant 'g'"), std::string::npos)
      << failed.first;
}

TEST(Review, AReachTestOverAnEmptyGroupProvesNothing) {
  const Reviewed reviewed = Review(
      PolicyText(kGrant,
                 kTested + "  - {nobody_in: tech, reaches: {group: gateway, service: any}}\n"),
      "  - {id: cam-1, tags: [camera]}\n  - {id: rec-1, tags: [recorder]}\n  - {id: gw-1}\n");
  EXPECT_EQ(reviewed.counts.failed, 1u);
  EXPECT_THAT(reviewed.findings, testing::Contains("3 W-EMPTY"));
}

TEST(Review, ReportsGrantsThatContradictAGuardrail) {
  const std::string never = "guardrails:\n  - {id: n, never: {from: cameras, to: any}}\n";
  const Reviewed reviewed = Review(PolicyText(kGrant, never + kTested));
  EXPECT_EQ(reviewed.first, "p.yaml:8:10: error E-GUARDRAIL: grant 'g' breaks guardrail 'n'");
}

TEST(Review, FindsAWitnessPairWhenOnlySomeDevicesBreakAGuardrail) {
  const Reviewed reviewed = Review(
      PolicyText(kGrant,
                 "guardrails:\n  - {id: n, never: {from: cameras, to: cameras}}\n" + kTested),
      "  - {id: cam-1, site: x, tags: [camera]}\n  - {id: rec-1, site: x, tags: [recorder]}\n"
      "  - {id: gw-1, site: x}\n  - {id: both, site: x, tags: [camera, recorder]}\n  - {id: lap, "
      "tags: [laptop]}\n");
  EXPECT_EQ(reviewed.first,
            "p.yaml:8:10: error E-GUARDRAIL: grant 'g' breaks guardrail 'n': cam-1 -> both");
}

TEST(Review, ReportsGrantsWeakerThanAGuardrailDemands) {
  const std::string must = "guardrails:\n  - {id: m, service: rtsp, must_require: fresh}\n";
  EXPECT_THAT(Review(PolicyText(kGrant, must + kTested)).findings,
              testing::Contains("8 E-GUARDRAIL"));
  const std::string fresh =
      "  - {id: g, from: cameras, to: recorders, service: rtsp, require_from: fresh}\n";
  EXPECT_THAT(Review(PolicyText(fresh, must + kTested)).findings, testing::IsEmpty());
}

TEST(Review, AuditGuardrailsAreNotProved) {
  EXPECT_THAT(
      Review(PolicyText(kGrant,
                        "guardrails:\n  - {id: n, never: {from: cameras, to: any}, mode: audit}\n" +
                            kTested))
          .findings,
      testing::IsEmpty());
}

TEST(Review, WarnsOfShadowedAndUntestedGrants) {
  const Reviewed reviewed = Review(PolicyText(
      kGrant + "  - {id: h, from: cameras, to: recorders, service: rtsp, require_from: fresh}\n",
      kTested));
  EXPECT_THAT(reviewed.findings, testing::UnorderedElementsAre("9 W-SHADOWED", "9 W-UNTESTED"));
}

TEST(Review, OfTwoEqualGrantsOneIsShadowed) {
  const Reviewed reviewed = Review(
      PolicyText(kGrant + "  - {id: h, from: cameras, to: recorders, service: rtsp}\n", kTested));
  EXPECT_THAT(reviewed.findings, testing::UnorderedElementsAre("9 W-SHADOWED", "9 W-UNTESTED"));
}

TEST(Review, ADifferenceInAnyFieldIsNoShadow) {
  for (const char* other :
       {"from: tech, to: recorders, service: rtsp", "from: cameras, to: tech, service: rtsp",
        "from: cameras, to: recorders, service: ssh, expires: 2030-01-01T00:00:00Z"}) {
    const Reviewed reviewed = Review(PolicyText(kGrant + "  - {id: h, " + other + "}\n", kTested));
    EXPECT_THAT(reviewed.findings, testing::Not(testing::Contains("9 W-SHADOWED"))) << other;
  }
  const std::string narrow =
      "  - {id: g, from: cameras, to: recorders, service: rtsp, same: site}\n";
  EXPECT_THAT(
      Review(
          PolicyText(
              narrow + "  - {id: h, from: cameras, to: recorders, service: rtsp, offline: keep}\n",
              kTested))
          .findings,
      testing::Contains("8 W-SHADOWED"));
}

TEST(Lower, ReportsUnknownDevicesOncePerGroup) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(
      PolicyText("  - {id: g, from: gateway, to: gateway, service: rtsp}\n"), TestZones, out);
  const Inventory inventory{
      {Device{"x", "gw-2", "", {}, Tier::kNone, DeviceState::kActive, std::nullopt}}};
  EXPECT_FALSE(Lower(*policy, &inventory, out));
  ASSERT_EQ(out.all().size(), 1u);
  EXPECT_EQ(out.all()[0].suggestion, "gw-2");
}

TEST(Lower, NamesBecomeIdsOfTheInventory) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(PolicyText(kGrant), TestZones, out);
  const Inventory inventory{
      {Device{"id-of-gw", "gw-1", "", {}, Tier::kNone, DeviceState::kActive, std::nullopt}}};
  const auto rules = Lower(*policy, &inventory, out);
  ASSERT_TRUE(rules);
  EXPECT_THAT(rules->pinned.at("gateway"), testing::ElementsAre("id-of-gw"));
}

}  // namespace
}  // namespace sallyport::policy

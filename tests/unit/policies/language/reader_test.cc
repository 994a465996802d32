#include "policies/language/reader.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "policies/language/checker.h"

namespace sallyport::policy {
namespace {

Result<ZoneRule> TestZones(std::string_view name) {
  if (name == "Europe/Berlin") return ZoneRule::Parse("CET-1CEST,M3.5.0,M10.5.0/3");
  if (name == "Nowhere/Ruleless")
    return Error{Reason::kUnsupported, "its clock changes follow no fixed rule"};
  return Error{Reason::kNotFound, "not in the test"};
}

std::string ReadExample(const std::string& name) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/policies/examples/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Findings lists "line:col CODE" of everything wrong with `text`.
std::vector<std::string> Findings(const std::string& text) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(text, TestZones, out);
  EXPECT_EQ(policy.has_value(), !out.has_errors());
  std::vector<std::string> lines;
  for (const Diagnostic& d : out.all())
    lines.push_back(std::to_string(d.at.line) + ":" + std::to_string(d.at.column) + " " +
                    std::string(CodeName(d.code)));
  return lines;
}

// Policy text with one replaceable grant line (line 8) and more sections below.
std::string With(const std::string& grant, const std::string& rest = "") {
  return "sallyport: policy/v1\nname: t\n"
         "groups: {a: {tags: [x]}, b: {devices: [d1]}}\n"
         "services: {ssh: [tcp/22]}\n"
         "conditions: {fresh: {attested_within: 10m}}\n"
         "windows: {w: {days: [mon], from: \"01:00\", to: \"02:00\", tz: Europe/Berlin}}\n"
         "grants:\n  - " +
         grant + "\n" + rest;
}
const std::string kGoodGrant = "{id: g, from: a, to: b, service: ssh}";

TEST(ReadPolicy, ReadsTheWholeExample) {
  Diagnostics out("video-edge.yaml");

  const auto policy = ReadPolicy(ReadExample("video-edge.yaml"), TestZones, out);

  ASSERT_TRUE(policy);
  EXPECT_TRUE(out.all().empty());
  ASSERT_EQ(policy->grants.size(), 3u);
  const Grant& ssh = policy->grants[2];
  EXPECT_EQ(ssh.id.text, "tech-ssh");
  EXPECT_EQ(ssh.to.size(), 2u);
  EXPECT_EQ(ssh.window->text, "maintenance");
  EXPECT_EQ(FormatRfc3339(*ssh.expires), "2027-06-30T00:00:00Z");
  EXPECT_EQ(ssh.offline.kind, Offline::Kind::kDeny);
  EXPECT_EQ(ssh.log, LogChoice::kAll);
  EXPECT_EQ(ssh.why, "OPS-1432");
  EXPECT_EQ(policy->grants[1].offline, (Offline{Offline::Kind::kDuration, Hours(72)}));
  EXPECT_TRUE(policy->grants[0].same_site);
  EXPECT_EQ(policy->windows[0].weekly[0].rule, "CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_EQ(policy->windows[0].weekly[0].days, 0b1010);
  EXPECT_TRUE(policy->groups[3].pinned);
  EXPECT_EQ(policy->pair_tests.size(), 7u);
  EXPECT_EQ(policy->reach_tests.size(), 1u);
}

TEST(ReadPolicy, ReportsEveryErrorWithItsPlaceAndASuggestion) {
  Diagnostics out("policy.yaml");

  const auto policy = ReadPolicy(
      "sallyport: policy/v1\nname: t\ngroups: {cameras: {tags: [x]}}\nservices: {ssh: "
      "tcp/22}\ngrants:\n"
      "  - {id: tech-ssh, from: camera, to: cameras, service: shs, requires: fresh}\n",
      TestZones, out);

  EXPECT_FALSE(policy);
  out.Sort();
  ASSERT_EQ(out.all().size(), 3u);
  EXPECT_EQ(FormatDiagnostic(out.all()[0]),
            "policy.yaml:6:26: error E-REF: unknown group 'camera' in grant 'tech-ssh' (did you "
            "mean 'cameras'?)");
  EXPECT_EQ(FormatDiagnostic(out.all()[1]),
            "policy.yaml:6:56: error E-REF: unknown service 'shs' in grant 'tech-ssh' (did you "
            "mean 'ssh'?)");
  EXPECT_EQ(out.all()[2].code, Code::kUnknownKey);
  EXPECT_TRUE(out.has_invalid_input());
}

struct BadGrant {
  const char* text;
  const char* finding;
};
class RefusedGrant : public testing::TestWithParam<BadGrant> {};

TEST_P(RefusedGrant, IsReportedAtItsPlace) {
  EXPECT_THAT(Findings(With(GetParam().text)), testing::Contains(GetParam().finding));
}

INSTANTIATE_TEST_SUITE_P(
    Language, RefusedGrant,
    testing::Values(
        BadGrant{"{id: g, from: a, to: b}", "8:5 E-TYPE"},
        BadGrant{"{from: a, to: b, service: ssh}", "8:5 E-TYPE"},
        BadGrant{"{id: G, from: a, to: b, service: ssh}", "8:10 E-TYPE"},
        BadGrant{"{id: g, from: [], to: b, service: ssh}", "8:19 E-TYPE"},
        BadGrant{"{id: g, from: [a, a], to: b, service: ssh}", "8:23 E-DUPLICATE"},
        BadGrant{"{id: g, from: {x: y}, to: b, service: ssh}", "8:19 E-TYPE"},
        BadGrant{"{id: g, from: a, to: c, service: ssh}", "8:26 E-REF"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, same: rack}", "8:49 E-TYPE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, require_from: none}", "8:57 E-REF"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, window: none}", "8:51 E-REF"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, expires: tomorrow}", "8:52 E-TYPE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, offline: maybe}", "8:52 E-TYPE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, offline: 800d}", "8:52 E-RANGE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, mode: off}", "8:49 E-TYPE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, log: some}", "8:48 E-TYPE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, why: \"a\\nb\"}", "8:48 E-RANGE"},
        BadGrant{"{id: g, from: a, to: b, service: ssh, prio: 1}", "8:43 E-UNKNOWN-KEY"},
        BadGrant{"just-a-word", "8:5 E-TYPE"}));

TEST(ReadPolicy, RefusesRepeatedIds) {
  EXPECT_THAT(Findings(With(kGoodGrant, "  - " + kGoodGrant + "\n")),
              testing::ElementsAre("9:10 E-DUPLICATE"));
}

struct BadSection {
  const char* section;
  const char* code;
};
class RefusedSection : public testing::TestWithParam<BadSection> {};

TEST_P(RefusedSection, IsReported) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(
      std::string("sallyport: policy/v1\nname: t\n") + GetParam().section + "\n", TestZones, out);
  EXPECT_FALSE(policy);
  ASSERT_FALSE(out.all().empty());
  EXPECT_EQ(CodeName(out.all()[0].code), GetParam().code) << FormatDiagnostic(out.all()[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Language, RefusedSection,
    testing::Values(
        BadSection{"groups: {a: {groups: [b]}, b: {groups: [c]}, c: {groups: [a]}}", "E-CYCLE"},
        BadSection{"groups: {a: {groups: [a]}}", "E-CYCLE"},
        BadSection{"groups: {a: {groups: [z]}}", "E-REF"}, BadSection{"groups: {a: {}}", "E-TYPE"},
        BadSection{"groups: {any: {tags: [x]}}", "E-RANGE"},
        BadSection{"groups: {a: {tags: [x], pinned: true}}", "E-RANGE"},
        BadSection{"groups: {a: {groups: [b], pinned: true}, b: {tags: [x]}}", "E-RANGE"},
        BadSection{"groups: {a: {tags: [x], pinned: \"true\"}}", "E-TYPE"},
        BadSection{"groups: {a: {label: x}}", "E-UNKNOWN-KEY"}, BadSection{"groups: [a]", "E-TYPE"},
        BadSection{"services: {s: []}", "E-TYPE"}, BadSection{"services: {s: [22]}", "E-TYPE"},
        BadSection{"services: {s: [icmp/1]}", "E-TYPE"},
        BadSection{"services: {s: [tcp/0]}", "E-RANGE"},
        BadSection{"services: {s: [tcp/65536]}", "E-RANGE"},
        BadSection{"services: {s: [tcp/0644]}", "E-RANGE"},
        BadSection{"services: {s: [tcp/30-20]}", "E-RANGE"},
        BadSection{"services: {s: [tcp/20-]}", "E-RANGE"},
        BadSection{"services: {s: [tcp/22, tcp/22]}", "E-DUPLICATE"},
        BadSection{"conditions: {c: {}}", "E-TYPE"},
        BadSection{"conditions: {c: {attested_within: 0s}}", "E-TYPE"},
        BadSection{"conditions: {c: {attested_within: ten}}", "E-TYPE"},
        BadSection{"conditions: {c: {min_tier: high}}", "E-TYPE"},
        BadSection{"conditions: {c: {state: quarantined}}", "E-TYPE"},
        BadSection{"windows: {w: {from: \"01:00\", to: \"02:00\", tz: UTC}}", "E-TYPE"},
        BadSection{"windows: {w: {days: [mon], from: \"01:00\", to: \"02:00\"}}", "E-TYPE"},
        BadSection{"windows: {w: {days: [mon], from: \"01:00\", to: \"01:00\", tz: Europe/Berlin}}",
                   "E-RANGE"},
        BadSection{"windows: {w: {days: [mon], from: \"24:01\", to: \"02:00\", tz: Europe/Berlin}}",
                   "E-RANGE"},
        BadSection{
            "windows: {w: {days: [mon, mon], from: \"01:00\", to: \"02:00\", tz: Europe/Berlin}}",
            "E-DUPLICATE"},
        BadSection{"windows: {w: {days: [], from: \"01:00\", to: \"02:00\", tz: Europe/Berlin}}",
                   "E-TYPE"},
        BadSection{
            "windows: {w: {days: [mon], from: \"01:00\", to: \"02:00\", tz: Europe/Atlantis}}",
            "E-REF"},
        BadSection{
            "windows: {w: {days: [mon], from: \"01:00\", to: \"02:00\", tz: Nowhere/Ruleless}}",
            "E-RANGE"},
        BadSection{"windows: {w: {from: 2026-01-02T00:00:00Z, to: 2026-01-01T00:00:00Z}}",
                   "E-RANGE"},
        BadSection{"guardrails: [{id: g}]", "E-TYPE"},
        BadSection{"guardrails: [{id: g, never: {from: any}}]", "E-TYPE"},
        BadSection{
            "guardrails: [{id: g, never: {from: any, to: any}, must_require: c, service: any}]",
            "E-TYPE"},
        BadSection{"guardrails: [{id: g, service: any, must_require: c}]", "E-REF"},
        BadSection{"tests: [{from: a, to: b, service: any, expect: allow}]", "E-REF"},
        BadSection{"tests: [{from: a, to: b, service: s}]", "E-TYPE"},
        BadSection{"tests: [{nobody_in: any, reaches: {group: z, service: any}}]", "E-REF"},
        BadSection{"services: {s: tcp/1}\ntests: [{from: a, to: b, service: s, expect: deny, "
                   "because: bad-luck}]",
                   "E-REF"},
        BadSection{"services: {s: tcp/1}\ntests: [{from: a, to: b, service: s, expect: allow, "
                   "because: window}]",
                   "E-RANGE"},
        BadSection{"services: {s: tcp/1}\ntests: [{from: a, to: b, service: s, expect: allow, by: "
                   "nobody}]",
                   "E-REF"},
        BadSection{"include: other.yaml", "E-UNKNOWN-KEY"}));

TEST(ReadPolicy, RefusesAnotherFormatAndMissingName) {
  Diagnostics out("p.yaml");
  EXPECT_FALSE(ReadPolicy("sallyport: policy/v2\nname: t\n", TestZones, out));
  EXPECT_FALSE(ReadPolicy("sallyport: policy/v1\n", TestZones, out));
  EXPECT_FALSE(ReadPolicy("- a\n", TestZones, out));
}

TEST(ReadPolicy, TakesAbsoluteWindowsAndLists) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(
      "sallyport: policy/v1\nname: t\nwindows:\n  w:\n    - {from: 2026-01-01T00:00:00Z, to: "
      "2026-01-02T00:00:00Z}\n"
      "    - {days: [sun], from: \"22:00\", to: \"24:00\", tz: Europe/Berlin}\n",
      TestZones, out);
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->windows[0].absolute.size(), 1u);
  EXPECT_EQ(policy->windows[0].weekly[0].to_minute, 1440);
}

std::vector<std::string> Habits(const std::string& grant) {
  Diagnostics out("p.yaml");
  const auto policy = ReadPolicy(With(grant), TestZones, out);
  if (!policy) return {"unreadable"};
  CheckHabits(*policy, out);
  std::vector<std::string> codes;
  for (const Diagnostic& d : out.all()) codes.emplace_back(CodeName(d.code));
  return codes;
}

TEST(CheckHabits, WarnsOfInteractiveAccessWithoutEnd) {
  EXPECT_THAT(Habits(kGoodGrant), testing::ElementsAre("W-NOEXPIRY"));
  EXPECT_THAT(Habits("{id: g, from: a, to: b, service: ssh, expires: 2027-01-01T00:00:00Z}"),
              testing::IsEmpty());
}

TEST(CheckHabits, WarnsOfAny) {
  EXPECT_THAT(Habits("{id: g, from: any, to: any, service: any, expires: 2027-01-01T00:00:00Z}"),
              testing::ElementsAre("W-BROAD", "W-BROAD", "W-BROAD"));
}

TEST(ReadInventory, ReadsDevices) {
  Diagnostics out("i.yaml");
  const auto inventory = ReadInventory(ReadExample("video-edge-inventory.yaml"), out);
  ASSERT_TRUE(inventory);
  ASSERT_EQ(inventory->devices.size(), 6u);
  EXPECT_EQ(inventory->devices[0].name, "cam-1");
  EXPECT_EQ(inventory->devices[0].attested, Minutes(5));
  EXPECT_EQ(inventory->devices[0].tier, Tier::kMeasured);
  EXPECT_EQ(inventory->devices[0].state, DeviceState::kActive);
}

TEST(ReadInventory, RefusesWhatItDoesNotKnow) {
  const std::string head = "sallyport: inventory/v1\ndevices:\n";
  for (const char* bad :
       {"  - {id: a}\n  - {id: a}\n", "  - {site: x}\n", "  - {id: a, colour: red}\n",
        "  - {id: a, tier: 3}\n", "  - {id: a, state: lost}\n", "  - {id: a, tags: [x, x]}\n",
        "  - {id: a, attested: never}\n"}) {
    Diagnostics out("i.yaml");
    EXPECT_FALSE(ReadInventory(head + bad, out)) << bad;
  }
  Diagnostics out("i.yaml");
  EXPECT_FALSE(ReadInventory("sallyport: policy/v1\n", out));
}

TEST(ClosestName, SuggestsOnlyNearNames) {
  const std::vector<std::string> names = {"cameras", "recorders", "tech"};
  EXPECT_EQ(ClosestName("camera", names), "cameras");
  EXPECT_EQ(ClosestName("recroders", names), "recorders");
  EXPECT_EQ(ClosestName("printers", names), "");
  EXPECT_EQ(ClosestName("x", names), "");
}

}  // namespace
}  // namespace sallyport::policy

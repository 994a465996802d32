#include "policies/decision/slice.h"

#include <algorithm>
#include <functional>

#include "pki/base/json.h"
#include "pki/crypto/hash.h"
#include "tests/unit/policies/decision/policy_fixture.h"

namespace sallyport::policy {
namespace {

const char* kGrants =
    "  - {id: cam-to-rec, from: cameras, to: recorders, service: rtsp, same: site, require_from: "
    "healthy, offline: keep}\n"
    "  - {id: rec-to-gw, from: recorders, to: gateway, service: web, offline: 72h, why: uploads, "
    "owner: video}\n"
    "  - {id: tech-ssh, from: tech, to: [cameras, recorders], service: ssh, require_from: fresh, "
    "window: night, expires: 2027-06-30T00:00:00Z, log: all}\n";
const char* kGuards =
    "guardrails:\n"
    "  - {id: no-cam-to-cam, never: {from: cameras, to: cameras}}\n"
    "  - {id: only-gateway, never: {from: gateway, to: any}}\n"
    "  - {id: ssh-needs-fresh, service: ssh, must_require: fresh}\n";

class SliceTest : public testing::Test {
 protected:
  SliceTest() { Build(); }

  void Build() {
    rules_ = world_.rules;
    manifest_ =
        MakePolicyManifest(rules_, {5, At("2026-11-01T00:00:00Z"), At("2027-01-01T00:00:00Z")});
    texts_ = MakePolicyTexts(rules_);
    bytes_ = *BuildSlice(header_, world_.compiled, *manifest_, texts_);
  }
  Result<VerifiedSlice> Verify(const std::string& bytes,
                               std::optional<HeldSlice> held = std::nullopt,
                               std::string_view device = "rec-1") const {
    const Sha256Digest digest = pki::Sha256(AsBytes(bytes));
    return VerifySlice(bytes, {digest, *manifest_, "edge.example", device, held});
  }
  // Rule verifies the slice after one textual change and returns the rule that refused it.
  std::string Rule(const std::string& from, const std::string& to) const {
    std::string bytes = bytes_;
    const size_t at = bytes.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    bytes.replace(at, from.size(), to);
    const auto slice = Verify(bytes);
    return slice ? "accepted" : std::string(slice.error().rule);
  }

  World world_ = World::Make(PolicyText(kGrants, kGuards), kDevices);
  SliceHeader header_{
      "edge.example", "rec-1", {1, 7}, At("2026-11-21T12:00:00Z"), At("2026-11-22T12:00:00Z")};
  RuleSet rules_;
  std::optional<PolicyManifest> manifest_;
  PolicyTexts texts_;
  std::string bytes_;
};

TEST_F(SliceTest, CarriesTheGrantsAndPeersThatConcernTheDevice) {
  const auto slice = Verify(bytes_);
  ASSERT_TRUE(slice) << slice.error().ToString();
  EXPECT_EQ(slice->policy().grants().size(), 3u);
  EXPECT_EQ(slice->policy().guardrails().size(), 3u);
  EXPECT_NE(slice->FindPeer("cam-1"), nullptr);
  EXPECT_NE(slice->FindPeer("gw-1"), nullptr);
  EXPECT_EQ(slice->FindPeer("rec-2"), nullptr);
  EXPECT_EQ(slice->policy().facts().front().id, "rec-1");
  EXPECT_EQ(slice->policy_version(), 5);
}

TEST_F(SliceTest, AGatewaySeesNoCamera) {
  header_.device = "gw-1";
  Build();
  const auto slice = Verify(bytes_, std::nullopt, "gw-1");
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->policy().grants().size(), 1u);
  EXPECT_EQ(slice->FindPeer("cam-1"), nullptr);
  EXPECT_NE(slice->FindPeer("rec-2"), nullptr);
}

TEST_F(SliceTest, SameSiteGrantsBringPeersOfTheSiteOnly) {
  header_.device = "cam-1";
  Build();
  const auto slice = Verify(bytes_, std::nullopt, "cam-1");
  ASSERT_TRUE(slice);
  EXPECT_NE(slice->FindPeer("rec-1"), nullptr);
  EXPECT_EQ(slice->FindPeer("rec-2"), nullptr);
}

TEST_F(SliceTest, DecidesLikeTheServerWhenOnline) {
  const auto slice = Verify(bytes_);
  ASSERT_TRUE(slice);
  for (const char* from : {"cam-1", "cam-2", "lap-7", "lap-x"}) {
    for (const char* service : {"rtsp", "ssh", "web"}) {
      for (const char* time :
           {"2026-11-21T13:00:00Z", "2026-11-24T01:30:00Z", "2026-11-22T11:59:59Z"}) {
        const UnixTime now = At(time);
        const Question q = world_.question({from, "rec-1", service, now});
        const Decision here = DecideSlice(*slice, q.from, q.to, service, now, true);
        const Decision there = Decide(world_.compiled, q);
        EXPECT_LE(here.allowed(), there.allowed());
        if (now < header_.lease_until) {
          EXPECT_EQ(Summary(here), Summary(there)) << from << service << time;
        }
      }
    }
  }
}

TEST_F(SliceTest, RefusesOtherBytesThanTheDirectorSignedFor) {
  const Sha256Digest digest = pki::Sha256(AsBytes("else"));
  EXPECT_EQ(VerifySlice(bytes_, {digest, *manifest_, "edge.example", "rec-1", {}}).error().rule,
            "slice.digest");
}

TEST_F(SliceTest, RefusesForeignDevicesAndDomains) {
  EXPECT_EQ(Rule(R"("device":"rec-1")", R"("device":"rec-2")"), "slice.device");
  EXPECT_EQ(Rule("edge.example", "evil.example"), "slice.trust-domain");
}

TEST_F(SliceTest, RefusesRollbackAndEquivocation) {
  const Sha256Digest digest = pki::Sha256(AsBytes(bytes_));
  const Sha256Digest other = pki::Sha256(AsBytes("else"));
  EXPECT_TRUE(Verify(bytes_, HeldSlice{{1, 6}, other}));
  EXPECT_TRUE(Verify(bytes_, HeldSlice{{0, 9}, other}));
  EXPECT_TRUE(Verify(bytes_, HeldSlice{{1, 7}, digest}));
  EXPECT_EQ(Verify(bytes_, HeldSlice{{1, 7}, other}).error().rule, "slice.rollback");
  EXPECT_EQ(Verify(bytes_, HeldSlice{{1, 8}, digest}).error().rule, "slice.rollback");
  EXPECT_EQ(Verify(bytes_, HeldSlice{{2, 0}, digest}).error().reason, Reason::kRollback);
}

TEST_F(SliceTest, RefusesGrantsThatNobodySigned) {
  EXPECT_EQ(Rule(R"(\"why\":\"uploads\")", R"(\"why\":\"anything\")"), "slice.unlisted-grant");
  EXPECT_EQ(Rule(R"(\"id\":\"rec-to-gw\")", R"(\"id\":\"rec-to-all\")"), "slice.unlisted-grant");
}

TEST_F(SliceTest, RefusesAGrantTwice) {
  const std::string grant = CanonicalJson(JsonValue(texts_.grants.at("rec-to-gw")));
  EXPECT_EQ(Rule(grant, grant + "," + grant), "slice.format");
}

TEST_F(SliceTest, AWithheldGrantOnlyDenies) {
  const std::string grant = CanonicalJson(JsonValue(texts_.grants.at("rec-to-gw")));
  std::string bytes = bytes_;
  bytes.erase(bytes.find(grant + ","), grant.size() + 1);
  const auto slice = Verify(bytes);
  ASSERT_TRUE(slice) << slice.error().ToString();
  const Question q = world_.question({"rec-1", "gw-1", "web"});
  EXPECT_FALSE(DecideSlice(*slice, q.from, q.to, "web", q.now, true).allowed());
}

TEST_F(SliceTest, RefusesIncompleteOrChangedGuardrails) {
  EXPECT_EQ(Rule(R"(\"id\":\"no-cam-to-cam\",\"mode\":\"enforce\")",
                 R"(\"id\":\"no-cam-to-cam\",\"mode\":\"audit\")"),
            "slice.guardrails");
}

TEST_F(SliceTest, RefusesAnotherPolicyVersion) {
  EXPECT_EQ(Rule("\"policy_version\":5", "\"policy_version\":6"), "slice.policy-version");
}

TEST_F(SliceTest, RefusesFeaturesItDoesNotHave) {
  EXPECT_EQ(Rule("\"required_features\":[", "\"required_features\":[\"time-travel\","),
            "slice.feature");
  manifest_->required_features.push_back("time-travel");
  EXPECT_EQ(Verify(bytes_).error().rule, "slice.feature");
}

TEST_F(SliceTest, RefusesFactsThatAreNotInOrder) {
  EXPECT_EQ(Rule(R"("id":"rec-1")", R"("id":"rec-0")"), "slice.facts");
  EXPECT_EQ(Rule(R"("id":"cam-2")", R"("id":"cam-1")"), "slice.facts");
  EXPECT_EQ(Rule(R"("tier":"none")", R"("tier":"best")"), "slice.facts");
  EXPECT_EQ(Rule(R"("state":"active")", R"("state":"fine")"), "slice.facts");
}

TEST_F(SliceTest, RefusesUnknownKeysFormatsAndTruncation) {
  EXPECT_EQ(Rule("\"counter\":7", "\"counter\":7,\"extra\":1"), "json.unknown-key");
  EXPECT_EQ(Rule("\"counter\":7", "\"counter\":7,\"counter\":8"), "json.duplicate-key");
  EXPECT_EQ(Rule("slice/v1", "slice/v2"), "slice.version");
  for (size_t i = 0; i < bytes_.size(); i += 7) EXPECT_FALSE(Verify(bytes_.substr(0, i))) << i;
}

TEST_F(SliceTest, PinnedGroupsTakeMembersFromTheSignedPolicyOnly) {
  // The director lies that cam-1 carries any tag it likes, and renames it to the gateway's name.
  std::vector<DeviceFacts> facts = FactsOf(world_.inventory);
  facts[0].tags = {"gateway", "recorder"};
  facts[0].name = "gw-1";
  const CompiledPolicy lied = Compile(rules_, facts);
  bytes_ = *BuildSlice(header_, lied, *manifest_, texts_);
  const auto slice = Verify(bytes_);
  const Question q = world_.question({"rec-1", "cam-1", "web"});
  EXPECT_TRUE(!slice || !DecideSlice(*slice, q.from, q.to, "web", q.now, true).allowed());
  EXPECT_THAT(manifest_->pinned.at("gateway"), testing::ElementsAre("gw-1"));
}

TEST_F(SliceTest, BuildingForAnUnknownDeviceFails) {
  header_.device = "nobody";
  EXPECT_EQ(BuildSlice(header_, world_.compiled, *manifest_, texts_).error().reason,
            Reason::kNotFound);
}

TEST(Canonical, GrantTextIsStable) {
  const World world = World::Make(PolicyText(kGrants, kGuards), kDevices);
  EXPECT_EQ(
      CanonicalGrant(world.rules.grants[1]),
      R"({"from":{"tags":[["recorder"]]},"id":"rec-to-gw","log":"denied","mode":"enforce","offline":"3d","owner":"video",)"
      R"("ports":[{"first":80,"last":80,"protocol":"tcp"},{"first":443,"last":443,"protocol":"tcp"}],)"
      R"("sallyport":"grant/v1","to":{"devices":["gw-1"]},"why":"uploads"})");
}

TEST(Canonical, TextsRoundTrip) {
  const World world = World::Make(PolicyText(kGrants, kGuards), kDevices);
  for (const GrantRule& grant : world.rules.grants) {
    const std::string text = CanonicalGrant(grant);
    const auto parsed = ParseGrant(text);
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(CanonicalGrant(*parsed), text);
  }
  const std::string guardrails = CanonicalGuardrails(world.rules.guardrails);
  EXPECT_EQ(CanonicalGuardrails(*ParseGuardrails(guardrails)), guardrails);
  const PolicyManifest manifest =
      MakePolicyManifest(world.rules, {1, At("2026-01-01T00:00:00Z"), At("2027-01-01T00:00:00Z")});
  EXPECT_EQ(WritePolicyManifest(*ParsePolicyManifest(WritePolicyManifest(manifest))),
            WritePolicyManifest(manifest));
  EXPECT_THAT(manifest.required_features, testing::ElementsAre("must-require", "window"));
}

TEST(Canonical, SelectorsAndServicesOfNothingDangle) {
  const World world = World::Make(PolicyText(kGrants, kGuards), kDevices);
  GrantRule grant = world.rules.grants[0];
  grant.from = {};
  EXPECT_EQ(ParseGrant(CanonicalGrant(grant)).error().rule, "rule.dangling");
  grant = world.rules.grants[0];
  grant.ports.clear();
  EXPECT_EQ(ParseGrant(CanonicalGrant(grant)).error().rule, "rule.dangling");
}

TEST(Canonical, RefusesWhatItWouldNotWrite) {
  const World world = World::Make(PolicyText(kGrants, kGuards), kDevices);
  const std::string text = CanonicalGrant(world.rules.grants[2]);
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    SP_CHECK(changed.find(from) != changed.npos);
    changed.replace(changed.find(from), from.size(), to);
    return !ParseGrant(changed).has_value();
  };
  EXPECT_TRUE(refused("grant/v1", "grant/v2"));
  EXPECT_TRUE(refused("\"log\":\"all\"", "\"log\":\"loud\""));
  EXPECT_TRUE(refused("\"mode\":\"enforce\"", "\"mode\":\"off\""));
  EXPECT_TRUE(refused("\"days\":10", "\"days\":0"));
  EXPECT_TRUE(refused("\"first\":22", "\"first\":23"));
  EXPECT_TRUE(refused("[\"camera\"],[\"recorder\"]", "[\"camera\"],[]"));
  EXPECT_TRUE(refused("\"measured\"", "\"perfect\""));
  EXPECT_TRUE(refused("CET-1CEST", "C"));
  EXPECT_TRUE(refused("\"offline\":\"lease\"", "\"offline\":\"for ever\""));
  for (size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(ParseGrant(text.substr(0, i)));
}

TEST(SignedRules, AreReadOnlyWhenEveryTextIsTheSignedOne) {
  const World world = World::Make(PolicyText(kGrants, kGuards), kDevices);
  PolicyManifest manifest =
      MakePolicyManifest(world.rules, {1, At("2026-01-01T00:00:00Z"), At("2027-01-01T00:00:00Z")});
  const PolicyTexts texts = MakePolicyTexts(world.rules);
  ASSERT_TRUE(ReadSignedRules(texts, manifest));
  const auto rule = [&](const std::function<void(PolicyTexts&)>& change) {
    PolicyTexts changed = texts;
    change(changed);
    const auto rules = ReadSignedRules(changed, manifest);
    return rules ? "accepted" : std::string(rules.error().rule);
  };
  EXPECT_EQ(rule([](PolicyTexts& t) { t.grants["new"] = t.grants["tech-ssh"]; }),
            "policy.unlisted-grant");
  EXPECT_EQ(rule([](PolicyTexts& t) { t.grants["tech-ssh"] = t.grants["rec-to-gw"]; }),
            "policy.digest");
  EXPECT_EQ(rule([](PolicyTexts& t) { t.grants.erase("tech-ssh"); }), "policy.missing-grant");
  EXPECT_EQ(rule([](PolicyTexts& t) { t.guardrails += " "; }), "policy.digest");
  manifest.required_features.push_back("time-travel");
  EXPECT_EQ(rule([](PolicyTexts&) {}), "policy.feature");
}

}  // namespace
}  // namespace sallyport::policy

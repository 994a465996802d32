#include "policies/decision/decide.h"

#include "tests/unit/policies/decision/policy_fixture.h"

namespace sallyport::policy {
namespace {

const char* kGrants =
    "  - {id: cam-to-rec, from: cameras, to: recorders, service: rtsp, same: site, require_from: "
    "healthy, require_to: healthy}\n"
    "  - {id: rec-to-gw, from: recorders, to: gateway, service: web}\n"
    "  - {id: tech-ssh, from: tech, to: [cameras, recorders], service: ssh, require_from: fresh, "
    "window: night, expires: 2027-06-30T00:00:00Z, log: all}\n";
const char* kGuards =
    "guardrails:\n"
    "  - {id: no-cam-to-cam, never: {from: cameras, to: cameras}}\n"
    "  - {id: ssh-needs-fresh, service: ssh, must_require: fresh}\n";

const UnixTime kTuesdayNight = At("2026-12-01T02:30:00+01:00");

class DecideTest : public testing::Test {
 protected:
  World world_ = World::Make(PolicyText(kGrants, kGuards), kDevices);
  std::string Ask(const World::Ask& ask) { return Summary(world_.decide(ask)); }
};

TEST_F(DecideTest, AllowsWhatAGrantCovers) {
  EXPECT_EQ(Ask({"cam-1", "rec-1", "rtsp"}), "allow cam-to-rec");
  EXPECT_EQ(Ask({"rec-2", "gw-1", "web"}), "allow rec-to-gw");
}

TEST_F(DecideTest, NamesTheConditionThatFailed) {
  EXPECT_EQ(Ask({"cam-1", "rec-2", "rtsp"}), "deny no-grant cam-to-rec:same");
  EXPECT_EQ(Ask({.from = "cam-1", .to = "rec-1", .service = "rtsp", .attested = Hours(24)}),
            "deny no-grant cam-to-rec:attested_within.from");
  EXPECT_EQ(Ask({.from = "cam-1", .to = "rec-1", .service = "rtsp", .attested_to = Hours(25)}),
            "deny no-grant cam-to-rec:attested_within.to");
  EXPECT_EQ(Ask({"lap-7", "cam-1", "ssh"}), "deny no-grant tech-ssh:window");
  EXPECT_EQ(Ask({"lap-7", "cam-1", "ssh", At("2027-06-30T00:00:00Z")}),
            "deny no-grant tech-ssh:window");
  EXPECT_EQ(Ask({"lap-7", "cam-1", "ssh", At("2027-07-01T02:30:00+02:00")}),
            "deny no-grant tech-ssh:expires");
  EXPECT_EQ(Ask({"lap-x", "cam-1", "ssh", kTuesdayNight}),
            "deny no-grant tech-ssh:attested_within.from");
}

TEST_F(DecideTest, NamesTheMissingPartWhenNoGrantCoversTheTriple) {
  EXPECT_EQ(Ask({"cam-1", "gw-1", "rtsp"}), "deny no-grant cam-to-rec:to");
  EXPECT_EQ(Ask({"rec-1", "gw-1", "ssh"}), "deny no-grant rec-to-gw:service");
  EXPECT_EQ(Ask({"gw-1", "rec-1", "rtsp"}), "deny no-grant cam-to-rec:from");
  EXPECT_EQ(Ask({"gw-1", "lap-7", "rtsp"}), "deny no-grant");
}

TEST_F(DecideTest, GuardrailsWinOverEveryGrant) {
  EXPECT_EQ(Ask({"cam-1", "cam-2", "rtsp"}), "deny no-cam-to-cam");
}

TEST_F(DecideTest, MustRequireDeniesWhatALaxGrantAllows) {
  const World lax = World::Make(
      PolicyText("  - {id: lax, from: tech, to: cameras, service: ssh}\n", kGuards), kDevices);

  EXPECT_EQ(Summary(lax.decide({"lap-7", "cam-1", "ssh"})), "allow lax");
  EXPECT_EQ(lax.decide({"lap-7", "cam-1", "ssh"}).valid_until, At("2026-11-21T12:08:00Z"));
  EXPECT_EQ(Summary(lax.decide({"lap-x", "cam-1", "ssh"})), "deny ssh-needs-fresh");
}

TEST_F(DecideTest, DeniesSelfUnknownAndInactive) {
  EXPECT_EQ(Ask({"rec-1", "rec-1", "rtsp"}), "deny self");
  EXPECT_EQ(Ask({"cam-1", "rec-q", "rtsp"}), "deny state");
  EXPECT_EQ(Ask({"rec-q", "gw-1", "web"}), "deny state");
  EXPECT_EQ(Ask({"cam-1", "rec-1", "telnet"}), "deny unknown-service");
  Question q = world_.question({"cam-1", "rec-1", "rtsp"});
  q.to.id = "rec-9";
  EXPECT_EQ(Summary(Decide(world_.compiled, q)), "deny unknown-device");
}

TEST_F(DecideTest, FreshnessEndsToTheMillisecond) {
  Question q = world_.question({"cam-1", "rec-1", "rtsp"});
  q.from.attested_at = q.now - Hours(24) + Milliseconds(1);
  EXPECT_TRUE(Decide(world_.compiled, q).allowed());
  q.from.attested_at = q.now - Hours(24);
  EXPECT_FALSE(Decide(world_.compiled, q).allowed());
}

TEST_F(DecideTest, ProofsFromTheFutureCountOnlyWithinTheSkew) {
  Question q = world_.question({"cam-1", "rec-1", "rtsp"});
  q.from.attested_at = q.now + kClockSkew;
  EXPECT_TRUE(Decide(world_.compiled, q).allowed());
  q.from.attested_at = q.now + kClockSkew + Milliseconds(1);
  EXPECT_FALSE(Decide(world_.compiled, q).allowed());
}

TEST_F(DecideTest, MinTierIsAFloor) {
  const World tiers = World::Make(
      PolicyText("  - {id: t, from: cameras, to: recorders, service: ssh, require_from: fresh}\n"),
      kDevices);
  EXPECT_EQ(Summary(tiers.decide({"cam-1", "rec-1", "ssh"})), "allow t");
  EXPECT_EQ(Summary(tiers.decide({"cam-2", "rec-1", "ssh"})), "deny no-grant t:min_tier.from");
}

TEST_F(DecideTest, WindowsAreHalfOpenInLocalTime) {
  const auto ask = [&](std::string_view time) {
    return Ask({"lap-7", "cam-1", "ssh", At(time)}).substr(0, 5);
  };
  EXPECT_EQ(ask("2026-12-01T01:59:59+01:00"), "deny ");
  EXPECT_EQ(ask("2026-12-01T02:00:00+01:00"), "allow");
  EXPECT_EQ(ask("2026-12-01T03:59:59+01:00"), "allow");
  EXPECT_EQ(ask("2026-12-01T04:00:00+01:00"), "deny ");
  EXPECT_EQ(ask("2026-12-02T02:30:00+01:00"), "deny ");
}

TEST_F(DecideTest, ValidUntilIsTheEarliestEnd) {
  Question q = world_.question({.from = "lap-7",
                                .to = "cam-1",
                                .service = "ssh",
                                .now = kTuesdayNight,
                                .attested = Minutes(3)});
  EXPECT_EQ(Decide(world_.compiled, q).valid_until, kTuesdayNight + Minutes(7));
  q.from.not_after = kTuesdayNight + Minutes(5);
  EXPECT_EQ(Decide(world_.compiled, q).valid_until, kTuesdayNight + Minutes(5));
  q.to.not_after = kTuesdayNight + Minutes(4);
  EXPECT_EQ(Decide(world_.compiled, q).valid_until, kTuesdayNight + Minutes(4));
  q.now = At("2026-12-01T03:58:00+01:00");
  q.from = PartyOf(world_.device("lap-7"), Seconds(1), q.now);
  q.to.not_after.reset();
  EXPECT_EQ(Decide(world_.compiled, q).valid_until, At("2026-12-01T04:00:00+01:00"));
  EXPECT_EQ(Decide(world_.compiled, q).log, LogChoice::kAll);
}

TEST_F(DecideTest, NothingEndsAGrantWithoutConditions) {
  EXPECT_EQ(world_.decide({"rec-1", "gw-1", "web"}).valid_until, std::nullopt);
}

TEST_F(DecideTest, PrefersTheGrantThatLastsLongest) {
  const World two = World::Make(PolicyText("  - {id: a, from: cameras, to: recorders, service: "
                                           "rtsp, expires: 2026-11-22T00:00:00Z}\n"
                                           "  - {id: b, from: cameras, to: recorders, service: "
                                           "rtsp, expires: 2026-11-23T00:00:00Z}\n"),
                                kDevices);
  EXPECT_EQ(Summary(two.decide({"cam-1", "rec-1", "rtsp"})), "allow b");
  EXPECT_EQ(two.decide({"cam-1", "rec-1", "rtsp"}).valid_until, At("2026-11-23T00:00:00Z"));
}

TEST_F(DecideTest, AServiceMustBeCoveredWholly) {
  const World half = World::Make(
      "sallyport: policy/v1\nname: t\ngroups: {a: {tags: [camera]}, b: {tags: [recorder]}}\n"
      "services: {web: [tcp/80, tcp/443], tls: tcp/443, wide: tcp/400-500}\n"
      "grants: [{id: g, from: a, to: b, service: tls}, {id: h, from: b, to: a, service: wide}]\n"
      "guardrails: [{id: n, never: {from: b, to: a, service: web}}]\n",
      kDevices);
  EXPECT_EQ(Summary(half.decide({"cam-1", "rec-1", "tls"})), "allow g");
  EXPECT_EQ(Summary(half.decide({"cam-1", "rec-1", "web"})), "deny no-grant g:service");
  EXPECT_EQ(Summary(half.decide({"rec-1", "cam-1", "wide"})), "deny n");  // touches 443
}

TEST_F(DecideTest, AuditRulesNeverDecide) {
  const World audit = World::Make(
      PolicyText("  - {id: a, from: cameras, to: recorders, service: rtsp, mode: audit}\n"
                 "  - {id: b, from: recorders, to: gateway, service: web}\n",
                 "guardrails:\n  - {id: g, never: {from: recorders, to: gateway}, mode: audit}\n"
                 "  - {id: h, service: web, must_require: fresh, from: recorders, mode: audit}\n"),
      kDevices);
  const Decision would_allow = audit.decide({"cam-1", "rec-1", "rtsp"});
  EXPECT_EQ(Summary(would_allow), "deny no-grant a:mode");
  EXPECT_EQ(would_allow.would_allow, "a");
  const Decision would_deny = audit.decide({"rec-1", "gw-1", "web"});
  EXPECT_EQ(Summary(would_deny), "allow b");
  EXPECT_EQ(would_deny.would_deny, "g");
}

TEST_F(DecideTest, FloorsOfTierAndEpochRefuseACertificate) {
  std::vector<DeviceFacts> facts = FactsOf(world_.inventory);
  facts[0].min_epoch = 7;
  facts[2].tier = Tier::kMeasured;
  const CompiledPolicy floors = Compile(world_.rules, facts);
  Question q = world_.question({"cam-1", "rec-1", "rtsp"});
  q.from.epoch = 6;
  EXPECT_EQ(Summary(Decide(floors, q)), "deny epoch");
  q.from.epoch = 7;
  EXPECT_EQ(Summary(Decide(floors, q)), "allow cam-to-rec");
  q.to.tier = Tier::kAttested;
  EXPECT_EQ(Summary(Decide(floors, q)), "deny tier");
}

TEST_F(DecideTest, WithoutATrustedClockOnlyTimelessKeepGrantsWork) {
  const World keep = World::Make(
      PolicyText("  - {id: keep, from: cameras, to: recorders, service: rtsp, offline: keep}\n"
                 "  - {id: lease, from: cameras, to: recorders, service: ssh}\n"
                 "  - {id: timed, from: cameras, to: recorders, service: web, offline: keep, "
                 "expires: 2030-01-01T00:00:00Z}\n"),
      kDevices);
  const auto ask = [&](std::string_view service) {
    Question q = keep.question({"cam-1", "rec-1", service});
    q.clock_trusted = false;
    return Summary(Decide(keep.compiled, q));
  };
  EXPECT_EQ(ask("rtsp"), "allow keep");
  EXPECT_EQ(ask("ssh"), "deny no-grant lease:offline");
  EXPECT_EQ(ask("web"), "deny no-grant timed:expires");
}

TEST_F(DecideTest, LeasesBoundGrantsAsTheySayThemselves) {
  const World off = World::Make(
      PolicyText("  - {id: a, from: cameras, to: recorders, service: rtsp, offline: keep}\n"
                 "  - {id: b, from: cameras, to: recorders, service: ssh, offline: 72h}\n"
                 "  - {id: c, from: cameras, to: recorders, service: web, offline: deny}\n"),
      kDevices);
  const LeaseTerms lease{At("2026-11-20T12:00:00Z"), At("2026-11-21T12:00:00Z"),
                         At("2026-11-01T00:00:00Z"), At("2026-12-01T00:00:00Z")};
  const auto ask = [&](std::string_view service, std::string_view time) {
    Question q = off.question({"cam-1", "rec-1", service, At(time)});
    q.lease = &lease;
    return Decide(off.compiled, q);
  };
  EXPECT_EQ(ask("web", "2026-11-21T11:59:59Z").valid_until, lease.lease_until);
  EXPECT_EQ(Summary(ask("web", "2026-11-21T12:00:00Z")), "deny no-grant c:offline");
  EXPECT_EQ(ask("ssh", "2026-11-23T11:59:59Z").valid_until, At("2026-11-23T12:00:00Z"));
  EXPECT_FALSE(ask("ssh", "2026-11-23T12:00:00Z").allowed());
  EXPECT_EQ(ask("rtsp", "2026-11-30T23:59:59Z").valid_until, lease.expires);
  EXPECT_FALSE(ask("rtsp", "2026-12-01T00:00:00Z").allowed());
  EXPECT_FALSE(ask("rtsp", "2026-10-31T23:59:59Z").allowed());
}

TEST_F(DecideTest, EverAllowedIgnoresTimeAndPosture) {
  const auto ever = [&](std::string_view f, std::string_view t, std::string_view s) {
    return EverAllowed(world_.compiled, *world_.compiled.FindDevice(f),
                       *world_.compiled.FindDevice(t), *world_.compiled.FindService(s));
  };
  EXPECT_EQ(ever("lap-x", "cam-1", "ssh"), "tech-ssh");
  EXPECT_EQ(ever("cam-1", "rec-2", "rtsp"), "");
  EXPECT_EQ(ever("cam-1", "gw-1", "web"), "");
  EXPECT_EQ(ever("cam-1", "cam-2", "rtsp"), "");
}

}  // namespace
}  // namespace sallyport::policy

// The compiled decision against a slow evaluator that reads the policy as written: names, not ids;
// one port at a time; no classes, no merging. The two share only the parsed model.
#include <time.h>

#include <random>
#include <set>

#include "tests/unit/policies/decision/policy_fixture.h"

namespace sallyport::policy {
namespace {

class SlowEvaluator {
 public:
  SlowEvaluator(const Policy& policy, const Inventory& inventory)
      : policy_(policy), inventory_(inventory) {}

  bool Allows(const Device& f, const Device& t, const std::string& service, UnixTime now) const {
    if (f.name == t.name || f.state != DeviceState::kActive || t.state != DeviceState::kActive)
      return false;
    const std::set<int> wanted = Ports({{service, {}}});
    for (const Guardrail& g : policy_.guardrails) {
      if (g.mode == Mode::kAudit || !InAny(g.from, f) || !InAny(g.to, t) ||
          !Touch(Ports(g.services), wanted))
        continue;
      if (!g.must_require) return false;
      if (!Meets(f, *g.must_require, now)) return false;
    }
    for (const Grant& g : policy_.grants)
      if (g.mode == Mode::kEnforce && Covers(g, f, t, wanted, now)) return true;
    return false;
  }

 private:
  bool Covers(const Grant& g, const Device& f, const Device& t, const std::set<int>& wanted,
              UnixTime now) const {
    const std::set<int> ports = Ports(g.services);
    for (const int port : wanted)
      if (!ports.contains(port)) return false;
    if (!InAny(g.from, f) || !InAny(g.to, t)) return false;
    if (g.same_site && f.site != t.site) return false;
    if (g.expires && now.ms >= g.expires->ms) return false;
    if (g.require_from && !Meets(f, *g.require_from, now)) return false;
    if (g.require_to && !Meets(t, *g.require_to, now)) return false;
    return !g.window || Open(g.window->text, now);
  }
  bool InAny(const std::vector<Name>& groups, const Device& d) const {
    if (groups.empty()) return true;
    for (const Name& g : groups)
      if (g.text == "any" || In(g.text, d)) return true;
    return false;
  }
  bool In(const std::string& name, const Device& d) const {
    const std::set<std::string> tags(d.tags.begin(), d.tags.end());
    for (const Group& g : policy_.groups) {
      if (g.name.text != name) continue;
      bool all = !g.tags.empty();
      for (const Name& tag : g.tags) all = all && tags.contains(tag.text);
      if (all) return true;
      for (const Name& tag : g.any_tags)
        if (tags.contains(tag.text)) return true;
      for (const Name& device : g.devices)
        if (device.text == d.name) return true;
      for (const Name& member : g.groups)
        if (In(member.text, d)) return true;
    }
    return false;
  }
  std::set<int> Ports(const std::vector<Name>& services) const {
    std::set<int> ports;
    for (const Service& s : policy_.services) {
      for (const Name& wanted : services) {
        if (wanted.text != s.name.text) continue;
        for (const PortRange& r : s.ports)
          for (int p = r.first; p <= r.last; ++p)
            ports.insert(p * 2 + (r.protocol == Protocol::kUdp ? 1 : 0));
      }
    }
    const bool any = services.empty() || services[0].text == "any" || services.back().text == "any";
    if (any)
      for (int p = 1; p <= kPortMax; ++p) ports.insert({p * 2, p * 2 + 1});
    return ports;
  }
  static bool Touch(const std::set<int>& a, const std::set<int>& b) {
    for (const int x : b)
      if (a.contains(x)) return true;
    return false;
  }
  bool Meets(const Device& d, const Name& condition, UnixTime now) const {
    for (const Condition& c : policy_.conditions) {
      if (c.name.text != condition.text) continue;
      const Requirement& r = c.requirement;
      if (r.min_tier && static_cast<int>(d.tier) < static_cast<int>(*r.min_tier)) return false;
      if (r.attested_within &&
          (!d.attested || now.ms >= now.ms - d.attested->ms + r.attested_within->ms))
        return false;
      return true;
    }
    return false;
  }
  bool Open(const std::string& name, UnixTime now) const {
    for (const Window& w : policy_.windows) {
      if (w.name.text != name) continue;
      for (const WeeklyInterval& i : w.weekly) {
        const time_t seconds = now.seconds();
        tm utc{};
        gmtime_r(&seconds, &utc);
        const int today = (utc.tm_wday + 6) % 7;
        const int minute = utc.tm_hour * 60 + utc.tm_min;
        for (int back = 0; back < 2; ++back) {
          const int day = (today + 7 - back) % 7;
          const int at = minute + back * 1440;
          const int end = i.to_minute <= i.from_minute ? i.to_minute + 1440 : i.to_minute;
          if ((i.days >> day & 1) && at >= i.from_minute && at < end) return true;
        }
      }
    }
    return false;
  }

  static constexpr int kPortMax = 20;  // no generated service goes beyond

  const Policy& policy_;
  const Inventory& inventory_;
};

// Generator writes random, valid policies and inventories as text, dense enough that both verdicts
// are common.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  std::string Policy() {
    std::string text =
        "sallyport: policy/v1\nname: random\n"
        "services: {s0: tcp/10, s1: [tcp/10-12, udp/5], s2: [tcp/12, tcp/11], s3: [udp/4-6]}\n"
        "conditions: {c0: {attested_within: 10m}, c1: {min_tier: attested}, c2: {attested_within: "
        "1h, min_tier: measured}}\n"
        "windows:\n  w0: {days: [mon, sat], from: \"22:00\", to: \"04:00\", tz: UTC}\n"
        "  w1: [{days: [tue], from: \"00:00\", to: \"12:00\", tz: UTC}, {days: [sun], from: "
        "\"06:00\", to: \"24:00\", tz: UTC}]\n"
        "groups:\n";
    for (int i = 0; i < kGroups; ++i) text += "  g" + std::to_string(i) + ": " + Group(i) + "\n";
    text += "grants:\n";
    for (int i = 0; i < 8; ++i) text += "  - " + Grant(i) + "\n";
    text += "guardrails:\n";
    for (int i = 0; i < 2; ++i) text += "  - " + Guardrail(i) + "\n";
    return text;
  }

  std::string Inventory() {
    std::string text;
    for (int i = 0; i < kDevices; ++i) {
      text += "  - {id: d" + std::to_string(i) + ", site: x" + Number(2) + ", tags: [";
      std::string tags;
      for (int t = 0; t < kTags; ++t)
        if (One(2)) tags += (tags.empty() ? "t" : ", t") + std::to_string(t);
      text += tags + "], tier: " + Pick({"none", "enrolled", "attested", "measured"});
      if (!One(4)) text += ", attested: " + Pick({"1m", "9m", "10m", "59m", "3h"});
      if (One(8)) text += ", state: quarantined";
      text += "}\n";
    }
    return text;
  }

  UnixTime Now() {
    return At("2026-11-16T00:00:00Z") +
           Minutes(std::uniform_int_distribution<int>(0, 7 * 1440 - 1)(random_));
  }

  static constexpr int kDevices = 8;

 private:
  static constexpr int kGroups = 5;
  static constexpr int kTags = 4;

  bool One(int in) { return std::uniform_int_distribution<int>(1, in)(random_) == 1; }
  std::string Number(int below) {
    return std::to_string(std::uniform_int_distribution<int>(0, below - 1)(random_));
  }
  std::string Pick(const std::vector<std::string>& choices) {
    return choices[std::uniform_int_distribution<size_t>(0, choices.size() - 1)(random_)];
  }
  std::string Tags() {
    return One(2) ? "[t" + Number(kTags) + "]"
                  : "[t" + Number(2) + ", t" + std::to_string(2 + (One(2) ? 1 : 0)) + "]";
  }
  std::string Group(int i) {
    std::string body =
        Pick({"tags: " + Tags(), "any_tags: " + Tags(), "devices: [d" + Number(kDevices) + "]"});
    if (i > 0 && One(3)) body += ", groups: [g" + Number(i) + "]";
    return "{" + body + "}";
  }
  std::string End() {
    return One(6)   ? "any"
           : One(3) ? "[g0, g" + std::to_string(1 + (One(2) ? 1 : 0)) + "]"
                    : "g" + Number(kGroups);
  }
  std::string Service() { return One(8) ? "any" : One(4) ? "[s0, s3]" : "s" + Number(4); }
  std::string Grant(int i) {
    std::string text = "{id: r" + std::to_string(i) + ", from: " + End() + ", to: " + End() +
                       ", service: " + Service();
    if (One(3)) text += ", same: site";
    if (One(3)) text += ", require_from: c" + Number(3);
    if (One(3)) text += ", require_to: c" + Number(3);
    if (One(3)) text += ", window: w" + Number(2);
    if (One(4)) text += ", expires: 2026-11-19T12:00:00Z";
    if (One(6)) text += ", mode: audit";
    return text + "}";
  }
  std::string Guardrail(int i) {
    const std::string id = "{id: k" + std::to_string(i) + ", ";
    const std::string mode = One(4) ? ", mode: audit" : "";
    if (One(2))
      return id + "never: {from: g" + Number(kGroups) + ", to: g" + Number(kGroups) +
             ", service: " + Service() + "}" + mode + "}";
    return id + "service: s" + Number(4) + ", must_require: c" + Number(3) +
           (One(2) ? ", from: g" + Number(kGroups) : "") + mode + "}";
  }

  std::mt19937 random_;
};

TEST(Differential, CompiledDecisionsEqualTheSlowEvaluator) {
  size_t allowed = 0, asked = 0;
  for (uint32_t seed = 0; seed < 120; ++seed) {
    Generator generator(seed);
    const std::string text = generator.Policy();
    const World world = World::Make(text, generator.Inventory());
    const SlowEvaluator slow(world.policy, world.inventory);
    for (int ask = 0; ask < 60; ++ask) {
      const UnixTime now = generator.Now();
      const Device& f = world.inventory.devices[static_cast<size_t>(ask) % Generator::kDevices];
      const Device& t =
          world.inventory.devices[static_cast<size_t>(ask * 5 + ask / 8) % Generator::kDevices];
      const std::string service = "s" + std::to_string(ask % 4);
      const Decision decision = world.decide({f.name, t.name, service, now});
      ASSERT_EQ(decision.allowed(), slow.Allows(f, t, service, now))
          << "seed " << seed << " " << f.name << " -> " << t.name << ":" << service << " at "
          << FormatRfc3339(now) << " " << Summary(decision) << "\n"
          << text;
      allowed += decision.allowed() ? 1 : 0;
      ++asked;
    }
  }
  EXPECT_GT(allowed, asked / 10);
  EXPECT_LT(allowed, asked * 9 / 10);
}

// ValidUntil must be exact: what was proven at `now` still holds just before it, and something ends
// there.
TEST(Differential, AnAllowHoldsUntilItsEnd) {
  for (uint32_t seed = 200; seed < 240; ++seed) {
    Generator generator(seed);
    const World world = World::Make(generator.Policy(), generator.Inventory());
    for (int ask = 0; ask < 60; ++ask) {
      const std::string service = "s" + std::to_string(ask % 4);
      const auto& devices = world.inventory.devices;
      Question q = world.question({devices[static_cast<size_t>(ask) % 8].name,
                                   devices[static_cast<size_t>(ask * 3 + 1) % 8].name, service,
                                   generator.Now()});
      const Decision decision = Decide(world.compiled, q);
      if (!decision.allowed() || !decision.valid_until) continue;
      const std::string by(decision.by);
      const UnixTime end = *decision.valid_until;
      ASSERT_GT(end, q.now);
      q.now = end - Milliseconds(1);
      ASSERT_TRUE(Decide(world.compiled, q).allowed());
    }
  }
}

}  // namespace
}  // namespace sallyport::policy

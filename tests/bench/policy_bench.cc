// Budgets (docs/architecture.md 9): a decision <= 1 us; compiling 1,000 grants over 100,000 devices
// <= 1 s.
#include <benchmark/benchmark.h>

#include "policies/decision/slice.h"

namespace sallyport::policy {
namespace {

constexpr UnixTime kNow{1'795'000'000'000};

std::string Id(const char* prefix, size_t i) { return prefix + std::to_string(i); }

// A fleet of `devices` with 300 tag combinations in 199 sites, and `grants` between tagged groups.
RuleSet MakeRules(size_t grants) {
  RuleSet rules;
  for (size_t s = 0; s < 50; ++s)
    rules.guardrails.services[Id("s", s)] = {
        {Protocol::kTcp, static_cast<uint16_t>(1000 + s), static_cast<uint16_t>(1000 + s)}};
  for (size_t g = 0; g < grants; ++g) {
    GrantRule grant;
    grant.id = "g" + std::to_string(1'000'000 + g);
    grant.from.tags = {{Id("t", g % 300)}};
    grant.to.tags = {{Id("t", (g * 7 + 1) % 300)}};
    grant.ports = rules.guardrails.services[Id("s", g % 50)];
    grant.same_site = g % 2 == 0;
    grant.require_from.attested_within = Hours(24);
    grant.require_from.min_tier = Tier::kAttested;
    rules.grants.push_back(std::move(grant));
  }
  for (size_t k = 0; k < 10; ++k) {
    GuardrailRule rule;
    rule.id = Id("k", k);
    rule.from.tags = rule.to.tags = {{Id("t", k)}};
    rule.ports = AllPorts();
    rules.guardrails.rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<DeviceFacts> MakeFleet(size_t devices) {
  std::vector<DeviceFacts> facts;
  for (size_t i = 0; i < devices; ++i)
    facts.push_back({Id("device-", i),
                     "",
                     Id("site-", i % 199),
                     {Id("t", i % 300)},
                     Tier::kNone,
                     DeviceState::kActive,
                     0,
                     ""});
  return facts;
}

void BM_Compile(benchmark::State& state) {
  const RuleSet rules = MakeRules(1'000);
  const auto fleet = MakeFleet(100'000);
  for (auto _ : state) benchmark::DoNotOptimize(Compile(rules, fleet));
}
BENCHMARK(BM_Compile)->Unit(benchmark::kMillisecond);

void Decisions(benchmark::State& state, size_t from, size_t to) {
  const CompiledPolicy policy = Compile(MakeRules(1'000), MakeFleet(100'000));
  const std::string f = Id("device-", from), t = Id("device-", to);
  const Party a{f, Tier::kMeasured, kNow - Minutes(5), kNow + Hours(1), 0};
  const Party b{t, Tier::kMeasured, kNow - Minutes(5), kNow + Hours(1), 0};
  size_t allowed = 0;
  for (auto _ : state) {
    const Decision decision = Decide(policy, {a, b, "s40", kNow, true, nullptr});
    allowed += decision.allowed() ? 1 : 0;
    benchmark::DoNotOptimize(decision);
  }
  state.counters["allowed"] = allowed > 0 ? 1 : 0;
}
// Grant 40 is from t40 to t281 for s40, same site.
void BM_DecideAllow(benchmark::State& state) {
  size_t to = 281;
  while (to % 199 != 40) to += 300;
  Decisions(state, 40, to);
}
void BM_DecideDeny(benchmark::State& state) { Decisions(state, 100, 201); }
BENCHMARK(BM_DecideAllow);
BENCHMARK(BM_DecideDeny);

void BM_BuildSlice(benchmark::State& state) {
  const RuleSet rules = MakeRules(1'000);
  const CompiledPolicy policy = Compile(rules, MakeFleet(1'000));
  const PolicyManifest manifest = MakePolicyManifest(rules, {1, kNow - Days(1), kNow + Days(30)});
  const PolicyTexts texts = MakePolicyTexts(rules);
  const SliceHeader header{"edge.example",
                           "device-40",
                           {1, 1},
                           UnixTime::FromSeconds(kNow.seconds()),
                           UnixTime::FromSeconds(kNow.seconds() + 3600)};
  size_t bytes = 0;
  for (auto _ : state) {
    const auto slice = BuildSlice(header, policy, manifest, texts);
    bytes = slice->size();
    benchmark::DoNotOptimize(slice);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_BuildSlice)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sallyport::policy

BENCHMARK_MAIN();

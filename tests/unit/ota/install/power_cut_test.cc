// A sample of the cut points that power_cut_enumeration takes one by one: every boot loader, every
// delivery and fate, a cut at any operation of the whole update, under several ideas of what
// storage loses.
#include "tests/fakes/power_cut_drill.h"

namespace sallyport {
namespace {

// Sanitizers make a drill ten times as long: they see one cut of five, which by and by meets every
// loss.
#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kSparse = 5;
#else
constexpr uint64_t kSparse = 1;
#endif

const DrillReleases kReleases = DrillReleases::Make({});

std::string Name(const DrillScenario& scenario) {
  return std::string(BootLoaderName(scenario.loader)) + " " +
         std::string(DeliveryName(scenario.delivery)) + " " + std::string(FateName(scenario.fate));
}

// Each cut point gets one loss of its own, so that neighbours get different ones.
PowerCut CutAt(uint64_t at) {
  constexpr PowerLoss kLosses[] = {PowerLoss::kScattered,  PowerLoss::kAll,
                                   PowerLoss::kDataOnly,   PowerLoss::kScattered,
                                   PowerLoss::kOddSectors, PowerLoss::kNothing};
  return {at, kLosses[at % std::size(kLosses)], at};
}

class PowerCutTest : public ::testing::TestWithParam<BootLoader> {};

TEST_P(PowerCutTest, LeavesAMachineThatBootsAVerifiedSlotAndComesToRest) {
  for (const Delivery delivery : kDeliveries) {
    for (const Fate fate : kFates) {
      const DrillScenario scenario{GetParam(), delivery, fate};
      const DrillReport whole = Drill(kReleases, scenario, {});
      ASSERT_EQ(whole.problem, "") << Name(scenario);
      for (uint64_t at = 0; at < whole.operations; at += kSparse) {
        const DrillReport report = Drill(kReleases, scenario, {CutAt(at)});
        ASSERT_EQ(report.problem, "")
            << Name(scenario) << ", cut at operation " << at << ", " << report.phase;
        ASSERT_NE(report.phase, "") << at;
      }
    }
  }
}

TEST_P(PowerCutTest, DoesNotMindThatTheAgentWasKilledBefore) {
  constexpr uint64_t kEvery = 4;  // power_cut_enumeration takes them all
  constexpr uint64_t kSoon = 7;
  for (const Delivery delivery : kDeliveries) {
    for (const Fate fate : kFates) {
      const DrillScenario scenario{GetParam(), delivery, fate};
      const uint64_t operations = Drill(kReleases, scenario, {}).operations;
      for (uint64_t at = 0; at < operations; at += kEvery * kSparse) {
        const uint64_t later = (at / kEvery) % kSoon;
        const DrillReport report =
            Drill(kReleases, scenario,
                  {{at, PowerLoss::kAll, 0, true}, {later, CutAt(at / kEvery).loss, at}});
        ASSERT_EQ(report.problem, "") << Name(scenario) << ", killed at operation " << at << ", "
                                      << report.phase << ", cut " << later << " later";
      }
    }
  }
}

TEST_P(PowerCutTest, TwiceDoesNotAddUpToDamage) {
  const DrillScenario scenario{GetParam(), Delivery::kFull, Fate::kGood};
  const uint64_t operations = Drill(kReleases, scenario, {}).operations;
  for (uint64_t first = 0; first < operations; first += 5 * kSparse) {
    for (uint64_t second = 0; second < operations; second += 7) {
      const DrillReport report = Drill(kReleases, scenario, {CutAt(first), CutAt(second)});
      ASSERT_EQ(report.problem, "") << Name(scenario) << ": " << first << " then " << second;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryLoader, PowerCutTest, ::testing::ValuesIn(kBootLoaders),
                         [](const auto& each) {
                           std::string name(BootLoaderName(each.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace sallyport

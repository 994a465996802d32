// power_cut_enumeration cuts the power at every single operation of whole updates, for every boot
// loader, delivery and fate, under several ideas of what storage loses, and prints what became of
// it (docs/updates.md, "Power cuts"). Exit status 1 when a machine broke a promise.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <thread>

#include "tests/fakes/power_cut_drill.h"

using namespace sallyport;

namespace {

// Segments of 4 KiB: every one is a write of its own, and every third is followed by a checkpoint.
constexpr TestSizes kFullSizes{500'100, 40'000};
constexpr TestSizes kShortSizes{100'100, 9'000};

struct Variant {
  PowerLoss loss;
  uint64_t seed;
};
constexpr Variant kVariants[] = {{PowerLoss::kAll, 0},
                                 {PowerLoss::kNothing, 0},
                                 {PowerLoss::kDataOnly, 0},
                                 {PowerLoss::kScattered, 1},
                                 {PowerLoss::kScattered, 2}};

struct Counts {
  uint64_t points = 0;
  uint64_t drills = 0;
  uint64_t committed = 0;
  uint64_t rolled_back = 0;
  uint64_t broken = 0;
  void Add(const Counts& more) {
    points += more.points;
    drills += more.drills;
    committed += more.committed;
    rolled_back += more.rolled_back;
    broken += more.broken;
  }
};
using Table = std::map<std::string, Counts>;  // by what the cut hit

std::string Name(const DrillScenario& scenario) {
  return std::string(BootLoaderName(scenario.loader)) + ", " +
         std::string(DeliveryName(scenario.delivery)) + ", " + std::string(FateName(scenario.fate));
}

// Every `stride`-th operation from `first` on.
Table Enumerate(const DrillReleases& releases, const DrillScenario& scenario, uint64_t first,
                uint64_t stride) {
  Table table;
  const DrillReport whole = Drill(releases, scenario, {});
  if (!whole.problem.empty()) {
    std::printf("%s: %s\n", Name(scenario).c_str(), whole.problem.c_str());
    table["whole"].broken = 1;
    return table;
  }
  for (uint64_t at = first; at < whole.operations; at += stride) {
    Counts* row = nullptr;
    for (const Variant& variant : kVariants) {
      const DrillReport report =
          Drill(releases, scenario, {{at, variant.loss, variant.seed + at * 2}});
      if (row == nullptr) {
        row = &table[report.phase];
        ++row->points;
      }
      ++row->drills;
      if (!report.problem.empty()) {
        ++row->broken;
        std::printf("%s, cut at %llu: %s\n", Name(scenario).c_str(),
                    static_cast<unsigned long long>(at), report.problem.c_str());
      } else if (report.end == DrillEnd::kCommitted) {
        ++row->committed;
      } else {
        ++row->rolled_back;
      }
    }
  }
  return table;
}

void Print(const std::string& name, const Counts& counts) {
  std::printf("| %s | %llu | %llu | %llu | %llu | %llu |\n", name.c_str(),
              static_cast<unsigned long long>(counts.points),
              static_cast<unsigned long long>(counts.drills),
              static_cast<unsigned long long>(counts.committed),
              static_cast<unsigned long long>(counts.rolled_back),
              static_cast<unsigned long long>(counts.broken));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Cuts the power at every operation of whole updates", "power_cut_enumeration"};
  bool full = false;
  unsigned jobs = 1;
  app.add_flag("--full", full, "Larger images: more than 10,000 cut points; a quarter of an hour");
  app.add_option("--jobs", jobs, "Threads")->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);
  const DrillReleases releases = DrillReleases::Make(full ? kFullSizes : kShortSizes);
  Table phases;
  Counts all;
  std::printf("| update | cut points | drills | new release | old release | broken |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const BootLoader loader : kBootLoaders) {
    for (const Delivery delivery : kDeliveries) {
      for (const Fate fate : kFates) {
        const DrillScenario scenario{loader, delivery, fate};
        std::vector<Table> tables(jobs);
        std::vector<std::thread> threads;
        for (unsigned job = 0; job < jobs; ++job)
          threads.emplace_back(
              [&, job] { tables[job] = Enumerate(releases, scenario, job, jobs); });
        for (std::thread& thread : threads) thread.join();
        Counts row;
        for (const Table& table : tables) {
          for (const auto& [phase, counts] : table) {
            phases[phase].Add(counts);
            row.Add(counts);
          }
        }
        Print(Name(scenario), row);
        all.Add(row);
      }
    }
  }
  std::printf(
      "\n| what the cut hit | cut points | drills | new release | old release | broken |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const auto& [phase, counts] : phases) Print(phase, counts);
  Print("all", all);
  std::printf(
      "\n%llu cut points, %llu drills, %llu broken\n", static_cast<unsigned long long>(all.points),
      static_cast<unsigned long long>(all.drills), static_cast<unsigned long long>(all.broken));
  return all.broken == 0 ? 0 : 1;
}

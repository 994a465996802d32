// power_cut_enumeration cuts the power at every single operation of whole updates, for every boot
// loader, delivery and fate, under several ideas of what storage loses, and prints what became of
// it (docs/updates.md, "Power cuts"). Exit status 1 when a machine broke a promise.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "tests/fakes/power_cut_drill.h"

using namespace sallyport;

namespace {

// Segments of 4 KiB: every one is a write of its own, and every third is followed by a checkpoint.
// Longer images have more of the same.
constexpr TestSizes kFullSizes{100'100, 9'000};
constexpr TestSizes kShortSizes{};

// What happens at one operation of a drill.
using Variant = std::function<std::vector<PowerCut>(uint64_t at)>;

Variant Cut(PowerLoss loss, uint64_t seed = 0) {
  return [=](uint64_t at) { return std::vector{PowerCut{at, loss, seed + at * 2}}; };
}
const std::vector<Variant> kCuts = {Cut(PowerLoss::kAll), Cut(PowerLoss::kNothing),
                                    Cut(PowerLoss::kDataOnly), Cut(PowerLoss::kScattered, 1),
                                    Cut(PowerLoss::kScattered, 2)};

// The agent is killed, and the power goes soon after the next one has started: what the first one
// had written, the second one finds, but it may not be durable.
std::vector<Variant> Kills() {
  constexpr uint64_t kSoon = 4;
  std::vector<Variant> out;
  for (uint64_t later = 0; later < kSoon; ++later)
    for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kScattered})
      out.push_back([=](uint64_t at) {
        return std::vector{PowerCut{at, loss, 0, true}, PowerCut{later, loss, at * 8 + later}};
      });
  return out;
}

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
Table Enumerate(const DrillReleases& releases, const DrillScenario& scenario,
                const std::vector<Variant>& variants, uint64_t first, uint64_t stride) {
  Table table;
  const DrillReport whole = Drill(releases, scenario, {});
  if (!whole.problem.empty()) {
    std::printf("%s: %s\n", Name(scenario).c_str(), whole.problem.c_str());
    table["whole"].broken = 1;
    return table;
  }
  for (uint64_t at = first; at < whole.operations; at += stride) {
    Counts* row = nullptr;
    for (const Variant& variant : variants) {
      const DrillReport report = Drill(releases, scenario, variant(at));
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

void PrintHeader(const char* what) {
  std::printf("\n| %s | cut points | drills | new release | old release | broken |\n", what);
  std::printf("|---|---|---|---|---|---|\n");
}

// RunScenario plays all its cuts in `jobs` threads and adds what they hit to `phases`.
Counts RunScenario(const DrillReleases& releases, const DrillScenario& scenario,
                   const std::vector<Variant>& variants, unsigned jobs, Table& phases) {
  std::vector<Table> tables(jobs);
  std::vector<std::thread> threads;
  for (unsigned job = 0; job < jobs; ++job)
    threads.emplace_back(
        [&, job] { tables[job] = Enumerate(releases, scenario, variants, job, jobs); });
  for (std::thread& thread : threads) thread.join();
  Counts row;
  for (const Table& table : tables) {
    for (const auto& [phase, counts] : table) {
      phases[phase].Add(counts);
      row.Add(counts);
    }
  }
  return row;
}

// Run plays every scenario whose name holds `only`, and prints both tables.
Counts Run(const DrillReleases& releases, const std::vector<Variant>& variants, unsigned jobs,
           const std::string& only) {
  Table phases;
  Counts all;
  PrintHeader("update");
  for (const BootLoader loader : kBootLoaders) {
    for (const Delivery delivery : kDeliveries) {
      for (const Fate fate : kFates) {
        const DrillScenario scenario{loader, delivery, fate};
        if (Name(scenario).find(only) == std::string::npos) continue;
        const Counts row = RunScenario(releases, scenario, variants, jobs, phases);
        Print(Name(scenario), row);
        all.Add(row);
      }
    }
  }
  PrintHeader("what the cut hit");
  for (const auto& [phase, counts] : phases) Print(phase, counts);
  Print("all", all);
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Cuts the power at every operation of whole updates", "power_cut_enumeration"};
  bool full = false;
  unsigned jobs = 1;
  std::string only;
  app.add_flag("--full", full, "Larger images: more than 10,000 cut points");
  app.add_option("--jobs", jobs, "Threads")->check(CLI::Range(1, 64));
  app.add_option("--only", only, "Only updates whose name in the table holds this");
  CLI11_PARSE(app, argc, argv);
  const DrillReleases releases = DrillReleases::Make(kShortSizes);
  std::printf("The power is cut:\n");
  Counts all = Run(full ? DrillReleases::Make(kFullSizes) : releases, kCuts, jobs, only);
  std::printf("\nThe agent is killed, and the power cut soon after:\n");
  all.Add(Run(releases, Kills(), jobs, only));
  std::printf(
      "\n%llu cut points, %llu drills, %llu broken\n", static_cast<unsigned long long>(all.points),
      static_cast<unsigned long long>(all.drills), static_cast<unsigned long long>(all.broken));
  return all.broken == 0 ? 0 : 1;
}

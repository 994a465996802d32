#include "tests/bench/figures.h"

#include <cmath>
#include <cstdio>

#include "pki/base/json.h"

namespace sallyport {
namespace {

std::string PerGb(const Figures& figures) {
  if (figures.bytes == 0) return "";
  char text[64];
  std::snprintf(text, sizeof text, "  %.2f CPU-s/GB", figures.CpuPerGb());
  return text;
}

JsonValue Rounded(double value) { return static_cast<int64_t>(std::lround(value)); }

}  // namespace

double ThreadCpuSeconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

void PrintText(Report& report) {
  for (Figures& f : report.figures)
    std::printf("%-32s %6zu ops %9.1f /s %9.1f us server CPU each   p50 %7.2f ms  p99 %7.2f ms%s\n",
                f.name.c_str(), f.operations, f.PerSecond(), f.CpuMicroseconds(), f.Percentile(0.5),
                f.Percentile(0.99), PerGb(f).c_str());
  for (const Floor& floor : report.floors)
    std::printf("floor: %s: %.1f us\n", floor.what.c_str(), floor.microseconds);
  std::printf("server RSS: %lld MiB, at its peak %lld MiB\n",
              static_cast<long long>(report.server_rss_kib / 1024),
              static_cast<long long>(report.server_peak_rss_kib / 1024));
}

void PrintJson(Report& report) {
  std::vector<JsonValue> figures, floors;
  for (Figures& f : report.figures) {
    std::vector<JsonMember> members{{"name", f.name},
                                    {"operations", static_cast<int64_t>(f.operations)},
                                    {"per_second", Rounded(f.PerSecond())},
                                    {"server_cpu_us", Rounded(f.CpuMicroseconds())},
                                    {"p50_us", Rounded(f.Percentile(0.5) * 1e3)},
                                    {"p99_us", Rounded(f.Percentile(0.99) * 1e3)}};
    if (f.bytes > 0) members.push_back({"server_cpu_us_per_gb", Rounded(f.CpuPerGb() * 1e6)});
    figures.push_back(JsonValue::Object(std::move(members)));
  }
  for (const Floor& floor : report.floors)
    floors.push_back(
        JsonValue::Object({{"name", floor.what}, {"cpu_us", Rounded(floor.microseconds)}}));
  const JsonValue out = JsonValue::Object({{"figures", JsonValue::Array(std::move(figures))},
                                           {"floors", JsonValue::Array(std::move(floors))},
                                           {"server_rss_kib", report.server_rss_kib},
                                           {"server_peak_rss_kib", report.server_peak_rss_kib}});
  std::printf("%s\n", WriteJson(out).c_str());
}

}  // namespace sallyport

// What a load generator found, and how it is printed.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/measured_process.h"

namespace sallyport {

using SteadyClock = std::chrono::steady_clock;

// ThreadCpuSeconds is what this thread has used.
double ThreadCpuSeconds();

struct Figures {
  std::string name;
  size_t operations = 0;
  double wall_seconds = 0;
  double server_cpu_seconds = 0;
  uint64_t bytes = 0;
  std::vector<double> latencies = {};

  void Add(const Figures& more) {
    operations += more.operations;
    wall_seconds += more.wall_seconds;
    server_cpu_seconds += more.server_cpu_seconds;
    latencies.insert(latencies.end(), more.latencies.begin(), more.latencies.end());
  }
  // CpuPerGb is the server's CPU per 10^9 bytes, for operations that move `bytes`.
  double CpuPerGb() const { return server_cpu_seconds / static_cast<double>(bytes) * 1e9; }
  double PerSecond() const { return static_cast<double>(operations) / wall_seconds; }
  double CpuMicroseconds() const {
    return server_cpu_seconds / static_cast<double>(operations) * 1e6;
  }
  double Percentile(double part) {
    std::ranges::sort(latencies);
    return latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))] * 1e3;
  }
};

struct Floor {
  std::string what;
  double microseconds;
};

struct Report {
  std::vector<Figures> figures = {};  // what was asked for first, then what explains it
  std::vector<Floor> floors = {};
  int64_t server_rss_kib = 0;
  int64_t server_peak_rss_kib = 0;  // of opening the keys with Argon2id, when there is little load
};

void PrintText(Report& report);
void PrintJson(Report& report);

// InParallel runs `body(i)` for each i below `count`, `clients_max` at a time; the CPU is that of
// `server`.
template <typename Body>
Figures InParallel(std::string name, pid_t server, size_t count, size_t clients_max, Body body) {
  Figures out{.name = std::move(name), .operations = count};
  std::mutex mutex;
  std::atomic<size_t> next = 0;
  const double cpu = CpuSecondsOf(server);
  const auto begun = SteadyClock::now();
  {
    std::vector<std::jthread> clients;
    for (size_t c = 0; c < clients_max; ++c)
      clients.emplace_back([&] {
        for (size_t i = next++; i < count; i = next++) {
          const auto started = SteadyClock::now();
          body(i);
          const double took = std::chrono::duration<double>(SteadyClock::now() - started).count();
          const std::lock_guard lock(mutex);
          out.latencies.push_back(took);
        }
      });
  }
  out.wall_seconds = std::chrono::duration<double>(SteadyClock::now() - begun).count();
  out.server_cpu_seconds = CpuSecondsOf(server) - cpu;
  return out;
}

}  // namespace sallyport

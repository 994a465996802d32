#include "tests/node/node_run.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "pki/base/log.h"

namespace sallyport::node {
namespace {

constexpr int kFailedBootsMax = 8;  // in a row; two slots with three trials each leave room
constexpr Duration kRestartDelay = Seconds(1);
constexpr Duration kStopTimeout = Seconds(10);
constexpr int kSignalled = 128;  // exit codes from here on mean that a signal ended the agent

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

int64_t MonotonicMs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

// What ended a stretch of waiting.
enum class Wake : uint8_t { kAgentEnded, kStopped, kTimeout };

// What the agent's run means for the node.
enum class Next : uint8_t { kReboot, kRestartAgent, kEnd };

class Runner {
 public:
  Runner(VirtualNode& node, const RunOptions& options, Random& random)
      : node_(node), options_(options), random_(random) {
    const sigset_t signals = StopSignals();
    signals_ = ::signalfd(-1, &signals, SFD_CLOEXEC);
  }
  ~Runner() { ::close(signals_); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  int Run();

 private:
  Wake WaitFor(const ChildProcess* agent, std::optional<Duration> timeout) const;
  // BootOnce returns whether the node goes on.
  Next BootOnce();
  Next AfterFailedBoot(const BootReport& report);
  Next RunAgent();
  Next AgentEnded(int code);
  Next Stop(ChildProcess& agent);
  void Report(std::string_view event, std::string detail) const {
    Log(LogLevel::kInfo, event, {{"node", node_.name()}, {"detail", std::move(detail)}});
  }

  VirtualNode& node_;
  const RunOptions& options_;
  Random& random_;
  int signals_;
  int failed_boots_ = 0;
  int exit_code_ = 0;
};

Wake Runner::WaitFor(const ChildProcess* agent, std::optional<Duration> timeout) const {
  pollfd fds[] = {{signals_, POLLIN, 0}, {agent != nullptr ? agent->pidfd() : -1, POLLIN, 0}};
  const int64_t end_ms = MonotonicMs() + (timeout ? timeout->ms : 0);
  for (;;) {
    const int64_t left_ms = timeout ? std::max<int64_t>(0, end_ms - MonotonicMs()) : -1;
    const int ready = ::poll(fds, 2, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Wake::kTimeout;
    return fds[0].revents != 0 ? Wake::kStopped : Wake::kAgentEnded;
  }
}

Next Runner::Stop(ChildProcess& agent) {
  agent.Signal(SIGTERM);
  if (!agent.Wait(kStopTimeout)) agent.Kill();
  Report("node_stopped", "");
  return Next::kEnd;
}

Next Runner::AgentEnded(int code) {
  if (code == kRebootRequested) {
    Report("node_reboots", "");
    return Next::kReboot;
  }
  if (code >= kSignalled) {
    Report("agent_killed", "signal " + std::to_string(code - kSignalled));
    return WaitFor(nullptr, kRestartDelay) == Wake::kStopped ? Next::kEnd : Next::kRestartAgent;
  }
  Report("agent_ended", "code " + std::to_string(code));
  exit_code_ = code;
  return Next::kEnd;
}

Next Runner::RunAgent() {
  auto agent = ChildProcess::Start({options_.agent, "--config", node_.dir() + "/agent.yaml"},
                                   node_.dir() + "/agent.log");
  if (!agent) {
    Report("agent_missing", agent.error().ToString());
    exit_code_ = 1;
    return Next::kEnd;
  }
  switch (WaitFor(&*agent, options_.cut_power_after)) {
    case Wake::kAgentEnded: return AgentEnded(agent->Wait(Milliseconds(-1)).value_or(1));
    case Wake::kStopped: return Stop(*agent);
    case Wake::kTimeout: break;
  }
  agent->Kill();
  node_.CutPower();
  Report("power_cut", "");
  return Next::kEnd;
}

Next Runner::AfterFailedBoot(const BootReport& report) {
  if (report.outcome == BootOutcome::kNoImage || ++failed_boots_ >= kFailedBootsMax) {
    exit_code_ = 1;
    return Next::kEnd;
  }
  // A panic resets at once, a hang when the watchdog bites.
  const bool hung = report.outcome == BootOutcome::kHung;
  if (hung && WaitFor(nullptr, node_.watchdog()) == Wake::kStopped) return Next::kEnd;
  return Next::kReboot;
}

Next Runner::BootOnce() {
  const auto report = node_.PowerOn(random_);
  if (!report) {
    Report("node_broken", report.error().ToString());
    exit_code_ = 1;
    return Next::kEnd;
  }
  for (const std::string& refusal : report->refusals) Report("boot_entry_refused", refusal);
  const std::string slot = report->slot ? std::string(SlotName(*report->slot)) : "";
  switch (report->outcome) {
    case BootOutcome::kRunning: break;
    case BootOutcome::kNoImage: Report("node_without_image", ""); return AfterFailedBoot(*report);
    case BootOutcome::kPanicked:
      Report("kernel_panicked", slot + ": " + report->detail);
      return AfterFailedBoot(*report);
    case BootOutcome::kHung: Report("kernel_hangs", slot); return AfterFailedBoot(*report);
  }
  failed_boots_ = 0;
  Report("node_booted", slot);
  Next next;
  do {
    next = RunAgent();
  } while (next == Next::kRestartAgent);
  return next;
}

int Runner::Run() {
  while (BootOnce() == Next::kReboot) {
  }
  node_.PowerOff();
  return exit_code_;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int RunNode(VirtualNode& node, const RunOptions& options, UnixTime now, Random& random) {
  const auto prepare = [&]() -> Result<Unit> {
    if (options.swap_tpm) SP_TRY(node.SwapTpm(now, random));
    if (options.tamper) SP_TRY(node.Tamper());
    return Ok();
  };
  if (const auto ready = prepare(); !ready) {
    Log(LogLevel::kError, "node_not_prepared",
        {{"node", node.name()}, {"detail", ready.error().ToString()}});
    return 1;
  }
  return Runner(node, options, random).Run();
}

}  // namespace sallyport::node

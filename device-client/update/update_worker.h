// UpdateWorker: the driver on a thread of its own, so that a long download holds up nothing else.
// Assignments and verdicts are handed over; only the newest assignment counts.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "device-client/agent/backoff.h"
#include "device-client/update/update_driver.h"

namespace sallyport::device {

struct UpdateWorkerParts {
  UpdateDriverParts driver;
  Random& random;
  Duration backoff_max = kBackoffMax;
};

// Assign, Judged and Stop are thread-safe. The destructor stops and joins: what is being downloaded
// is broken off and resumed by the next worker.
class UpdateWorker {
 public:
  explicit UpdateWorker(UpdateWorkerParts parts, Duration trial_timeout = kTrialTimeout);
  ~UpdateWorker();
  UpdateWorker(const UpdateWorker&) = delete;
  UpdateWorker& operator=(const UpdateWorker&) = delete;

  void Assign(ota::InstallPlan plan);
  void Judged(ota::TrialOutcome outcome);
  void Stop();

 private:
  // StoppableSource breaks a download off when the worker stops.
  class StoppableSource final : public ota::PayloadSource {
   public:
    StoppableSource(ota::PayloadSource& source, const std::atomic<bool>& stopping)
        : source_(source), stopping_(stopping) {}
    Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                       ota::ByteSink& sink) override;

   private:
    ota::PayloadSource& source_;
    const std::atomic<bool>& stopping_;
  };

  void Run();
  void Handle(const std::optional<ota::TrialOutcome>& outcome, bool assigned);
  void TryAssign();
  void Settle(const Result<UpdateStep>& step);

  std::atomic<bool> stopping_ = false;
  StoppableSource source_;
  const Clock& clock_;
  UpdateDriver driver_;
  Backoff backoff_;

  // The worker's thread only.
  std::optional<ota::InstallPlan> plan_;
  std::optional<Duration> retry_at_;  // boot clock; the plan is still wanted

  std::mutex inbox_mutex_;  // guards inbox_plan_, inbox_outcome_
  std::condition_variable inbox_changed_;
  std::optional<ota::InstallPlan> inbox_plan_;
  std::optional<ota::TrialOutcome> inbox_outcome_;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace sallyport::device

// UpdateWorker: the driver on a thread of its own, so that a long download holds up nothing else.
// Orders and facts are handed over; only the newest order counts, and it breaks off the download of
// another release.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "device-client/agent/backoff.h"
#include "device-client/update/update_driver.h"

namespace sallyport::device {

struct UpdateWorkerParts {
  UpdateDriverParts driver;
  Random& random;
  Duration backoff_max = kBackoffMax;
};

// Assign, Withdraw, Hear and Stop are thread-safe. The destructor stops and joins: what is being
// downloaded is broken off and resumed by the next worker.
class UpdateWorker {
 public:
  // `parts.driver.cancelled` is the worker's to fill.
  explicit UpdateWorker(UpdateWorkerParts parts);
  ~UpdateWorker();
  UpdateWorker(const UpdateWorker&) = delete;
  UpdateWorker& operator=(const UpdateWorker&) = delete;

  void Assign(ota::InstallPlan plan);
  // Withdraw: the release is no longer this device's.
  void Withdraw(const ReleaseDigest& release);
  void Hear(HealthNews news);
  void Stop();

 private:
  // StoppableSource breaks a download off when the worker stops or has another order.
  class StoppableSource final : public ota::PayloadSource {
   public:
    StoppableSource(ota::PayloadSource& source, const UpdateWorker& worker)
        : source_(source), worker_(worker) {}
    Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                       ota::ByteSink& sink) override;

   private:
    ota::PayloadSource& source_;
    const UpdateWorker& worker_;
  };
  struct Inbox {
    std::optional<ota::InstallPlan> plan;
    std::optional<ReleaseDigest> withdrawn;
    std::vector<HealthNews> news;
  };

  void Run();
  Inbox Take();
  void Handle(Inbox inbox);
  void TryAssign();
  UpdateDriverParts DriverParts(UpdateDriverParts parts);
  void Settle(const Result<UpdateStep>& step);

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> cancelled_ = false;  // the inbox holds an order against current_
  StoppableSource source_;
  const Clock& clock_;
  UpdateDriver driver_;
  Backoff backoff_;

  // The worker's thread only.
  std::optional<ota::InstallPlan> plan_;
  std::optional<Duration> retry_at_;  // boot clock; the plan is still wanted

  std::mutex inbox_mutex_;  // guards inbox_, current_
  std::condition_variable inbox_changed_;
  Inbox inbox_;
  std::optional<ReleaseDigest> current_;  // the release of plan_
  std::thread thread_;                    // last: it uses the rest
};

}  // namespace sallyport::device

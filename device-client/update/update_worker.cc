#include "device-client/update/update_worker.h"

#include <chrono>

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

// How late the end of a trial or a retry may be noticed.
constexpr std::chrono::milliseconds kPoll{500};

class StoppableSink final : public ota::ByteSink {
 public:
  StoppableSink(ota::ByteSink& sink, const std::atomic<bool>& stopping)
      : sink_(sink), stopping_(stopping) {}
  Result<Unit> Write(ByteView bytes) override {
    if (stopping_) return Error{Reason::kUnavailable, "the agent is stopping", "update.stopping"};
    return sink_.Write(bytes);
  }

 private:
  ota::ByteSink& sink_;
  const std::atomic<bool>& stopping_;
};

UpdateDriverParts WithSource(UpdateDriverParts parts, ota::PayloadSource& source) {
  return {parts.installer,        source, parts.rebooter, parts.clock, std::move(parts.report),
          std::move(parts.health)};
}

}  // namespace

Result<Unit> UpdateWorker::StoppableSource::Fetch(const ota::RemoteFile& file, uint64_t offset,
                                                  uint64_t length, ota::ByteSink& sink) {
  StoppableSink stoppable(sink, stopping_);
  return source_.Fetch(file, offset, length, stoppable);
}

UpdateWorker::UpdateWorker(UpdateWorkerParts parts, Duration trial_timeout)
    : source_(parts.driver.source, stopping_),
      clock_(parts.driver.clock),
      driver_(WithSource(std::move(parts.driver), source_), trial_timeout),
      backoff_(parts.random, parts.backoff_max),
      thread_([this] { Run(); }) {}

UpdateWorker::~UpdateWorker() {
  Stop();
  thread_.join();
}

void UpdateWorker::Assign(ota::InstallPlan plan) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_plan_ = std::move(plan);
  inbox_changed_.notify_all();
}

void UpdateWorker::Judged(ota::TrialOutcome outcome) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_outcome_ = outcome;
  inbox_changed_.notify_all();
}

void UpdateWorker::Stop() {
  const std::lock_guard lock(inbox_mutex_);
  stopping_ = true;
  inbox_changed_.notify_all();
}

void UpdateWorker::Run() {
  const auto booted = driver_.Boot();
  if (!booted)
    Log(LogLevel::kError, "update_boot_not_judged", {{"reason", booted.error().ToString()}});
  while (!stopping_) {
    std::optional<ota::TrialOutcome> outcome;
    bool assigned = false;
    {
      std::unique_lock lock(inbox_mutex_);
      inbox_changed_.wait_for(lock, kPoll,
                              [&] { return stopping_ || inbox_plan_ || inbox_outcome_; });
      outcome = std::exchange(inbox_outcome_, std::nullopt);
      assigned = inbox_plan_.has_value();
      if (assigned) plan_ = std::exchange(inbox_plan_, std::nullopt);
    }
    if (!stopping_) Handle(outcome, assigned);
  }
}

void UpdateWorker::Handle(const std::optional<ota::TrialOutcome>& outcome, bool assigned) {
  if (outcome) Settle(driver_.Judged(*outcome, plan_ ? &*plan_ : nullptr));
  Settle(driver_.Tick(plan_ ? &*plan_ : nullptr));
  const bool due = retry_at_ && clock_.Boot() >= *retry_at_;
  // A verdict may have ended the trial that an assignment had to wait for.
  if (plan_ && (assigned || due || outcome)) TryAssign();
}

void UpdateWorker::TryAssign() {
  retry_at_.reset();
  const auto step = driver_.Assign(*plan_);
  if (step) return backoff_.Reset();
  Settle(step);
  if (ota::MayPass(step.error().reason))
    retry_at_ = Duration{clock_.Boot().ms + backoff_.Next(Duration{0}).ms};
}

void UpdateWorker::Settle(const Result<UpdateStep>& step) {
  if (!step) Log(LogLevel::kWarning, "update_step_failed", {{"reason", step.error().ToString()}});
}

}  // namespace sallyport::device

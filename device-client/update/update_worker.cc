#include "device-client/update/update_worker.h"

#include <chrono>

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

// How late the end of a trial or a retry may be noticed.
constexpr std::chrono::milliseconds kPoll{500};
// How late it may be noticed that what postponed an installation does so no longer.
constexpr Duration kPostponedRetry = Minutes(1);

// A look after each piece costs nothing beside it.
Result<Unit> Stopped(const std::atomic<bool>& stopping, const std::atomic<bool>& cancelled) {
  if (stopping) return Error{Reason::kUnavailable, "the agent is stopping", "update.stopping"};
  if (cancelled) return Error{Reason::kUnavailable, "another order is waiting", "update.cancelled"};
  return Unit{};
}

class StoppableSink final : public ota::ByteSink {
 public:
  StoppableSink(ota::ByteSink& sink, std::function<Result<Unit>()> stopped)
      : sink_(sink), stopped_(std::move(stopped)) {}
  Result<Unit> Write(ByteView bytes) override {
    SP_TRY(stopped_());
    return sink_.Write(bytes);
  }

 private:
  ota::ByteSink& sink_;
  const std::function<Result<Unit>()> stopped_;
};

}  // namespace

Result<Unit> UpdateWorker::StoppableSource::Fetch(const ota::RemoteFile& file, uint64_t offset,
                                                  uint64_t length, ota::ByteSink& sink) {
  StoppableSink stoppable(sink, [this] { return Stopped(worker_.stopping_, worker_.cancelled_); });
  return source_.Fetch(file, offset, length, stoppable);
}

UpdateDriverParts UpdateWorker::DriverParts(UpdateDriverParts parts) {
  return {parts.installer,
          source_,
          parts.rebooter,
          parts.clock,
          parts.checks,
          parts.notes,
          parts.watchdog,
          std::move(parts.time),
          std::move(parts.report),
          std::move(parts.alive),
          std::move(parts.alone),
          [this] { return cancelled_.load(); }};
}

UpdateWorker::UpdateWorker(UpdateWorkerParts parts)
    : source_(parts.driver.source, *this),
      clock_(parts.driver.clock),
      driver_(DriverParts(std::move(parts.driver))),
      backoff_(parts.random, parts.backoff_max),
      thread_([this] { Run(); }) {}

UpdateWorker::~UpdateWorker() {
  Stop();
  thread_.join();
}

void UpdateWorker::Assign(ota::InstallPlan plan) {
  const std::lock_guard lock(inbox_mutex_);
  cancelled_ = current_ && current_ != plan.facts().release;
  inbox_.plan = std::move(plan);
  inbox_.withdrawn.reset();
  inbox_changed_.notify_all();
}

void UpdateWorker::Withdraw(const ReleaseDigest& release) {
  const std::lock_guard lock(inbox_mutex_);
  if (inbox_.plan && inbox_.plan->facts().release == release) inbox_.plan.reset();
  cancelled_ = cancelled_ || current_ == release;
  inbox_.withdrawn = release;
  inbox_changed_.notify_all();
}

void UpdateWorker::Hear(HealthNews news) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_.news.push_back(std::move(news));
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
    Inbox inbox = Take();
    if (!stopping_) Handle(std::move(inbox));
  }
}

UpdateWorker::Inbox UpdateWorker::Take() {
  std::unique_lock lock(inbox_mutex_);
  inbox_changed_.wait_for(lock, kPoll, [&] {
    return stopping_ || inbox_.plan || inbox_.withdrawn || !inbox_.news.empty();
  });
  cancelled_ = false;
  if (inbox_.plan) current_ = inbox_.plan->facts().release;
  if (inbox_.withdrawn == current_) current_.reset();
  return std::exchange(inbox_, {});
}

void UpdateWorker::Handle(Inbox inbox) {
  for (const HealthNews& news : inbox.news) driver_.Hear(news);
  if (inbox.withdrawn) {
    if (plan_ && plan_->facts().release == *inbox.withdrawn) plan_.reset();
    Settle(driver_.Withdraw(*inbox.withdrawn));
  }
  if (inbox.plan) plan_ = inbox.plan;
  const UpdateStep before = driver_.step();
  const bool on_fallback = driver_.on_fallback();
  Settle(driver_.Tick());
  const bool due = retry_at_ && clock_.Boot() >= *retry_at_;
  // An assignment waits for the end of a trial.
  const bool trial_ended = before == UpdateStep::kTrial && driver_.step() == UpdateStep::kSettled;
  const bool proven = on_fallback && !driver_.on_fallback();
  if (plan_ && (inbox.plan || due || trial_ended || proven)) TryAssign();
}

void UpdateWorker::TryAssign() {
  retry_at_.reset();
  const auto step = driver_.Assign(*plan_);
  if (step) return backoff_.Reset();
  Settle(step);
  if (!ota::MayPass(step.error().reason)) return;
  // A gate of this device asks nobody else's patience, and a window may be short.
  const bool here = step.error().rule == "update.postponed";
  const Duration wait = here ? kPostponedRetry : backoff_.Next(Duration{0});
  retry_at_ = Duration{clock_.Boot().ms + wait.ms};
}

void UpdateWorker::Settle(const Result<UpdateStep>& step) {
  if (!step) Log(LogLevel::kWarning, "update_step_failed", {{"reason", step.error().ToString()}});
}

}  // namespace sallyport::device

#include "attestation-server/store/writer.h"

#include <future>

#include "attestation-server/store/limits.h"
#include "pki/base/log.h"

namespace sallyport::server {

Result<std::unique_ptr<Writer>> Writer::Start(std::unique_ptr<Connection> connection,
                                              Random& random) {
  SP_TRY(AuditAppender audit, AuditAppender::Load(*connection, random));
  std::unique_ptr<Writer> writer(new Writer(std::move(connection), std::move(audit)));
  Writer* const raw = writer.get();
  writer->thread_ = std::jthread([raw](const std::stop_token& stop) { raw->Loop(stop); });
  return writer;
}

Writer::Writer(std::unique_ptr<Connection> connection, AuditAppender audit)
    : connection_(std::move(connection)), audit_(std::move(audit)) {}

Writer::~Writer() {
  thread_.request_stop();
  thread_.join();
}

void Writer::Submit(Work work, Done done) {
  {
    const std::lock_guard lock(queue_mutex_);
    if (queue_.size() < kWriterQueueMax) {
      queue_.push_back({std::move(work), std::move(done)});
      queue_changed_.notify_one();
      return;
    }
  }
  done(Error{Reason::kRateLimited, "the writer is busy", "store.queue-full"});
}

Result<Unit> Writer::Run(Work work) {
  std::promise<Result<Unit>> promise;
  std::future<Result<Unit>> answer = promise.get_future();
  Submit(std::move(work),
         [&promise](Result<Unit> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

std::vector<Writer::Item> Writer::NextBatch(const std::stop_token& stop) {
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait(lock, stop, [this] { return !queue_.empty(); });
  std::vector<Item> batch;
  while (!queue_.empty() && batch.size() < kWriterBatchMax) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void Writer::Loop(const std::stop_token& stop) {
  while (true) {
    std::vector<Item> batch = NextBatch(stop);
    if (batch.empty()) return;  // stopped, and nothing is left
    RunBatch(std::move(batch));
  }
}

void Writer::RunBatch(std::vector<Item> batch) {
  const AuditHead before = audit_.head();
  std::vector<Result<Unit>> results;
  Result<Unit> durable = RunUnits(batch, results);
  if (!durable.has_value()) {
    if (connection_->in_transaction()) (void)connection_->Execute("ROLLBACK");
    audit_.Restore(before);
    Log(LogLevel::kError, "store_commit_failed", {{"error", durable.error().ToString()}});
    for (const Item& item : batch) item.done(durable.error());
    return;
  }
  for (size_t i = 0; i < batch.size(); ++i) batch[i].done(std::move(results[i]));
}

Result<Unit> Writer::RunUnits(const std::vector<Item>& batch, std::vector<Result<Unit>>& results) {
  SP_TRY(connection_->Execute("BEGIN IMMEDIATE"));
  for (const Item& item : batch) SP_TRY(RunUnit(item.work, results));
  SP_TRY(connection_->Execute("COMMIT"));
  return Unit{};
}

Result<Unit> Writer::RunUnit(const Work& work, std::vector<Result<Unit>>& results) {
  SP_TRY(connection_->Execute("SAVEPOINT unit_of_work"));
  const AuditHead before = audit_.head();
  Transaction transaction(*connection_, audit_);
  Result<Unit> result = work(transaction);
  // A full disk makes the engine roll the whole transaction back by itself: nothing of the batch is
  // left.
  if (!connection_->in_transaction())
    return result.has_value() ? Error{Reason::kInternal, "a unit of work ended the transaction",
                                      "store.transaction"}
                              : result.error();
  if (!result.has_value()) {
    audit_.Restore(before);
    SP_TRY(connection_->Execute("ROLLBACK TO unit_of_work"));
  }
  SP_TRY(connection_->Execute("RELEASE unit_of_work"));
  results.push_back(std::move(result));
  return Unit{};
}

}  // namespace sallyport::server

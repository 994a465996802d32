// Writer is the one thread that changes the database. Units of work are queued, run each in its own
// savepoint, and committed together: one fsync for a whole batch. A unit that fails undoes only
// itself; a commit that fails fails every unit of its batch.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "attestation-server/store/transaction.h"

namespace sallyport::server {

class Writer {
 public:
  // Work runs on the writer thread. It must not block and must not throw.
  using Work = std::function<Result<Unit>(Transaction&)>;
  // Done runs on the writer thread, after the commit is durable or the work was refused; on the
  // caller's when the queue is full.
  using Done = std::function<void(Result<Unit>)>;

  // Start takes over `connection`. `random` must outlive the writer.
  static Result<std::unique_ptr<Writer>> Start(std::unique_ptr<Connection> connection,
                                               Random& random);
  // Stops after finishing what is queued.
  ~Writer();

  // Submit answers with the work's own error, or kRateLimited ("store.queue-full"), kNoSpace or
  // kUnavailable when the batch could not be made durable.
  void Submit(Work work, Done done);
  // Run submits and waits. Never call it on the writer thread.
  Result<Unit> Run(Work work);

 private:
  struct Item {
    Work work;
    Done done;
  };
  Writer(std::unique_ptr<Connection> connection, AuditAppender audit);
  void Loop(const std::stop_token& stop);
  std::vector<Item> NextBatch(const std::stop_token& stop);
  void RunBatch(std::vector<Item> batch);
  // RunUnits and RunUnit fail only when the whole batch is lost; each unit's own answer goes to
  // `results`.
  Result<Unit> RunUnits(const std::vector<Item>& batch, std::vector<Result<Unit>>& results);
  Result<Unit> RunUnit(const Work& work, std::vector<Result<Unit>>& results);

  std::unique_ptr<Connection> connection_;  // writer thread only
  AuditAppender audit_;                     // writer thread only
  std::mutex queue_mutex_;
  std::condition_variable_any queue_changed_;
  std::deque<Item> queue_;  // guarded by queue_mutex_
  std::jthread thread_;
};

}  // namespace sallyport::server

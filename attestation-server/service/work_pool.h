// WorkPool runs what would block a gRPC thread: a commit is waited for here, so that many share
// one.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sallyport::server {

// WorkPool is thread-safe. The destructor runs what is queued.
class WorkPool {
 public:
  explicit WorkPool(unsigned threads);
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // TryPost says whether the work was taken: a full queue sheds load instead of growing.
  [[nodiscard]] bool TryPost(std::function<void()> work);

 private:
  void Loop();

  std::mutex queue_mutex_;  // guards queue_, stopping_
  std::condition_variable queue_changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sallyport::server

// OwnerThread: one thread that runs what is posted to it, in order. Private to device-client/tpm.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace sallyport::device {

// OwnerThread is thread-safe. Its destructor finishes what was posted, then joins.
class OwnerThread {
 public:
  OwnerThread() : thread_([this] { Run(); }) {}
  ~OwnerThread() {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  OwnerThread(const OwnerThread&) = delete;
  OwnerThread& operator=(const OwnerThread&) = delete;

  // Call runs `task` on the thread and returns its result. Never call it from a task.
  template <typename Task>
  auto Call(Task task) -> decltype(task()) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto result = packaged.get_future();
    {
      const std::lock_guard lock(queue_mutex_);
      queue_.push_back([&packaged] { packaged(); });
    }
    wake_.notify_one();
    return result.get();
  }

 private:
  void Run() {
    std::unique_lock lock(queue_mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()> task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex queue_mutex_;  // guards queue_ and stopping_
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sallyport::device

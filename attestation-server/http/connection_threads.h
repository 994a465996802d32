// ConnectionThreads: a thread for each connection of an HttpServer, made when it is needed and kept
// for the next. A fixed pool would either cost memory all day or let the slow clients of one
// morning hold up the rest.
#pragma once

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sallyport::server {

// Crowd tells connections that others wait for a thread.
struct Crowd {
  std::atomic<size_t> waiting = 0;
};

// ConnectionThreads is thread-safe; shutdown waits for every thread.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  ConnectionThreads(size_t max, std::shared_ptr<Crowd> crowd)
      : max_(max), crowd_(std::move(crowd)) {}

  void enqueue(std::function<void()> serve) override;
  void shutdown() override;

 private:
  void Run();

  const size_t max_;
  const std::shared_ptr<Crowd> crowd_;  // shared with the connections
  std::mutex mutex_;                    // guards the rest
  std::condition_variable changed_;
  bool stopping_ = false;
  size_t idle_ = 0;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
};

}  // namespace sallyport::server

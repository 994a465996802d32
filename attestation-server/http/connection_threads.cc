#include "attestation-server/http/connection_threads.h"

namespace sallyport::server {

void ConnectionThreads::enqueue(std::function<void()> serve) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(serve));
  const bool more = waiting_.size() > idle_ && threads_.size() < max_;
  if (more) threads_.emplace_back([this] { Run(); });
  // A thread that was just made is as good as idle.
  crowd_->waiting = threads_.size() < max_ ? 0 : waiting_.size();
  changed_.notify_one();
}

void ConnectionThreads::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    const std::function<void()> serve = std::move(waiting_.front());
    waiting_.pop_front();
    crowd_->waiting = threads_.size() < max_ ? 0 : waiting_.size();
    lock.unlock();
    serve();
    lock.lock();
  }
}

void ConnectionThreads::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace sallyport::server

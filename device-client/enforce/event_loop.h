// EventLoop: epoll, timers and work from other threads, for one thread. Timers count
// CLOCK_BOOTTIME, so that a deadline that passes during suspend is met at resume.
#pragma once

#include <atomic>
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "device-client/enforce/socket.h"
#include "pki/base/bytes.h"
#include "pki/base/time.h"

namespace sallyport::device {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Task = std::function<void()>;
  static constexpr size_t kScratchSize = 64 << 10;  // four TLS records: fewer system calls in bulk
  // When a timer is due (CLOCK_BOOTTIME, ms) and a number to tell equals apart; a default one names
  // no timer.
  struct TimerId {
    int64_t due_ms = 0;
    uint64_t number = 0;
    auto operator<=>(const TimerId&) const = default;
  };

  // Watch registers one descriptor while it lives; `handler` runs on the loop. Level-triggered.
  class Watch {
   public:
    Watch(EventLoop& loop, int fd, uint32_t events, Handler handler);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    void SetInterest(uint32_t events);
    // Silence ends the watch early; safe inside its own handler. A broken socket would report
    // itself for ever.
    void Silence();

   private:
    friend class EventLoop;
    EventLoop& loop_;
    int fd_;
    uint64_t key_;
    uint32_t interest_;
    bool silent_ = false;
    Handler handler_;
  };

  static Result<std::unique_ptr<EventLoop>> Make();

  // Run serves until Stop. All but Post, Stop and Call belong to the thread that runs.
  void Run();
  void Stop();
  // Post runs `task` on the loop soon. Thread-safe.
  void Post(Task task);
  // Call runs `task` on the loop and waits for it. Thread-safe; not from the loop itself.
  void Call(const Task& task);
  // Schedule runs `task` once after `delay` (at once when it is not positive).
  TimerId Schedule(Duration delay, Task task);
  void Cancel(TimerId id);
  // scratch is where bytes pass through on their way; of no one between two calls.
  std::span<uint8_t> scratch() { return scratch_; }

 private:
  EventLoop() = default;
  void Dispatch(int timeout_ms);
  void RunPosted();
  void RunTimers();
  void ArmTimer();

  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  std::atomic<bool> stopping_ = false;
  std::mutex posted_mutex_;  // guards posted_
  std::vector<Task> posted_;
  uint64_t next_key_ = 1;
  std::map<uint64_t, Watch*>
      watches_;  // keys outlive their watch in a batch of events; look-ups then find nothing
  uint64_t next_timer_ = 1;
  Bytes scratch_ = Bytes(kScratchSize);
  std::map<TimerId, Task>
      timers_;  // in the order they are due; a cancelled one leaves nothing behind
};

}  // namespace sallyport::device

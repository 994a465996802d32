#include "device-client/enforce/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

namespace sallyport::device {
namespace {

constexpr int kBatchMax = 64;
// Keys of the loop's own descriptors; watches count from 1.
constexpr uint64_t kWakeKey = UINT64_MAX;
constexpr uint64_t kTimerKey = UINT64_MAX - 1;

int64_t BootMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void Drain(int fd) {
  uint64_t count = 0;
  while (read(fd, &count, sizeof(count)) > 0) {
  }
}

bool AddTo(int epoll, int fd, uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

EventLoop::Watch::Watch(EventLoop& loop, int fd, uint32_t events, Handler handler)
    : loop_(loop),
      fd_(fd),
      key_(loop.next_key_++),
      interest_(events),
      handler_(std::move(handler)) {
  loop_.watches_[key_] = this;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_;
  SP_CHECK(epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

EventLoop::Watch::~Watch() { Silence(); }

void EventLoop::Watch::Silence() {
  if (silent_) return;
  silent_ = true;
  loop_.watches_.erase(key_);
  epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
}

void EventLoop::Watch::SetInterest(uint32_t events) {
  if (silent_ || events == interest_) return;
  interest_ = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_;
  epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &event);
}

Result<std::unique_ptr<EventLoop>> EventLoop::Make() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  loop->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  loop->wake_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  loop->timer_ = UniqueFd(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  const bool ready = loop->epoll_.valid() && loop->wake_.valid() && loop->timer_.valid() &&
                     AddTo(loop->epoll_.get(), loop->wake_.get(), kWakeKey) &&
                     AddTo(loop->epoll_.get(), loop->timer_.get(), kTimerKey);
  if (!ready)
    return Error{Reason::kUnavailable, std::string("event loop: ") + std::strerror(errno)};
  return loop;
}

void EventLoop::Run() {
  while (!stopping_) {
    Dispatch(-1);
    RunPosted();
    RunTimers();
  }
}

void EventLoop::Stop() {
  stopping_ = true;
  Post([] {});
}

void EventLoop::Post(Task task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  // A full counter means that the loop is awake already.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void EventLoop::Call(const Task& task) {
  std::promise<void> done;
  Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

EventLoop::TimerId EventLoop::Schedule(Duration delay, Task task) {
  const TimerId id{BootMs() + std::max<int64_t>(delay.ms, 0), next_timer_++};
  timers_.emplace(id, std::move(task));
  if (timers_.begin()->first == id) ArmTimer();
  return id;
}

void EventLoop::Cancel(TimerId id) { timers_.erase(id); }

void EventLoop::Dispatch(int timeout_ms) {
  epoll_event events[kBatchMax];
  const int count = epoll_wait(epoll_.get(), events, kBatchMax, timeout_ms);
  for (int i = 0; i < count; ++i) {
    const uint64_t key = events[i].data.u64;
    if (key == kWakeKey || key == kTimerKey) {
      Drain(key == kWakeKey ? wake_.get() : timer_.get());
      continue;
    }
    const auto watch = watches_.find(key);
    if (watch != watches_.end()) watch->second->handler_(events[i].events);
  }
}

void EventLoop::RunPosted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (const Task& task : tasks) task();
}

void EventLoop::RunTimers() {
  const int64_t now = BootMs();
  while (!timers_.empty() && timers_.begin()->first.due_ms <= now) {
    const auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
  ArmTimer();
}

void EventLoop::ArmTimer() {
  itimerspec spec{};
  if (!timers_.empty()) {
    const int64_t due_ms = timers_.begin()->first.due_ms;
    spec.it_value.tv_sec = due_ms / 1000;
    // An all-zero time would disarm.
    spec.it_value.tv_nsec = due_ms % 1000 * 1'000'000 + 1;
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

}  // namespace sallyport::device

#include "attestation-server/http/connection_threads.h"

#include <gtest/gtest.h>

#include <latch>
#include <set>

namespace sallyport::server {
namespace {

TEST(ConnectionThreads, ServesAsManyAtOnceAsItMayAndTheRestLater) {
  const auto crowd = std::make_shared<Crowd>();
  ConnectionThreads threads(3, crowd);
  std::latch all_run(3), let_go(1);
  std::atomic<int> served = 0;
  for (int i = 0; i < 3; ++i)
    threads.enqueue([&] {
      all_run.count_down();
      let_go.wait();
      ++served;
    });
  all_run.wait();  // three at once
  EXPECT_EQ(crowd->waiting, 0u);
  for (int i = 0; i < 5; ++i) threads.enqueue([&] { ++served; });
  EXPECT_EQ(crowd->waiting, 5u);
  let_go.count_down();
  threads.shutdown();
  EXPECT_EQ(served, 8);
  EXPECT_EQ(crowd->waiting, 0u);
}

TEST(ConnectionThreads, UsesAThreadAgain) {
  ConnectionThreads threads(100, std::make_shared<Crowd>());
  std::mutex mutex;
  std::set<std::thread::id> used;
  for (int i = 0; i < 50; ++i) {
    std::latch done(1);
    threads.enqueue([&] {
      {
        const std::lock_guard lock(mutex);
        used.insert(std::this_thread::get_id());
      }
      done.count_down();
    });
    done.wait();
  }
  threads.shutdown();
  EXPECT_LT(used.size(), 50u);  // a thread may be asked for before the last one rests
}

TEST(ConnectionThreads, EndsWithNothingToDo) {
  ConnectionThreads threads(4, std::make_shared<Crowd>());
  threads.shutdown();
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/service/work_pool.h"

#include <atomic>
#include <future>

namespace sallyport::server {
namespace {

TEST(WorkPool, RunsWhatIsQueuedBeforeItEnds) {
  std::atomic<int> done = 0;
  {
    WorkPool pool(2);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.TryPost([&done] { ++done; }));
  }
  EXPECT_EQ(done, 100);
}

TEST(WorkPool, ShedsLoadWhenItsQueueIsFull) {
  std::promise<void> open;
  std::shared_future<void> gate(open.get_future());
  std::atomic<int> done = 0;
  int taken = 0;
  {
    WorkPool pool(1);
    while (taken < 5000 && pool.TryPost([&done, gate] {
      gate.wait();
      ++done;
    }))
      ++taken;
    EXPECT_LT(taken, 5000);
    open.set_value();
  }
  EXPECT_EQ(done, taken);
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/cli/bench_command.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

TEST(RunBench, SaysWhatToBuildWhenTheGeneratorIsMissing) {
  const Error error = RunBench("/nonexistent/sallyport-bench", {"enrol"});
  EXPECT_EQ(error.name(), "bench.missing");
  EXPECT_NE(error.detail.find("sallyport-bench"), std::string::npos);
}

TEST(RunBench, BecomesTheProgramWithTheArguments) {
  EXPECT_EXIT((void)RunBench("/usr/bin/test", {"enrol", "=", "enrol"}), testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT((void)RunBench("/usr/bin/test", {"enrol", "=", "renew"}), testing::ExitedWithCode(1),
              "");
}

}  // namespace
}  // namespace sallyport::server

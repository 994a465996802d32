#include "attestation-server/http/metrics.h"

#include <thread>

namespace sallyport::server {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, WritesEveryNameBeforeAnythingHappened) {
  const Metrics metrics;
  const std::string text = metrics.Serialize();

  for (const char* name :
       {"sallyport_enrolments_total 0", "sallyport_renewals_total 0", "sallyport_streams_online 0",
        "sallyport_commit_seconds_count 0", "sallyport_commit_changes_count 0"})
    EXPECT_THAT(text, HasSubstr(name));
}

TEST(Metrics, CountsRefusalsByTheirRule) {
  Metrics metrics;
  metrics.CountRefusal("ticket-spent");
  metrics.CountRefusal("ticket-spent");
  metrics.CountRefusal("quote.magic");

  EXPECT_THAT(metrics.Serialize(), HasSubstr("sallyport_refusals_total{rule=\"ticket-spent\"} 2"));
  EXPECT_THAT(metrics.Serialize(), HasSubstr("sallyport_refusals_total{rule=\"quote.magic\"} 1"));
}

TEST(Metrics, TellTheRemainingLifeOfUpdateRolesAndFailedRenewals) {
  Metrics metrics;
  metrics.SetUpdateRoleLeft("root", Hours(2));
  metrics.SetUpdateRoleLeft("root", Hours(1));
  metrics.CountOnlineRenewalFailure();
  const std::string text = metrics.Serialize();

  EXPECT_THAT(text, HasSubstr("sallyport_update_role_left_seconds{role=\"root\"} 3600"));
  EXPECT_THAT(text, HasSubstr("sallyport_online_role_renewal_failures_total 1"));
}

TEST(Metrics, SumsCommitsAndTheChangesThatSharedThem) {
  Metrics metrics;
  metrics.ObserveCommit(Milliseconds(4), 3);
  metrics.ObserveCommit(Milliseconds(2000), 1);
  const std::string text = metrics.Serialize();

  EXPECT_THAT(text, HasSubstr("sallyport_commit_seconds_bucket{le=\"0.005\"} 1"));
  EXPECT_THAT(text, HasSubstr("sallyport_commit_seconds_bucket{le=\"+Inf\"} 2"));
  EXPECT_THAT(text, HasSubstr("sallyport_commit_changes_sum 4"));
}

TEST(Metrics, LosesNothingWhenThreadsCountAtOnce) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&metrics] {
      for (int n = 0; n < 500; ++n) {
        metrics.CountRenewal(std::chrono::microseconds(1));
        metrics.CountRefusal("peer.expired");
        metrics.SetStreamsOnline(7);
      }
    });
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(metrics.Serialize(), HasSubstr("sallyport_renewals_total 2000"));
  EXPECT_THAT(metrics.Serialize(),
              HasSubstr("sallyport_refusals_total{rule=\"peer.expired\"} 2000"));
  EXPECT_THAT(metrics.Serialize(), HasSubstr("sallyport_streams_online 7"));
}

TEST(Metrics, CountDevicesWithAlarms) {
  Metrics metrics;
  metrics.SetDeviceAlarms("silent", 3);
  metrics.SetDeviceAlarms("silent", 2);
  EXPECT_NE(metrics.Serialize().find("sallyport_device_alarms{alarm=\"silent\"} 2"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::server

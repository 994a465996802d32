#include "attestation-server/http/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace sallyport::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

// A commit is one fsync: 1 ms on a good disk; above a second the disk is failing.
const prometheus::Histogram::BucketBoundaries kCommitSeconds{0.001, 0.0025, 0.005, 0.01, 0.025,
                                                             0.05,  0.1,    0.25,  1};
const prometheus::Histogram::BucketBoundaries kCommitChanges{1, 2, 4, 8, 16, 32, 64, 128, 256};

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  prometheus::Counter& enrolments = BuildCounter()
                                        .Name("sallyport_enrolments_total")
                                        .Help("Devices that were enrolled or attested anew")
                                        .Register(registry)
                                        .Add({});
  prometheus::Counter& renewals = BuildCounter()
                                      .Name("sallyport_renewals_total")
                                      .Help("Certificates renewed")
                                      .Register(registry)
                                      .Add({});
  prometheus::Counter& renewal_cpu =
      BuildCounter()
          .Name("sallyport_renewal_cpu_seconds_total")
          .Help("Processor time of the threads that renewed certificates")
          .Register(registry)
          .Add({});
  prometheus::Family<prometheus::Counter>& refusals =
      BuildCounter()
          .Name("sallyport_refusals_total")
          .Help("Requests refused, by the rule that refused them")
          .Register(registry);
  prometheus::Gauge& streams = BuildGauge()
                                   .Name("sallyport_streams_online")
                                   .Help("Devices with an open stream")
                                   .Register(registry)
                                   .Add({});
  prometheus::Family<prometheus::Gauge>& update_roles =
      BuildGauge()
          .Name("sallyport_update_role_left_seconds")
          .Help("Remaining life of update metadata, by role; negative once it has ended")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& device_alarms =
      BuildGauge()
          .Name("sallyport_device_alarms")
          .Help("Devices that lag behind their manifest, are silent, or whose floors fell")
          .Register(registry);
  prometheus::Counter& renewal_failures =
      BuildCounter()
          .Name("sallyport_online_role_renewal_failures_total")
          .Help("Renewals of snapshot and timestamp that failed")
          .Register(registry)
          .Add({});
  prometheus::Histogram& commit_seconds = BuildHistogram()
                                              .Name("sallyport_commit_seconds")
                                              .Help("Time that one commit of the store took")
                                              .Register(registry)
                                              .Add({}, kCommitSeconds);
  prometheus::Histogram& commit_changes = BuildHistogram()
                                              .Name("sallyport_commit_changes")
                                              .Help("Changes that shared one commit")
                                              .Register(registry)
                                              .Add({}, kCommitChanges);
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::CountEnrolment() { state_->enrolments.Increment(); }
void Metrics::CountRenewal(std::chrono::nanoseconds cpu) {
  state_->renewals.Increment();
  state_->renewal_cpu.Increment(std::chrono::duration<double>(cpu).count());
}
void Metrics::CountRefusal(std::string_view rule) {
  state_->refusals.Add({{"rule", std::string(rule)}}).Increment();
}
void Metrics::SetStreamsOnline(size_t streams) {
  state_->streams.Set(static_cast<double>(streams));
}
void Metrics::ObserveCommit(Duration took, size_t changes) {
  state_->commit_seconds.Observe(static_cast<double>(took.ms) / 1000);
  state_->commit_changes.Observe(static_cast<double>(changes));
}

void Metrics::SetUpdateRoleLeft(std::string_view group, Duration left) {
  state_->update_roles.Add({{"role", std::string(group)}}).Set(static_cast<double>(left.ms) / 1000);
}
void Metrics::SetDeviceAlarms(std::string_view alarm, size_t devices) {
  state_->device_alarms.Add({{"alarm", std::string(alarm)}}).Set(static_cast<double>(devices));
}
void Metrics::CountOnlineRenewalFailure() { state_->renewal_failures.Increment(); }

std::string Metrics::Serialize() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace sallyport::server

// The server's metrics in Prometheus' text format. Labels come from closed sets only (rules and
// reasons are static names): nothing a device sends becomes a time series.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pki/base/time.h"

namespace sallyport::server {

// Metrics is thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void CountEnrolment();
  // CountRenewal adds the processor time that judging, committing and signing took on the calling
  // thread.
  void CountRenewal(std::chrono::nanoseconds cpu);
  // CountRefusal takes Error::name() of a refusal, which has static storage.
  void CountRefusal(std::string_view rule);
  void SetStreamsOnline(size_t streams);
  // ObserveCommit records one commit of the store's writer, and how many changes shared it.
  void ObserveCommit(Duration took, size_t changes);

  // SetUpdateRoleLeft takes the remaining life of the update role of `group`
  // (ota/repository/expiry.h) that ends first; negative once it has ended.
  void SetUpdateRoleLeft(std::string_view group, Duration left);
  void CountOnlineRenewalFailure();
  // SetDeviceAlarms takes how many devices have the alarm (operations/fleet_alarms.h).
  void SetDeviceAlarms(std::string_view alarm, size_t devices);

  // Serialize returns the text exposition format, version 0.0.4.
  std::string Serialize() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::server

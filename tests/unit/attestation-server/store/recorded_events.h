// What a change told the service, for tests.
#pragma once

#include "attestation-server/enrolment/flow.h"

namespace sallyport::server {

class RecordedEvents final : public FlowEvents {
 public:
  void OnAdmitted(const DeviceRecord& device) override { admitted.push_back(device.id); }
  void OnRevoked(const std::string& device_id, uint64_t min_epoch) override {
    revoked.emplace_back(device_id, min_epoch);
  }
  std::vector<std::string> admitted;
  std::vector<std::pair<std::string, uint64_t>> revoked;
};

}  // namespace sallyport::server

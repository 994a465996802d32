// Makes install plans for tests and benchmarks that have no signed repository.
#pragma once

#include <utility>

#include "ota/install/install_plan.h"

namespace sallyport::ota {

class InstallPlanForTest {
 public:
  static InstallPlan Make(InstallFacts facts, LocalCommit local = LocalCommit::kRefused,
                          PlanOrigin origin = PlanOrigin::kAssigned) {
    return InstallPlan(std::move(facts), local, origin);
  }
};

}  // namespace sallyport::ota

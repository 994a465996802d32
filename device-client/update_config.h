// The keys of `update.*` in agent.yaml that say when and how an update may take place, and what
// must be true before it is kept. Pure.
#pragma once

#include "device-client/update/update_settings.h"
#include "policies/language/config_reader.h"

namespace sallyport::device {

const std::vector<policy::ConfigKey<TrialSettings>>& TrialKeys();

// DescribeTrialKeys writes one table row for each key below those of TrialKeys.
std::string DescribeTrialKeys();

}  // namespace sallyport::device

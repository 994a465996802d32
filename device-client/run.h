// What the program does once its command line is read.
#pragma once

#include <string>

#include "device-client/install_command.h"
#include "device-client/service_notifier.h"

namespace sallyport::device {

// The supervisor reboots the machine when the agent ends with this.
inline constexpr int kRebootExitStatus = 64;

struct RunOptions {
  std::string config;
  bool check_only = false;
  bool once = false;
  ServiceManager service_manager;
};

// Exit status: 0 done, 1 refused, 2 configuration or enrolment file wrong, 3 TPM or server not
// reachable, 4 internal, kRebootExitStatus.
int RunAgent(const RunOptions& options);
int PrintStatus(const RunOptions& options);
int PrintUpdateStatus(const RunOptions& options, bool json);
// InstallBundle: 0 installed, 1 refused or failed, 3 no agent runs.
int InstallBundle(const RunOptions& options, const InstallOptions& install);
// PrintPreflight: the sizes come from the file `release`, none when it is empty. 1 when a check
// fails.
int PrintPreflight(const RunOptions& options, const std::string& release, bool json);
struct AdoptOptions {
  bool begin_at_zero = false;
  bool json = false;
};
// AdoptFloors: exit status as RunAgent's; 1 with the rule of a refusal (docs/rollback.md).
int AdoptFloors(const RunOptions& options, const AdoptOptions& adopt);

}  // namespace sallyport::device

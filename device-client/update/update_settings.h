// What a machine's owner may say about its updates beyond where the slots are
// (docs/operations/config.md, `update.*`). Filled by device-client/update_config.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pki/base/time.h"

namespace sallyport::device {

// A probe is a command or an address to connect to.
struct HealthProbe {
  std::string name;
  std::vector<std::string> command;  // argv; the program by absolute path
  std::string tcp;                   // numeric host:port
  Duration timeout = Seconds(10);
};

struct HealthSettings {
  Duration timeout = Minutes(10);
  // Absent: boot-complete.target where systemd runs, nothing elsewhere.
  std::optional<std::vector<std::string>> units;
  std::vector<HealthProbe> probes;
};

// A hook is a program, or a directory of programs that run in the order of their names.
struct HookSettings {
  std::string before_install;
  std::string before_reboot;
  std::string after_commit;
  std::string after_rollback;
  Duration timeout = Minutes(1);
};

struct DrainSettings {
  std::vector<std::string> command;  // exit status 0: the reboot may come
  Duration timeout = Minutes(15);
};

struct WeeklyWindow {
  uint8_t days = 0;  // bit 0 is Monday
  uint16_t start_minute = 0;
  Duration duration;           // whole minutes, at most a day
  std::string zone = "local";  // local, UTC or Area/City
};

struct WindowSettings {
  std::vector<WeeklyWindow> install;  // empty: always open
  std::vector<WeeklyWindow> reboot;
  std::optional<Duration> reboot_takes;  // absent: learnt
};

// PreviousLog: `journal`, a file, or a directory such as pstore's; empty: the journal where systemd
// runs, nothing elsewhere.
struct TrialSettings {
  HealthSettings health;
  HookSettings hooks;
  std::string inhibit;  // directory, besides `<state>/inhibit`
  DrainSettings drain;
  WindowSettings windows;
  std::string watchdog;  // device; empty: none
  std::string previous_log;
};

}  // namespace sallyport::device

// A policy as its authors wrote it: names, not ids, each with its place. Meaning:
// policies/README.md. Values only; ReadPolicy (reader.h) makes them free of dangling names and
// cycles.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/time.h"
#include "pki/x509/identity_extension.h"
#include "policies/language/diagnostics.h"

namespace sallyport::policy {

using pki::Tier;
using pki::TierName;
enum class DeviceState : uint8_t { kPending, kEnrolled, kActive, kQuarantined, kRetired };
enum class Protocol : uint8_t { kTcp, kUdp };
enum class Mode : uint8_t { kEnforce, kAudit };
enum class LogChoice : uint8_t { kDenied, kAll, kNone };

std::string_view DeviceStateName(DeviceState state);
std::string_view ProtocolName(Protocol protocol);
std::string_view LogChoiceName(LogChoice choice);
std::optional<DeviceState> DeviceStateFromName(std::string_view name);
std::optional<Protocol> ProtocolFromName(std::string_view name);
std::optional<LogChoice> LogChoiceFromName(std::string_view name);

// Offline says how long a grant outlives contact with the control plane: until the slice's lease
// ends (kLease, the default, and kDeny, which says so aloud), for a time after the slice was
// issued, or for as long as the signed policy lives.
struct Offline {
  enum class Kind : uint8_t { kLease, kDeny, kDuration, kKeep };
  Kind kind = Kind::kLease;
  Duration duration;
  auto operator<=>(const Offline&) const = default;
};

// The name of everything: a group of all devices, a service of all ports.
inline constexpr std::string_view kAny = "any";

struct Name {
  std::string text;
  Position at;
};

struct Group {
  Name name;
  std::vector<Name> tags;      // members carry all of them
  std::vector<Name> any_tags;  // members carry at least one
  std::vector<Name> devices;
  std::vector<Name> groups;
  bool pinned = false;  // members come from the signed policy alone: devices or pinned groups
};

struct PortRange {
  Protocol protocol = Protocol::kTcp;
  uint16_t first = 0;
  uint16_t last = 0;
  auto operator<=>(const PortRange&) const = default;
};

struct Service {
  Name name;
  std::vector<PortRange> ports;
};

// Requirement is a conjunction; an absent field asks nothing.
struct Requirement {
  std::optional<Duration> attested_within;
  std::optional<Tier> min_tier;
  std::optional<DeviceState> state;
  auto operator<=>(const Requirement&) const = default;
};

struct Condition {
  Name name;
  Requirement requirement;
};

// WeeklyInterval is half-open in local civil time; `to_minute` at or before `from_minute` ends on
// the next day.
struct WeeklyInterval {
  uint8_t days = 0;  // bit 0 is Monday
  uint16_t from_minute = 0;
  uint16_t to_minute = 0;  // up to 1440
  Name zone;               // IANA name, as written
  std::string rule;  // the zone's POSIX rule (zone_rule.h), so that no reader needs a zone database
};

struct AbsoluteInterval {
  UnixTime from;
  UnixTime to;
  auto operator<=>(const AbsoluteInterval&) const = default;
};

// Window is open while any of its intervals is.
struct Window {
  Name name;
  std::vector<WeeklyInterval> weekly;
  std::vector<AbsoluteInterval> absolute;
};

struct Grant {
  Name id;
  std::vector<Name> from;
  std::vector<Name> to;
  std::vector<Name> services;
  bool same_site = false;
  std::optional<Name> require_from;
  std::optional<Name> require_to;
  std::optional<Name> window;
  std::optional<UnixTime> expires;
  Offline offline;
  Mode mode = Mode::kEnforce;
  LogChoice log = LogChoice::kDenied;
  std::string why;
  std::string owner;
};

// Guardrail wins over every grant. `never` forbids; `must_require` demands a condition of the
// initiator for every access it covers. Absent from, to and services mean any.
struct Guardrail {
  Name id;
  std::vector<Name> from;
  std::vector<Name> to;
  std::vector<Name> services;
  std::optional<Name> must_require;
  Mode mode = Mode::kEnforce;
};

struct PairTest {
  Position at;
  Name from;
  Name to;
  Name service;
  std::optional<UnixTime> time;
  std::optional<Duration> attested;     // age of the proof of `from`
  std::optional<Duration> attested_to;  // age of the proof of `to`
  bool expect_allow = false;
  std::optional<Name> by;
  std::optional<Name> because;
};

// ReachTest: no member of `nobody_in` may ever reach a member of `group` on `service`.
struct ReachTest {
  Position at;
  Name nobody_in;
  Name group;
  Name service;
};

struct Policy {
  std::string name;
  std::vector<Group> groups;
  std::vector<Service> services;
  std::vector<Condition> conditions;
  std::vector<Window> windows;
  std::vector<Grant> grants;
  std::vector<Guardrail> guardrails;
  std::vector<PairTest> pair_tests;
  std::vector<ReachTest> reach_tests;
};

// Device is one line of an inventory. `name` is what people write, `id` what certificates carry.
struct Device {
  std::string id;
  std::string name;
  std::string site;
  std::vector<std::string> tags;  // sorted, distinct
  Tier tier = Tier::kNone;
  DeviceState state = DeviceState::kActive;
  std::optional<Duration>
      attested;  // age of the last proof when the question is asked; absent: never
};

struct Inventory {
  std::vector<Device> devices;  // names and ids distinct
};

// What a failed condition is called: in `because`, in `nearest.failed` and in logs.
inline constexpr std::string_view kFailureNames[] = {
    "attested_within", "epoch",    "expires", "from",
    "guardrail",       "min_tier", "mode",    "no-grant",
    "offline",         "same",     "self",    "service",
    "state",           "tier",     "to",      "unknown-device",
    "unknown-service", "window",
};

}  // namespace sallyport::policy

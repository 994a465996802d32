#include "policies/language/model.h"

#include <cstdlib>

namespace sallyport::policy {
namespace {

// FromName inverts a naming function over the enumerators 0..count-1.
template <typename E>
std::optional<E> FromName(std::string_view name, uint8_t count, std::string_view (*name_of)(E)) {
  for (uint8_t i = 0; i < count; ++i) {
    if (name_of(static_cast<E>(i)) == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view DeviceStateName(DeviceState state) {
  switch (state) {
    case DeviceState::kPending: return "pending";
    case DeviceState::kEnrolled: return "enrolled";
    case DeviceState::kActive: return "active";
    case DeviceState::kQuarantined: return "quarantined";
    case DeviceState::kRetired: return "retired";
  }
  std::abort();
}

std::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp: return "tcp";
    case Protocol::kUdp: return "udp";
  }
  std::abort();
}

std::string_view LogChoiceName(LogChoice choice) {
  switch (choice) {
    case LogChoice::kDenied: return "denied";
    case LogChoice::kAll: return "all";
    case LogChoice::kNone: return "none";
  }
  std::abort();
}

std::optional<DeviceState> DeviceStateFromName(std::string_view name) {
  return FromName(name, 5, DeviceStateName);
}
std::optional<Protocol> ProtocolFromName(std::string_view name) {
  return FromName(name, 2, ProtocolName);
}
std::optional<LogChoice> LogChoiceFromName(std::string_view name) {
  return FromName(name, 3, LogChoiceName);
}

}  // namespace sallyport::policy

// Which of a device's reference sets an alternative belongs to (architecture 8).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace sallyport::server {

enum class ReferenceRole : uint8_t { kCommitted, kPending, kRecovery, kOwn };
constexpr std::string_view ReferenceRoleName(ReferenceRole role) {
  switch (role) {
    case ReferenceRole::kCommitted: return "committed";
    case ReferenceRole::kPending: return "pending";
    case ReferenceRole::kRecovery: return "recovery";
    case ReferenceRole::kOwn: return "own";
  }
  std::abort();
}

}  // namespace sallyport::server

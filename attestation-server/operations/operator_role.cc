#include "attestation-server/operations/operator_role.h"

#include <algorithm>
#include <array>

namespace sallyport::server {
namespace {

constexpr std::array<std::string_view, 3> kRoleNames{"viewer", "operator", "admin"};

}  // namespace

Result<OperatorRole> ParseOperatorRole(std::string_view text) {
  const auto found = std::ranges::find(kRoleNames, text);
  if (found == kRoleNames.end())
    return Error{Reason::kMalformed, "operator role is none of viewer, operator, admin"};
  return static_cast<OperatorRole>(found - kRoleNames.begin());
}

std::string_view OperatorRoleName(OperatorRole role) {
  return kRoleNames[static_cast<size_t>(role)];
}

}  // namespace sallyport::server

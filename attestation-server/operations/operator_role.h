// What an operator may do; who has which role stands in the configuration.
#pragma once

#include <cstdint>
#include <string_view>

#include "pki/base/result.h"

namespace sallyport::server {

// OperatorRole grows in power; a higher role may do all that a lower one may.
enum class OperatorRole : uint8_t { kViewer, kOperator, kAdmin };

// ParseOperatorRole reads "viewer", "operator" or "admin"; kMalformed otherwise.
Result<OperatorRole> ParseOperatorRole(std::string_view text);
std::string_view OperatorRoleName(OperatorRole role);

}  // namespace sallyport::server

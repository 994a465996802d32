// The one authorisation table: every RPC, the listener that serves it, and who may call it.
// A test enumerates the generated services against it; a method that is not here is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "attestation-server/operations/operator_role.h"
#include "pki/base/result.h"

namespace sallyport::server {

enum class Listener : uint8_t { kEnrol, kDevice, kAdmin };

enum class Caller : uint8_t { kAnyone, kDevice, kViewer, kOperator, kAdmin };

struct RpcRule {
  std::string_view method;  // "/sallyport.attestation.v1.Device/Stream"
  Listener listener;
  Caller caller;
};

std::span<const RpcRule> AuthorisationTable();

// FindRule returns kPolicyDenied ("rpc.not-listed") for a method that is not in the table.
Result<RpcRule> FindRule(std::string_view method);

// CheckOperator returns kPolicyDenied ("rpc.role") when `role` is below what `rule` asks.
Result<Unit> CheckOperator(const RpcRule& rule, OperatorRole role);

}  // namespace sallyport::server

// RunNode: the life of a virtual node from power-on to power-off, with the real agent as its only
// program.
#pragma once

#include <optional>
#include <string>

#include "tests/node/virtual_node.h"

namespace sallyport::node {

// The agent exits with this code when it wants its machine to reboot.
inline constexpr int kRebootRequested = 64;

struct RunOptions {
  std::string agent;      // the program; started as `agent --config <dir>/agent.yaml`
  bool tamper = false;    // VirtualNode::Tamper before the first boot
  bool swap_tpm = false;  // VirtualNode::SwapTpm before the first boot
  std::optional<Duration> cut_power_after;  // after the agent's start: agent and TPM die at once
};

// BlockStopSignals must be called before RunNode, before any thread starts: RunNode takes SIGTERM
// and SIGINT as an orderly shutdown.
void BlockStopSignals();

// RunNode returns the exit code of the node's program: 0 when the agent ended with 0, when the node
// was stopped by a signal and after a power cut; 1 when nothing bootable is left or the node keeps
// failing to boot; otherwise the agent's own code. A killed agent is started again, as a service
// manager would. Reports on standard error.
int RunNode(VirtualNode& node, const RunOptions& options, UnixTime now, Random& random);

}  // namespace sallyport::node

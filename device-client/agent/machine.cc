#include "device-client/agent/machine.h"

namespace sallyport::device {

std::string DescribeMachine() {
  std::string out = "| state | event | next |\n|---|---|---|\n";
  for (const Edge& edge : kEdges) {
    out += "| " + std::string(StateName(edge.from)) + " | " + std::string(EventName(edge.event)) +
           " | " + std::string(StateName(edge.to)) + " |\n";
  }
  return out;
}

}  // namespace sallyport::device

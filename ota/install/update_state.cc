#include "ota/install/update_state.h"

namespace sallyport::ota {

std::string DescribeUpdateStates() {
  std::string out = "| from | event | to |\n|---|---|---|\n";
  for (const UpdateEdge& edge : kUpdateEdges) {
    out += "| " + std::string(StateName(edge.from)) + " | " + std::string(EventName(edge.event)) +
           " | ";
    out += std::string(StateName(edge.to)) + " |\n";
  }
  return out;
}

}  // namespace sallyport::ota

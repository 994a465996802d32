#include "device-client/agent/machine.h"

namespace sallyport::device {
namespace {

TEST(Machine, EveryStateIsReachableFromEnrol) {
  std::map<State, bool> reached{{State::kEnrol, true}};
  for (size_t round = 0; round < std::size(kEdges); ++round)
    for (const Edge& edge : kEdges)
      if (reached[edge.from]) reached[edge.to] = true;

  for (const State state : {State::kEnrol, State::kReattest, State::kConnect, State::kStream})
    EXPECT_TRUE(reached[state]) << StateName(state);
}

TEST(Machine, ARefusedStreamReattestsInsteadOfReconnectingForEver) {
  EXPECT_EQ(Next(State::kStream, Event::kRefused), State::kReattest);
  EXPECT_EQ(Next(State::kConnect, Event::kRefused), State::kReattest);
}

TEST(Machine, ARefusedDeviceNeverGoesBackToEnrolling) {
  for (const Edge& edge : kEdges)
    EXPECT_TRUE(edge.to != State::kEnrol || edge.from == State::kEnrol) << StateName(edge.from);
}

TEST(Machine, SaysNothingForAnEventWithoutMeaning) {
  EXPECT_EQ(Next(State::kEnrol, Event::kRenewed), std::nullopt);
  EXPECT_EQ(Next(State::kReattest, Event::kSwitchDue), std::nullopt);
}

TEST(Machine, DescribesEveryEdge) {
  const std::string table = DescribeMachine();
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), static_cast<ptrdiff_t>(std::size(kEdges)) + 2);
}

}  // namespace
}  // namespace sallyport::device

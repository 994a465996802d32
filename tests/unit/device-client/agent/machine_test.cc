#include "device-client/agent/machine.h"

#include "pki/base/file_system.h"

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
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'),
            static_cast<ptrdiff_t>(std::size(kEdges)) + 2);
}

TEST(Machine, IsTheOneOfTheProtocolDocument) {
  PosixFileSystem files;
  const Bytes document = *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/protocol.md", 1 << 20);

  EXPECT_NE(AsText(document).find(DescribeMachine()), std::string_view::npos);
}

}  // namespace
}  // namespace sallyport::device

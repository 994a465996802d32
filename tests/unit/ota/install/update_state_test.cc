#include "ota/install/update_state.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

namespace sallyport::ota {
namespace {

TEST(UpdateStates, HaveDistinctNames) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kUpdateStateCount; ++i)
    names.insert(StateName(static_cast<UpdateState>(i)));
  EXPECT_EQ(names.size(), kUpdateStateCount);
}

TEST(UpdateStates, AreDocumentedFromTheTable) {
  const std::string text = DescribeUpdateStates();

  EXPECT_EQ(static_cast<size_t>(std::ranges::count(text, '\n')), kUpdateEdges.size() + 2);
  EXPECT_NE(text.find("| TRIAL | attest | COMMITTED |\n"), std::string::npos);
}

TEST(UpdateStates, AreTheOnesOfTheProtocolDocument) {
  std::ifstream in(SALLYPORT_SOURCE_DIR "/docs/protocol.md");
  const std::string document{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};

  EXPECT_NE(document.find(DescribeUpdateStates()), std::string::npos) << DescribeUpdateStates();
}

TEST(UpdateStates, RefuseEveryPairOutsideTheTable) {
  size_t legal = 0;
  for (size_t state = 0; state < kUpdateStateCount; ++state)
    for (int event = 0; event <= static_cast<int>(UpdateEvent::kFail); ++event)
      legal += Next(static_cast<UpdateState>(state), static_cast<UpdateEvent>(event)).has_value()
                   ? 1
                   : 0;
  EXPECT_EQ(legal, kUpdateEdges.size());
}

}  // namespace
}  // namespace sallyport::ota

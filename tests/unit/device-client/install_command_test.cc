#include "device-client/install_command.h"

#include <cstdlib>
#include <filesystem>

#include "device-client/state_lock.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::device {
namespace {

// The agent's side is played by what happens in the pauses.
class InstallCommandTest : public testing::Test {
 protected:
  InstallCommandTest() {
    char name[] = "/tmp/sp-install-XXXXXX";
    config_.state = ::mkdtemp(name);
    config_.update.slot_a = "/dev/a";
    lock_.emplace(*StateLock::Take(config_.state));
  }
  ~InstallCommandTest() override { std::filesystem::remove_all(config_.state); }
  Result<InstallAnswer> Follow() {
    return FollowInstall({files_, random_,
                          [this] {
                            ++pauses_;
                            if (agent_) agent_();
                          },
                          [this](const InstallAnswer& answer) { shown_.push_back(answer.state); }},
                         config_, {"stick", "usb"});
  }
  std::string Rule() {
    const auto answer = Follow();
    if (!answer) return std::string(answer.error().name());
    return answer->error ? answer->error->rule : answer->state;
  }
  // Answer is the agent's, to the request that waits.
  InstallAnswer Answer(const std::string& state) {
    const auto request = *LoadRequest(files_, config_.state);
    if (request) {
      id_ = request->id;
      EXPECT_EQ(request->folder, std::filesystem::absolute("stick").string());
      EXPECT_EQ(request->role, "usb");
      EXPECT_TRUE(RemoveRequest(files_, config_.state));
    }
    InstallAnswer out;
    out.id = id_;
    out.state = state;
    out.product = "edge-os";
    out.version = "2.0.0";
    return out;
  }
  void Say(const InstallAnswer& answer) { EXPECT_TRUE(SaveAnswer(files_, config_.state, answer)); }

  PosixFileSystem files_;
  FakeRandom random_;
  Config config_;
  std::optional<StateLock> lock_;
  std::function<void()> agent_;
  std::string id_;
  int pauses_ = 0;
  std::vector<std::string> shown_;
};

TEST_F(InstallCommandTest, FollowsTheAgentUntilTheMachineIsArmed) {
  InstallAnswer stale;
  stale.id = "another";
  stale.state = "COMMITTED";
  Say(stale);
  agent_ = [this] {
    static constexpr std::string_view kStates[] = {"", "WRITING", "WRITING", "VERIFIED", "ARMED"};
    Say(Answer(std::string(kStates[std::min(pauses_ - 1, 4)])));
  };
  const auto answer = Follow();
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_TRUE(Succeeded(*answer));
  EXPECT_EQ(shown_, (std::vector<std::string>{"", "WRITING", "VERIFIED", "ARMED"}));
  EXPECT_NE(DescribeInstall(*answer, false).find("reboots"), std::string::npos);
  EXPECT_NE(DescribeInstall(*answer, true).find("\"state\":\"ARMED\""), std::string::npos);
}

TEST_F(InstallCommandTest, SaysWhatTheAgentRefusedOrFailedAt) {
  agent_ = [this] {
    InstallAnswer answer = Answer("");
    answer.error = {Reason::kExpired, "bundle.clock", "set the clock"};
    Say(answer);
  };
  EXPECT_EQ(Rule(), "bundle.clock");
  agent_ = [this] { Say(Answer("FAILED")); };
  EXPECT_EQ(Rule(), "FAILED");
  agent_ = [this] { Say(Answer("ROLLED_BACK")); };
  EXPECT_EQ(Rule(), "ROLLED_BACK");
}

TEST_F(InstallCommandTest, NeedsARunningAgentAndSlots) {
  lock_.reset();
  EXPECT_EQ(Rule(), "agent.not-running");
  EXPECT_FALSE(*LoadRequest(files_, config_.state)) << "nothing waits for a later start";
  config_.update.slot_a.clear();
  EXPECT_EQ(Rule(), "update.not-configured");
}

TEST_F(InstallCommandTest, WaitsForAnAgentThatIsStartedAgainAndNotForEver) {
  agent_ = [this] {
    Say(Answer("WRITING"));
    lock_.reset();
  };
  EXPECT_EQ(Rule(), "agent.not-running");
  EXPECT_GE(pauses_, kAgentWait.ms / kLookPause.ms);
}

TEST_F(InstallCommandTest, DoesNotAskBesideAnother) {
  ASSERT_TRUE(SaveRequest(files_, config_.state, {"other", "/media", ""}));
  EXPECT_EQ(Rule(), "bundle.busy");
}

TEST_F(InstallCommandTest, GivesUpOnAnAgentThatNeverAnswers) {
  EXPECT_EQ(Rule(), "bundle.unanswered");
  EXPECT_EQ(pauses_, kAnswerWait.ms / kLookPause.ms);
  EXPECT_FALSE(*LoadRequest(files_, config_.state)) << "nobody waits for it any more";
}

}  // namespace
}  // namespace sallyport::device

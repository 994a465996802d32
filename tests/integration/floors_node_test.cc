// Rollback floors over the whole way: the agent as it is shipped, a running server, a software TPM
// that is cleared, and the command that gives the floors back.
#include <gmock/gmock.h>

#include "tests/integration/proving_node.h"
#include "tests/node/child_process.h"

namespace sallyport::testing_server {
namespace {

using ::testing::HasSubstr;

class FloorsNodeTest : public ProvingNode {
 protected:
  FloorsNodeTest() {
    attester_.reset();
    tpm_.reset();  // the agent is the TPM's one owner
    Write("cam-1/agent.yaml", ToString(*ReadFile(files_, At("cam-1/hardware.yaml"), kFileMax)));
    SP_CHECK(deployment_
                 .Ask({"token", "create", "--out", At("cam-1/enrolment.json"), "--site", "berlin",
                       "--name", "cam-1", "--auto-approve"})
                 .has_value());
  }
  void Write(const std::string& name, const std::string& text) {
    SP_CHECK(WriteFileAtomically(files_, At(name), AsBytes(text)).has_value());
  }
  // Agent runs the program to its end; its output is in `said_`.
  std::optional<int> Agent(const std::vector<std::string>& arguments) {
    std::vector<std::string> command{std::string(std::getenv("SALLYPORT_BIN")) + "/sallyport-agent",
                                     "--config", At("cam-1/agent.yaml")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::filesystem::remove(At("agent.log"));
    auto agent = node::ChildProcess::Start(command, At("agent.log"));
    const std::optional<int> status = agent->Wait(Seconds(60));
    said_ = ToString(*ReadFile(files_, At("agent.log"), kFileMax));
    return status;
  }
  // Boot is a TPM reset and a proof of the new boot.
  void Boot() {
    node_->PowerOff();
    SP_CHECK(node_->PowerOn(random_)->outcome == node::BootOutcome::kRunning);
    ASSERT_EQ(Agent({"--once"}), 0) << said_;
  }
  void Raise(pki::FloorCounter counter) {
    const auto tpm = *device::Tpm::Open(node_->tpm()->tcti(), random_);
    ASSERT_TRUE(tpm->IncrementFloorCounter(counter));
  }
  void ClearTpm() {
    const std::string line = "tpm2_clear -c l -T " + node_->tpm()->tcti() + " > /dev/null 2>&1";
    ASSERT_EQ(std::system(line.c_str()), 0);
  }
  std::string Floors() {
    const JsonValue shown = *ParseJson(*deployment_.Ask({"device", "show", "cam-1", "--json"}));
    return WriteJson(*shown.Find("floors"));
  }

  std::string said_;
};

TEST_F(FloorsNodeTest, AClearedTpmIsFoundByTheServerAndGetsItsFloorsBack) {
  ASSERT_EQ(Agent({"--once"}), 0) << said_;
  EXPECT_EQ(Floors(), R"({"state":"none"})");
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("state":"certified")"));
  EXPECT_EQ(Agent({"update", "adopt-floors", "--json"}), 1);
  EXPECT_THAT(said_, HasSubstr(R"("reason":"floor.held")"));
  Raise(pki::FloorCounter::kRollbackIndex);
  Raise(pki::FloorCounter::kImageRoot);
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("rollback_index":1)"));

  ClearTpm();
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("finding":"floors.absent")"));
  EXPECT_THAT(*deployment_.Ask({"status", "--json"}), HasSubstr(R"("floor_findings":1)"));
  ASSERT_EQ(Agent({"update", "adopt-floors", "--json"}), 0) << said_;
  EXPECT_THAT(said_, HasSubstr(R"("from":"server","image_root":1)"));
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("finding":"")"));
  EXPECT_THAT(Floors(), HasSubstr(R"("rollback_index":1)"));
}

TEST_F(FloorsNodeTest, AClearedTpmBesideAWipedDiskIsFoundByTheServer) {
  ASSERT_EQ(Agent({"--once"}), 0) << said_;
  Boot();
  Raise(pki::FloorCounter::kRollbackIndex);
  Boot();
  ClearTpm();
  std::filesystem::remove_all(At("cam-1/state"));
  Boot();  // enrols again and begins anew
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("finding":"floors.cleared")"));
  ASSERT_EQ(Agent({"update", "adopt-floors"}), 0) << said_;
  EXPECT_THAT(said_, HasSubstr("rollback_index >= 1"));
  Boot();
  EXPECT_THAT(Floors(), HasSubstr(R"("finding":"")"));
}

TEST_F(FloorsNodeTest, TheCommandRefusesByNameAndSaysWhatItNeeds) {
  EXPECT_EQ(Agent({"update", "adopt-floors", "--help"}), 0);
  EXPECT_THAT(said_, HasSubstr("--begin-at-zero"));
  EXPECT_EQ(Agent({"update", "adopt-floors", "--json"}), 1);
  EXPECT_THAT(said_, HasSubstr(R"("reason":"floor.unrecorded")"));
  EXPECT_EQ(Agent({"update", "adopt-floors", "--begin-at-zero", "--json"}), 0);
  EXPECT_THAT(said_, HasSubstr(R"("from":"zero")"));
  EXPECT_EQ(Agent({"update", "adopt-floors", "--sideways"}), 2);
  node_->PowerOff();
  EXPECT_EQ(Agent({"update", "adopt-floors"}), 3) << said_;
}

}  // namespace
}  // namespace sallyport::testing_server

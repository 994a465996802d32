// A machine whose EK has no certificate, and whose maker vouches for it by the IAK in its TPM: the
// real agent and a running sallyportd.
#include "tests/integration/proving_node.h"

namespace sallyport::testing_server {
namespace {

class IakNodeTest : public ProvingNode {
 protected:
  IakNodeTest() : ProvingNode({.maker = true}, "") {
    attester_.reset();
    tpm_.reset();  // the agent is the TPM's one owner
    // No maker of the TPM certified a P-384 EK.
    Write("cam-1/agent.yaml",
          ToString(*ReadFile(files_, At("cam-1/hardware.yaml"), kFileMax)) + "ek: p-384\n");
    SP_CHECK(deployment_
                 .Ask({"token", "create", "--out", At("cam-1/enrolment.json"), "--site", "berlin",
                       "--auto-approve"})
                 .has_value());
  }
  void Write(const std::string& name, const std::string& text) {
    SP_CHECK(WriteFileAtomically(files_, At(name), AsBytes(text)).has_value());
  }
  void List(const std::string& serial) {
    Write("list", "serial:" + serial + " cam-1 berlin online camera\n");
    SP_CHECK(deployment_.Ask({"device", "import", At("list")}).has_value());
  }
  std::optional<int> RunAgentOnce() {
    auto agent =
        node::ChildProcess::Start({std::string(std::getenv("SALLYPORT_BIN")) + "/sallyport-agent",
                                   "--config", At("cam-1/agent.yaml"), "--once"},
                                  At("agent.log"));
    return agent->Wait(Seconds(60));
  }
  std::string AgentLog() { return ToString(*ReadFile(files_, At("agent.log"), kFileMax)); }
};

TEST_F(IakNodeTest, AListedMachineComesInByTheIakInItsTpm) {
  List("SN-4711");

  EXPECT_EQ(RunAgentOnce(), 0) << AgentLog();

  EXPECT_THAT(AgentLog(), ::testing::HasSubstr("enrolling_by_iak"));
  EXPECT_THAT(*deployment_.Ask({"device", "list", "--json"}),
              ::testing::HasSubstr("\"posture\":\"passing\""));
}

TEST_F(IakNodeTest, AMachineThatIsNotListedStaysOutWhateverItsToken) {
  List("SN-4712");

  EXPECT_EQ(RunAgentOnce(), 1) << AgentLog();

  EXPECT_THAT(LastRefusal(), ::testing::HasSubstr("admission.unlisted"));
}

}  // namespace
}  // namespace sallyport::testing_server

// The virtual node's program: boots, reboots for its agent, resets what hangs, and leaves nothing
// behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fakes/fake_random.h"
#include "tests/node/node_run.h"

namespace sallyport::node {
namespace {

using testing::HasSubstr;

constexpr UnixTime kNow = UnixTime::FromSeconds(1795000000);  // 2026-11-18
constexpr Duration kPatience = Seconds(60);

std::string Read(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

class NodeRunTest : public testing::Test {
 protected:
  NodeRunTest() {
    char name[] = "/tmp/sp-run-XXXXXX";
    dir_ = ::mkdtemp(name);
    const auto vendor = VendorCa::Make(kNow, random_);
    EXPECT_TRUE(vendor && vendor->Save(files_, dir_ + "/vendor"));
    const std::string uki = Uki("1.0.0", "");
    const NodeSpec spec{"cam-1", 1 << 20,         dir_ + "/vendor", uki, dir_ + "/1.0.0.img",
                        "",      Milliseconds(10)};
    EXPECT_TRUE(VirtualNode::Create(NodeDir(), spec, kNow, random_));
  }
  ~NodeRunTest() override { std::filesystem::remove_all(dir_); }

  std::string NodeDir() const { return dir_ + "/cam-1"; }
  std::string Uki(const std::string& version, const std::string& fault) {
    const std::string image = dir_ + "/" + version + ".img";
    std::ofstream(image) << "root file system " << version;
    const std::string out = dir_ + "/" + version + ".efi";
    const std::string command =
        std::string(SALLYPORT_SOURCE_DIR) + "/tests/node/make_uki.sh --version " + version +
        " --image " + image + " --out " + out + (fault.empty() ? "" : " --fault " + fault);
    EXPECT_EQ(std::system(command.c_str()), 0);
    return out;
  }
  void InstallB(const std::string& fault) {
    const VirtualNode node = *VirtualNode::Open(NodeDir());
    std::filesystem::copy_file(Uki("2.0.0", fault), node.UkiPath(Slot::kB));
    std::filesystem::copy_file(dir_ + "/2.0.0.img", node.SlotPath(Slot::kB),
                               std::filesystem::copy_options::overwrite_existing);
    ASSERT_TRUE(
        EfiVariables(files_, node.EfiVariablesDir()).SetU16s("BootNext", kNonVolatile, {1}));
  }
  // Agent writes a stand-in for the agent: a shell script that appends to `runs` and then does
  // `body`. Tests of the real agent on this node are in the end-to-end suites.
  std::string Agent(const std::string& body) {
    const std::string path = dir_ + "/agent.sh";
    std::ofstream(path) << "#!/bin/sh\necho run >> " << dir_ << "/runs\nn=$(wc -l < " << dir_
                        << "/runs)\n"
                        << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::string Program() const {
    return std::string(std::getenv("SALLYPORT_BIN")) + "/sallyport-virtual-node";
  }
  // Boot runs the program to its end and returns its exit code.
  std::optional<int> Boot(const std::string& agent, const std::vector<std::string>& more = {}) {
    auto child = Start(agent, more);
    return child.Wait(kPatience);
  }
  ChildProcess Start(const std::string& agent, const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv{Program(), "boot", "--dir", NodeDir(), "--agent", agent};
    argv.insert(argv.end(), more.begin(), more.end());
    auto child = ChildProcess::Start(argv, dir_ + "/log");
    EXPECT_TRUE(child) << child.error().ToString();
    return *std::move(child);
  }
  std::string Log() const { return Read(dir_ + "/log"); }
  size_t Runs() const {
    const std::string runs = Read(dir_ + "/runs");
    return static_cast<size_t>(std::ranges::count(runs, '\n'));
  }
  // TpmAnswers asks whether a TPM is still running for the node.
  bool TpmAnswers() const {
    const std::string command =
        "tpm2_getrandom --hex 4 -T swtpm:path=" + NodeDir() + "/tpm/tpm.sock > /dev/null 2>&1";
    return std::system(command.c_str()) == 0;
  }

  std::string dir_;
  FakeRandom random_;
  PosixFileSystem files_;
};

TEST_F(NodeRunTest, TheAgentGetsItsConfigurationAndItsExitEndsTheNode) {
  EXPECT_EQ(Boot(Agent("echo \"$@\"; exit 0")), 0);

  EXPECT_THAT(Read(NodeDir() + "/agent.log"), HasSubstr("--config " + NodeDir() + "/agent.yaml"));
  EXPECT_FALSE(TpmAnswers());
}

TEST_F(NodeRunTest, AgentCode64Reboots) {
  EXPECT_EQ(Boot(Agent("[ $n -ge 3 ] || exit 64")), 0);

  EXPECT_EQ(Runs(), 3u);
}

TEST_F(NodeRunTest, OtherAgentCodesEndTheNodeWithThem) { EXPECT_EQ(Boot(Agent("exit 2")), 2); }

TEST_F(NodeRunTest, AKilledAgentIsStartedAgainWithoutReboot) {
  EXPECT_EQ(Boot(Agent("[ $n -ge 2 ] || kill -9 $$")), 0);

  EXPECT_EQ(Runs(), 2u);
  EXPECT_EQ(Log().find("node_booted"), Log().rfind("node_booted"));
}

TEST_F(NodeRunTest, AHungTrialIsResetAndTheOldSlotRuns) {
  InstallB("hang");

  EXPECT_EQ(Boot(Agent("exit 0")), 0);

  EXPECT_THAT(Log(), HasSubstr("kernel_hangs"));
  EXPECT_THAT(Log(), testing::ContainsRegex("node_booted.*A"));
  EXPECT_EQ(Runs(), 1u);
}

TEST_F(NodeRunTest, APanickingTrialIsResetAndTheOldSlotRuns) {
  InstallB("panic");

  EXPECT_EQ(Boot(Agent("exit 0")), 0);

  EXPECT_THAT(Log(), HasSubstr("kernel_panicked"));
  EXPECT_EQ(Runs(), 1u);
}

TEST_F(NodeRunTest, ANodeThatNeverBootsGivesUp) {
  std::ofstream(VirtualNode::Open(NodeDir())->SlotPath(Slot::kA)) << "something else";

  EXPECT_EQ(Boot(Agent("exit 0")), 1);

  EXPECT_EQ(Runs(), 0u);
}

TEST_F(NodeRunTest, APowerCutEndsAgentAndTpmAtOnce) {
  EXPECT_EQ(Boot(Agent("exec tail -f /dev/null"), {"--cut-power-after-ms", "50"}), 0);

  EXPECT_THAT(Log(), HasSubstr("power_cut"));
  EXPECT_FALSE(TpmAnswers());
}

TEST_F(NodeRunTest, AStopSignalReachesTheAgentAndEndsInOrder) {
  // The agent says that it is ready by writing into a pipe.
  const std::string ready = dir_ + "/ready";
  ASSERT_EQ(std::system(("mkfifo " + ready).c_str()), 0);
  auto node = Start(Agent("trap 'echo stopped; exit 0' TERM; echo > " + ready +
                          "; tail -f /dev/null & wait $!; kill $!"));
  EXPECT_EQ(Read(ready), "\n");

  node.Signal(SIGTERM);

  EXPECT_EQ(node.Wait(kPatience), 0);
  EXPECT_THAT(Read(NodeDir() + "/agent.log"), HasSubstr("stopped"));
  EXPECT_FALSE(TpmAnswers());
}

TEST_F(NodeRunTest, SwitchesTamperAndSwapTheTpmBeforeTheFirstBoot) {
  const std::string ek = Read(NodeDir() + "/ek-p256.der");
  const std::string uki = Read(NodeDir() + "/esp/EFI/sallyport/a.efi");

  EXPECT_EQ(Boot(Agent("exit 0"), {"--tamper", "--swap-tpm"}), 0);

  EXPECT_NE(Read(NodeDir() + "/ek-p256.der"), ek);
  EXPECT_NE(Read(NodeDir() + "/esp/EFI/sallyport/a.efi"), uki);
}

TEST_F(NodeRunTest, WrongUsageIsExitCode2) {
  auto child = ChildProcess::Start({Program(), "boot", "--no-such-option"}, dir_ + "/log");
  ASSERT_TRUE(child);

  EXPECT_EQ(child->Wait(kPatience), 2);
}

}  // namespace
}  // namespace sallyport::node

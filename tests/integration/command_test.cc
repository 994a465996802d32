// Programs as the agent starts them.
#include "device-client/update/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "device-client/enforce/socket.h"

namespace sallyport::device {
namespace {

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    char name[] = "/tmp/sp-command-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~CommandTest() override { std::filesystem::remove_all(dir_); }
  // Script is a program of its own: the runner itself knows no shell.
  std::string Script(const std::string& body) {
    const std::string path = dir_ + "/script";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  Result<CommandResult> Run(std::vector<std::string> argv, Duration timeout = Seconds(20)) {
    return runner_.Run({std::move(argv), {"SALLYPORT_SLOT=B"}, timeout});
  }

  RealClock clock_;
  PosixCommandRunner runner_{clock_};
  std::string dir_;
};

TEST_F(CommandTest, GivesExitStatusAndBothOutputs) {
  const auto ran = Run({Script("echo one; echo two >&2; exit 7")});
  ASSERT_TRUE(ran) << ran.error().ToString();
  EXPECT_EQ(ran->exit_status, 7);
  EXPECT_EQ(ran->output, "one\ntwo\n");
}

TEST_F(CommandTest, InheritsNeitherEnvironmentNorDescriptorsNorInput) {
  ::setenv("SALLYPORT_SECRET", "x", 1);
  const int leak = ::dup(0);  // without close-on-exec
  const auto ran =
      Run({Script("env | grep SALLYPORT; ls /proc/self/fd | wc -l; read line || echo none")});
  ::close(leak);
  ASSERT_TRUE(ran) << ran.error().ToString();
  EXPECT_EQ(ran->output, "SALLYPORT_SLOT=B\n4\nnone\n") << "three, and that of the directory";
}

TEST_F(CommandTest, NoShellLooksAtArguments) {
  const auto ran = Run({"/bin/echo", "$(id)", "`id`", "a;b", "*"});
  EXPECT_EQ(ran->output, "$(id) `id` a;b *\n");
}

// A pipe that the program's child holds open ends with the child.
TEST_F(CommandTest, KillsWhatDoesNotEndInTimeWithItsChildren) {
  const std::string pipe = dir_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const UniqueFd reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const auto ran =
      Run({Script("exec 3>" + pipe + "; echo up >&3; sleep 600 & sleep 600")}, Milliseconds(500));
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().rule, "command.timeout");
  char up[8];
  ASSERT_EQ(::read(reader.get(), up, sizeof(up)), 3) << "it ran";
  pollfd ended{reader.get(), 0, 0};
  EXPECT_EQ(::poll(&ended, 1, 20'000), 1);
  EXPECT_NE(ended.revents & POLLHUP, 0);
}

TEST_F(CommandTest, EndsWithTheProgramEvenWhenAChildKeepsTheOutput) {
  const auto ran = Run({Script("sleep 5 & echo done")});
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->output, "done\n");
}

TEST_F(CommandTest, KeepsTheEndOfEndlessOutput) {
  const auto ran = Run({Script("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")});
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->output.size(), kCommandOutputMax);
  EXPECT_TRUE(ran->output.ends_with("\n19999\n"));
}

TEST_F(CommandTest, NamesWhatCannotRun) {
  EXPECT_EQ(Run({dir_ + "/none"}).error().rule, "command.missing");
  EXPECT_EQ(Run({"echo"}).error().rule, "command.path");
  EXPECT_EQ(Run({}).error().rule, "command.path");
  EXPECT_EQ(Run({Script("kill -9 $$")}).error().rule, "command.signal");
}

TEST_F(CommandTest, StopEndsWhatRunsAndWhatComes) {
  std::thread stopper([this] { runner_.Stop(); });
  EXPECT_EQ(Run({"/bin/sleep", "600"}).error().rule, "command.stopped");
  stopper.join();
}

TEST_F(CommandTest, AFailureIsToldInOneLine) {
  const auto failed =
      RunToSuccess(runner_, {{Script("printf 'a\\nb\\033[2J'; exit 1")}, {}, Seconds(20)});
  EXPECT_EQ(failed.error().rule, "command.failed");
  EXPECT_EQ(failed.error().detail, "exit status 1: a b?[2J");
}

TEST_F(CommandTest, ConnectsWhereSomebodyListens) {
  const auto listener = Listen("127.0.0.1:0");
  ASSERT_TRUE(listener);
  const std::string address = "127.0.0.1:" + std::to_string(LocalPort(listener->get()));
  EXPECT_TRUE(runner_.Connect(address, Seconds(5)));
  EXPECT_EQ(runner_.Connect("127.0.0.1:1", Seconds(5)).error().rule, "command.connect");
  EXPECT_EQ(runner_.Connect("nonsense", Seconds(5)).error().rule, "command.connect");
}

}  // namespace
}  // namespace sallyport::device

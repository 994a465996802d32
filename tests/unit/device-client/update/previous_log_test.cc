#include "device-client/update/previous_log.h"

#include "tests/fakes/fake_machine.h"

namespace sallyport::device {
namespace {

TEST(SafeLogTail, KeepsTheEndInWholeLines) {
  std::string log;
  for (int i = 0; i < 1000; ++i) log += "line number " + std::to_string(i) + "\n";
  const std::string tail = SafeLogTail(log);
  EXPECT_LE(tail.size(), kLogTailMax);
  EXPECT_TRUE(tail.ends_with("line number 999\n"));
  EXPECT_TRUE(tail.starts_with("line number "));
}

TEST(SafeLogTail, WithholdsLinesThatLookLikeTheyHoldASecret) {
  for (const std::string line :
       {"db password=hunter2", "PASSWD: x", "using token 1234", "client_secret: abc",
        "Authorization: Basic Zm9v", "sent Bearer abc.def", "-----BEGIN PRIVATE KEY-----",
        "credential file read", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2"})
    EXPECT_EQ(SafeLogTail("before\n" + line + "\nafter"), "before\n(line withheld)\nafter\n")
        << line;
  const std::string digest = "image " + std::string(64, 'a') + "\n";
  EXPECT_EQ(SafeLogTail(digest), digest) << "a digest is no key";
}

TEST(SafeLogTail, IsPrintable) {
  EXPECT_EQ(SafeLogTail("a\x1b[31mb\xff\n"), "a?[31mb?\n");
  EXPECT_EQ(SafeLogTail(""), "");
}

TEST(PreviousLog, ReadsTheEndOfAFile) {
  FakeMachine machine;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "words ";
  text += "\nlast words\n";
  ASSERT_TRUE(WriteFileAtomically(machine.files, "log", AsBytes(text)));
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, "log"), "last words\n");
}

TEST(PreviousLog, ReadsEachFileOfADirectoryInOrder) {
  FakeMachine machine;
  ASSERT_TRUE(WriteFileAtomically(machine.files, "pstore/dmesg-2", AsBytes("second")));
  ASSERT_TRUE(WriteFileAtomically(machine.files, "pstore/dmesg-1", AsBytes("first\n")));
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, "pstore"), "first\nsecond\n");
}

TEST(PreviousLog, AsksTheJournalForTheBootBefore) {
  FakeMachine machine;
  machine.runner.answers.emplace("/usr/bin/journalctl", CommandResult{0, "panic\n"});
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, "journal"), "panic\n");
  EXPECT_EQ(machine.runner.ran[0].argv[1], "--boot=-1");
}

TEST(PreviousLog, WithoutASourceItIsTheJournalWhereSystemdRuns) {
  FakeMachine machine;
  machine.runner.answers.emplace("/usr/bin/journalctl", CommandResult{0, "panic\n"});
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, ""), "");
  ASSERT_TRUE(machine.files.MakeDirectories("/run/systemd/system"));
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, ""), "panic\n");
}

TEST(PreviousLog, SaysWhatCannotBeRead) {
  FakeMachine machine;
  EXPECT_EQ(PreviousLog(machine.files, machine.runner, "gone").front(), '(');
}

}  // namespace
}  // namespace sallyport::device

// The software TPM that every test with a TPM stands on.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/node/swtpm.h"

namespace sallyport::node {
namespace {

class SwTpmTest : public testing::Test {
 protected:
  SwTpmTest() {
    char name[] = "/tmp/sp-tpm-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~SwTpmTest() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(SwTpmTest, AnswersOnItsTcti) {
  auto tpm = SwTpm::Start(dir_ + "/a");
  ASSERT_TRUE(tpm) << tpm.error().ToString();

  EXPECT_EQ(std::system(("tpm2_getrandom -T " + tpm->tcti() + " --hex 4 > /dev/null").c_str()), 0);
}

TEST_F(SwTpmTest, KeepsStateAcrossResetAndLosesPcrs) {
  auto tpm = SwTpm::Start(dir_);
  ASSERT_TRUE(tpm) << tpm.error().ToString();
  const std::string with = " -T " + tpm->tcti() + " > /dev/null 2>&1";
  ASSERT_EQ(std::system(("tpm2_nvdefine 0x1500001 -s 4" + with).c_str()), 0);
  ASSERT_EQ(std::system(("tpm2_pcrextend 16:sha256=" + std::string(64, 'a') + with).c_str()), 0);

  ASSERT_TRUE(tpm->Reset());

  EXPECT_EQ(std::system(("tpm2_nvreadpublic 0x1500001" + with).c_str()), 0);
  EXPECT_EQ(std::system(
                ("tpm2_pcrread sha256:16 -T " + tpm->tcti() + " | grep -q " + std::string(64, '0'))
                    .c_str()),
            0);
}

TEST_F(SwTpmTest, ComesBackAfterAPowerCut) {
  auto tpm = SwTpm::Start(dir_);
  ASSERT_TRUE(tpm) << tpm.error().ToString();

  tpm->CutPower();
  EXPECT_EQ(tpm->pid(), -1);

  ASSERT_TRUE(tpm->PowerOn());
  EXPECT_EQ(std::system(("tpm2_getrandom -T " + tpm->tcti() + " --hex 4 > /dev/null").c_str()), 0);
}

TEST_F(SwTpmTest, RefusesAPathThatIsTooLongForASocket) {
  const auto tpm = SwTpm::Start(dir_ + "/" + std::string(100, 'x'));

  ASSERT_FALSE(tpm);
  EXPECT_EQ(tpm.error().reason, Reason::kTooLarge);
}

TEST(ChildProcessTest, SaysThatAProgramIsMissing) {
  const auto child = ChildProcess::Start({"sallyport-no-such-program"}, "");

  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().reason, Reason::kNotFound);
}

TEST(ChildProcessTest, ReportsExitCodesAndSignals) {
  auto plain = ChildProcess::Start({"sh", "-c", "exit 64"}, "");
  auto killed = ChildProcess::Start({"cat", "/dev/zero"}, "/dev/null");
  ASSERT_TRUE(plain && killed);

  EXPECT_EQ(plain->Wait(Seconds(20)), 64);
  EXPECT_EQ(killed->Wait(Milliseconds(0)), std::nullopt);
  killed->Kill();
  EXPECT_EQ(killed->Wait(Milliseconds(0)), 128 + 9);
}

}  // namespace
}  // namespace sallyport::node

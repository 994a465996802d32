#include "attestation-server/cli/passphrase.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/fakes/fake_terminal.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

class PassphraseTest : public testing::Test {
 protected:
  std::string New(const PassphraseSource& source = {}) {
    const auto text = NewPassphrase(files_, source, terminal_, "a key");
    return text ? *text : std::string(text.error().name());
  }
  // Piped returns a descriptor from which `text` can be read.
  static int Piped(const std::string& text) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(ends[1]);
    return ends[0];
  }
  MemoryFileSystem files_;
  FakeTerminal terminal_;
};

TEST_F(PassphraseTest, ComesFromAFileDescriptor) {
  EXPECT_EQ(New({.descriptor = Piped("a sentence\n")}), "a sentence");
  EXPECT_EQ(New({.descriptor = Piped("\n")}), "passphrase.empty");
  EXPECT_EQ(New({.descriptor = Piped(std::string(1025, 'x'))}), "passphrase.size");
  EXPECT_EQ(New({.descriptor = 900}), "passphrase.descriptor");
}

TEST_F(PassphraseTest, IsAskedForTwiceAtATerminal) {
  terminal_.answers = {"one", "one"};
  EXPECT_EQ(New(), "one");
  terminal_.answers = {"one", "two"};
  EXPECT_EQ(New(), "passphrase.differs");
  terminal_.answers = {"", ""};
  EXPECT_EQ(New(), "passphrase.empty");
  EXPECT_EQ(terminal_.hidden, 6);
}

TEST_F(PassphraseTest, MissingWithoutATerminalIsAnError) { EXPECT_EQ(New(), "passphrase.none"); }

}  // namespace
}  // namespace sallyport::server

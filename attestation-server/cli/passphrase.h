// Where passphrases come from: a file, a file descriptor or the terminal; never the command line,
// which every process of the machine can read.
#pragma once

#include <memory>
#include <string>

#include "pki/base/file_system.h"

namespace CLI {
class App;
}

namespace sallyport::server {

// Terminal is the seam to the person at the keyboard.
class Terminal {
 public:
  virtual ~Terminal() = default;
  virtual bool present() const = 0;
  // Ask prints `prompt` and reads one line, shown while typed or not. kUnavailable at its end.
  virtual Result<std::string> Ask(const std::string& prompt, bool shown) = 0;
};

// ControllingTerminal is /dev/tty, present when standard input is a terminal.
class ControllingTerminal final : public Terminal {
 public:
  bool present() const override;
  Result<std::string> Ask(const std::string& prompt, bool shown) override;
};

struct PassphraseSource {
  std::string file = {};
  int descriptor = -1;  // none
  bool given() const { return !file.empty() || descriptor >= 0; }
};

// AddPassphraseOptions adds --passphrase-file and --passphrase-fd to `command`.
void AddPassphraseOptions(CLI::App* command, PassphraseSource& source, const std::string& what);

// ReadPassphrase returns the one line of `source`; empty when none is given. kInvalidArgument, rule
// passphrase.empty.
Result<std::string> ReadPassphrase(FileSystem& files, const PassphraseSource& source);
// NewPassphrase is ReadPassphrase, or asks twice at the terminal. kInvalidArgument, rule
// passphrase.none without both, passphrase.differs.
Result<std::string> NewPassphrase(FileSystem& files, const PassphraseSource& source,
                                  Terminal& terminal, const std::string& what);

}  // namespace sallyport::server

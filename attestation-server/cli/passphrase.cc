#include "attestation-server/cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

namespace sallyport::server {
namespace {

constexpr size_t kPassphraseSizeMax = 1024;  // a sentence; anything longer is the wrong file

Result<std::string> ReadDescriptor(int descriptor) {
  std::string out(kPassphraseSizeMax + 1, '\0');
  size_t size = 0;
  while (size < out.size()) {
    const ssize_t read = ::read(descriptor, out.data() + size, out.size() - size);
    if (read < 0)
      return Error{Reason::kInvalidArgument,
                   "file descriptor " + std::to_string(descriptor) + " cannot be read",
                   "passphrase.descriptor"};
    if (read == 0) break;
    size += static_cast<size_t>(read);
  }
  if (size > kPassphraseSizeMax)
    return Error{Reason::kTooLarge, "passphrase of more than 1024 bytes", "passphrase.size"};
  out.resize(size);
  return out;
}

// Echo is switched off while one line is typed.
class SilentEcho {
 public:
  SilentEcho(int descriptor, bool shown) : descriptor_(descriptor) {
    active_ = !shown && tcgetattr(descriptor, &before_) == 0;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (active_) tcsetattr(descriptor, TCSAFLUSH, &silent);
  }
  ~SilentEcho() {
    if (active_) tcsetattr(descriptor_, TCSAFLUSH, &before_);
  }
  SilentEcho(const SilentEcho&) = delete;
  SilentEcho& operator=(const SilentEcho&) = delete;

 private:
  int descriptor_;
  bool active_ = false;
  termios before_{};
};

Result<std::string> ReadLine(int terminal) {
  std::string line;
  for (char c = 0; line.size() <= kPassphraseSizeMax; line += c) {
    if (::read(terminal, &c, 1) != 1) break;
    if (c == '\n') return line;
  }
  return Error{Reason::kUnavailable, "no line from the terminal", "passphrase.terminal"};
}

}  // namespace

bool ControllingTerminal::present() const { return isatty(STDIN_FILENO) == 1; }

Result<std::string> ControllingTerminal::Ask(const std::string& prompt, bool shown) {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (terminal < 0) return Error{Reason::kUnavailable, "no terminal", "passphrase.terminal"};
  Result<std::string> line = Error{Reason::kUnavailable, "no terminal", "passphrase.terminal"};
  if (::write(terminal, prompt.data(), prompt.size()) == static_cast<ssize_t>(prompt.size())) {
    const SilentEcho echo(terminal, shown);
    line = ReadLine(terminal);
  }
  // The newline that was typed unseen; a terminal that is gone by now has said so above.
  if (!shown) static_cast<void>(!::write(terminal, "\n", 1));
  ::close(terminal);
  return line;
}

void AddPassphraseOptions(CLI::App* command, PassphraseSource& source, const std::string& what) {
  auto* const file =
      command->add_option("--passphrase-file", source.file, "File with " + what + ", one line");
  command
      ->add_option("--passphrase-fd", source.descriptor,
                   "Open file descriptor from which to read " + what)
      ->check(CLI::Range(0, 1023))
      ->excludes(file);
}

Result<std::string> ReadPassphrase(FileSystem& files, const PassphraseSource& source) {
  if (!source.given()) return std::string();
  std::string text;
  if (source.file.empty()) {
    SP_TRY(text, ReadDescriptor(source.descriptor));
  } else {
    SP_TRY(const Bytes bytes, ReadFile(files, source.file, kPassphraseSizeMax));
    text = ToString(bytes);
  }
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty())
    return Error{Reason::kInvalidArgument, source.file + ": no passphrase in it",
                 "passphrase.empty"};
  return text;
}

Result<std::string> NewPassphrase(FileSystem& files, const PassphraseSource& source,
                                  Terminal& terminal, const std::string& what) {
  if (source.given()) return ReadPassphrase(files, source);
  if (!terminal.present())
    return Error{Reason::kInvalidArgument,
                 "no passphrase for " + what +
                     ": give --passphrase-file or --passphrase-fd, or --unsealed on a machine "
                     "that protects the file otherwise",
                 "passphrase.none"};
  SP_TRY(std::string first, terminal.Ask("New passphrase for " + what + ": ", false));
  SP_TRY(const std::string second, terminal.Ask("The same again: ", false));
  if (first.empty())
    return Error{Reason::kInvalidArgument, "an empty passphrase seals nothing", "passphrase.empty"};
  if (first != second)
    return Error{Reason::kInvalidArgument, "the two passphrases differ", "passphrase.differs"};
  return first;
}

}  // namespace sallyport::server

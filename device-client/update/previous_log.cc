#include "device-client/update/previous_log.h"

#include <algorithm>
#include <array>

#include "pki/base/printable.h"

namespace sallyport::device {
namespace {

// More is read than is kept: lines are withheld from it, and control characters may be most of it.
constexpr uint64_t kReadMax = 4 * kLogTailMax;
constexpr Duration kJournalTimeout = Seconds(20);
constexpr std::array<std::string_view, 8> kSecretWords{
    "password",   "passwd",      "secret",         "token",
    "credential", "private key", "authorization:", "bearer"};
constexpr std::string_view kWithheld = "(line withheld)";

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool LooksSecret(std::string_view line) {
  const std::string lower = Lower(line);
  return std::ranges::any_of(
      kSecretWords, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// The inside of a PEM block names nothing by itself.
bool LooksLikeKey(std::string_view line) {
  constexpr size_t kPemLine = 60;
  const auto base64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
  };
  const std::string_view word = line.substr(line.find_last_of(' ') + 1);
  return word.size() >= kPemLine && std::ranges::all_of(word, base64) &&
         !std::ranges::all_of(
             word, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::string> FileTail(FileSystem& files, const std::string& path) {
  SP_TRY(const std::unique_ptr<File> file, files.Open(path, OpenMode::kRead));
  SP_TRY(const uint64_t size, file->Size());
  Bytes bytes(std::min(size, kReadMax));
  SP_TRY(const size_t read, file->ReadAt(size - bytes.size(), bytes));
  return std::string(AsText(ByteView(bytes).first(read)));
}

Result<std::string> DirectoryTail(FileSystem& files, const std::string& path,
                                  const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    SP_TRY(const std::string tail, FileTail(files, path + "/" + name));
    out += tail + (tail.ends_with('\n') ? "" : "\n");
  }
  return out;
}

Result<std::string> Journal(CommandRunner& runner) {
  SP_TRY(const CommandResult result, runner.Run({{"/usr/bin/journalctl", "--boot=-1", "--lines=60",
                                                  "--no-pager", "--output=short-iso"},
                                                 {},
                                                 kJournalTimeout}));
  return result.output;
}

Result<std::string> ReadSource(FileSystem& files, CommandRunner& runner,
                               const std::string& source) {
  if (source == "journal") return Journal(runner);
  if (const auto names = files.List(source)) return DirectoryTail(files, source, *names);
  return FileTail(files, source);
}

}  // namespace

std::string SafeLogTail(std::string_view log) {
  const std::string text = PrintableText(log);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    out += LooksSecret(line) || LooksLikeKey(line) ? kWithheld : line;
    out += '\n';
    at = end + 1;
  }
  return std::string(TailOf(out, kLogTailMax));
}

bool SystemdRuns(FileSystem& files) { return files.List("/run/systemd/system").has_value(); }

std::string PreviousLog(FileSystem& files, CommandRunner& runner, const std::string& source) {
  const bool fallback = source.empty();
  if (fallback && !SystemdRuns(files)) return "";
  const Result<std::string> log = ReadSource(files, runner, fallback ? "journal" : source);
  return SafeLogTail(log ? *log : "(" + log.error().ToString() + ")");
}

}  // namespace sallyport::device

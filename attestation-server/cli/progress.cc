#include "attestation-server/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace sallyport::server {

ProgressLine::ProgressLine(std::string title)
    : title_(std::move(title)), terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::Update(unsigned percent, const std::string& state) {
  constexpr unsigned kWidth = 30;
  const unsigned filled = std::min(percent, 100u) * kWidth / 100;
  const std::string bar = "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "]";
  std::string line = title_ + " " + bar + " " + std::to_string(percent) + "% " + state;
  if (line == last_) return;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  last_ = std::move(line);
}

void ProgressLine::Finish() {
  if (terminal_ && !last_.empty()) std::fputc('\n', stderr);
}

}  // namespace sallyport::server

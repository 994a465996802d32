// A progress bar on a terminal, one line per change otherwise. Writes to standard error.
#pragma once

#include <string>

namespace sallyport::server {

class ProgressLine {
 public:
  explicit ProgressLine(std::string title);
  void Update(unsigned percent, const std::string& state);
  void Finish();
  [[nodiscard]] bool terminal() const { return terminal_; }

 private:
  std::string title_;
  std::string last_;
  bool terminal_;
};

}  // namespace sallyport::server

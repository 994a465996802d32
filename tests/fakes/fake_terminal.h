// FakeTerminal is the person at the keyboard.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/passphrase.h"

namespace sallyport::server {

// It answers with `answers`, in order, and remembers what it was asked. Present once it has
// answers.
class FakeTerminal final : public Terminal {
 public:
  bool present() const override { return !answers.empty() || !asked.empty(); }
  Result<std::string> Ask(const std::string& prompt, bool shown) override {
    asked.push_back(prompt);
    hidden += shown ? 0 : 1;
    if (answers.empty()) return Error{Reason::kUnavailable, "nobody there"};
    std::string answer = answers.front();
    answers.erase(answers.begin());
    return answer;
  }
  std::vector<std::string> answers;
  std::vector<std::string> asked;
  int hidden = 0;
};

}  // namespace sallyport::server

// StateLock: one agent at a time over a state directory. The kernel lets go of it when the process
// ends, however it ends.
#pragma once

#include <string>

#include "pki/base/result.h"

namespace sallyport::device {

class StateLock {
 public:
  // Take: kConflict, rule agent.running, while another agent holds the directory.
  static Result<StateLock> Take(const std::string& state);
  // CheckHeld: kUnavailable, rule agent.not-running, when no agent holds it. Changes nothing.
  static Result<Unit> CheckHeld(const std::string& state);

  StateLock(StateLock&& other) noexcept;
  StateLock& operator=(StateLock&&) = delete;
  ~StateLock();

 private:
  explicit StateLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace sallyport::device

// `sallyport-agent update install DIR`: asks the running agent to install from a bundle, and says
// what became of it. It touches neither slots nor metadata: the agent does
// (bundle/install_request.h).
#pragma once

#include <functional>
#include <string>

#include "device-client/bundle/install_request.h"
#include "device-client/config.h"
#include "pki/base/random.h"

namespace sallyport::device {

struct InstallOptions {
  std::string folder;
  std::string role;  // empty: whichever signed the bundle
  bool json = false;
};

struct InstallParts {
  FileSystem& files;
  Random& random;
  std::function<void()> pause;                         // between two looks, kLookPause long
  std::function<void(const InstallAnswer&)> progress;  // hears of every change
};
inline constexpr Duration kLookPause = Milliseconds(200);
// Verifying a bundle takes a second; a manifest that is just being fetched may hold it up.
inline constexpr Duration kAnswerWait = Minutes(3);
// A service manager starts an agent again that has ended; the installation goes on then.
inline constexpr Duration kAgentWait = Seconds(15);

// FollowInstall returns when the device is armed (it reboots now), the release runs already, or
// neither will come. Errors: agent.not-running kUnavailable, update.not-configured
// kInvalidArgument, bundle.busy kConflict (another request is unanswered), bundle.unanswered
// kUnavailable. A refusal of the agent is in the answer.
Result<InstallAnswer> FollowInstall(const InstallParts& parts, const Config& config,
                                    const InstallOptions& options);

// Succeeded: armed, on trial or committed.
[[nodiscard]] bool Succeeded(const InstallAnswer& answer);

// DescribeInstall is the answer as one JSON object, or as a sentence.
std::string DescribeInstall(const InstallAnswer& answer, bool json);

}  // namespace sallyport::device

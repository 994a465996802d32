#include "device-client/run.h"

#include <poll.h>

#include <csignal>
#include <cstdio>

#include "device-client/state_lock.h"
#include "device-client/status_file.h"
#include "device-client/time_zone.h"
#include "ota/metadata/install_plan_maker.h"
#include "ota/metadata/limits.h"
#include "ota/metadata/release.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kConfigBytesMax = 1 << 20;

int ExitStatusOf(Reason reason) {
  switch (reason) {
    case Reason::kPolicyDenied:
    case Reason::kUnauthenticated:
    case Reason::kBadSignature:
    case Reason::kStaleNonce:
    case Reason::kReplayed:
    case Reason::kRollback:
    case Reason::kExpired:
    case Reason::kUntrusted:
    case Reason::kMismatch:
    case Reason::kConflict:
    case Reason::kRateLimited: return 1;
    case Reason::kMalformed:
    case Reason::kTooLarge:
    case Reason::kNotFound:
    case Reason::kAlreadyExists:
    case Reason::kUnsupported:
    case Reason::kNoSpace:
    case Reason::kInvalidArgument: return 2;
    case Reason::kUnavailable: return 3;
    case Reason::kInternal: return 4;
  }
  std::abort();
}

int Fail(const Error& error) {
  std::fprintf(stderr, "sallyport-agent: %s\n", error.ToString().c_str());
  return ExitStatusOf(error.reason);
}

LogLevel LevelOf(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

Result<Config> LoadConfig(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes text, ReadFile(files, path, kConfigBytesMax));
  return ParseConfig(AsText(text), path);
}

// StopOnReboot ends the agent; the supervisor sees the exit status.
class StopOnReboot final : public Rebooter {
 public:
  void Attach(Client& client) { client_ = &client; }
  bool wanted() const { return wanted_; }
  Result<Unit> Reboot() override {
    wanted_ = true;
    client_->Stop();
    return Unit{};
  }

 private:
  Client* client_ = nullptr;
  std::atomic<bool> wanted_ = false;
};

// SignalThread stops the client at SIGINT or SIGTERM. Made before any other thread, so that all of
// them have the signals blocked.
class SignalThread {
 public:
  SignalThread() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGUSR1);  // ends the wait when nothing else did
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  void Watch(Client& client) {
    thread_ = std::thread([this, &client] {
      int signal = 0;
      while (sigwait(&signals_, &signal) != 0) {
      }
      if (signal != SIGUSR1) client.Stop();  // after SIGUSR1 there is no client any more
    });
  }
  ~SignalThread() {
    if (!thread_.joinable()) return;
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  sigset_t signals_;
  std::thread thread_;
};

Result<Unit> Run(const Config& config, const RunOptions& options, bool& reboot) {
  SignalThread signals;
  PosixFileSystem files;
  SystemRandom random;
  const RealClock clock;
  SP_TRY(const Bytes enrolment_text,
         ReadFile(files, config.enrolment_file, pki::kEnrolmentFileBytesMax));
  SP_TRY(const pki::EnrolmentFile enrolment, pki::ParseEnrolmentFile(AsText(enrolment_text)));
  SP_TRY(files.MakeDirectories(config.state));
  SP_TRY(const StateLock lock, StateLock::Take(config.state));
  SP_TRY(const AgentState state, LoadState(files, config.state));
  SP_TRY(InstallTlsKeyProvider());
  SP_TRY(const std::unique_ptr<Tpm> tpm, Tpm::Open(config.tcti, random));
  StopOnReboot rebooter;
  TpmFloorCounters counters(*tpm);
  DeviceFloors floors(counters, files, FloorsPath(config));
  PosixCommandRunner runner(clock);
  Duties duties({files, clock, random, rebooter, floors, runner, *tpm}, config, enrolment);
  Client client({*tpm, files, clock, random, duties}, config, enrolment, state);
  rebooter.Attach(client);
  signals.Watch(client);
  SP_TRY(duties.Start(client, state.device_id));
  const StatusWriter status(files, StatusPath(config), client, duties);
  const ServiceNotifier notifier(options.service_manager, [&client] { return client.Alive(); });
  const Result<Unit> ended = client.Run(options.once);
  duties.Stop();
  reboot = rebooter.wanted();
  return ended;
}

}  // namespace

int RunAgent(const RunOptions& options) {
  PosixFileSystem files;
  const Result<Config> config = LoadConfig(files, options.config);
  if (!config) return Fail(config.error());
  const Result<Unit> zone = UseTimeZone(files, config->update.download, options.config);
  if (!zone) return Fail(zone.error());
  if (options.check_only) return std::puts("configuration is good") < 0 ? 4 : 0;
  SetLogLevel(LevelOf(config->log_level));
  bool reboot = false;
  const Result<Unit> ended = Run(*config, options, reboot);
  if (reboot) return kRebootExitStatus;
  return ended ? 0 : Fail(ended.error());
}

namespace {

Result<Bytes> LoadStatus(const RunOptions& options) {
  PosixFileSystem files;
  SP_TRY(const Config config, LoadConfig(files, options.config));
  Result<Bytes> status = ReadFile(files, StatusPath(config), kConfigBytesMax);
  if (status) return status;
  return Error{Reason::kUnavailable, "no running agent has written " + StatusPath(config)};
}

int Print(const Result<std::string>& text) {
  if (!text) return Fail(text.error());
  return std::printf("%s\n", text->c_str()) < 0 ? 4 : 0;
}

}  // namespace

int PrintStatus(const RunOptions& options) {
  const Result<Bytes> status = LoadStatus(options);
  return Print(status ? Result<std::string>(ToString(*status)) : status.error());
}

namespace {

Result<Adoption> Adopt(const RunOptions& options, bool begin_at_zero) {
  PosixFileSystem files;
  SystemRandom random;
  SP_TRY(const Config config, LoadConfig(files, options.config));
  SP_TRY(const std::unique_ptr<Tpm> tpm, Tpm::Open(config.tcti, random));
  TpmFloorCounters counters(*tpm);
  return DeviceFloors(counters, files, FloorsPath(config)).Adopt(begin_at_zero);
}

}  // namespace

int AdoptFloors(const RunOptions& options, const AdoptOptions& adopt) {
  const Result<Adoption> done = Adopt(options, adopt.begin_at_zero);
  if (done) return Print(DescribeAdoption(*done, adopt.json));
  if (adopt.json) static_cast<void>(std::printf("%s\n", ErrorJson(done.error()).c_str()));
  return Fail(done.error());
}

int PrintUpdateStatus(const RunOptions& options, bool json) {
  const Result<Bytes> status = LoadStatus(options);
  return Print(status ? DescribeUpdate(AsText(*status), json) : status.error());
}

namespace {

// FailInstall says it for people, and for programs when they asked.
int FailInstall(Reason reason, const std::string& rule, const std::string& detail, bool json) {
  if (json) {
    const JsonValue error =
        JsonValue::Object({{"reason", ReasonName(reason)}, {"rule", rule}, {"detail", detail}});
    std::printf("%s\n", WriteJson(JsonValue::Object({{"error", error}})).c_str());
  }
  const std::string name = rule.empty() ? std::string(ReasonName(reason)) : rule;
  std::fprintf(stderr, "sallyport-agent: %s: %s\n", name.c_str(), detail.c_str());
  return ExitStatusOf(reason);
}

void ShowProgress(const InstallAnswer& answer) {
  if (answer.error || answer.state.empty()) return;
  std::fprintf(stderr, "%s %u%%%s%s\n", answer.state.c_str(), answer.percent,
               answer.detail.empty() ? "" : "  ", answer.detail.c_str());
}

struct PreflightAnswer {
  std::string release;  // empty: none is known
  std::vector<ota::PreflightCheck> checks;
};

Result<std::vector<ota::PreflightCheck>> Checks(FileSystem& files, const Config& config,
                                                const ota::InstallFacts* facts) {
  SP_TRY(const auto machinery, UpdateMachinery::Make(files, UpdatePathsOf(config)));
  return machinery->installer().Preflight(facts);
}

// Without a name it is the release that the held manifest assigns.
Result<PreflightAnswer> Preflight(const RunOptions& options, const std::string& path) {
  PosixFileSystem files;
  SP_TRY(const Config config, LoadConfig(files, options.config));
  if (config.update.slot_a.empty())
    return Error{Reason::kInvalidArgument, "the configuration has no section update"};
  Bytes json = ota::ManifestVerifier::StoredRelease(files, config.state + "/manifest");
  if (!path.empty()) {
    SP_TRY(json, ReadFile(files, path, ota::kReleaseSizeMax));
  }
  PreflightAnswer answer;
  if (json.empty()) {
    SP_TRY(answer.checks, Checks(files, config, nullptr));
    return answer;
  }
  SP_TRY(const ota::Release release, ota::ParseRelease(json));
  const ota::InstallFacts facts = ota::FactsOf(ota::ReleaseDigestOf(json), release);
  answer.release = release.product + " " + release.version.text();
  SP_TRY(answer.checks, Checks(files, config, &facts));
  return answer;
}

}  // namespace

int InstallBundle(const RunOptions& options, const InstallOptions& install) {
  PosixFileSystem files;
  SystemRandom random;
  const Result<Config> config = LoadConfig(files, options.config);
  if (!config) return Fail(config.error());
  const InstallParts parts{
      files, random, [] { ::poll(nullptr, 0, static_cast<int>(kLookPause.ms)); }, &ShowProgress};
  const Result<InstallAnswer> answer = FollowInstall(parts, *config, install);
  if (!answer)
    return FailInstall(answer.error().reason, std::string(answer.error().rule),
                       answer.error().detail, install.json);
  if (answer->error)
    return FailInstall(answer->error->reason, answer->error->rule, answer->error->detail,
                       install.json);
  if (std::printf("%s\n", DescribeInstall(*answer, install.json).c_str()) < 0) return 4;
  return Succeeded(*answer) ? 0 : 1;
}

int PrintPreflight(const RunOptions& options, const std::string& release, bool json) {
  const Result<PreflightAnswer> answer = Preflight(options, release);
  if (!answer) return Fail(answer.error());
  if (std::fputs(ota::DescribePreflight(answer->checks, answer->release, json).c_str(), stdout) < 0)
    return 4;
  return ota::FirstFailure(answer->checks) ? 0 : 1;
}

}  // namespace sallyport::device

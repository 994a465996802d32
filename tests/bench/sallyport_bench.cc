// A real sallyportd under load of devices whose TPMs are software, over real mutual TLS: what a
// first enrolment, an attested renewal on the live stream and a reconnect cost the server. CPU is
// the server process's own clock, all in (gRPC, TLS, store, timers). Budgets (docs/architecture.md
// 9): enrolment 5 ms, renewals that come together 0.8 ms; a reconnect is reported apart. The floors
// are the curve's price on this machine, a bare TLS connection to the same server, and a stream
// whose server looks at no message.
// `sallyport bench` runs it: sallyport-bench enrol|renew|reconnect DEVICES ROUNDS text|json
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <semaphore>
#include <thread>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/device.grpc.pb.h"
#include "device-client/transport/enrol_client.h"
#include "device-client/transport/wire.h"
#include "pki/base/file_system.h"
#include "pki/base/json.h"
#include "pki/base/random.h"
#include "pki/ca/enrolment_file.h"
#include "pki/ca/trust_bundle.h"
#include "pki/x509/pem.h"
#include "tests/bench/measured_process.h"
#include "tests/bench/stream_floor.h"
#include "tests/fakes/fake_tpm_evidence.h"

namespace sallyport {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr unsigned kBasePort = 15710;
constexpr size_t kClients = 16;  // operations in flight

using SteadyClock = std::chrono::steady_clock;

double Seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// ControlPlane is a founded trust domain with one reference, one token and a running server.
class ControlPlane {
 public:
  ControlPlane() {
    std::filesystem::create_directories(root_);
    Tool({"init", "--dir", root_ + "/cp", "--trust-domain", "edge.example", "--development",
          "--base-port", std::to_string(kBasePort), "--evidence-lifetime", "10s"});
    ::setenv("SALLYPORT_CONFIG", (root_ + "/cp/operator/config.yaml").c_str(), 1);
    Write("/cp/vendor/root.pem", pki::CertificatePem(vendor_.root_der()));
    AskForPcrsOfTheLog();
    Start();
    Write("/reference.json", ReferenceJson("uki 1", "online"));
    Tool({"reference", "import", root_ + "/reference.json", "--class", "online"});
    Tool({"token", "create", "--out", root_ + "/enrolment.json", "--site", "berlin"});
    const Bytes file = ReadFile(files_, root_ + "/enrolment.json", 1 << 20).value();
    enrolment_ = pki::ParseEnrolmentFile(AsText(file)).value();
  }
  ~ControlPlane() {
    Stop();
    std::filesystem::remove_all(root_);
  }

  pid_t server() const { return server_; }
  double cpu_seconds() const { return CpuSecondsOf(server_); }
  const FakeTpmVendor& vendor() const { return vendor_; }
  // Allow lists an endorsement key, so that its device needs no token and no operator.
  void Allow(const std::vector<pki::PublicKey>& eks) {
    std::string lines;
    for (size_t i = 0; i < eks.size(); ++i)
      lines += HexEncode(pki::Sha256(eks[i].spki())) + " node-" + std::to_string(i) +
               " berlin online bench\n";
    Write("/eks.txt", lines);
    Tool({"device", "import", root_ + "/eks.txt"});
  }
  device::ServerTrust Trust() const {
    std::string anchors;
    for (const auto& issuer : enrolment_->trust_bundle.server_issuers) anchors += issuer.ToPem();
    return {anchors, {enrolment_->server_ids.front().text()}};
  }
  static std::string Address(unsigned listener) {
    return "127.0.0.1:" + std::to_string(kBasePort + listener);
  }
  // MemoryKib is a line of /proc/PID/status, "VmRSS" or "VmHWM".
  int64_t MemoryKib(std::string_view key) const {
    const Bytes status =
        ReadFile(files_, "/proc/" + std::to_string(server_) + "/status", 1 << 16).value();
    const std::string_view text = AsText(status);
    const size_t at = text.find(key);
    return at == text.npos ? 0 : std::strtol(text.data() + at + key.size() + 1, nullptr, 10);
  }

 private:
  void Tool(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SiblingProgram("sallyport"));
    const pid_t pid = Spawn(arguments, root_ + "/tool.log");
    int status = 0;
    SP_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  }
  void Write(const std::string& path, std::string_view text) {
    SP_CHECK(WriteFileAtomically(files_, root_ + path, AsBytes(text)).has_value());
  }
  void AskForPcrsOfTheLog() {
    const std::string path = root_ + "/cp/sallyportd.yaml";
    const Bytes config = ReadFile(files_, path, 1 << 20).value();
    Write("/cp/sallyportd.yaml",
          std::string(AsText(config)) + "pcrs: [0, 4, 7]\nlog_level: warning\n");
  }
  void Start() {
    server_ = Spawn({SiblingProgram("sallyportd"), "--config", root_ + "/cp/sallyportd.yaml"},
                    root_ + "/server.log");
    for (int i = 0; i < 300; ++i) {  // each probe takes its time
      const pid_t probe = Spawn({SiblingProgram("sallyport"), "status"}, root_ + "/probe.log");
      int status = 0;
      SP_CHECK(waitpid(probe, &status, 0) == probe);
      if (status == 0) return;
    }
    std::fprintf(stderr, "sallyport-bench: no server; see %s\n", (root_ + "/server.log").c_str());
    std::abort();
  }
  void Stop() {
    ::kill(server_, SIGTERM);
    int status = 0;
    ::waitpid(server_, &status, 0);
  }

  const std::string root_ =
      std::filesystem::temp_directory_path() / ("sallyport-bench-" + std::to_string(getpid()));
  mutable PosixFileSystem files_;
  FakeTpmVendor vendor_;
  std::optional<pki::EnrolmentFile> enrolment_;
  pid_t server_ = 0;
};

device::Evidence EvidenceOf(server::ReceivedEvidence from) {
  device::Evidence out;
  for (server::ReceivedQuote& quote : from.quotes)
    out.quotes.push_back({std::move(quote.attest), std::move(quote.signature), {}});
  out.event_log_hash = from.event_log_hash.value_or(pki::Sha256(from.event_log));
  out.event_log = std::move(from.event_log);
  out.tls_public = std::move(from.tls_public);
  out.certification = from.key_certification == server::KeyCertification::kCreation
                          ? device::KeyCertification::kCreation
                          : device::KeyCertification::kCertify;
  out.creation_data = std::move(from.creation_data);
  out.key_attest = std::move(from.key_attest);
  out.key_signature = std::move(from.key_signature);
  out.csr = std::move(from.csr);
  out.boot_slot = pki::BootSlot::kA;
  if (from.activation_proof) out.activation_proof = ToBytes(from.activation_proof->view());
  out.token = std::move(from.token);
  out.advertise = std::move(from.advertise);
  return out;
}

server::IssuedChallenge ChallengeOf(const device::Challenge& from) {
  server::IssuedChallenge out;
  out.ticket = from.ticket;
  out.ticket_id = from.ticket_id;
  out.nonce = from.nonce;
  for (const device::PcrRequest& request : from.pcr_requests)
    out.pcr_requests.push_back({request.bank, {request.pcrs.begin(), request.pcrs.end()}});
  if (from.bank_audit)
    out.bank_audit = {{from.bank_audit->banks.begin(), from.bank_audit->banks.end()},
                      {from.bank_audit->pcrs.begin(), from.bank_audit->pcrs.end()}};
  out.device_id = from.device_id;
  out.ek_spki_hash = from.ek_spki_hash;
  return out;
}

[[noreturn]] void Die(const Error& error) {
  std::fprintf(stderr, "sallyport-bench: %s\n", error.ToString().c_str());
  ::_exit(4);  // the server goes with this process
}

// Device enrols and holds what it was given.
class Device {
 public:
  explicit Device(const ControlPlane& plane) : plane_(plane), tpm_(plane.vendor()) {}

  void Enrol() {
    device::EnrolClient client(ControlPlane::Address(0), plane_.Trust());
    const server::BeginInput begin = tpm_.Begin(pki::Purpose::kEnrol);
    const auto answer =
        client.Begin(begin.purpose, begin.ek_certificates, begin.ek_public, begin.ak_public);
    if (!answer) Die(answer.error());
    server::IssuedChallenge challenge = ChallengeOf(answer->challenge);
    challenge.credential_blob = answer->credential_blob;
    challenge.encrypted_secret = answer->encrypted_secret;
    auto proof = tpm_.Prove(pki::Purpose::kEnrol, challenge, answer->server_leaf_hash);
    const auto admitted = client.Prove(proof.ticket, EvidenceOf(std::move(proof.evidence)));
    if (!admitted) Die(admitted.error());
    Keep(*admitted->certificate);
  }
  void Keep(const device::IssuedCertificate& certificate) {
    chain_.clear();
    for (const Bytes& der : certificate.chain) chain_ += pki::CertificatePem(der);
  }
  const pki::PublicKey& ek() const { return tpm_.ek().public_key(); }
  device::ClientIdentity Identity() const {
    return {tpm_.tls_key().key().SealedPem("").value(), chain_};
  }
  // The answer to a pushed challenge: quote and certification of the key of this boot.
  std::pair<Bytes, device::Evidence> Renewal(const device::Challenge& challenge,
                                             const Sha256Digest& leaf) {
    auto proof = tpm_.Prove(pki::Purpose::kRenew, ChallengeOf(challenge), leaf,
                            {.send_log = false, .certify_again = true});
    return {std::move(proof.ticket), EvidenceOf(std::move(proof.evidence))};
  }

 private:
  const ControlPlane& plane_;
  FakeTpmDevice tpm_;
  std::string chain_;
};

using Renewed = std::counting_semaphore<>;

// LiveStream is the device's long-lived call. Follow answers what the server pushes, as the agent
// does, and notes how long each renewal took from its proof to its certificate.
class LiveStream {
 public:
  LiveStream(const ControlPlane& plane, Device& device, Renewed* renewed = nullptr)
      : device_(device),
        renewed_(renewed),
        stub_(api::Device::NewStub(
            device::MakeChannel(ControlPlane::Address(1), plane.Trust(), device.Identity()))),
        stream_(stub_->Stream(&context_)) {
    api::DeviceMessage message;
    message.mutable_hello()->set_protocol_version(1);
    message.mutable_hello()->set_time_nonce(std::string(16, 'n'));
    api::ServerMessage push;
    bool open = stream_->Write(message);
    while (open && !push.has_epoch()) open = stream_->Read(&push);
    if (!open) Die({Reason::kUnavailable, stream_->Finish().error_message()});
  }
  ~LiveStream() {
    context_.TryCancel();
    if (follower_.joinable()) follower_.join();
    (void)stream_->Finish();
  }

  void Follow() {
    follower_ = std::thread([this] {
      for (api::ServerMessage push; stream_->Read(&push);) {
        SP_CHECK(!push.has_refusal());
        if (push.has_renew()) Answer(push.renew());
        if (push.has_certificate()) Note(push.certificate());
      }
    });
  }
  std::vector<double> TakeLatencies() {
    const std::lock_guard lock(latencies_mutex_);
    return std::exchange(latencies_, {});
  }

  // Ask and Renew are for a stream that nobody follows: the device asks for its challenge, so that
  // the rate is the server's and not the calendar's.
  api::Challenge Ask() {
    grpc::ClientContext context;
    api::Challenge challenge;
    const grpc::Status status = stub_->BeginRenewal(&context, {}, &challenge);
    if (!status.ok()) Die({Reason::kUnavailable, status.error_message()});
    return challenge;
  }
  void Renew() {
    Answer(Ask());
    api::ServerMessage push;
    while (!push.has_certificate()) {
      SP_CHECK(stream_->Read(&push));
      SP_CHECK(!push.has_refusal());
    }
    device_.Keep(*device::FromWire(push.certificate()));
  }

 private:
  void Answer(const api::Challenge& wire) {
    auto [ticket, evidence] =
        device_.Renewal(*device::FromWire(wire), *device::ServerLeafHash(context_));
    api::DeviceMessage message;
    message.mutable_renewal()->set_ticket(ToString(ticket));
    device::ToWire(evidence, message.mutable_renewal()->mutable_evidence());
    answered_ = SteadyClock::now();
    SP_CHECK(stream_->Write(message));
  }
  void Note(const api::Certificate& wire) {
    device_.Keep(*device::FromWire(wire));
    const std::lock_guard lock(latencies_mutex_);
    latencies_.push_back(std::chrono::duration<double>(SteadyClock::now() - answered_).count());
    if (renewed_ != nullptr) renewed_->release();
  }

  Device& device_;
  Renewed* const renewed_;
  const std::unique_ptr<api::Device::Stub> stub_;
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<api::DeviceMessage, api::ServerMessage>> stream_;
  SteadyClock::time_point answered_;  // touched by the follower only
  std::mutex latencies_mutex_;        // guards latencies_
  std::vector<double> latencies_;
  std::thread follower_;
};

struct Figures {
  const char* name;
  size_t operations = 0;
  double wall_seconds = 0;
  double server_cpu_seconds = 0;
  std::vector<double> latencies = {};

  void Add(const Figures& more) {
    operations += more.operations;
    wall_seconds += more.wall_seconds;
    server_cpu_seconds += more.server_cpu_seconds;
    latencies.insert(latencies.end(), more.latencies.begin(), more.latencies.end());
  }
  double PerSecond() const { return static_cast<double>(operations) / wall_seconds; }
  double CpuMicroseconds() const {
    return server_cpu_seconds / static_cast<double>(operations) * 1e6;
  }
  double Percentile(double part) {
    std::ranges::sort(latencies);
    return latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))] * 1e3;
  }
};

struct Options {
  std::string_view what;
  size_t devices = 0;
  size_t rounds = 0;  // renewals of each device
  bool json = false;
};

struct Floor {
  const char* what;
  double microseconds;
};

struct Report {
  std::vector<Figures> figures = {};  // what was asked for first, then what explains it
  std::vector<Floor> floors = {};
  int64_t server_rss_kib = 0;
  int64_t server_peak_rss_kib = 0;  // of opening the keys with Argon2id, when there is little load
};

void PrintText(Report& report) {
  for (Figures& f : report.figures)
    std::printf("%-32s %6zu ops %9.1f /s %9.1f us server CPU each   p50 %7.2f ms  p99 %7.2f ms\n",
                f.name, f.operations, f.PerSecond(), f.CpuMicroseconds(), f.Percentile(0.5),
                f.Percentile(0.99));
  for (const Floor& floor : report.floors)
    std::printf("floor: %s: %.1f us\n", floor.what, floor.microseconds);
  std::printf("server RSS: %lld MiB, at its peak %lld MiB\n",
              static_cast<long long>(report.server_rss_kib / 1024),
              static_cast<long long>(report.server_peak_rss_kib / 1024));
}

JsonValue Rounded(double value) { return static_cast<int64_t>(std::lround(value)); }

void PrintJson(Report& report) {
  std::vector<JsonValue> figures, floors;
  for (Figures& f : report.figures)
    figures.push_back(JsonValue::Object({{"name", f.name},
                                         {"operations", static_cast<int64_t>(f.operations)},
                                         {"per_second", Rounded(f.PerSecond())},
                                         {"server_cpu_us", Rounded(f.CpuMicroseconds())},
                                         {"p50_us", Rounded(f.Percentile(0.5) * 1e3)},
                                         {"p99_us", Rounded(f.Percentile(0.99) * 1e3)}}));
  for (const Floor& floor : report.floors)
    floors.push_back(
        JsonValue::Object({{"name", floor.what}, {"cpu_us", Rounded(floor.microseconds)}}));
  const JsonValue out = JsonValue::Object({{"figures", JsonValue::Array(std::move(figures))},
                                           {"floors", JsonValue::Array(std::move(floors))},
                                           {"server_rss_kib", report.server_rss_kib},
                                           {"server_peak_rss_kib", report.server_peak_rss_kib}});
  std::printf("%s\n", WriteJson(out).c_str());
}

// InParallel runs `body(i)` for each i below `count`, kClients at a time.
template <typename Body>
Figures InParallel(const char* name, const ControlPlane& plane, size_t count, Body body) {
  Figures out{.name = name, .operations = count};
  std::mutex mutex;
  std::atomic<size_t> next = 0;
  const double cpu = plane.cpu_seconds();
  const auto begun = SteadyClock::now();
  {
    std::vector<std::jthread> clients;
    for (size_t c = 0; c < kClients; ++c)
      clients.emplace_back([&] {
        for (size_t i = next++; i < count; i = next++) {
          const auto started = SteadyClock::now();
          body(i);
          const double took = std::chrono::duration<double>(SteadyClock::now() - started).count();
          const std::lock_guard lock(mutex);
          out.latencies.push_back(took);
        }
      });
  }
  out.wall_seconds = std::chrono::duration<double>(SteadyClock::now() - begun).count();
  out.server_cpu_seconds = plane.cpu_seconds() - cpu;
  return out;
}

Figures BareConnections(const ControlPlane& plane, size_t count) {
  return InParallel("bare TLS connection", plane, count, [&](size_t) {
    const auto channel = device::MakeChannel(ControlPlane::Address(0), plane.Trust(), std::nullopt);
    SP_CHECK(
        channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10)));
  });
}

// Every renewal is pushed by the server when it falls due, within seconds of the last.
Figures PushedRenewals(const ControlPlane& plane, std::vector<std::unique_ptr<Device>>& devices,
                       size_t rounds) {
  Renewed renewed(0);
  std::vector<std::unique_ptr<LiveStream>> streams(devices.size());
  InParallel("open", plane, devices.size(), [&](size_t i) {
    streams[i] = std::make_unique<LiveStream>(plane, *devices[i], &renewed);
    streams[i]->Follow();
  });
  Figures out{.name = "renew, pushed when due"};
  for (size_t i = 0; i < devices.size(); ++i)
    renewed.acquire();  // until every one is in its stride
  for (auto& stream : streams) (void)stream->TakeLatencies();
  const double cpu = plane.cpu_seconds();
  const auto begun = SteadyClock::now();
  for (size_t i = 0; i < rounds * devices.size(); ++i) renewed.acquire();
  out.server_cpu_seconds = plane.cpu_seconds() - cpu;
  out.wall_seconds = std::chrono::duration<double>(SteadyClock::now() - begun).count();
  for (auto& stream : streams)
    std::ranges::copy(stream->TakeLatencies(), std::back_inserter(out.latencies));
  out.operations = out.latencies.size();
  SP_CHECK(out.operations > 0);
  return out;
}

// A herd: every device renews at once, again and again. What asking for the challenge costs is
// measured alone and taken off, since a live stream has its challenge pushed.
Figures Herd(const ControlPlane& plane, std::vector<std::unique_ptr<Device>>& devices,
             size_t rounds) {
  std::vector<std::unique_ptr<LiveStream>> streams(devices.size());
  InParallel("open", plane, devices.size(),
             [&](size_t i) { streams[i] = std::make_unique<LiveStream>(plane, *devices[i]); });
  Figures asked{.name = "ask for a challenge"};
  Figures out{.name = "renew, all at once"};
  for (size_t round = 0; round < rounds; ++round) {  // one call of a stream at a time
    asked.Add(InParallel("", plane, streams.size(), [&](size_t i) { (void)streams[i]->Ask(); }));
    out.Add(InParallel("", plane, streams.size(), [&](size_t i) { streams[i]->Renew(); }));
  }
  out.server_cpu_seconds -= asked.server_cpu_seconds;
  return out;
}

// CurveFloors is what P-256 costs this thread, as `openssl speed ecdsap256` has it; a renewal
// cannot do without three verifications and one signature.
std::vector<Floor> CurveFloors() {
  constexpr int kRounds = 300;
  const pki::PrivateKey key = pki::PrivateKey::Generate(pki::KeyType::kP256).value();
  const Bytes message(120, 1);
  const Bytes signature = key.Sign(message).value();
  const auto cost = [&](auto operation) {
    timespec before{}, after{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (int i = 0; i < kRounds; ++i) SP_CHECK(operation());
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (Seconds(after) - Seconds(before)) / kRounds * 1e6;
  };
  const double sign = cost([&] { return key.Sign(message).has_value(); });
  const double verify =
      cost([&] { return key.public_key().Verify(message, signature).has_value(); });
  return {{"P-256 signature", sign},
          {"P-256 verification", verify},
          {"renewal's curve: 3 verifications, 1 signature", 3 * verify + sign}};
}

void Run(const Options& options) {
  ControlPlane plane;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<pki::PublicKey> eks;
  for (size_t i = 0; i < options.devices; ++i)
    eks.push_back(devices.emplace_back(std::make_unique<Device>(plane))->ek());
  plane.Allow(eks);
  Report report{.floors = CurveFloors()};
  Figures enrolled =
      InParallel("enrol", plane, devices.size(), [&](size_t i) { devices[i]->Enrol(); });
  if (options.what == "renew") {
    report.figures.push_back(Herd(plane, devices, options.rounds));
    report.figures.push_back(PushedRenewals(plane, devices, options.rounds));
    const StreamFloor floor = MeasureStreamFloor(kBasePort + 10, devices.size());
    report.floors.push_back({"renewal's messages, pushed one at a time", floor.pushed_us});
    report.floors.push_back({"renewal's messages, all at once", floor.herd_us});
  } else if (options.what == "reconnect") {
    report.figures.push_back(InParallel("reconnect", plane, devices.size(),
                                        [&](size_t i) { LiveStream(plane, *devices[i]); }));
  } else {
    report.figures.push_back(std::move(enrolled));
  }
  report.figures.push_back(BareConnections(plane, devices.size()));
  report.server_rss_kib = plane.MemoryKib("VmRSS");
  report.server_peak_rss_kib = plane.MemoryKib("VmHWM");
  options.json ? PrintJson(report) : PrintText(report);
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  sallyport::server::PrepareTls();
  if (std::string_view(argv[1]) == "bare-streams")
    sallyport::ServeBareStreams(argv[2], static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)),
                                static_cast<unsigned>(std::strtoul(argv[4], nullptr, 10)));
  sallyport::Run({argv[1], std::strtoul(argv[2], nullptr, 10), std::strtoul(argv[3], nullptr, 10),
                  std::string_view(argv[4]) == "json"});
}

// A real sallyportd under load of devices whose TPMs are software, over real mutual TLS: what a
// first enrolment, an attested renewal on the live stream and a reconnect cost the server. CPU is
// the server process's own clock, all in (gRPC, TLS, store, timers). Budgets (docs/architecture.md
// 9): enrolment 5 ms, renewals that come together 0.8 ms; a reconnect is reported apart. The floors
// are the curve's price on this machine, a bare TLS connection to the same server, and a stream
// whose server looks at no message.
// `sallyport bench` runs it: sallyport-bench enrol|renew|reconnect DEVICES ROUNDS text|json, and
// sallyport-bench fanout CLIENTS MIB text|json (fanout.h)
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <semaphore>
#include <thread>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/device.grpc.pb.h"
#include "device-client/transport/wire.h"
#include "pki/base/random.h"
#include "tests/bench/control_plane.h"
#include "tests/bench/fanout.h"
#include "tests/bench/figures.h"
#include "tests/bench/stream_floor.h"

namespace sallyport {
namespace {

namespace api = ::sallyport::attestation::v1;

constexpr size_t kClients = 16;  // operations in flight

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

struct Options {
  std::string_view what;
  size_t devices = 0;
  size_t rounds = 0;  // renewals of each device, or MiB that each loads
  bool json = false;
};

Figures BareConnections(const ControlPlane& plane, size_t count) {
  return InParallel("bare TLS connection", plane.server(), count, kClients, [&](size_t) {
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
  InParallel("open", plane.server(), devices.size(), kClients, [&](size_t i) {
    streams[i] = std::make_unique<LiveStream>(plane, *devices[i], &renewed);
    streams[i]->Follow();
  });
  Figures out{.name = "renew, pushed when due"};
  for (size_t i = 0; i < devices.size(); ++i)
    renewed.acquire();  // until every one is in its stride
  for (auto& stream : streams) (void)stream->TakeLatencies();
  const double cpu = CpuSecondsOf(plane.server());
  const auto begun = SteadyClock::now();
  for (size_t i = 0; i < rounds * devices.size(); ++i) renewed.acquire();
  out.server_cpu_seconds = CpuSecondsOf(plane.server()) - cpu;
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
  InParallel("open", plane.server(), devices.size(), kClients,
             [&](size_t i) { streams[i] = std::make_unique<LiveStream>(plane, *devices[i]); });
  Figures asked{.name = "ask for a challenge"};
  Figures out{.name = "renew, all at once"};
  for (size_t round = 0; round < rounds; ++round) {  // one call of a stream at a time
    asked.Add(InParallel("", plane.server(), streams.size(), kClients,
                         [&](size_t i) { (void)streams[i]->Ask(); }));
    out.Add(InParallel("", plane.server(), streams.size(), kClients,
                       [&](size_t i) { streams[i]->Renew(); }));
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
    const double before = ThreadCpuSeconds();
    for (int i = 0; i < kRounds; ++i) SP_CHECK(operation());
    return (ThreadCpuSeconds() - before) / kRounds * 1e6;
  };
  const double sign = cost([&] { return key.Sign(message).has_value(); });
  const double verify =
      cost([&] { return key.public_key().Verify(message, signature).has_value(); });
  return {{"P-256 signature", sign},
          {"P-256 verification", verify},
          {"renewal's curve: 3 verifications, 1 signature", 3 * verify + sign}};
}

void Run(const Options& options) {
  const bool fanout = options.what == "fanout";
  ControlPlane plane(fanout ? "1h" : "10s");
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<pki::PublicKey> eks;
  for (size_t i = 0; i < options.devices; ++i)
    eks.push_back(devices.emplace_back(std::make_unique<Device>(plane))->ek());
  plane.Allow(eks);
  Report report;
  if (!fanout) report.floors = CurveFloors();
  Figures enrolled = InParallel("enrol", plane.server(), devices.size(), kClients,
                                [&](size_t i) { devices[i]->Enrol(); });
  if (fanout) {
    MeasureFanout(plane, devices, options.rounds, report);
  } else if (options.what == "renew") {
    report.figures.push_back(Herd(plane, devices, options.rounds));
    report.figures.push_back(PushedRenewals(plane, devices, options.rounds));
    const StreamFloor floor = MeasureStreamFloor(kBasePort + 10, devices.size());
    report.floors.push_back({"renewal's messages, pushed one at a time", floor.pushed_us});
    report.floors.push_back({"renewal's messages, all at once", floor.herd_us});
  } else if (options.what == "reconnect") {
    report.figures.push_back(InParallel("reconnect", plane.server(), devices.size(), kClients,
                                        [&](size_t i) { LiveStream(plane, *devices[i]); }));
  } else {
    report.figures.push_back(std::move(enrolled));
  }
  if (!fanout) report.figures.push_back(BareConnections(plane, devices.size()));
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

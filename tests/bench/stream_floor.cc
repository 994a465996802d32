#include "tests/bench/stream_floor.h"

#include <grpcpp/alarm.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <semaphore>
#include <thread>

#include "attestation-server/api/tls.h"
#include "attestation-server/api/v1/device.grpc.pb.h"
#include "attestation-server/service/listener.h"
#include "device-client/transport/channel.h"
#include "pki/x509/pem.h"
#include "tests/bench/measured_process.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport {
namespace {

namespace api = ::sallyport::attestation::v1;

// Sizes of a renewal with P-256 keys, as they stand on the wire.
constexpr size_t kTicketBytes = 300;
constexpr size_t kProofBytes = 1300;
constexpr size_t kCertificateBytes = 600;
constexpr unsigned kPushedPerSecond = 64;  // about what `renew, pushed when due` sees
constexpr double kSeconds = 4;

class BareStream final : public grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage> {
 public:
  explicit BareStream(unsigned period_ms) : period_(period_ms) {
    challenge_.mutable_renew()->set_ticket(std::string(kTicketBytes, 't'));
    challenge_.mutable_renew()->set_nonce(std::string(32, 'n'));
    for (int i = 0; i < 2; ++i)
      certificate_.mutable_certificate()->add_chain(std::string(kCertificateBytes, 'c'));
    StartRead(&incoming_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    certificate_next_ = incoming_.has_renewal();  // OnWriteDone may run before StartWrite returns
    certificate_next_ ? StartWrite(&certificate_) : Push();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    if (!std::exchange(certificate_next_, false)) return StartRead(&incoming_);
    if (period_ == 0) return Push();
    due_.Set(std::chrono::system_clock::now() + std::chrono::milliseconds(period_),
             [this](bool fired) {
               if (fired) Push();
             });
  }
  void OnDone() override { delete this; }

 private:
  void Push() { StartWrite(&challenge_); }

  const unsigned period_;
  bool certificate_next_ = false;
  api::DeviceMessage incoming_;
  api::ServerMessage challenge_, certificate_;
  grpc::Alarm due_;
};

class BareService final : public api::Device::CallbackService {
 public:
  explicit BareService(unsigned period_ms) : period_(period_ms) {}
  grpc::ServerBidiReactor<api::DeviceMessage, api::ServerMessage>* Stream(
      grpc::CallbackServerContext*) override {
    return new BareStream(period_);
  }

 private:
  const unsigned period_;
};

// Answer is a device of no thought: it sends a proof for each challenge.
void Answer(const std::shared_ptr<grpc::Channel>& channel, std::counting_semaphore<>& done,
            grpc::ClientContext& context) {
  const auto stub = api::Device::NewStub(channel);
  const auto stream = stub->Stream(&context);
  api::DeviceMessage hello, proof;
  hello.mutable_hello()->set_protocol_version(1);
  proof.mutable_renewal()->set_ticket(std::string(kTicketBytes, 't'));
  proof.mutable_renewal()->mutable_evidence()->set_csr(
      std::string(kProofBytes - kTicketBytes, 'e'));
  stream->Write(hello);
  for (api::ServerMessage push; stream->Read(&push);)
    if (push.has_certificate())
      done.release();
    else
      stream->Write(proof);
  (void)stream->Finish();
}

double Measure(const std::string& directory, const pki::World& world, unsigned port, size_t streams,
               unsigned period_ms) {
  const pid_t server = Spawn({SiblingProgram("sallyport-bench"), "bare-streams", directory,
                              std::to_string(port), std::to_string(period_ms)},
                             directory + "/log");
  const device::ServerTrust trust{world.hierarchy.server_issuer.certificate.ToPem(),
                                  {"spiffe://edge.example/server/control"}};
  std::counting_semaphore<> done(0);
  std::vector<grpc::ClientContext> contexts(streams);
  double each = 0;
  {
    std::vector<std::jthread> devices;
    for (grpc::ClientContext& context : contexts) {
      context.set_wait_for_ready(true);
      devices.emplace_back([&] {
        Answer(device::MakeChannel("127.0.0.1:" + std::to_string(port), trust, std::nullopt), done,
               context);
      });
    }
    for (size_t i = 0; i < 2 * streams; ++i) done.acquire();
    const double cpu = CpuSecondsOf(server);
    size_t exchanges = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(kSeconds);
    while (std::chrono::steady_clock::now() < end) {
      done.acquire();
      ++exchanges;
    }
    each = (CpuSecondsOf(server) - cpu) / static_cast<double>(exchanges) * 1e6;
    for (grpc::ClientContext& context : contexts) context.TryCancel();
  }
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return each;
}

}  // namespace

StreamFloor MeasureStreamFloor(unsigned port, size_t streams) {
  pki::World world{.now = RealClock().Wall()};
  const std::string directory =
      std::filesystem::temp_directory_path() / ("sallyport-floor-" + std::to_string(::getpid()));
  server::TlsDirectory tls(directory);
  SP_CHECK(tls.Replace({world.key.SealedPem("").value(),
                        pki::CertificatePem(world.Server().der) +
                            world.hierarchy.server_issuer.certificate.ToPem(),
                        ""})
               .has_value());
  const auto period = static_cast<unsigned>(1000 * streams / kPushedPerSecond);
  const StreamFloor out{Measure(directory, world, port, streams, period),
                        Measure(directory, world, port + 1, streams, 0)};
  std::filesystem::remove_all(directory);
  return out;
}

void ServeBareStreams(const char* directory, unsigned port, unsigned period_ms) {
  BareService service(period_ms);
  const server::TlsDirectory tls(directory);
  const auto server = server::StartListener("127.0.0.1:" + std::to_string(port), tls,
                                            server::ClientCertificates::kNone, {&service});
  if (!server) std::fprintf(stderr, "%s\n", server.error().ToString().c_str());
  while (true) ::pause();
}

}  // namespace sallyport

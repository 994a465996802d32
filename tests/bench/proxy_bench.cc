// Budgets (docs/architecture.md 9): <= 1.2 ms CPU per new connection and <= 1.3 CPU-s per GB, for a
// pair of proxies. Beside each: the floor, the same work over plain loopback TCP without any proxy.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include "tests/unit/device-client/enforce/mesh.h"

namespace sallyport::device {
namespace {

double ThreadCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Pair is a camera's and a recorder's proxy with an echo service behind.
class Pair {
 public:
  Pair() {
    ProxyConfig recorder;
    recorder.listen = "127.0.0.1:0";
    recorder.inbound = {{"rtsp", echo.address()}};
    recorder_proxy = *Proxy::Start(recorder, ClockOf(recorder_cpu));
    ProxyConfig camera;
    camera.listen.clear();
    camera.outbound = {{"rtsp", recorder_node.id.text(), "127.0.0.1:0",
                        "127.0.0.1:" + std::to_string(recorder_proxy->port())}};
    camera_proxy = *Proxy::Start(camera, ClockOf(camera_cpu));
    for (auto [proxy, node] :
         {std::pair(&camera_proxy, &camera_node), std::pair(&recorder_proxy, &recorder_node)}) {
      SP_CHECK((*proxy)->SetIdentity(mesh.IdentityOf(*node), mesh.trust()).has_value());
      (*proxy)->SetSlice(mesh.SliceOf(*node, mesh.Rules(), {camera_node, recorder_node}));
    }
  }
  uint16_t port() const { return camera_proxy->outbound_ports()[0]; }
  // CpuSeconds that both proxies' threads have used: each writes its own when it asks for the time.
  double CpuSeconds() {
    camera_proxy->Reevaluate();
    recorder_proxy->Reevaluate();
    const UniqueFd probe = ConnectTo(port());
    SendAll(probe.get(), AsBytes("x"));
    Receive(probe.get(), 1);
    return camera_cpu + recorder_cpu;
  }

  Mesh mesh;
  EchoServer echo;
  Mesh::Node camera_node = mesh.MakeNode("camera", "camera");
  Mesh::Node recorder_node = mesh.MakeNode("recorder", "recorder");
  std::atomic<double> camera_cpu = 0, recorder_cpu = 0;
  std::unique_ptr<Proxy> recorder_proxy;
  std::unique_ptr<Proxy> camera_proxy;

 private:
  ProxyClock ClockOf(std::atomic<double>& cpu) {
    return [this, &cpu] {
      cpu = ThreadCpuSeconds();
      return ProxyTime{{mesh.time.now_ms}, true};
    };
  }
};

void ConnectOnce(uint16_t port) {
  const UniqueFd fd = ConnectTo(port);
  SendAll(fd.get(), AsBytes("x"));
  SP_CHECK(Receive(fd.get(), 1).bytes.size() == 1);
}

void BM_NewConnection(benchmark::State& state) {
  Pair pair;
  const double before = pair.CpuSeconds();
  for (auto _ : state) ConnectOnce(pair.port());
  state.counters["pair_cpu_us"] =
      (pair.CpuSeconds() - before) * 1e6 / static_cast<double>(state.iterations());
}
BENCHMARK(BM_NewConnection)->Unit(benchmark::kMicrosecond)->Iterations(500);

void BM_NewConnectionFloor(benchmark::State& state) {
  EchoServer echo;
  const auto port =
      static_cast<uint16_t>(std::stoi(echo.address().substr(echo.address().rfind(':') + 1)));
  for (auto _ : state) ConnectOnce(port);
}
BENCHMARK(BM_NewConnectionFloor)->Unit(benchmark::kMicrosecond)->Iterations(500);

constexpr size_t kBulk = size_t{128} << 20;

void Bulk(uint16_t port) {
  const UniqueFd fd = ConnectTo(port);
  const Bytes chunk(256 << 10, 0x5A);
  std::thread sender([&] {
    for (size_t sent = 0; sent < kBulk; sent += chunk.size()) SendAll(fd.get(), chunk);
    shutdown(fd.get(), SHUT_WR);
  });
  Bytes sink(256 << 10);
  size_t received = 0;
  for (ssize_t got; (got = recv(fd.get(), sink.data(), sink.size(), 0)) > 0;)
    received += static_cast<size_t>(got);
  sender.join();
  SP_CHECK(received == kBulk);
}

// Each byte goes there and back: two passes through the pair.
void BM_Bulk(benchmark::State& state) {
  Pair pair;
  const double before = pair.CpuSeconds();
  for (auto _ : state) Bulk(pair.port());
  const double gigabytes =
      2.0 * static_cast<double>(kBulk) * static_cast<double>(state.iterations()) / 1e9;
  state.counters["pair_cpu_s_per_GB"] = (pair.CpuSeconds() - before) / gigabytes;
  state.SetBytesProcessed(static_cast<int64_t>(2 * kBulk) * state.iterations());
}
BENCHMARK(BM_Bulk)->Unit(benchmark::kMillisecond)->Iterations(4);

void BM_BulkFloor(benchmark::State& state) {
  EchoServer echo;
  const auto port =
      static_cast<uint16_t>(std::stoi(echo.address().substr(echo.address().rfind(':') + 1)));
  for (auto _ : state) Bulk(port);
  state.SetBytesProcessed(static_cast<int64_t>(2 * kBulk) * state.iterations());
}
BENCHMARK(BM_BulkFloor)->Unit(benchmark::kMillisecond)->Iterations(4);

}  // namespace
}  // namespace sallyport::device

BENCHMARK_MAIN();

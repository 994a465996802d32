// Update metadata: what the server pays for one device's director metadata (budget 200 us CPU), and
// what a device pays to verify. The floor is the same number of bare Ed25519 operations on this
// machine.
#include <benchmark/benchmark.h>

#include "attestation-server/director/director.h"
#include "ota/metadata/uptane.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
constexpr int kDirectorSignatures = 3;  // targets, snapshot, timestamp
const std::string kDevice(52, 'a');

pki::PrivateKey NewKey() { return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value(); }

server::DirectorOrder Order(ota::TufRepository& image, uint32_t counter) {
  const Bytes release = image.targets()["releases/edge-os/2.0.0/release.json"].content;
  return {kDevice,
          1,
          counter,
          kNow + Hours(24),
          server::AssignRelease(release, "r1").value(),
          ota::MetaFileOf(0, Bytes(4096, 's'))};
}

void DirectorMetadataForOneDevice(benchmark::State& state) {
  ota::TufRepository image(kNow, "edge.example");
  ota::AddSampleRelease(image, "2.0.0", 2);
  server::LocalDirectorSigner signer("edge.example", NewKey(), NewKey(), NewKey());
  server::DirectorOrder order = Order(image, 1);
  for (auto _ : state) {
    ++order.counter;
    benchmark::DoNotOptimize(signer.SignDirector(order).value());
  }
}
BENCHMARK(DirectorMetadataForOneDevice)->Unit(benchmark::kMicrosecond);

void FloorSignThreeTimes(benchmark::State& state) {
  const pki::PrivateKey key = NewKey();
  const Bytes message(600, 'm');
  for (auto _ : state)
    for (int i = 0; i < kDirectorSignatures; ++i)
      benchmark::DoNotOptimize(key.Sign(message).value());
}
BENCHMARK(FloorSignThreeTimes)->Unit(benchmark::kMicrosecond);

void DirectorMetadataCached(benchmark::State& state) {
  server::LocalDirectorSigner signer("edge.example", NewKey(), NewKey(), NewKey());
  server::Director director(
      signer, [](const std::string&) { return server::Director::Version{1, 1}; }, Hours(24), 10);
  const Bytes slice(4096, 's');
  for (auto _ : state)
    benchmark::DoNotOptimize(director.MetadataFor({kDevice, std::nullopt, slice}, kNow).value());
}
BENCHMARK(DirectorMetadataCached)->Unit(benchmark::kMicrosecond);

// A repository with `range` further releases; the device has refreshed before.
void ClientRefresh(benchmark::State& state) {
  ota::TufRepository image(kNow, "");
  for (int64_t i = 0; i < state.range(0); ++i)
    ota::AddSampleRelease(image, "1." + std::to_string(i), 1);
  image.PublishNext();
  MemoryFileSystem files;
  ota::MetadataClient client(files, "/tuf", {});
  SP_CHECK(client.Initialise(image.CurrentRoot()));
  for (auto _ : state) benchmark::DoNotOptimize(client.Refresh(image, kNow).value());
}
BENCHMARK(ClientRefresh)->Arg(1)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sallyport

BENCHMARK_MAIN();

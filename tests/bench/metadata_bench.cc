// Update metadata: what the server pays for one device's director metadata (budget 200 us CPU), and
// what a device pays to verify: role by role, one refresh, one manifest. The floor is the same
// number of bare Ed25519 operations on this machine. Ends with the peak resident size.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdio>

#include "attestation-server/director/director.h"
#include "ota/metadata/limits.h"
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

// Every device of a fleet asks once, which is more than this cache holds: what the first round
// after a restart costs per device. Nothing becomes a file.
void DirectorMetadataForAFleet(benchmark::State& state) {
  server::LocalDirectorSigner signer("edge.example", NewKey(), NewKey(), NewKey());
  uint32_t counter = 0;
  server::Director director(
      signer, [&](const std::string&) { return server::Director::Version{1, ++counter}; },
      Hours(24), 10'000);
  const Bytes slice(4096, 's');
  int64_t device = 0;
  for (auto _ : state) {
    const std::string id = "device-" + std::to_string(device++ % state.range(0));
    benchmark::DoNotOptimize(director.MetadataFor({id, std::nullopt, slice}, kNow).value());
  }
}
BENCHMARK(DirectorMetadataForAFleet)
    ->Arg(100'000)
    ->Iterations(100'000)
    ->Unit(benchmark::kMicrosecond);

// Repository holds `releases` releases, and a policy as every installation has.
ota::TufRepository Repository(int64_t releases) {
  ota::TufRepository out(kNow, "edge.example");
  out.set_development(true);
  out.PublishRoot();
  for (int64_t i = 0; i < releases; ++i)
    ota::AddSampleRelease(out, "1." + std::to_string(i) + ".0", 1);
  out.Delegate("targets", {"policy", {"policy/*"}});
  out.targets("policy")["policy/policy.json"].content = ToBytes("policy manifest");
  out.Publish();
  return out;
}

// VerifyRole parses, verifies and reads one document of a role; the argument is the number of
// releases.
void VerifyRole(benchmark::State& state, const char* role, const std::string& file) {
  const ota::TufRepository repository = Repository(state.range(0));
  const Bytes& bytes = repository.metadata.at(file);
  const auto root = ota::TrustedMetadata::Start(repository.CurrentRoot(), kNow, {}).value();
  const std::string_view name = role;
  for (auto _ : state) {
    const auto document = ota::SignedDocument::Parse(bytes, ota::kTargetsSizeMax).value();
    for (const ota::Role top : ota::kTopRoles) {
      if (ota::RoleName(top) != name) continue;
      const auto body = document.Verify(root.root().keys(top), name).value();
      switch (top) {
        case ota::Role::kRoot: benchmark::DoNotOptimize(ota::Root::Parse(body).value()); break;
        case ota::Role::kTimestamp:
          benchmark::DoNotOptimize(ota::Timestamp::Parse(body).value());
          break;
        case ota::Role::kSnapshot:
          benchmark::DoNotOptimize(ota::Snapshot::Parse(body).value());
          break;
        case ota::Role::kTargets:
          benchmark::DoNotOptimize(ota::Targets::Parse(body).value());
          break;
      }
    }
  }
  state.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK_CAPTURE(VerifyRole, root, "root", "1.root.json")->Arg(1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(VerifyRole, timestamp, "timestamp", "timestamp.json")
    ->Arg(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(VerifyRole, snapshot, "snapshot", "1.snapshot.json")
    ->Arg(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(VerifyRole, targets, "targets", "1.targets.json")
    ->Arg(1)
    ->Arg(100)
    ->Arg(1000)
    ->Unit(benchmark::kMicrosecond);

void FloorVerifyOnce(benchmark::State& state) {
  const pki::PrivateKey key = NewKey();
  const Bytes message(600, 'm');
  const Bytes signature = key.Sign(message).value();
  for (auto _ : state)
    benchmark::DoNotOptimize(key.public_key().Verify(message, signature).has_value());
}
BENCHMARK(FloorVerifyOnce)->Unit(benchmark::kMicrosecond);

// The first refresh of a device: all roles fetched, verified and stored.
void FullRefresh(benchmark::State& state) {
  ota::TufRepository image = Repository(state.range(0));
  const Bytes root = image.CurrentRoot();
  for (auto _ : state) {
    MemoryFileSystem files;
    ota::MetadataClient client(files, "/tuf", {});
    SP_CHECK(client.Initialise(root));
    benchmark::DoNotOptimize(client.Refresh(image, kNow).value());
    image.fetched.clear();
  }
}
BENCHMARK(FullRefresh)->Arg(1)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

// Nothing is new: the held files are verified again.
void UnchangedRefresh(benchmark::State& state) {
  ota::TufRepository image = Repository(state.range(0));
  MemoryFileSystem files;
  ota::MetadataClient client(files, "/tuf", {});
  SP_CHECK(client.Initialise(image.CurrentRoot()));
  for (auto _ : state) {
    benchmark::DoNotOptimize(client.Refresh(image, kNow).value());
    image.fetched.clear();
  }
}
BENCHMARK(UnchangedRefresh)->Arg(1)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

// Both repositories of one device, as at every start: VerifyBundle.
void VerifyManifest(benchmark::State& state) {
  ota::TufRepository image = Repository(state.range(0));
  ota::TufRepository director(kNow, "edge.example");
  director.set_development(true);
  director.PublishRoot();
  director.set_statement(JsonValue::Object({{"device", kDevice},
                                            {"trust_domain", "edge.example"},
                                            {"incarnation", 0},
                                            {"rollout", "r1"}}));
  const std::string path = "releases/edge-os/1.0.0/release.json";
  director.targets()[path] = image.targets()[path];
  director.Publish();
  const ota::DeviceManifest said = director.Manifest({});
  const ota::ManifestBundle bundle = {
      {image.CurrentRoot(), image.metadata.at("timestamp.json"),
       image.metadata.at("1.snapshot.json"), image.metadata.at("1.targets.json"),
       image.metadata.at("1.policy.json"), image.targets()[path].content,
       ToBytes("policy manifest")},
      {director.CurrentRoot(), said.timestamp, said.snapshot, said.targets, {}}};
  for (auto _ : state)
    benchmark::DoNotOptimize(
        ota::VerifyBundle(bundle, {kDevice, "edge.example", "virtual-x86_64"}, {}, kNow).value());
}
BENCHMARK(VerifyManifest)->Arg(1)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("peak resident size: %ld KiB\n", usage.ru_maxrss);
}

// One attested renewal through the flow, without gRPC: challenge, proof, verdict, commit,
// certificate. Budget (docs/architecture.md 9): 0.6 ms of server CPU; the floor is three P-256
// verifications (quote, key, request) and one signature, printed beside it. "cpu" is that of the
// whole process less the device's own work.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "attestation-server/enrolment/flow.h"
#include "attestation-server/store/references.h"
#include "attestation-server/store/tokens.h"
#include "pki/ca/hierarchy.h"
#include "pki/base/random.h"
#include "tests/fakes/fake_tpm_evidence.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
constexpr size_t kBatch = 64;

class Quiet final : public FlowEvents {
  void OnAdmitted(const DeviceRecord&) override {}
  void OnRevoked(const std::string&, uint64_t) override {}
};

double ProcessSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct World {
  std::string directory =
      std::filesystem::temp_directory_path() / ("sallyport-renewal-" + std::to_string(getpid()));
  SystemRandom random;  // the flow draws from many threads
  MemoryFileSystem files;
  EvidenceBlobs blobs{files, "/evidence"};
  Quiet events;
  FakeTpmVendor vendor;
  pki::TrustDomain domain = pki::TrustDomain::Parse("edge.example").value();
  pki::Hierarchy hierarchy = pki::CreateHierarchy({domain}, random, kNow).value();
  Sha256Digest leaf = Sha256Digest::FromArray({7});
  Channel channel{"192.0.2.1", {leaf}};
  std::unique_ptr<Database> database;
  std::unique_ptr<EnrolmentFlow> flow;
  std::vector<std::unique_ptr<FakeTpmDevice>> devices;

  World() {
    std::filesystem::create_directories(directory);
    database = Database::Open(directory + "/store.db", random).value();
    FlowConfig config{.trust_domain = domain,
                      .development = true,
                      .incarnation = 1,
                      .classes = {{"online", {Hours(1), false}}},
                      .profiles = {},
                      .pcrs = {0, 4, 7},
                      .limits = {{1e9, 1e9}, {1e9, 1e9}, {1e9, 1e9}}};
    config.profiles.emplace(
        "default",
        Profile{pki::EkRoots::FromCertificates(std::vector<Bytes>{vendor.root_der()}).value(),
                true});
    flow = std::make_unique<EnrolmentFlow>(
        std::move(config), FlowParts{*database, blobs, random, events},
        std::make_shared<const pki::DeviceLeafSigner>(
            pki::DeviceLeafSigner::Make(hierarchy.device_issuer, domain).value()));
    ReferenceRow reference;
    reference.device_class = "online";
    reference.json = ReferenceJson("uki 1", "online");
    reference.id = pki::Sha256(AsBytes(reference.json));
    reference.state = ReferenceState::kActive;
    Write([&](Connection& c) { return References(c).Insert(reference); });
    for (size_t i = 0; i < kBatch; ++i) Enrol();
  }
  ~World() {
    flow.reset();
    database.reset();
    std::filesystem::remove_all(directory);
  }

  template <typename Body>
  void Write(Body body) {
    SP_CHECK(database->writer()
                 .Run([&](Transaction& t) -> Result<Unit> { return body(t.connection()); })
                 .has_value());
  }
  void Enrol() {
    FakeTpmDevice& device = *devices.emplace_back(std::make_unique<FakeTpmDevice>(vendor));
    ListedEk listed;
    listed.ek_spki_hash = pki::Sha256(device.ek().public_key().spki());
    listed.profile = "default";
    listed.placement = {"berlin", "online", {}};
    Write([&](Connection& c) { return EkList(c).Put(listed); });
    const auto challenge =
        std::get<IssuedChallenge>(flow->Begin(channel, device.Begin(pki::Purpose::kEnrol), kNow));
    SP_CHECK(std::holds_alternative<Admitted>(
        flow->Prove(channel, device.Prove(pki::Purpose::kEnrol, challenge, leaf), kNow)));
  }
  std::string IdOf(size_t i) const {
    return pki::DeviceIdFromEk(domain, devices[i]->ek().public_key().spki()).text();
  }
};

World& Shared() {
  static World world;
  return world;
}

// The floor: the curve's own price for what a renewal cannot do without.
void FloorOfTheCurve(benchmark::State& state) {
  const pki::PrivateKey key = pki::PrivateKey::Generate(pki::KeyType::kP256).value();
  const Bytes message(120, 1);
  const Bytes signature = key.Sign(message).value();
  for (auto _ : state) {
    for (int i = 0; i < 3; ++i) SP_CHECK(key.public_key().Verify(message, signature).has_value());
    benchmark::DoNotOptimize(key.Sign(message).value());
  }
}
BENCHMARK(FloorOfTheCurve)->Unit(benchmark::kMicrosecond);

// Renewals of a whole batch, by `range` threads that share commits.
void AttestedRenewal(benchmark::State& state) {
  World& world = Shared();
  const auto workers = static_cast<size_t>(state.range(0));
  double server_seconds = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<ProveInput> proofs;
    double device_seconds = 0;
    const double begun = ProcessSeconds();
    for (size_t i = 0; i < kBatch; ++i) {
      const auto challenge =
          std::get<IssuedChallenge>(world.flow->BeginRenewal(world.IdOf(i), kNow));
      const double before = ProcessSeconds();
      proofs.push_back(world.devices[i]->Prove(pki::Purpose::kRenew, challenge, world.leaf,
                                               {.send_log = false, .certify_again = true}));
      device_seconds += ProcessSeconds() - before;
    }
    state.ResumeTiming();
    {
      std::vector<std::jthread> threads;
      for (size_t worker = 0; worker < workers; ++worker)
        threads.emplace_back([&, worker] {
          for (size_t i = worker; i < kBatch; i += workers)
            SP_CHECK(std::holds_alternative<Admitted>(
                world.flow->Renew(world.IdOf(i), world.channel, proofs[i], kNow)));
        });
    }
    server_seconds += ProcessSeconds() - begun - device_seconds;
  }
  const auto renewals = static_cast<double>(state.iterations()) * kBatch;
  state.counters["server_cpu_us"] = server_seconds / renewals * 1e6;
  state.SetItemsProcessed(static_cast<int64_t>(renewals));
}
BENCHMARK(AttestedRenewal)->Arg(1)->Arg(16)->Unit(benchmark::kMillisecond)->UseRealTime();

// The challenge of a first enrolment: EK chain, attributes, MakeCredential.
void EnrolmentChallenge(benchmark::State& state) {
  World& world = Shared();
  FakeTpmDevice device(world.vendor);
  const BeginInput begin = device.Begin(pki::Purpose::kEnrol);
  for (auto _ : state)
    SP_CHECK(
        std::holds_alternative<IssuedChallenge>(world.flow->Begin(world.channel, begin, kNow)));
}
BENCHMARK(EnrolmentChallenge)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sallyport::server

BENCHMARK_MAIN();

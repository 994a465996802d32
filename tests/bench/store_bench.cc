// The store: durable writes per second through the one writer, alone and sharing commits, beside
// what the medium itself gives (write 4 KiB, fdatasync). Budget (docs/architecture.md 9): 20,000
// device records/s with group commit on SQLite WAL, synchronous=FULL. Times of the medium drift
// with the host: compare the rows of one run.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <latch>

#include "attestation-server/store/database.h"
#include "attestation-server/store/devices.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::server {
namespace {

constexpr int kFleet = 10'000;

DeviceRecord MakeDevice(Random& random, int number) {
  DeviceRecord device;
  device.id = Base32LowerEncode(random.Next<Sha256Digest>().view());
  device.name = "cam-" + std::to_string(number);
  device.trust_domain = "edge.example";
  device.placement = {"berlin", "online", {"camera", "outdoor"}};
  device.tpm.ek_spki_hash = random.Next<Sha256Digest>();
  device.tpm.ak_public = Bytes(90, 1);
  device.tpm.ak_name = ToBytes(random.Next<Sha256Digest>().view());
  device.state = DeviceState::kActive;
  device.posture = Posture::kPassing;
  device.boot = BootRecord{random.Next<BootId>(),      0, 1, 0, 1000, true, "0011223344556677",
                           random.Next<Sha256Digest>()};
  device.next_key = KeySlot{Bytes(34, 2), "00112233445566778899aabbccddeeff", UnixTime{1}};
  device.incarnation = 1;
  return device;
}

struct Fleet {
  std::string directory =
      std::filesystem::temp_directory_path() / ("sallyport-bench-" + std::to_string(getpid()));
  FakeRandom random;
  std::unique_ptr<Database> database;
  std::vector<DeviceRecord> devices;

  Fleet() {
    std::filesystem::create_directories(directory);
    database = Database::Open(directory + "/store.db", random).value();
    for (int i = 0; i < kFleet; ++i) devices.push_back(MakeDevice(random, i));
    for (int from = 0; from < kFleet; from += 1000)
      SP_CHECK(database->writer()
                   .Run([&](Transaction& t) -> Result<Unit> {
                     for (int i = from; i < from + 1000; ++i)
                       SP_TRY(Devices(t.connection()).Insert(devices[static_cast<size_t>(i)]));
                     return Unit{};
                   })
                   .has_value());
  }
  ~Fleet() {
    database.reset();
    std::filesystem::remove_all(directory);
  }
};

Fleet& Shared() {
  static Fleet fleet;
  return fleet;
}

void FloorOfTheMedium(benchmark::State& state) {
  const std::string path = Shared().directory + "/floor";
  const int file = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  const Bytes page(4096, 7);
  off_t at = 0;
  for (auto _ : state) {
    SP_CHECK(pwrite(file, page.data(), page.size(), at) == static_cast<ssize_t>(page.size()));
    SP_CHECK(fdatasync(file) == 0);
    at = (at + 4096) % (4096 * 1024);
  }
  close(file);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FloorOfTheMedium)->UseRealTime();

// One commit for each record: what a caller alone sees.
void DeviceRecordAlone(benchmark::State& state) {
  Fleet& fleet = Shared();
  size_t next = 0;
  for (auto _ : state) {
    DeviceRecord& device = fleet.devices[next++ % fleet.devices.size()];
    SP_CHECK(fleet.database->writer()
                 .Run([&](Transaction& t) { return Devices(t.connection()).Update(device); })
                 .has_value());
    ++device.revision;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DeviceRecordAlone)->UseRealTime();

// `range` records in flight: the writer commits what has gathered.
void DeviceRecordsTogether(benchmark::State& state) {
  Fleet& fleet = Shared();
  const auto in_flight = static_cast<size_t>(state.range(0));
  size_t next = 0;
  for (auto _ : state) {
    std::latch done(static_cast<ptrdiff_t>(in_flight));
    for (size_t i = 0; i < in_flight; ++i) {
      DeviceRecord& device = fleet.devices[next++ % fleet.devices.size()];
      fleet.database->writer().Submit(
          [&](Transaction& t) { return Devices(t.connection()).Update(device); },
          [&](const Result<Unit>& result) {
            SP_CHECK(result.has_value());
            ++device.revision;
            done.count_down();
          });
    }
    done.wait();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(DeviceRecordsTogether)->Arg(16)->Arg(64)->Arg(1024)->UseRealTime();

// The same with an audit entry each, as an admission writes them.
void AuditedRecordsTogether(benchmark::State& state) {
  Fleet& fleet = Shared();
  const auto in_flight = static_cast<size_t>(state.range(0));
  const JsonValue record =
      JsonValue::Object({{"device", fleet.devices[0].id}, {"at", "2026-11-21T01:02:03Z"}});
  size_t next = 0;
  for (auto _ : state) {
    std::latch done(static_cast<ptrdiff_t>(in_flight));
    for (size_t i = 0; i < in_flight; ++i) {
      DeviceRecord& device = fleet.devices[next++ % fleet.devices.size()];
      fleet.database->writer().Submit(
          [&](Transaction& t) -> Result<Unit> {
            SP_TRY(t.Audit("certificate-issued", record));
            return Devices(t.connection()).Update(device);
          },
          [&](const Result<Unit>& result) {
            SP_CHECK(result.has_value());
            ++device.revision;
            done.count_down();
          });
    }
    done.wait();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(AuditedRecordsTogether)->Arg(1024)->UseRealTime();

void ReadDeviceRecord(benchmark::State& state) {
  Fleet& fleet = Shared();
  size_t next = 0;
  for (auto _ : state) {
    Snapshot snapshot = fleet.database->Read().value();
    SP_CHECK(Devices(snapshot.connection())
                 .Find(fleet.devices[next++ % fleet.devices.size()].id)
                 .value()
                 .has_value());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ReadDeviceRecord);

void ReadLeaseOfADevice(benchmark::State& state) {
  Fleet& fleet = Shared();
  size_t next = 0;
  for (auto _ : state) {
    Snapshot snapshot = fleet.database->Read().value();
    SP_CHECK(ReadLease(snapshot.connection(), fleet.devices[next++ % fleet.devices.size()].id)
                 .value()
                 .has_value());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ReadLeaseOfADevice);

}  // namespace
}  // namespace sallyport::server

BENCHMARK_MAIN();

// install_bench [MiB] [directory]: the streaming installer against this machine's own floor, a
// plain copy of the same bytes with fsync. Each runs in its own process, so that peak memory is its
// own. Budgets: architecture 9 (at most 64 MiB while installing, whatever the image).
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "ota/install/efi_boot_control.h"
#include "ota/install/installer.h"
#include "ota/payload/pack.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kIndexMax = kIndexSizeMax;

template <typename T>
T Must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().ToString().c_str());
  std::exit(1);
}

// FileSource serves files of one directory in chunks as large as libcurl's.
class FileSource final : public PayloadSource {
 public:
  explicit FileSource(std::string directory) : directory_(std::move(directory)) {}
  Result<Unit> Fetch(const RemoteFile& file, uint64_t offset, uint64_t length,
                     ByteSink& sink) override {
    SP_TRY(const auto in, files_.Open(directory_ + "/" + file.path, OpenMode::kRead));
    Bytes chunk(16 * 1024);
    for (uint64_t at = offset; at < offset + length;) {
      SP_TRY(const size_t size, in->ReadAt(at, chunk));
      SP_TRY(sink.Write(ByteView(chunk).first(size)));
      at += size;
    }
    return Unit{};
  }

 private:
  PosixFileSystem files_;
  const std::string directory_;
};

// Half of every MiB compresses well, a quarter hardly, a quarter is zeros: about what a root image
// does.
void FillImage(File& image, uint64_t size) {
  Bytes block(kMiB);
  uint32_t state = 1;
  for (uint64_t at = 0; at < size; at += kMiB) {
    for (size_t i = 0; i < 3 * kMiB / 4; ++i) {
      state = state * 1664525 + 1013904223;
      block[i] = static_cast<uint8_t>(i < kMiB / 2 ? 'a' + (state >> 29) : state >> 24);
    }
    Must(image.WriteAt(at, block));
  }
}

struct Paths {
  std::string directory;
  std::string At(const std::string& name) const { return directory + "/" + name; }
};

Result<Unit> CopyAndSync(const Paths& paths) {
  PosixFileSystem files;
  SP_TRY(const auto from, files.Open(paths.At("image"), OpenMode::kRead));
  SP_TRY(const auto to, files.Open(paths.At("copy"), OpenMode::kReadWrite));
  Bytes chunk(kMiB);
  for (uint64_t at = 0;; at += chunk.size()) {
    SP_TRY(const size_t size, from->ReadAt(at, chunk));
    SP_TRY(to->WriteAt(at, ByteView(chunk).first(size)));
    if (size < chunk.size()) return to->Sync();
  }
}

InstallPlan PlanOf(const Paths& paths) {
  PosixFileSystem files;
  const Bytes index = Must(ReadFile(files, paths.At("index.json"), kIndexMax));
  const Bytes uki = Must(ReadFile(files, paths.At("uki.efi"), kMiB));
  const SegmentTable table = Must(SegmentTable::Parse(index));
  return InstallPlanForTest::Make({ReleaseDigest::FromArray({1}),
                                   "edge-os",
                                   "2",
                                   1,
                                   false,
                                   table.image_length(),
                                   table.image_sha256(),
                                   {"uki.efi", uki.size(), pki::Sha256(uki)},
                                   {"index.json", index.size(), pki::Sha256(index)},
                                   {"payload.bin", table.payload_length(), pki::Sha256(Bytes())}});
}

Result<Unit> InstallRelease(const Paths& paths) {
  PosixFileSystem files;
  PosixBlockTargetOpener slots;
  EfiBootControl boot(files, {paths.At("efivars")});
  RecordStore record(files, paths.At("record"));
  Installer installer({files, slots, boot, record}, {{paths.At("slot-a"), paths.At("a.efi")},
                                                     {paths.At("slot-b"), paths.At("b.efi")},
                                                     paths.directory});
  FileSource source(paths.directory);
  return installer.Install(PlanOf(paths), source);
}

struct Cost {
  double seconds;
  long peak_kib;
};

// Measure runs `work` in a child and returns its wall time and peak resident memory.
Cost Measure(const std::function<Result<Unit>()>& work) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    Must(work());
    ::_exit(0);
  }
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  if (status != 0) std::exit(1);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {seconds.count(), usage.ru_maxrss};
}

void Prepare(const Paths& paths, uint64_t size) {
  PosixFileSystem files;
  Must(files.MakeDirectories(paths.At("efivars")));
  FillImage(*Must(files.Open(paths.At("image"), OpenMode::kCreate)), size);
  for (const char* name : {"copy", "slot-a", "slot-b"})
    FillImage(*Must(files.Open(paths.At(name), OpenMode::kCreate)), size);
  Must(WriteFileAtomically(files, paths.At("uki.efi"), Bytes(kMiB / 2, 1)));
  EfiBootControl boot(files, {paths.At("efivars")});
  Must(boot.Provision(Slot::kA, {1, 2048, 262144, {}}));
  Must(WriteFileAtomically(files,
                           paths.At("efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
                           Bytes{6, 0, 0, 0, 0, 0}));
  const auto image = Must(files.Open(paths.At("image"), OpenMode::kRead));
  const auto payload = Must(files.Open(paths.At("payload.bin"), OpenMode::kCreate));
  const SegmentTable table = Must(PackImage(*image, *payload, {.level = 3}));
  Must(WriteFileAtomically(files, paths.At("index.json"), AsBytes(table.ToJson())));
}

void Print(const char* what, const Cost& cost, uint64_t size) {
  std::printf("%-22s %8.1f MB/s %8.2f s %8.1f MiB peak RSS\n", what,
              static_cast<double>(size) / 1e6 / cost.seconds, cost.seconds,
              static_cast<double>(cost.peak_kib) / 1024);
}

}  // namespace
}  // namespace sallyport::ota

int main(int argc, char** argv) {
  using namespace sallyport::ota;
  const uint64_t size = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 256) * kMiB;
  std::string directory = std::string(argc > 2 ? argv[2] : "/tmp") + "/install-bench-XXXXXX";
  if (size == 0 || ::mkdtemp(directory.data()) == nullptr) return 2;
  const Paths paths{directory};
  const Cost packing = Measure([&]() -> sallyport::Result<sallyport::Unit> {
    Prepare(paths, size);
    return sallyport::Unit{};
  });
  const Cost floor = Measure([&] { return CopyAndSync(paths); });
  const Cost install = Measure([&] { return InstallRelease(paths); });
  Print("prepare and pack", packing, size);
  Print("copy and fsync (floor)", floor, size);
  Print("install with read-back", install, size);
  std::filesystem::remove_all(directory);
  return 0;
}

// install_bench MIB DIRECTORY text|json [NEW OLD]: the streaming installer beside this machine's
// own floor, a plain copy of the same bytes with fsync, and beside the peers that are installed
// here. With NEW and OLD, two images of one product (tests/bench/image_pair.sh makes a pair), also
// the update from one to the other. Each runs in its own process, so that CPU and peak memory are
// its own. Budgets: architecture 9 and docs/updates.md. `sallyport bench install` runs it.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "ota/delta/delta.h"
#include "ota/install/chunk_writer.h"
#include "ota/install/efi_boot_control.h"
#include "ota/install/installer.h"
#include "ota/payload/pack.h"
#include "ota/payload/stream_decoder.h"
#include "pki/base/json.h"
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
    fetched_ += length;
    SP_TRY(const auto in, files_.Open(directory_ + "/" + file.path, OpenMode::kRead));
    Bytes chunk(16 * 1024);
    for (uint64_t at = offset; at < offset + length;) {
      SP_TRY(const size_t size, in->ReadAt(at, chunk));
      const auto wanted = static_cast<size_t>(std::min<uint64_t>(size, offset + length - at));
      SP_TRY(sink.Write(ByteView(chunk).first(wanted)));
      at += wanted;
    }
    return Unit{};
  }
  uint64_t fetched() const { return fetched_; }

 private:
  PosixFileSystem files_;
  const std::string directory_;
  uint64_t fetched_ = 0;
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
  double seconds = 0;
  double cpu_seconds = 0;
  long peak_kib = 0;
};

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Measure runs `work` in a child.
Cost Measure(const std::function<Result<Unit>()>& work) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Must(work());
    ::_exit(0);
  }
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  if (status != 0) std::exit(1);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {seconds.count(), Seconds(usage.ru_utime) + Seconds(usage.ru_stime), usage.ru_maxrss};
}

// Shell runs a peer's commands in `directory`; nullopt when one of them fails.
std::optional<Cost> Shell(const Paths& paths, const std::string& commands) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // What is mounted here goes when the last process of the script does, however it ends.
    if (::unshare(CLONE_NEWNS) == 0) ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const std::string script =
        "set -e; cd '" + paths.directory + "'; exec >peer.log 2>&1; " + commands;
    ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  if (status != 0) return std::nullopt;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return Cost{seconds.count(), Seconds(usage.ru_utime) + Seconds(usage.ru_stime), usage.ru_maxrss};
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

// Report prints a row as it is measured, or all of them as JSON at the end.
class Report {
 public:
  explicit Report(bool json) : json_(json) {
    if (!json_)
      std::printf("%-34s %9s %9s %10s %12s\n", "", "seconds", "CPU-s", "peak MiB", "bytes");
  }
  void Row(const std::string& what, const Cost& cost, uint64_t bytes = 0) {
    if (!json_)
      std::printf("%-34s %9.2f %9.2f %10.1f %12llu\n", what.c_str(), cost.seconds, cost.cpu_seconds,
                  static_cast<double>(cost.peak_kib) / 1024,
                  static_cast<unsigned long long>(bytes));
    std::fflush(stdout);
    rows_.push_back(
        JsonValue::Object({{"what", what},
                           {"milliseconds", static_cast<int64_t>(cost.seconds * 1000)},
                           {"cpu_milliseconds", static_cast<int64_t>(cost.cpu_seconds * 1000)},
                           {"peak_rss_kib", cost.peak_kib},
                           {"bytes", bytes}}));
  }
  void Missing(const std::string& what) {
    if (!json_) std::printf("%-34s not installed, or failed\n", what.c_str());
  }
  void Peer(const std::string& what, const std::optional<Cost>& cost, uint64_t bytes = 0) {
    if (cost)
      Row(what, *cost, bytes);
    else
      Missing(what);
  }
  void Finish() {
    if (!json_) return;
    const JsonValue all = JsonValue::Object({{"rows", JsonValue::Array(std::move(rows_))}});
    std::printf("%s\n", WriteJson(all).c_str());
  }

 private:
  const bool json_;
  std::vector<JsonValue> rows_;
};

Result<Unit> ReadBack(const Paths& paths) {
  PosixBlockTargetOpener slots;
  SP_TRY(const auto slot, slots.Open(paths.At("slot-b")));
  SP_TRY(slot->DropCache());
  SP_TRY(const uint64_t size, slot->Size());
  pki::Hasher hash(pki::HashAlgorithm::kSha256);
  Bytes chunk(kMiB);
  for (uint64_t at = 0; at < size; at += chunk.size()) {
    SP_TRY(slot->ReadAt(at, chunk));
    hash.Update(chunk);
  }
  static_cast<void>(hash.Finish());
  return Unit{};
}

uint64_t SizeOf(const std::string& path) {
  std::error_code none;
  const uint64_t size = std::filesystem::file_size(path, none);
  return none ? 0 : size;
}

// SWUpdate takes only signed archives, RAUC's writer is the part of it that runs without a bus.
constexpr const char* kSwupdateSetUp = R"sh(
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=bench -days 2 \
  -addext keyUsage=digitalSignature -addext extendedKeyUsage=emailProtection
zstd -q -f -3 image -o image.zst
printf 'software = { version = "1.0.0"; hardware-compatibility: [ "1.0" ]; images: ( { filename = "image.zst"; device = "%s/copy"; type = "raw"; compressed = "zstd"; installed-directly = true; sha256 = "%s"; } ); }' \
  "$PWD" "$(sha256sum image.zst | cut -d' ' -f1)" >sw-description
openssl cms -sign -in sw-description -out sw-description.sig -signer c.pem -inkey k.pem -outform DER -nosmimecap -binary
printf 'sw-description\nsw-description.sig\nimage.zst\n' | cpio -o -H crc >update.swu)sh";
constexpr const char* kSwupdate =
    "swupdate -M -m -k c.pem -H bench:1.0 -i update.swu; cmp image copy";
constexpr const char* kRaucSetUp = R"sh(command -v rauc
ln -f image image.img
printf '[system]\ncompatible=x\nbootloader=noop\nstatusfile=%s/status\n[keyring]\npath=%s/c.pem\n[slot.rootfs.0]\ndevice=%s/copy\ntype=raw\n' \
  "$PWD" "$PWD" "$PWD" >rauc.conf)sh";

void FullInstall(const Paths& paths, uint64_t size, Report& report) {
  report.Row("prepare and pack", Measure([&]() -> Result<Unit> {
               Prepare(paths, size);
               return Unit{};
             }),
             size);
  report.Row("copy and fsync (floor)", Measure([&] { return CopyAndSync(paths); }), size);
  report.Peer("dd conv=fsync", Shell(paths, "dd if=image of=copy bs=1M conv=fsync,notrunc"), size);
  if (Shell(paths, "zstd -q -f -3 image -o image.zst"))
    report.Peer("zstd -d, then sync", Shell(paths, "zstd -q -d -f image.zst -o copy; sync copy"),
                SizeOf(paths.At("image.zst")));
  report.Row("sallyport, with read-back", Measure([&] { return InstallRelease(paths); }),
             SizeOf(paths.At("payload.bin")));
  report.Row("  of which reading back", Measure([&] { return ReadBack(paths); }), size);
  if (Shell(paths, kSwupdateSetUp))
    report.Peer("swupdate, no read-back", Shell(paths, kSwupdate), SizeOf(paths.At("update.swu")));
  else
    report.Missing("swupdate");
  if (Shell(paths, kRaucSetUp))
    report.Peer("rauc write-slot, nothing verified",
                Shell(paths, "rauc -c rauc.conf write-slot rootfs.0 image.img"), size);
  else
    report.Missing("rauc");
}

Result<Unit> GenerateDelta(const Paths& paths) {
  PosixFileSystem files;
  SP_TRY(const auto from, files.Open(paths.At("old"), OpenMode::kRead));
  SP_TRY(const auto to, files.Open(paths.At("new"), OpenMode::kRead));
  SP_TRY(const auto payload, files.Open(paths.At("delta.bin"), OpenMode::kCreate));
  SP_TRY(const SegmentTable table, MakeDelta(*from, *to, *payload));
  return WriteFileAtomically(files, paths.At("delta.json"), AsBytes(table.ToJson()));
}

class OldFile final : public SourceReader {
 public:
  explicit OldFile(File& file) : file_(file) {}
  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    SP_TRY(file_.ReadAt(offset, out));
    return Unit{};
  }

 private:
  File& file_;
};

class OutFile final : public SegmentSink {
 public:
  explicit OutFile(File& file) : file_(file) {}
  Result<Unit> Write(const Segment& segment, ByteView decoded) override {
    return file_.WriteAt(segment.offset, decoded);
  }

 private:
  File& file_;
};

class FeedSink final : public ByteSink {
 public:
  explicit FeedSink(StreamDecoder& decoder) : decoder_(decoder) {}
  Result<Unit> Write(ByteView bytes) override { return decoder_.Feed(bytes); }

 private:
  StreamDecoder& decoder_;
};

// ApplyDelta is what the installer does between the first and the last write of the image.
Result<Unit> ApplyDelta(const Paths& paths) {
  PosixFileSystem files;
  SP_TRY(const Bytes index, ReadFile(files, paths.At("delta.json"), kIndexMax));
  SP_TRY(const SegmentTable table, SegmentTable::Parse(index));
  SP_TRY(const auto from, files.Open(paths.At("old"), OpenMode::kRead));
  SP_TRY(const auto out, files.Open(paths.At("out"), OpenMode::kReadWrite));
  OldFile old(*from);
  OutFile sink(*out);
  StreamDecoder decoder(table, 0, sink, &old);
  FeedSink feed(decoder);
  FileSource source(paths.directory);
  SP_TRY(source.Fetch({"delta.bin", table.payload_length(), pki::Sha256(Bytes())}, 0,
                      table.payload_length(), feed));
  SP_TRY(decoder.Finish());
  return out->Sync();
}

Result<Unit> GenerateChunks(const Paths& paths) {
  PosixFileSystem files;
  SP_TRY(const auto image, files.Open(paths.At("new"), OpenMode::kRead));
  SP_TRY(const auto payload, files.Open(paths.At("chunks.bin"), OpenMode::kCreate));
  SP_TRY(const ChunkTable table, PackChunks(*image, *payload, {}));
  return WriteFileAtomically(files, paths.At("chunks.index"), table.Encode());
}

// ApplyChunks finds in the old image what it can and leaves how much it fetched in a file.
Result<Unit> ApplyChunks(const Paths& paths) {
  PosixFileSystem files;
  SP_TRY(const Bytes index, ReadFile(files, paths.At("chunks.index"), kChunkIndexSizeMax));
  SP_TRY(const ChunkTable table, ChunkTable::Parse(index));
  SP_TRY(const auto old, files.Open(paths.At("old"), OpenMode::kRead));
  SP_TRY(const auto out, files.Open(paths.At("out"), OpenMode::kReadWrite));
  OutFile slot(*out);
  FileSource source(paths.directory);
  const RemoteFile payload{"chunks.bin", table.payload_length(), pki::Sha256(Bytes())};
  ChunkWriter chunks({table, payload, source, *old, slot});
  SP_TRY(chunks.Scan(0));
  SP_TRY(chunks.Write(0));
  SP_TRY(out->Sync());
  const std::string fetched = std::to_string(index.size() + source.fetched());
  return WriteFileAtomically(files, paths.At("fetched"), AsBytes(fetched));
}

uint64_t Fetched(const Paths& paths) {
  PosixFileSystem files;
  const Bytes text = Must(ReadFile(files, paths.At("fetched"), kMiB));
  return std::strtoull(ToString(text).c_str(), nullptr, 10);
}

struct Delta {
  std::string name;
  std::string generate;
  std::string apply;
};
const Delta kDeltas[] = {
    {"xdelta3", "xdelta3 -e -f -s old new delta", "xdelta3 -d -f -s old delta out; sync out"},
    {"zstd --patch-from", "zstd -q -f -3 --long=31 --patch-from=old new -o delta",
     "zstd -q -d -f --long=31 --patch-from=old delta -o out; sync out"},
    {"ostree static delta (into a repository)",
     R"sh(mkdir -p m; rm -rf r s; ostree --repo=r init --mode=bare-user; ostree --repo=s init --mode=bare-user
for i in old new; do mount -t erofs -o loop,ro $i m; ostree --repo=r commit -b $i --tree=dir=m --timestamp=@0
  umount m; done
ostree --repo=s pull-local r old
ostree --repo=r static-delta generate --inline --min-fallback-size=0 --from=old --to=new --filename=delta)sh",
     "ostree --repo=s static-delta apply-offline delta; sync"},
};

// Overwrite leaves the old image in the way of what is measured next.
void Overwrite(const Paths& paths) {
  if (!Shell(paths, "dd if=old of=out bs=1M conv=fsync,notrunc")) std::exit(1);
}

void Update(const Paths& paths, const std::string& fresh, const std::string& old, Report& report) {
  std::filesystem::create_symlink(std::filesystem::absolute(fresh), paths.At("new"));
  std::filesystem::create_symlink(std::filesystem::absolute(old), paths.At("old"));
  report.Peer("copy the image, then fsync (floor)",
              Shell(paths, "dd if=new of=out bs=1M conv=fsync"), SizeOf(fresh));
  const Cost generated_ours = Measure([&] { return GenerateDelta(paths); });
  const uint64_t size = SizeOf(paths.At("delta.bin")) + SizeOf(paths.At("delta.json"));
  report.Row("sallyport delta, generate", generated_ours, size);
  Overwrite(paths);
  report.Row("sallyport delta, apply", Measure([&] { return ApplyDelta(paths); }), size);
  report.Peer("  is the new image", Shell(paths, "cmp new out"), SizeOf(fresh));
  const Cost chunked = Measure([&] { return GenerateChunks(paths); });
  report.Row("sallyport chunks, generate", chunked,
             SizeOf(paths.At("chunks.bin")) + SizeOf(paths.At("chunks.index")));
  Overwrite(paths);
  const Cost chunks = Measure([&] { return ApplyChunks(paths); });
  report.Row("sallyport chunks, fetch and apply", chunks, Fetched(paths));
  report.Peer("  is the new image", Shell(paths, "cmp new out"), SizeOf(fresh));
  for (const Delta& delta : kDeltas) {
    const std::optional<Cost> generated = Shell(paths, delta.generate);
    const uint64_t length = SizeOf(paths.At("delta"));
    report.Peer(delta.name + ", generate", generated, length);
    if (generated) report.Peer(delta.name + ", apply", Shell(paths, delta.apply), length);
  }
}

constexpr std::string_view kScratchPrefix = "install-bench-";

// Scratch is a directory of one run. While the run lives its processes hold a lock on it, so that
// the next one can tell what a run that was killed has left behind, and removes it.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) : path_(parent + "/" + std::string(kScratchPrefix)) {
    RemoveAbandoned(parent);
    path_ += "XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr || !Lock(path_)) path_.clear();
  }
  const std::string& path() const { return path_; }
  void Remove() const { std::filesystem::remove_all(path_); }

 private:
  static bool Lock(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    ::close(fd);
    return false;
  }
  static void RemoveAbandoned(const std::string& parent) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
      const std::string path = entry.path();
      if (entry.path().filename().string().starts_with(kScratchPrefix) && Lock(path))
        std::filesystem::remove_all(path, ignored);
    }
  }

  std::string path_;
};

// Supervise runs `work` in a process group of its own, ends all of it when this process is asked to
// end, and returns the exit status.
int Supervise(const std::function<void()>& work) {
  sigset_t awaited;
  ::sigemptyset(&awaited);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&awaited, number);
  ::sigprocmask(SIG_BLOCK, &awaited, nullptr);
  const pid_t worker = ::fork();
  if (worker == 0) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::sigprocmask(SIG_UNBLOCK, &awaited, nullptr);
    work();
    std::exit(0);
  }
  int number = 0;
  ::sigwait(&awaited, &number);
  ::setpgid(worker, worker);
  if (number != SIGCHLD) ::kill(-worker, SIGKILL);
  int status = 0;
  ::waitpid(worker, &status, 0);
  return number == SIGCHLD && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace
}  // namespace sallyport::ota

int main(int argc, char** argv) {
  using namespace sallyport::ota;
  if (argc != 4 && argc != 6) return 2;
  const uint64_t size = std::strtoull(argv[1], nullptr, 10) * kMiB;
  const Scratch scratch(argv[2]);
  if (size == 0 || scratch.path().empty()) return 2;
  const int status = Supervise([&] {
    const Paths paths{scratch.path()};
    Report report(std::string_view(argv[3]) == "json");
    FullInstall(paths, size, report);
    if (argc == 6) Update(paths, argv[4], argv[5], report);
    report.Finish();
  });
  scratch.Remove();
  return status;
}

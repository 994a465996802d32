// MemoryFileSystem keeps files in memory and knows what a power cut would lose: bytes written but
// not synced, and names made, renamed or removed without SyncDirectory. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pki/base/file_system.h"

namespace sallyport {

// PowerLoss says what a cut does to changes that were not synced; real storage may do any of these.
enum class PowerLoss : uint8_t {
  kAll,         // they are gone
  kOddSectors,  // of each file the odd 512-byte sectors survive; names are gone
  kDataOnly,    // names survive, data does not: a renamed file that was never synced is empty
  kNothing,     // everything survives
  kScattered,  // drawn from a seed: of each file any of the sectors written since its last sync, of
               // each directory a first part of the changes of its names; a rename may leave both
};

class MemoryFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<Unit> Rename(const std::string& from, const std::string& to) override;
  Result<Unit> Remove(const std::string& path) override;
  Result<Unit> SyncDirectory(const std::string& path) override;
  Result<Unit> MakeDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  Result<uint64_t> FreeBytes(const std::string& path) override;

  // CutPowerAfter lets `operations` more changing operations (write, sync, rename, remove,
  // directory sync, create) through; every later one fails with kUnavailable until Restart.
  void CutPowerAfter(uint64_t operations) { left_ = operations; }
  // Restart throws away what was not durable and lets operations through again. `seed` chooses
  // what kScattered loses. A cut that has not happened yet is called off; Reboot leaves it ahead.
  void Restart(PowerLoss loss = PowerLoss::kAll, uint64_t seed = 0);
  void Reboot(PowerLoss loss, uint64_t seed);
  // Survive lets operations through again and loses nothing: the process was cut off, not the
  // power. What was not durable still is not, but for what lies below `written_through`.
  void Survive(const std::string& written_through);
  // operations is how many changing operations were let through since construction.
  uint64_t operations() const { return operations_; }
  bool cut() const { return cut_; }
  // cuts is how often the power went; cut_path the file or directory of the first operation that
  // the last cut refused.
  uint64_t cuts() const { return cuts_; }
  const std::string& cut_path() const { return cut_path_; }
  // Plant puts a durable file there without counting as an operation.
  void Plant(const std::string& path, ByteView bytes);
  // WithoutJournal: of the directories below `prefix` kScattered draws any of the changes, in no
  // order, as on FAT; a rename may then leave neither name.
  void WithoutJournal(std::string prefix) { unordered_ = std::move(prefix); }
  // LimitBytes makes writes that grow the total above `size` fail with kNoSpace.
  void LimitBytes(uint64_t size) { limit_ = size; }
  // ListOnlyWhatWasMade makes List of a directory that is empty and was not made fail with
  // kNotFound.
  void ListOnlyWhatWasMade() { strict_ = true; }
  // FailReads makes reads of `path` fail with kUnavailable.
  void FailReads(const std::string& path) { unreadable_.insert(path); }

 private:
  friend class MemoryFile;
  // A write that no sync has made durable yet; `truncates` cuts the file to nothing.
  struct PendingWrite {
    size_t offset;
    Bytes bytes;
    bool truncates = false;
  };
  struct Inode {
    Bytes data;
    Bytes durable;
    std::vector<PendingWrite> pending;
  };
  // A change of a name that no SyncDirectory has made durable yet; without inode a removal.
  struct PendingName {
    std::string path;
    std::shared_ptr<Inode> inode;
  };
  static void Apply(Bytes& data, const PendingWrite& write, const std::function<bool()>& survives);
  static void Flush(Inode& inode);
  static void LoseData(Inode& inode, PowerLoss loss, const std::function<uint64_t()>& draw);
  void LoseNames(PowerLoss loss, const std::function<uint64_t()>& draw);
  void SetName(const std::string& path, std::shared_ptr<Inode> inode);
  static void ApplyName(std::map<std::string, std::shared_ptr<Inode>>& names,
                        const PendingName& change);
  Result<Unit> Change(const std::string& path);
  uint64_t TotalBytes() const;
  static std::string Parent(const std::string& path);

  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
  std::vector<PendingName> pending_names_;
  uint64_t cuts_ = 0;
  std::string cut_path_;
  std::set<std::string> directories_;
  std::optional<std::string> unordered_;
  std::set<std::string> unreadable_;
  uint64_t left_ = UINT64_MAX;
  uint64_t operations_ = 0;
  uint64_t limit_ = UINT64_MAX;
  bool cut_ = false;
  bool strict_ = false;
};

}  // namespace sallyport

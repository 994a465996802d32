// MemoryFileSystem keeps files in memory and knows what a power cut would lose: bytes written but
// not synced, and names made, renamed or removed without SyncDirectory. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "pki/base/file_system.h"

namespace sallyport {

// PowerLoss says what a cut does to changes that were not synced; real storage may do any of these.
enum class PowerLoss : uint8_t {
  kAll,         // they are gone
  kOddSectors,  // of each file the odd 512-byte sectors survive; names are gone
  kDataOnly,    // names survive, data does not: a renamed file that was never synced is empty
  kNothing,     // everything survives
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
  // Restart throws away what was not durable and lets operations through again.
  void Restart(PowerLoss loss = PowerLoss::kAll);
  // operations is how many changing operations were let through since construction.
  uint64_t operations() const { return operations_; }
  bool cut() const { return cut_; }
  // LimitBytes makes writes that grow the total above `size` fail with kNoSpace.
  void LimitBytes(uint64_t size) { limit_ = size; }
  // ListOnlyWhatWasMade makes List of a directory that is empty and was not made fail with kNotFound.
  void ListOnlyWhatWasMade() { strict_ = true; }
  // FailReads makes reads of `path` fail with kUnavailable.
  void FailReads(const std::string& path) { unreadable_.insert(path); }

 private:
  friend class MemoryFile;
  struct Inode {
    Bytes data;
    Bytes durable;
  };
  static void LoseData(Inode& inode, PowerLoss loss);
  Result<Unit> Change();
  uint64_t TotalBytes() const;
  static std::string Parent(const std::string& path);

  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
  std::set<std::string> directories_;
  std::set<std::string> unreadable_;
  uint64_t left_ = UINT64_MAX;
  uint64_t operations_ = 0;
  uint64_t limit_ = UINT64_MAX;
  bool cut_ = false;
  bool strict_ = false;
};

}  // namespace sallyport

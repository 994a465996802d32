#include "tests/fakes/memory_file_system.h"

namespace sallyport {

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryFileSystem& owner, std::shared_ptr<MemoryFileSystem::Inode> inode, bool readable)
      : owner_(owner), inode_(std::move(inode)), readable_(readable) {}

  Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    if (!readable_) return Error{Reason::kUnavailable, "injected read failure"};
    if (offset >= inode_->data.size()) return size_t{0};
    const size_t n =
        std::min<size_t>(out.size(), inode_->data.size() - static_cast<size_t>(offset));
    std::copy_n(inode_->data.begin() + static_cast<ptrdiff_t>(offset), n, out.begin());
    return n;
  }
  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    SP_TRY(owner_.Change());
    const uint64_t end = offset + bytes.size();
    const uint64_t growth = end > inode_->data.size() ? end - inode_->data.size() : 0;
    if (growth > 0 && owner_.TotalBytes() + growth > owner_.limit_)
      return Error{Reason::kNoSpace, "injected full disk"};
    if (growth > 0) inode_->data.resize(static_cast<size_t>(end));
    std::ranges::copy(bytes, inode_->data.begin() + static_cast<ptrdiff_t>(offset));
    return Unit{};
  }
  Result<Unit> Sync() override {
    SP_TRY(owner_.Change());
    inode_->durable = inode_->data;
    return Unit{};
  }
  Result<uint64_t> Size() override { return static_cast<uint64_t>(inode_->data.size()); }

 private:
  MemoryFileSystem& owner_;
  std::shared_ptr<MemoryFileSystem::Inode> inode_;
  bool readable_;
};

Result<Unit> MemoryFileSystem::Change() {
  if (left_ == 0) {
    cut_ = true;
    return Error{Reason::kUnavailable, "injected power cut"};
  }
  if (left_ != UINT64_MAX) --left_;
  ++operations_;
  return Unit{};
}

uint64_t MemoryFileSystem::TotalBytes() const {
  uint64_t total = 0;
  for (const auto& [name, inode] : names_) total += inode->data.size();
  return total;
}

std::string MemoryFileSystem::Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

Result<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path, OpenMode mode) {
  auto found = names_.find(path);
  if (mode == OpenMode::kCreate) {
    SP_TRY(Change());
    if (found == names_.end()) found = names_.emplace(path, std::make_shared<Inode>()).first;
    found->second->data.clear();
  }
  if (found == names_.end()) return Error{Reason::kNotFound, "open " + path};
  return std::unique_ptr<File>(
      std::make_unique<MemoryFile>(*this, found->second, !unreadable_.contains(path)));
}

Result<Unit> MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  if (found == names_.end()) return Error{Reason::kNotFound, "rename " + from};
  SP_TRY(Change());
  names_[to] = found->second;
  names_.erase(from);
  return Unit{};
}

Result<Unit> MemoryFileSystem::Remove(const std::string& path) {
  if (!names_.contains(path)) return Error{Reason::kNotFound, "remove " + path};
  SP_TRY(Change());
  names_.erase(path);
  return Unit{};
}

Result<Unit> MemoryFileSystem::SyncDirectory(const std::string& path) {
  SP_TRY(Change());
  std::erase_if(durable_names_, [&](const auto& entry) { return Parent(entry.first) == path; });
  for (const auto& [name, inode] : names_)
    if (Parent(name) == path) durable_names_[name] = inode;
  return Unit{};
}

Result<Unit> MemoryFileSystem::MakeDirectories(const std::string& path) {
  directories_.insert(path);
  return Unit{};
}

Result<std::vector<std::string>> MemoryFileSystem::List(const std::string& path) {
  std::vector<std::string> out;
  for (const auto& [name, inode] : names_)
    if (Parent(name) == path) out.push_back(name.substr(path.size() + 1));
  if (strict_ && out.empty() && !directories_.contains(path))
    return Error{Reason::kNotFound, "no directory " + path};
  return out;
}

Result<uint64_t> MemoryFileSystem::FreeBytes(const std::string&) {
  return limit_ == UINT64_MAX ? uint64_t{1} << 40 : limit_ - std::min(limit_, TotalBytes());
}

void MemoryFileSystem::LoseData(Inode& inode, PowerLoss loss) {
  constexpr size_t kSector = 512;
  if (loss == PowerLoss::kAll || loss == PowerLoss::kDataOnly) inode.data = inode.durable;
  for (size_t i = 0; loss == PowerLoss::kOddSectors && i < inode.data.size(); ++i)
    if ((i / kSector) % 2 == 0)
      inode.data[i] = i < inode.durable.size() ? inode.durable[i] : uint8_t{0};
  inode.durable = inode.data;
}

void MemoryFileSystem::Restart(PowerLoss loss) {
  if (loss == PowerLoss::kDataOnly || loss == PowerLoss::kNothing)
    durable_names_ = names_;
  else
    names_ = durable_names_;
  for (auto& [name, inode] : names_) LoseData(*inode, loss);
  left_ = UINT64_MAX;
  cut_ = false;
}

}  // namespace sallyport

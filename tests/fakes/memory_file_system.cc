#include "tests/fakes/memory_file_system.h"

namespace sallyport {

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryFileSystem& owner, std::string path,
             std::shared_ptr<MemoryFileSystem::Inode> inode, bool readable)
      : owner_(owner), path_(std::move(path)), inode_(std::move(inode)), readable_(readable) {}

  Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    if (!readable_) return Error{Reason::kUnavailable, "injected read failure"};
    if (offset >= inode_->data.size()) return size_t{0};
    const size_t n =
        std::min<size_t>(out.size(), inode_->data.size() - static_cast<size_t>(offset));
    std::copy_n(inode_->data.begin() + static_cast<ptrdiff_t>(offset), n, out.begin());
    return n;
  }
  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    SP_TRY(owner_.Change(path_));
    const uint64_t end = offset + bytes.size();
    const uint64_t growth = end > inode_->data.size() ? end - inode_->data.size() : 0;
    if (growth > 0 && owner_.TotalBytes() + growth > owner_.limit_)
      return Error{Reason::kNoSpace, "injected full disk"};
    inode_->pending.push_back({static_cast<size_t>(offset), ToBytes(bytes), false});
    MemoryFileSystem::Apply(inode_->data, inode_->pending.back(), [] { return true; });
    return Unit{};
  }
  Result<Unit> Sync() override {
    SP_TRY(owner_.Change(path_));
    MemoryFileSystem::Flush(*inode_);
    return Unit{};
  }
  Result<uint64_t> Size() override { return static_cast<uint64_t>(inode_->data.size()); }

 private:
  MemoryFileSystem& owner_;
  const std::string path_;
  std::shared_ptr<MemoryFileSystem::Inode> inode_;
  bool readable_;
};

Result<Unit> MemoryFileSystem::Change(const std::string& path) {
  if (left_ == 0) {
    if (!cut_) {
      ++cuts_;
      cut_path_ = path;
    }
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

void MemoryFileSystem::ApplyName(std::map<std::string, std::shared_ptr<Inode>>& names,
                                 const PendingName& change) {
  if (change.inode)
    names[change.path] = change.inode;
  else
    names.erase(change.path);
}

void MemoryFileSystem::SetName(const std::string& path, std::shared_ptr<Inode> inode) {
  pending_names_.push_back({path, std::move(inode)});
  ApplyName(names_, pending_names_.back());
}

Result<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kCreate) {
    SP_TRY(Change(path));
    if (!names_.contains(path)) SetName(path, std::make_shared<Inode>());
    Inode& inode = *names_.at(path);
    inode.data.clear();
    inode.pending.push_back({0, {}, true});
  }
  const auto found = names_.find(path);
  if (found == names_.end()) return Error{Reason::kNotFound, "open " + path};
  return std::unique_ptr<File>(
      std::make_unique<MemoryFile>(*this, path, found->second, !unreadable_.contains(path)));
}

// The new name comes first: a rename that was cut leaves both names, never none.
Result<Unit> MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  if (found == names_.end()) return Error{Reason::kNotFound, "rename " + from};
  SP_TRY(Change(to));
  SetName(to, found->second);
  SetName(from, nullptr);
  return Unit{};
}

Result<Unit> MemoryFileSystem::Remove(const std::string& path) {
  if (!names_.contains(path)) return Error{Reason::kNotFound, "remove " + path};
  SP_TRY(Change(path));
  SetName(path, nullptr);
  return Unit{};
}

Result<Unit> MemoryFileSystem::SyncDirectory(const std::string& path) {
  SP_TRY(Change(path));
  std::erase_if(pending_names_, [&](const PendingName& change) {
    if (Parent(change.path) != path) return false;
    ApplyName(durable_names_, change);
    return true;
  });
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
  for (const std::string& name : directories_)
    if (name != path && Parent(name) == path) out.push_back(name.substr(path.size() + 1));
  std::ranges::sort(out);
  if (strict_ && out.empty() && !directories_.contains(path))
    return Error{Reason::kNotFound, "no directory " + path};
  return out;
}

Result<uint64_t> MemoryFileSystem::FreeBytes(const std::string&) {
  return limit_ == UINT64_MAX ? uint64_t{1} << 40 : limit_ - std::min(limit_, TotalBytes());
}

// Apply writes the sectors of `write` that survive.
void MemoryFileSystem::Apply(Bytes& data, const PendingWrite& write,
                             const std::function<bool()>& survives) {
  constexpr size_t kSector = 512;
  if (write.truncates && survives()) return data.clear();
  for (size_t at = 0; at < write.bytes.size();) {
    const size_t start = write.offset + at;
    const size_t size = std::min(write.bytes.size() - at, kSector - start % kSector);
    if (survives()) {
      if (data.size() < start + size) data.resize(start + size);
      std::copy_n(write.bytes.begin() + static_cast<ptrdiff_t>(at), size,
                  data.begin() + static_cast<ptrdiff_t>(start));
    }
    at += size;
  }
}

void MemoryFileSystem::Flush(Inode& inode) {
  for (const PendingWrite& write : inode.pending) Apply(inode.durable, write, [] { return true; });
  inode.pending.clear();
}

void MemoryFileSystem::LoseData(Inode& inode, PowerLoss loss,
                                const std::function<uint64_t()>& draw) {
  size_t sector = 0;
  const auto survives = [&] {
    if (loss == PowerLoss::kNothing) return true;
    if (loss == PowerLoss::kScattered) return draw() % 2 == 1;
    return loss == PowerLoss::kOddSectors && sector++ % 2 == 1;
  };
  for (const PendingWrite& write : inode.pending) Apply(inode.durable, write, survives);
  inode.pending.clear();
  inode.data = inode.durable;
}

void MemoryFileSystem::LoseNames(PowerLoss loss, const std::function<uint64_t()>& draw) {
  std::map<std::string, uint64_t> parts;
  for (const PendingName& change : pending_names_) ++parts[Parent(change.path)];
  for (auto& [directory, part] : parts)
    part = loss == PowerLoss::kScattered ? draw() % (part + 1) : part;
  const bool all = loss == PowerLoss::kDataOnly || loss == PowerLoss::kNothing;
  for (const PendingName& change : pending_names_) {
    uint64_t& left = parts.at(Parent(change.path));
    const bool unordered = unordered_ && change.path.starts_with(*unordered_);
    const bool drawn = unordered ? draw() % 2 == 1 : left > 0;
    if (all || (loss == PowerLoss::kScattered && drawn)) ApplyName(durable_names_, change);
    left -= left > 0 ? 1 : 0;
  }
  pending_names_.clear();
  names_ = durable_names_;
}

void MemoryFileSystem::Plant(const std::string& path, ByteView bytes) {
  names_[path] = std::make_shared<Inode>(Inode{ToBytes(bytes), ToBytes(bytes), {}});
  durable_names_[path] = names_[path];
}

void MemoryFileSystem::Restart(PowerLoss loss, uint64_t seed) {
  uint64_t state = seed;
  const auto draw = [&state] {  // SplitMix64
    uint64_t value = state += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  };
  LoseNames(loss, draw);
  for (auto& [name, inode] : names_) LoseData(*inode, loss, draw);
  left_ = UINT64_MAX;
  cut_ = false;
}

void MemoryFileSystem::Survive(const std::string& written_through) {
  std::erase_if(pending_names_, [&](const PendingName& change) {
    const bool through = change.path.starts_with(written_through);
    if (through) ApplyName(durable_names_, change);
    return through;
  });
  for (auto& [name, inode] : names_)
    if (name.starts_with(written_through)) Flush(*inode);
  left_ = UINT64_MAX;
  cut_ = false;
}

void MemoryFileSystem::Reboot(PowerLoss loss, uint64_t seed) {
  const uint64_t left = cut_ ? UINT64_MAX : left_;
  Restart(loss, seed);
  left_ = left;
}

}  // namespace sallyport

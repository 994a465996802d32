// BoundedCache keeps what is dear to make and the same for many calls; the entry used longest ago
// goes first.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace sallyport::server {

// Thread-safe. Values are immutable and shared with calls in flight.
template <typename Key, typename Value>
class BoundedCache {
 public:
  explicit BoundedCache(size_t entries_max) : entries_max_(entries_max) {}

  // Find returns null when the key is not there.
  std::shared_ptr<const Value> Find(const Key& key) {
    const std::lock_guard lock(entries_mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->second;
  }
  void Put(const Key& key, std::shared_ptr<const Value> value) {
    const std::lock_guard lock(entries_mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      entries_.erase(found->second);
      by_key_.erase(found);
    }
    entries_.emplace_front(key, std::move(value));
    by_key_.emplace(key, entries_.begin());
    if (entries_.size() <= entries_max_) return;
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }

  void Erase(const Key& key) {
    const std::lock_guard lock(entries_mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    entries_.erase(found->second);
    by_key_.erase(found);
  }

 private:
  using Entries = std::list<std::pair<Key, std::shared_ptr<const Value>>>;
  const size_t entries_max_;
  std::mutex entries_mutex_;  // guards entries_ (newest use first) and by_key_
  Entries entries_;
  std::unordered_map<Key, typename Entries::iterator> by_key_;
};

}  // namespace sallyport::server

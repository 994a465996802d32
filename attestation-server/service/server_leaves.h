// The leaves that the listeners present, or presented a moment ago: a connection keeps the leaf of
// its handshake over a reload, and T binds that one.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

// ServerLeaves is thread-safe.
class ServerLeaves {
 public:
  void Add(const Sha256Digest& leaf_hash, UnixTime not_after, UnixTime now) {
    const std::lock_guard lock(leaves_mutex_);
    std::erase_if(leaves_, [&](const Leaf& leaf) { return leaf.not_after < now; });
    leaves_.insert(leaves_.begin(), {leaf_hash, not_after});
  }
  // Hashes returns the newest first.
  std::vector<Sha256Digest> Hashes() const {
    const std::lock_guard lock(leaves_mutex_);
    std::vector<Sha256Digest> out;
    for (const Leaf& leaf : leaves_) out.push_back(leaf.hash);
    return out;
  }

 private:
  struct Leaf {
    Sha256Digest hash;
    UnixTime not_after;
  };
  mutable std::mutex leaves_mutex_;  // guards leaves_
  std::vector<Leaf> leaves_;
};

}  // namespace sallyport::server

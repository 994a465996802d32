// FakeOrigin serves files from memory, and misbehaves as a test asks it to.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "device-client/update/downloader.h"
#include "pki/crypto/hash.h"

namespace sallyport::device {

class CollectingSink final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    if (refuse) {
      if (auto refused = refuse(held.size(), bytes)) return *refused;
    }
    Append(held, bytes);
    return Unit{};
  }
  Bytes held;
  std::function<std::optional<Error>(size_t held, ByteView bytes)> refuse;
};

inline Bytes SomeBytes(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return out;
}

// MakeFile is the payload of a release with this content.
inline ota::RemoteFile MakeFile(const Bytes& content) {
  return {"releases/edge-os/2.0.0/payload.bin", content.size(), pki::Sha256(content)};
}

class FakeOrigin final : public ContentOrigin {
 public:
  void Put(const ota::RemoteFile& file, Bytes content) {
    files_[TargetPath(file)] = std::move(content);
  }

  Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const override {
    {
      const std::lock_guard lock(mutex_);
      asked.push_back(request);
    }
    const auto found = files_.find(request.path);
    if (found == files_.end()) return Error{Reason::kNotFound, request.path};
    if (before) before();
    const uint64_t end = std::min<uint64_t>(request.offset + request.length, breaks_at);
    for (uint64_t at = request.offset; at < end; at += chunk) {
      const uint64_t size = std::min<uint64_t>(chunk, end - at);
      Bytes part(found->second.begin() + static_cast<int64_t>(at),
                 found->second.begin() + static_cast<int64_t>(at + size));
      if (lies_at >= at && lies_at < at + size) part[lies_at - at] ^= 1;
      if (each) each();
      SP_TRY(sink.Write(part));
    }
    if (breaks_at < request.offset + request.length)
      return Error{Reason::kUnavailable, "broke off", "content.truncated"};
    return Unit{};
  }
  Result<uint64_t> Size(const std::string& path) const override {
    const auto found = files_.find(path);
    if (found == files_.end()) return Error{Reason::kNotFound, path};
    return said_size.value_or(found->second.size());
  }

  uint64_t breaks_at = UINT64_MAX;
  uint64_t lies_at = UINT64_MAX;
  uint64_t chunk = 64 << 10;
  std::optional<uint64_t> said_size;
  std::function<void()> before;  // a request is served
  std::function<void()> each;    // a chunk is sent
  mutable std::vector<ContentRequest> asked;

 private:
  mutable std::mutex mutex_;  // guards asked
  std::map<std::string, Bytes> files_;
};

}  // namespace sallyport::device

// BlockTarget: the partition or file that holds one slot's image.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "pki/base/bytes.h"
#include "pki/base/result.h"

namespace sallyport::ota {

// One thread at a time; closed by its destructor.
class BlockTarget {
 public:
  virtual ~BlockTarget() = default;
  virtual Result<uint64_t> Size() = 0;
  virtual Result<Unit> WriteAt(uint64_t offset, ByteView bytes) = 0;
  // Sync makes everything written durable.
  virtual Result<Unit> Sync() = 0;
  // DropCache makes later reads come from the medium.
  virtual Result<Unit> DropCache() = 0;
  // ReadAt fills all of `out`; kUnavailable when the target ends before.
  virtual Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) = 0;
};

// BlockTargetOpener opens slots only while they are written, so that the exclusive claim is short.
class BlockTargetOpener {
 public:
  virtual ~BlockTargetOpener() = default;
  virtual Result<std::unique_ptr<BlockTarget>> Open(const std::string& path) = 0;
};

// PosixBlockTargetOpener opens block devices exclusively (kConflict, slot.in-use, when mounted) and
// plain files.
class PosixBlockTargetOpener final : public BlockTargetOpener {
 public:
  Result<std::unique_ptr<BlockTarget>> Open(const std::string& path) override;
};

}  // namespace sallyport::ota

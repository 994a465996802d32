// The NV indices of a device's rollback floors (docs/rollback.md): the base, written once and
// locked, and five counters. The device that defines them and the server that reads what
// TPM2_NV_Certify says of them mean the same areas, so their Names are computed here. Pure;
// thread-safe.
#pragma once

#include <array>

#include "pki/base/bytes.h"
#include "pki/base/result.h"

namespace sallyport::pki {

// What the floors count; the order is that of their NV indices.
enum class FloorCounter : uint8_t {
  kRollbackIndex,
  kImageRoot,
  kImageTargets,
  kDirectorIncarnation,
  kDirectorStep,
};
inline constexpr size_t kFloorCounters = 5;
using FloorCounts = std::array<uint64_t, kFloorCounters>;
// FloorCounterName is the key in JSON ("image_root").
std::string_view FloorCounterName(FloorCounter counter);

// FloorArea is a TPMS_NV_PUBLIC whose nameAlg is SHA-256 and whose policy is empty.
struct FloorArea {
  uint32_t index;
  uint32_t attributes;  // TPMA_NV as defined, without the bits below
  uint16_t size;
};
FloorArea FloorBaseArea();
FloorArea FloorCounterArea(FloorCounter counter);

// The bits that a TPM adds: a counter that has a count, a base that was written and locked.
inline constexpr uint32_t kNvWritten = 1u << 29;
inline constexpr uint32_t kNvWriteLocked = 1u << 11;

// FloorBaseIndexName and FloorCounterIndexName are the Names (TPM 2.0 Part 1, 16) of the finished
// indices: any other attribute, size or policy is another Name.
Bytes FloorBaseIndexName();
Bytes FloorCounterIndexName(FloorCounter counter);

// The base's content: one big-endian count per counter. ParseFloorCounts: kMalformed.
Bytes FloorCountBytes(const FloorCounts& counts);
Result<FloorCounts> ParseFloorCounts(ByteView bytes);

}  // namespace sallyport::pki

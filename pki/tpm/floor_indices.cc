#include "pki/tpm/floor_indices.h"

#include "pki/crypto/hash.h"
#include "pki/tpm/constants.h"

namespace sallyport::pki {
namespace {

// In the range that the TCG registry leaves to owners (0x01800000-0x01BFFFFF).
constexpr uint32_t kBaseIndex = 0x0180A500;
constexpr uint16_t kCountBytes = 8;
constexpr uint16_t kBaseBytes = kCountBytes * kFloorCounters;

// TPMA_NV (TPM 2.0 Part 2, 13.4). Empty passwords: an owner password set after provisioning then
// keeps everybody from undefining the floors, and the agent needs none to raise them.
constexpr uint32_t kAuthWrite = 1u << 2;
constexpr uint32_t kCounterType = 1u << 4;
constexpr uint32_t kWriteDefine = 1u << 13;
constexpr uint32_t kAuthRead = 1u << 18;
constexpr uint32_t kNvNoDa = 1u << 25;
constexpr uint32_t kShared = kAuthRead | kAuthWrite | kNvNoDa;

Bytes NameOf(const FloorArea& area, uint32_t state) {
  ByteWriter nv_public;
  nv_public.BigU32(area.index).BigU16(tpm::kAlgSha256).BigU32(area.attributes | state);
  nv_public.Sized16({}).BigU16(area.size);
  ByteWriter name;
  name.BigU16(tpm::kAlgSha256).Raw(Sha256(nv_public.bytes()).view());
  return std::move(name).Take();
}

}  // namespace

std::string_view FloorCounterName(FloorCounter counter) {
  switch (counter) {
    case FloorCounter::kRollbackIndex: return "rollback_index";
    case FloorCounter::kImageRoot: return "image_root";
    case FloorCounter::kImageTargets: return "image_targets";
    case FloorCounter::kDirectorIncarnation: return "director_incarnation";
    case FloorCounter::kDirectorStep: return "director_step";
  }
  std::abort();
}

FloorArea FloorBaseArea() { return {kBaseIndex, kShared | kWriteDefine, kBaseBytes}; }

FloorArea FloorCounterArea(FloorCounter counter) {
  return {kBaseIndex + 1 + static_cast<uint32_t>(counter), kShared | kCounterType, kCountBytes};
}

Bytes FloorBaseIndexName() { return NameOf(FloorBaseArea(), kNvWritten | kNvWriteLocked); }

Bytes FloorCounterIndexName(FloorCounter counter) {
  return NameOf(FloorCounterArea(counter), kNvWritten);
}

Bytes FloorCountBytes(const FloorCounts& counts) {
  ByteWriter out;
  for (const uint64_t count : counts) out.BigU64(count);
  return std::move(out).Take();
}

Result<FloorCounts> ParseFloorCounts(ByteView bytes) {
  ByteReader reader(bytes, "floor counts");
  FloorCounts out{};
  for (uint64_t& count : out) {
    SP_TRY(count, reader.BigU64());
  }
  SP_TRY(reader.End());
  return out;
}

}  // namespace sallyport::pki

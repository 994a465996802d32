// The rollback floors in NV (floor_counters.h, docs/rollback.md).
#include "device-client/tpm/commands.h"
#include "pki/base/bytes.h"

namespace sallyport::device {
namespace {

static_assert(pki::kNvWritten == TPMA_NV_WRITTEN && pki::kNvWriteLocked == TPMA_NV_WRITELOCKED);
constexpr TPMA_NV kSealed = TPMA_NV_WRITTEN | TPMA_NV_WRITELOCKED;

TPMS_NV_PUBLIC NvPublicOf(const pki::FloorArea& area) {
  TPMS_NV_PUBLIC out{};
  out.nvIndex = area.index;
  out.nameAlg = TPM2_ALG_SHA256;
  out.attributes = area.attributes;
  out.dataSize = area.size;
  return out;
}
TPMS_NV_PUBLIC BaseArea() { return NvPublicOf(pki::FloorBaseArea()); }
TPMS_NV_PUBLIC CounterArea(FloorCounter counter) {
  return NvPublicOf(pki::FloorCounterArea(counter));
}
uint32_t IndexOf(FloorCounter counter) { return pki::FloorCounterArea(counter).index; }

// IsAs compares everything that an index's Name is made of but what `may_differ` says.
bool IsAs(const TPMS_NV_PUBLIC& area, const TPMS_NV_PUBLIC& wanted, TPMA_NV may_differ) {
  return area.nvIndex == wanted.nvIndex && area.nameAlg == wanted.nameAlg &&
         (area.attributes & ~may_differ) == wanted.attributes && area.authPolicy.size == 0 &&
         area.dataSize == wanted.dataSize;
}

std::string Hex(uint32_t index) { return "0x" + HexEncode(ByteWriter().BigU32(index).bytes()); }
Error Missing(uint32_t index, std::string_view what) {
  return Error{Reason::kNotFound, "NV index " + Hex(index) + " " + std::string(what),
               "floor.missing"};
}
Error Foreign(uint32_t index, std::string_view what) {
  return Error{Reason::kMismatch, "NV index " + Hex(index) + " " + std::string(what),
               "floor.foreign"};
}

}  // namespace

// NvIndex is an index as it is now; the handle is closed, not flushed, when it goes.
struct TpmCommands::NvIndex {
  NvIndex(ESYS_CONTEXT* owner, ESYS_TR object, const TPMS_NV_PUBLIC& now)
      : context(owner), handle(object), area(now) {}
  NvIndex(const NvIndex&) = delete;
  NvIndex& operator=(const NvIndex&) = delete;
  ~NvIndex() { Esys_TR_Close(context, &handle); }
  bool Has(TPMA_NV bits) const { return (area.attributes & bits) == bits; }

  ESYS_CONTEXT* context;
  ESYS_TR handle;
  TPMS_NV_PUBLIC area;
};

// FindNv returns null for an index that is not there; floor.foreign when it is not as `wanted`.
Result<std::unique_ptr<TpmCommands::NvIndex>> TpmCommands::FindNv(const TPMS_NV_PUBLIC& wanted) {
  SP_TRY(const std::optional<ESYS_TR> found, FindPersistent(wanted.nvIndex));
  if (!found) return std::unique_ptr<NvIndex>();
  auto index = std::make_unique<NvIndex>(context(), *found, TPMS_NV_PUBLIC{});
  TPM2B_NV_PUBLIC* raw = nullptr;
  SP_TRY(CheckRc(Esys_NV_ReadPublic(context(), *found, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &raw, nullptr),
                 "tpm.nv-read-public"));
  const EsysPtr<TPM2B_NV_PUBLIC> area(raw);
  index->area = area->nvPublic;
  if (!IsAs(index->area, wanted, kSealed)) return Foreign(wanted.nvIndex, "is not ours");
  return index;
}

Result<std::unique_ptr<TpmCommands::NvIndex>> TpmCommands::FindOrDefineNv(
    const TPMS_NV_PUBLIC& wanted) {
  SP_TRY(std::unique_ptr<NvIndex> found, FindNv(wanted));
  if (found) return found;
  const TPM2B_AUTH no_password{};
  const TPM2B_NV_PUBLIC area{.size = 0, .nvPublic = wanted};
  ESYS_TR handle = ESYS_TR_NONE;
  SP_TRY(CheckRc(Esys_NV_DefineSpace(context(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                     ESYS_TR_NONE, &no_password, &area, &handle),
                 "tpm.nv-define-space"));
  return std::make_unique<NvIndex>(context(), handle, wanted);
}

Result<Bytes> TpmCommands::ReadNv(const NvIndex& index) {
  TPM2B_MAX_NV_BUFFER* raw = nullptr;
  SP_TRY(CheckRc(Esys_NV_Read(context(), index.handle, index.handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, index.area.dataSize, 0, &raw),
                 "tpm.nv-read"));
  const EsysPtr<TPM2B_MAX_NV_BUFFER> data(raw);
  return ToBytes(ByteView(data->buffer, data->size));
}

Result<uint64_t> TpmCommands::ReadCount(const NvIndex& index) {
  SP_TRY(const Bytes bytes, ReadNv(index));
  return ByteReader(bytes, "NV counter").BigU64();
}

Result<Unit> TpmCommands::IncrementNv(const NvIndex& index) {
  return CheckRc(Esys_NV_Increment(context(), index.handle, index.handle, ESYS_TR_PASSWORD,
                                   ESYS_TR_NONE, ESYS_TR_NONE),
                 "tpm.nv-increment");
}

// A counter has no count before its first increment.
Result<uint64_t> TpmCommands::MakeCounter(FloorCounter counter) {
  SP_TRY(const std::unique_ptr<NvIndex> index, FindOrDefineNv(CounterArea(counter)));
  if (!index->Has(TPMA_NV_WRITTEN)) SP_TRY(IncrementNv(*index));
  return ReadCount(*index);
}

Result<Unit> TpmCommands::SealBase(const FloorCounts& counts) {
  SP_TRY(const std::unique_ptr<NvIndex> base, FindOrDefineNv(BaseArea()));
  if (!base->Has(TPMA_NV_WRITTEN)) {
    TPM2B_MAX_NV_BUFFER data{};
    SP_TRY(FillTpm2b(data, data.buffer, sizeof data.buffer, pki::FloorCountBytes(counts)));
    SP_TRY(CheckRc(Esys_NV_Write(context(), base->handle, base->handle, ESYS_TR_PASSWORD,
                                 ESYS_TR_NONE, ESYS_TR_NONE, &data, 0),
                   "tpm.nv-write"));
  }
  return CheckRc(Esys_NV_WriteLock(context(), base->handle, base->handle, ESYS_TR_PASSWORD,
                                   ESYS_TR_NONE, ESYS_TR_NONE),
                 "tpm.nv-write-lock");
}

Result<FloorCounts> TpmCommands::MakeCounters() {
  FloorCounts counts{};
  for (size_t i = 0; i < kFloorCounters; ++i) {
    SP_TRY(counts[i], MakeCounter(static_cast<FloorCounter>(i)));
  }
  return counts;
}

Result<Unit> TpmCommands::MakeFloorCounters() {
  SP_TRY(const std::unique_ptr<NvIndex> base, FindNv(BaseArea()));
  if (base && base->Has(kSealed)) return Ok();
  SP_TRY(const FloorCounts counts, MakeCounters());
  return SealBase(counts);
}

Result<Unit> TpmCommands::UndefineNv(const NvIndex& index) {
  return CheckRc(Esys_NV_UndefineSpace(context(), ESYS_TR_RH_OWNER, index.handle, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE),
                 "tpm.nv-undefine-space");
}

// A base below the counts gives the floors back without a write per count.
Result<Unit> TpmCommands::RemakeFloorCounters(const FloorCounts& floors) {
  {
    SP_TRY(const std::unique_ptr<NvIndex> base, FindNv(BaseArea()));
    if (base) SP_TRY(UndefineNv(*base));
  }
  SP_TRY(FloorCounts base, MakeCounters());
  for (size_t i = 0; i < kFloorCounters; ++i) {
    if (floors[i] > base[i])
      return Error{Reason::kMismatch,
                   "these floors are not of this TPM, which never counted so far",
                   "floor.other-tpm"};
    base[i] -= floors[i];
  }
  return SealBase(base);
}

Result<FloorReading> TpmCommands::ReadFloorCounters() {
  SP_TRY(const std::unique_ptr<NvIndex> base, FindNv(BaseArea()));
  if (!base) return Missing(pki::FloorBaseArea().index, "is not defined");
  if (!base->Has(kSealed)) return Missing(pki::FloorBaseArea().index, "was never sealed");
  FloorReading out;
  SP_TRY(out.base, ReadNv(*base));
  SP_TRY(const FloorCounts bases, pki::ParseFloorCounts(out.base));
  for (size_t i = 0; i < kFloorCounters; ++i) {
    const auto counter = static_cast<FloorCounter>(i);
    SP_TRY(const std::unique_ptr<NvIndex> index, FindNv(CounterArea(counter)));
    if (!index) return Missing(IndexOf(counter), "is not defined");
    if (!index->Has(TPMA_NV_WRITTEN)) return Missing(IndexOf(counter), "has no count");
    SP_TRY(const uint64_t count, ReadCount(*index));
    if (count < bases[i]) return Foreign(IndexOf(counter), "counts below its base");
    out.floors[i] = count - bases[i];
  }
  return out;
}

Result<std::vector<TpmAttestation>> TpmCommands::CertifyFloors(ByteView qualifying_data) {
  SP_TRY(ReadFloorCounters());  // whole, or there is nothing to show
  std::vector<TpmAttestation> out;
  std::vector<TPMS_NV_PUBLIC> areas{BaseArea()};
  for (size_t i = 0; i < kFloorCounters; ++i)
    areas.push_back(CounterArea(static_cast<FloorCounter>(i)));
  for (const TPMS_NV_PUBLIC& area : areas) {
    SP_TRY(const std::unique_ptr<NvIndex> index, FindNv(area));
    if (!index) return Missing(area.nvIndex, "is not defined");
    SP_TRY(TpmAttestation certified, CertifyNv(index->handle, area.dataSize, qualifying_data));
    out.push_back(std::move(certified));
  }
  return out;
}

Result<Unit> TpmCommands::IncrementFloorCounter(FloorCounter counter) {
  SP_TRY(const std::unique_ptr<NvIndex> index, FindNv(CounterArea(counter)));
  if (!index) return Missing(IndexOf(counter), "is not defined");
  return IncrementNv(*index);
}

}  // namespace sallyport::device

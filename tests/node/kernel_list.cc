#include "tests/node/kernel_list.h"

#include "pki/crypto/hash.h"
#include "pki/crypto/legacy_hash.h"
#include "pki/tpm/measurement_list.h"

namespace sallyport::node {
namespace {

constexpr uint32_t kPcr = 10;
constexpr uint32_t kAggregatedPcrs = 10;
constexpr uint64_t kListBytesMax = 16 << 20;

Bytes TemplateData(const Sha256Digest& digest, const std::string& file) {
  ByteWriter out;
  out.LittleU32(8 + Sha256Digest::kSize).Raw(AsBytes("sha256:")).U8(0).Raw(digest.view());
  out.LittleU32(static_cast<uint32_t>(file.size() + 1)).Raw(AsBytes(file)).U8(0);
  return std::move(out).Take();
}

}  // namespace

Result<Unit> KernelList::Begin() {
  Bytes pcrs;
  for (uint32_t pcr = 0; pcr < kAggregatedPcrs; ++pcr) {
    SP_TRY(const Sha256Digest value, tpm_.ReadPcr(pcr));
    sallyport::Append(pcrs, value.view());
  }
  return Append("boot_aggregate", pki::Sha256(pcrs), {});
}

Result<Unit> KernelList::Measure(const std::string& file, ByteView content) {
  SP_TRY(Bytes list, ReadFile(files_, path_, kListBytesMax));
  return Append(file, pki::Sha256(content), std::move(list));
}

Result<Unit> KernelList::Append(const std::string& file, const Sha256Digest& digest, Bytes list) {
  const Bytes data = TemplateData(digest, file);
  const auto sha1 = pki::Sha1ForInspection({data});
  ByteWriter entry;
  pki::WriteMeasuredEntry({kPcr, sha1, "ima-ng", data}, entry);
  sallyport::Append(list, entry.bytes());
  SP_TRY(WriteFileAtomically(files_, path_, list));
  return tpm_.Extend(kPcr, pki::Sha256(data));
}

}  // namespace sallyport::node

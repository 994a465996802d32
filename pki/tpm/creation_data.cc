#include "pki/tpm/creation_data.h"

namespace sallyport::pki {
namespace {

constexpr size_t kDigestBytesMax = 64;

Result<Bytes> ReadSized(ByteReader& reader, size_t size_max) {
  SP_TRY(const ByteView view, reader.Sized16(size_max));
  return ToBytes(view);
}

Result<CreationData> ReadCreationData(ByteReader& reader) {
  CreationData data{};
  SP_TRY(data.pcr_selection, ReadPcrSelection(reader));
  SP_TRY(data.pcr_digest, ReadSized(reader, kDigestBytesMax));
  SP_TRY(data.locality, reader.U8());
  SP_TRY(data.parent_name_alg, reader.BigU16());
  SP_TRY(data.parent_name, ReadSized(reader, kNameBytesMax));
  SP_TRY(data.parent_qualified_name, ReadSized(reader, kNameBytesMax));
  SP_TRY(data.outside_info, ReadSized(reader, kExtraDataBytesMax));
  SP_TRY(reader.End());
  return data;
}

}  // namespace

bool CreationData::PrimaryOf(uint32_t hierarchy) const {
  ByteWriter handle;
  handle.BigU32(hierarchy);
  return parent_name_alg == tpm::kAlgNull && Equal(parent_name, handle.bytes()) &&
         Equal(parent_qualified_name, handle.bytes());
}

Result<CreationData> ParseCreationData(ByteView bytes) {
  if (bytes.size() > kCreationDataBytesMax)
    return Error{Reason::kTooLarge, std::to_string(bytes.size()) + " bytes", "creation.structure"};
  ByteReader reader(bytes, "TPMS_CREATION_DATA");
  auto data = ReadCreationData(reader);
  if (!data && data.error().rule.empty()) {
    Error error = std::move(data).error();
    error.rule = "creation.structure";
    return error;
  }
  return data;
}

Bytes CreationHash(HashAlgorithm name_alg, ByteView creation_data) {
  return Hash(name_alg, {creation_data});
}

}  // namespace sallyport::pki

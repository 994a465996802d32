// What the installer and the release tools read: PE images, segment and chunk tables, encoded
// segments, update records, boot entries. Whatever is accepted survives writing it again.
#include "ota/install/efi_boot_control.h"
#include "ota/install/state_record.h"
#include "ota/measure/uki.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/codec.h"
#include "ota/payload/patch.h"

using namespace sallyport;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kSegment = 64 * 1024;
  const ByteView input(data, size);
  static_cast<void>(ota::MeasureUki(input).has_value());
  static_cast<void>(ota::EfiLoadOption::Decode(input).has_value());
  Bytes segment(kSegment);
  static_cast<void>(ota::MakeZstdCodec(1)->Decode(input, segment).has_value());
  // What a patch says of its source must hold for any source.
  static_cast<void>(ota::DecodePatch(input, input.first(size / 2), segment).has_value());
  if (const auto table = ota::SegmentTable::Parse(input))
    SP_CHECK(*ota::SegmentTable::Parse(AsBytes(table->ToJson())) == *table);
  if (const auto table = ota::ChunkTable::Parse(input)) SP_CHECK(Equal(table->Encode(), input));
  if (const auto record = ota::DecodeRecord(input))
    SP_CHECK(Equal(ota::EncodeRecord(*record), input));
  return 0;
}

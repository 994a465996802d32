// What the installer and the release tools read: PE images, segment and chunk tables, encoded
// segments, sealed ones, update records, boot entries. Whatever is accepted survives writing it
// again.
#include "ota/install/efi_boot_control.h"
#include "ota/install/state_record.h"
#include "ota/measure/uki.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/codec.h"
#include "ota/payload/patch.h"
#include "ota/payload/stream_decoder.h"
#include "pki/crypto/hash.h"

using namespace sallyport;

namespace {

class NoSink final : public ota::SegmentSink {
 public:
  Result<Unit> Write(const ota::Segment&, ByteView) override { return Unit{}; }
};

// DecodeSealed feeds `data` as the only segment of a sealed payload, with its right digest.
bool DecodeSealed(ByteView data, const pki::ContentSeal& seal) {
  const Sha256Digest none = Sha256Digest::FromArray({});
  const auto table = ota::SegmentTable::Make(
      ota::kSegmentSizeMin, none, ota::kSegmentSizeMin,
      {{0, ota::kSegmentSizeMin, none, 0, data.size(), pki::Sha256(data), ota::CodecId::kZstd}}, {},
      ota::PayloadForm::kSealed);
  if (!table) return false;
  NoSink sink;
  ota::StreamDecoder decoder(*table, 0, sink, nullptr, {}, &seal);
  return decoder.Feed(data).has_value() && decoder.Finish().has_value();
}

// Nothing opens that was not sealed, whatever its digest says, and nothing that was is changed.
void Sealed(ByteView input) {
  static const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 7)));
  const auto index = ota::OpenIndex(ToBytes(input), &seal);
  SP_CHECK(!index);
  static_cast<void>(ota::OpenIndex(ToBytes(input), nullptr).has_value());
  const auto opened = ota::OpenIndex(ota::SealIndex(input, seal), &seal);
  SP_CHECK(opened && Equal(*opened, input));
  SP_CHECK(!DecodeSealed(input, seal));
}

}  // namespace

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
  Sealed(input);
  if (const auto record = ota::DecodeRecord(input))
    SP_CHECK(Equal(ota::EncodeRecord(*record), input));
  return 0;
}

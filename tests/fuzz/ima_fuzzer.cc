// Measurement lists on any bytes: views lie inside the input, an error names its rule, what was
// read and is written down again is the same bytes, and a list that is cut at its entries is judged
// part by part. Signatures and the ascii form likewise. Seeds: tests/vectors/ovmf.
#include "attestation-server/evidence/ima_entry.h"

namespace {

using namespace sallyport;          // NOLINT(google-build-using-namespace)
using namespace sallyport::server;  // NOLINT(google-build-using-namespace)

void CheckInside(ByteView whole, ByteView part) {
  if (part.empty()) return;
  SP_CHECK(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckEntry(ByteView whole, const pki::MeasuredEntry& framed) {
  SP_CHECK(framed.template_name.size() <= pki::kTemplateNameMax);
  SP_CHECK(framed.data.size() <= pki::kTemplateDataMax);
  CheckInside(whole, framed.data);
  const Result<ImaEntry> entry = ParseImaEntry(framed);
  SP_CHECK(entry.has_value() || !entry.error().rule.empty());
  if (!entry) return;
  for (const ByteView part : {entry->digest, AsBytes(entry->path), entry->signature})
    CheckInside(framed.data, part);
  SP_CHECK(!entry->digest.empty() && !entry->path.empty());
  SP_CHECK(!entry->algorithm || entry->digest.size() == pki::DigestSize(*entry->algorithm));
  for (const char c : DescribePath(entry->path)) SP_CHECK(c >= 0x20 && c < 0x7F);
  const Result<ImaSignature> signature = ParseImaSignature(entry->signature);
  SP_CHECK(signature.has_value() || signature.error().rule == "ima.signature");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  ByteReader in(bytes, "list");
  ByteWriter again;
  uint64_t entries = 0;
  while (in.remaining() > 0) {
    const Result<pki::MeasuredEntry> framed = pki::ReadMeasuredEntry(in);
    SP_CHECK(framed.has_value() || !framed.error().rule.empty());
    if (!framed) break;
    CheckEntry(bytes, *framed);
    pki::WriteMeasuredEntry(*framed, again);
    ++entries;
  }
  SP_CHECK(Equal(again.bytes(), bytes.first(again.bytes().size())));
  const auto rest = pki::AfterEntries(bytes, entries);
  SP_CHECK(rest.has_value() && rest->has_value());
  SP_CHECK((*rest)->size() == size - again.bytes().size());
  const Result<Bytes> ascii = ImaListFromAscii(AsText(bytes));
  SP_CHECK(ascii.has_value() || !ascii.error().rule.empty());
  if (ascii) {
    for (ByteReader list(*ascii, "list"); list.remaining() > 0;)
      SP_CHECK(pki::ReadMeasuredEntry(list).has_value());
  }
  return 0;
}

#include "pki/tpm/measurement_list.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kOldTemplate = "ima";

Error Malformed(std::string detail) {
  return Error{Reason::kMalformed, "measurement list: " + std::move(detail), "ima.structure"};
}

Result<ByteView> Sized(ByteReader& in, size_t size_max, const char* what) {
  const Result<uint32_t> size = in.LittleU32();
  if (!size) return Malformed(std::string("truncated before ") + what);
  if (*size > size_max) return Malformed(std::string(what) + " above its maximum");
  const Result<ByteView> bytes = in.Take(*size);
  if (!bytes) return Malformed(std::string("truncated in ") + what);
  return *bytes;
}

}  // namespace

bool MeasuredEntry::violation() const {
  return std::ranges::all_of(template_digest, [](uint8_t byte) { return byte == 0; });
}

Result<MeasuredEntry> ReadMeasuredEntry(ByteReader& in) {
  const Result<uint32_t> pcr = in.LittleU32();
  if (!pcr) return Malformed("truncated in pcr");
  const Result<ByteView> digest = in.Take(kTemplateDigestBytes);
  if (!digest) return Malformed("truncated in template digest");
  SP_TRY(const ByteView name, Sized(in, kTemplateNameMax, "template name"));
  if (AsText(name) == kOldTemplate)
    return Error{Reason::kUnsupported, "template ima", "ima.template"};
  SP_TRY(const ByteView data, Sized(in, kTemplateDataMax, "template data"));
  return MeasuredEntry{*pcr, *digest, AsText(name), data};
}

Result<std::optional<ByteView>> AfterEntries(ByteView list, uint64_t count) {
  ByteReader in(list, "measurement list");
  for (uint64_t i = 0; i < count; ++i) {
    if (in.remaining() == 0) return std::optional<ByteView>();
    SP_TRY(ReadMeasuredEntry(in));
  }
  return std::optional<ByteView>(in.rest());
}

void WriteMeasuredEntry(const MeasuredEntry& entry, ByteWriter& out) {
  out.LittleU32(entry.pcr).Raw(entry.template_digest);
  out.LittleU32(static_cast<uint32_t>(entry.template_name.size()))
      .Raw(AsBytes(entry.template_name));
  out.LittleU32(static_cast<uint32_t>(entry.data.size())).Raw(entry.data);
}

}  // namespace sallyport::pki

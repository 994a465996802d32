// The measurement list of Linux IMA (binary_runtime_measurements): where its entries begin and end.
// Integers are little-endian. Parsing proves nothing: the list is believed as far as it replays to
// a quoted PCR (attestation-server/evidence/ima.h). Pure; thread-safe.
//
//   u32 PCR | 20 bytes SHA-1 of the data | u32 size, template name | u32 size, template data
#pragma once

#include <optional>

#include "pki/base/bytes.h"

namespace sallyport::pki {

// What travels in one proof: 10,000 signed files, or 40,000 that are not, of one boot.
inline constexpr size_t kMeasurementListBytesMax = 4 << 20;
inline constexpr size_t kTemplateNameMax = 32;  // the longest of the kernel's has nine
// Digest, a path of 4,096 bytes and a signature by an RSA-4096 key take less.
inline constexpr size_t kTemplateDataMax = 8 << 10;
inline constexpr size_t kTemplateDigestBytes = 20;

// MeasuredEntry: views borrow the list.
struct MeasuredEntry {
  uint32_t pcr;
  ByteView template_digest;  // SHA-1; all zeros: a violation
  std::string_view template_name;
  ByteView data;  // what the banks other than SHA-1 are extended with the hash of

  // violation: the file changed while it was measured; the kernel extended all ones.
  bool violation() const;
};

// ReadMeasuredEntry takes the next entry. kMalformed "ima.structure" (truncated, a size above its
// maximum); kUnsupported "ima.template" for the template `ima`, whose entries have another shape.
Result<MeasuredEntry> ReadMeasuredEntry(ByteReader& in);

// AfterEntries returns what follows the first `count` entries; nothing when there are fewer. Errors
// of ReadMeasuredEntry.
Result<std::optional<ByteView>> AfterEntries(ByteView list, uint64_t count);

void WriteMeasuredEntry(const MeasuredEntry& entry, ByteWriter& out);

}  // namespace sallyport::pki

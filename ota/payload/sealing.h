// Sealed payloads: the data of every segment and chunk, and the tables themselves, under the
// content key of the release (docs/updates.md, "Confidentiality"). What the tables say of the data,
// digest and length, is said of the sealed bytes, so that whoever carries them can verify them.
// Pure.
//
// Each box is bound to its place: kind of payload, range and digest of what it makes, codec and
// source. So none opens in another's place.
#pragma once

#include "ota/payload/chunk_table.h"
#include "ota/payload/segment_table.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::ota {

static_assert(kSealOverhead == pki::kAeadOverhead);

// SealSegments writes to `out`, from its start, what `plain` describes of `in`, sealed. A segment
// without data stays so. Errors of the files; kMismatch, payload.data-digest.
Result<SegmentTable> SealSegments(const SegmentTable& plain, File& in, File& out,
                                  const pki::ContentSeal& seal);
Result<ChunkTable> SealChunks(const ChunkTable& plain, File& in, File& out,
                              const pki::ContentSeal& seal);

// SealIndex seals a table as it is stored: "SPSX", u16 version, u16 reserved, box.
Bytes SealIndex(ByteView index, const pki::ContentSeal& seal);
// OpenIndex returns the table in `file`; `seal` is null when the release says that nothing is
// sealed. kMismatch with payload.not-sealed (the release says it is), payload.sealed (the release
// does not), payload.sealed-data (it does not open); kUnsupported, payload.seal-version.
Result<Bytes> OpenIndex(Bytes file, const pki::ContentSeal* seal);
// CheckForm: kMismatch with payload.not-sealed or payload.sealed when a table is not of the form
// that its release says.
Result<Unit> CheckForm(PayloadForm form, const pki::ContentSeal* seal);

// OpenSegment decrypts within `data`, the segment's bytes in the payload, and returns what the
// codec reads; of a plain table, `data` itself. kMismatch with payload.no-key (`seal` is null) or
// payload.sealed-data.
Result<ByteView> OpenSegment(const SegmentTable& table, const Segment& segment,
                             std::span<uint8_t> data, const pki::ContentSeal* seal);
// OpenChunk is the same for the chunk that makes the image's bytes at `offset`.
Result<ByteView> OpenChunk(const ChunkTable& table, const Chunk& chunk, uint64_t offset,
                           std::span<uint8_t> data, const pki::ContentSeal* seal);

}  // namespace sallyport::ota

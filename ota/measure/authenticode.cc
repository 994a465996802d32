#include "ota/measure/authenticode.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kChecksumSize = 4;
constexpr size_t kDirectoryEntrySize = 8;

void HashHeaders(const PeImage& image, pki::Hasher& hasher) {
  const ByteView headers = image.file().first(image.headers_size());
  hasher.Update(headers.first(image.checksum_offset()));
  const size_t resume = image.checksum_offset() + kChecksumSize;
  if (image.certificate_entry_offset() == 0) {
    hasher.Update(headers.subspan(resume));
    return;
  }
  hasher.Update(headers.subspan(resume, image.certificate_entry_offset() - resume));
  hasher.Update(headers.subspan(image.certificate_entry_offset() + kDirectoryEntrySize));
}

std::vector<ByteView> SectionsByFileOffset(const PeImage& image) {
  std::vector<const PeSection*> order;
  for (const PeSection& section : image.sections()) order.push_back(&section);
  std::ranges::sort(order, {}, &PeSection::raw_offset);
  std::vector<ByteView> out;
  for (const PeSection* section : order) out.push_back(section->raw);
  return out;
}

}  // namespace

Sha256Digest AuthenticodeSha256(const PeImage& image) {
  pki::Hasher hasher(pki::HashAlgorithm::kSha256);
  HashHeaders(image, hasher);
  size_t hashed = image.headers_size();
  for (const ByteView section : SectionsByFileOffset(image)) {
    hasher.Update(section);
    hashed += section.size();
  }
  // The specification counts bytes hashed so far, not the end of the last section; with gaps they
  // differ.
  const size_t without_certificates = image.file().size() - image.certificates_size();
  if (without_certificates > hashed)
    hasher.Update(image.file().subspan(hashed, without_certificates - hashed));
  return *Sha256Digest::FromView(hasher.Finish());
}

}  // namespace sallyport::ota

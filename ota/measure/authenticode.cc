#include "ota/measure/authenticode.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kChecksumSize = 4;
constexpr size_t kDirectoryEntrySize = 8;

std::vector<ByteView> Headers(const PeImage& image) {
  const ByteView headers = image.file().first(image.headers_size());
  std::vector<ByteView> out{headers.first(image.checksum_offset())};
  const size_t resume = image.checksum_offset() + kChecksumSize;
  if (image.certificate_entry_offset() == 0) {
    out.push_back(headers.subspan(resume));
    return out;
  }
  out.push_back(headers.subspan(resume, image.certificate_entry_offset() - resume));
  out.push_back(headers.subspan(image.certificate_entry_offset() + kDirectoryEntrySize));
  return out;
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

std::vector<ByteView> AuthenticodeContent(const PeImage& image) {
  std::vector<ByteView> out = Headers(image);
  size_t hashed = image.headers_size();
  for (const ByteView section : SectionsByFileOffset(image)) {
    out.push_back(section);
    hashed += section.size();
  }
  // The specification counts bytes hashed so far, not the end of the last section; with gaps they
  // differ.
  const size_t without_certificates = image.file().size() - image.certificates_size();
  if (without_certificates > hashed)
    out.push_back(image.file().subspan(hashed, without_certificates - hashed));
  return out;
}

Sha256Digest AuthenticodeSha256(const PeImage& image) {
  pki::Hasher hasher(pki::HashAlgorithm::kSha256);
  for (const ByteView part : AuthenticodeContent(image)) hasher.Update(part);
  return *Sha256Digest::FromView(hasher.Finish());
}

}  // namespace sallyport::ota

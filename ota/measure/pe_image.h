// A strict reader of PE images (UKIs, EFI applications, kernels): every offset is checked before
// use, nothing is repaired. Microsoft PE format; only what Authenticode and UKI measurement need.
// Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/result.h"

namespace sallyport::ota {

// The PE loader's own limit on sections.
inline constexpr size_t kPeSectionsMax = 96;
// Bounds what one image may make us hash; a UKI with initrd is 10 to 100 MiB.
inline constexpr uint64_t kPeFileSizeMax = uint64_t{512} << 20;

struct PeSection {
  std::string name;  // up to 8 bytes, the zero padding removed
  uint32_t virtual_address;
  uint32_t virtual_size;
  uint32_t raw_offset;
  uint32_t raw_size;
  ByteView raw;  // borrows the image
};

// PeImage borrows the bytes it was parsed from.
class PeImage {
 public:
  // Parse: kMalformed with one of the rules pe.truncated, pe.magic, pe.optional-header,
  // pe.headers-size, pe.section-range, pe.section-overlap, pe.certificate-table; kTooLarge with
  // pe.file-size or pe.section-count.
  static Result<PeImage> Parse(ByteView file);

  ByteView file() const { return file_; }
  // In the order of the section table.
  const std::vector<PeSection>& sections() const { return sections_; }
  // Find returns null unless exactly that name occurs.
  const PeSection* Find(std::string_view name) const;

  size_t headers_size() const { return headers_size_; }
  size_t checksum_offset() const { return checksum_offset_; }
  // 0 when the image has no certificate-table directory at all.
  size_t certificate_entry_offset() const { return certificate_entry_offset_; }
  size_t certificates_size() const { return certificates_size_; }

 private:
  PeImage() = default;
  Result<Unit> ParseOptionalHeader(size_t at, size_t size);
  Result<Unit> ParseSections(size_t at, size_t count);
  Result<Unit> CheckLayout(size_t certificates_offset) const;

  ByteView file_;
  std::vector<PeSection> sections_;
  size_t headers_size_ = 0;
  size_t checksum_offset_ = 0;
  size_t certificate_entry_offset_ = 0;
  size_t certificates_offset_ = 0;
  size_t certificates_size_ = 0;
};

}  // namespace sallyport::ota

#include "ota/measure/pe_image.h"

#include <algorithm>

namespace sallyport::ota {
namespace {

constexpr size_t kDosHeaderSize = 64;
constexpr size_t kPeOffsetField = 0x3c;
constexpr size_t kCoffHeaderSize = 20;
constexpr size_t kSectionHeaderSize = 40;
constexpr size_t kSectionNameSize = 8;
constexpr size_t kHeadersSizeField = 60;  // of the optional header, as are the next ones
constexpr size_t kChecksumField = 64;
constexpr size_t kDirectoryEntrySize = 8;
constexpr size_t kCertificateDirectory = 4;
constexpr uint16_t kMagicPe32 = 0x10b;
constexpr uint16_t kMagicPe32Plus = 0x20b;

Error Malformed(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

// Sub borrows file[at, at + size) or returns pe.truncated.
Result<ByteView> Sub(ByteView file, uint64_t at, uint64_t size, std::string_view what) {
  if (at > file.size() || size > file.size() - at)
    return Malformed("pe.truncated", std::string(what) + " lies outside the file");
  return file.subspan(static_cast<size_t>(at), static_cast<size_t>(size));
}

std::string SectionName(ByteView bytes) {
  const auto end = std::ranges::find(bytes, uint8_t{0});
  return std::string(bytes.begin(), end);
}

}  // namespace

Result<PeImage> PeImage::Parse(ByteView file) {
  if (file.size() > kPeFileSizeMax)
    return Error{Reason::kTooLarge, "above " + std::to_string(kPeFileSizeMax) + " bytes",
                 "pe.file-size"};
  PeImage image;
  image.file_ = file;
  SP_TRY(const ByteView dos, Sub(file, 0, kDosHeaderSize, "the DOS header"));
  if (dos[0] != 'M' || dos[1] != 'Z') return Malformed("pe.magic", "does not start with MZ");
  SP_TRY(const uint32_t pe_at, ByteReader(dos.subspan(kPeOffsetField), "DOS header").LittleU32());
  SP_TRY(const ByteView coff, Sub(file, pe_at, 4 + kCoffHeaderSize, "the COFF header"));
  if (!Equal(coff.first(4), AsBytes(std::string_view("PE\0\0", 4))))
    return Malformed("pe.magic", "no PE signature where the DOS header points");
  ByteReader reader(coff.subspan(6), "COFF header");
  SP_TRY(const uint16_t section_count, reader.LittleU16());
  SP_TRY(reader.Take(12));
  SP_TRY(const uint16_t optional_size, reader.LittleU16());
  if (section_count > kPeSectionsMax)
    return Error{Reason::kTooLarge, std::to_string(section_count) + " sections",
                 "pe.section-count"};
  const size_t optional_at = size_t{pe_at} + 4 + kCoffHeaderSize;
  SP_TRY(image.ParseOptionalHeader(optional_at, optional_size));
  SP_TRY(image.ParseSections(optional_at + optional_size, section_count));
  SP_TRY(image.CheckLayout(image.certificates_offset_));
  return image;
}

Result<Unit> PeImage::ParseOptionalHeader(size_t at, size_t size) {
  SP_TRY(const ByteView header, Sub(file_, at, size, "the optional header"));
  SP_TRY(const uint16_t magic, ByteReader(header, "optional header").LittleU16());
  if (magic != kMagicPe32 && magic != kMagicPe32Plus)
    return Malformed("pe.magic", "unknown optional header magic");
  const size_t directories = magic == kMagicPe32 ? 96 : 112;
  if (size < directories)
    return Malformed("pe.optional-header", "ends before its data directories");
  SP_TRY(const uint32_t headers_size,
         ByteReader(header.subspan(kHeadersSizeField), "optional header").LittleU32());
  SP_TRY(const uint32_t count,
         ByteReader(header.subspan(directories - 4), "optional header").LittleU32());
  if (count > (size - directories) / kDirectoryEntrySize)
    return Malformed("pe.optional-header", "its data directories do not fit");
  headers_size_ = headers_size;
  checksum_offset_ = at + kChecksumField;
  if (count <= kCertificateDirectory) return Unit{};
  const size_t entry = directories + kCertificateDirectory * kDirectoryEntrySize;
  ByteReader reader(header.subspan(entry), "certificate directory");
  SP_TRY(const uint32_t offset, reader.LittleU32());
  SP_TRY(const uint32_t length, reader.LittleU32());
  certificate_entry_offset_ = at + entry;
  certificates_offset_ = offset;
  certificates_size_ = length;
  return Unit{};
}

Result<Unit> PeImage::ParseSections(size_t at, size_t count) {
  SP_TRY(const ByteView table, Sub(file_, at, count * kSectionHeaderSize, "the section table"));
  if (headers_size_ < at + table.size() || headers_size_ > file_.size())
    return Malformed("pe.headers-size", "SizeOfHeaders does not enclose the headers");
  for (size_t i = 0; i < count; ++i) {
    ByteReader reader(table.subspan(i * kSectionHeaderSize, kSectionHeaderSize), "section header");
    SP_TRY(const ByteView name, reader.Take(kSectionNameSize));
    SP_TRY(const uint32_t virtual_size, reader.LittleU32());
    SP_TRY(const uint32_t virtual_address, reader.LittleU32());
    SP_TRY(const uint32_t raw_size, reader.LittleU32());
    SP_TRY(const uint32_t raw_offset, reader.LittleU32());
    if (raw_size > 0 && (raw_offset > file_.size() || raw_size > file_.size() - raw_offset))
      return Malformed("pe.section-range",
                       "section " + std::to_string(i) + " lies outside the file");
    const ByteView raw = raw_size == 0 ? ByteView() : file_.subspan(raw_offset, raw_size);
    sections_.push_back(
        {SectionName(name), virtual_address, virtual_size, raw_offset, raw_size, raw});
  }
  return Unit{};
}

// Overlaps would let one byte count twice in the digest while loaders see it in two roles.
Result<Unit> PeImage::CheckLayout(size_t certificates_offset) const {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const PeSection& section : sections_)
    if (section.raw_size > 0) ranges.emplace_back(section.raw_offset, section.raw_size);
  std::ranges::sort(ranges);
  uint64_t end = headers_size_;
  for (const auto& [offset, size] : ranges) {
    if (offset < end)
      return Malformed("pe.section-overlap", "file bytes belong to two sections or to the headers");
    end = offset + size;
  }
  if (certificates_size_ == 0) return Unit{};
  if (certificates_offset < end || certificates_offset > file_.size() ||
      certificates_size_ != file_.size() - certificates_offset)
    return Malformed("pe.certificate-table", "the certificates are not the end of the file");
  return Unit{};
}

const PeSection* PeImage::Find(std::string_view name) const {
  const auto found = std::ranges::find(sections_, name, &PeSection::name);
  if (found == sections_.end() || std::ranges::count(sections_, name, &PeSection::name) != 1)
    return nullptr;
  return &*found;
}

}  // namespace sallyport::ota

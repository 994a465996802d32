#include "tests/fakes/pe_builder.h"

namespace sallyport {
namespace {

constexpr size_t kPeAt = 0x80;
constexpr size_t kOptionalAt = kPeAt + 24;
constexpr size_t kOptionalSize = 240;
constexpr size_t kHeadersSize = 1024;
constexpr uint32_t kFileAlignment = 512;
constexpr uint32_t kMemoryAlignment = 4096;

void Put16(Bytes& out, size_t at, uint16_t value) {
  out[at] = static_cast<uint8_t>(value);
  out[at + 1] = static_cast<uint8_t>(value >> 8);
}
void Put32(Bytes& out, size_t at, size_t value) {
  SP_CHECK(value <= UINT32_MAX);
  for (size_t i = 0; i < 4; ++i) out[at + i] = static_cast<uint8_t>(value >> (8 * i));
}
uint32_t Get32(const Bytes& in, size_t at) {
  return static_cast<uint32_t>(in[at] | in[at + 1] << 8 | in[at + 2] << 16) |
         static_cast<uint32_t>(in[at + 3]) << 24;
}
uint16_t Get16(const Bytes& in, size_t at) {
  return static_cast<uint16_t>(in[at] | in[at + 1] << 8);
}
size_t Aligned(size_t value, size_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

void AddSection(Bytes& image, const std::string& name, const Bytes& content) {
  const size_t pe = Get32(image, 0x3c);
  const size_t optional = pe + 24;
  const uint16_t count = Get16(image, pe + 6);
  const size_t table = optional + Get16(image, pe + 20);
  const size_t entry = table + 40u * count;
  SP_CHECK(name.size() <= 8 && entry + 40 <= Get32(image, optional + 60));
  size_t memory_end = Aligned(Get32(image, optional + 60), kMemoryAlignment);
  for (size_t i = 0; i < count; ++i)
    memory_end = std::max<size_t>(
        memory_end, Get32(image, table + 40 * i + 12) + Get32(image, table + 40 * i + 8));
  const size_t address = Aligned(memory_end, kMemoryAlignment);
  image.resize(Aligned(image.size(), kFileAlignment));
  const size_t raw_at = image.size();
  Append(image, content);
  image.resize(Aligned(image.size(), kFileAlignment));
  std::ranges::fill(std::span(image).subspan(entry, 40), uint8_t{0});
  std::ranges::copy(name, image.begin() + static_cast<ptrdiff_t>(entry));
  Put32(image, entry + 8, content.size());
  Put32(image, entry + 12, address);
  Put32(image, entry + 16, image.size() - raw_at);
  Put32(image, entry + 20, raw_at);
  Put32(image, entry + 36, 0x40000040);  // initialised data, readable
  Put16(image, pe + 6, static_cast<uint16_t>(count + 1));
  Put32(image, optional + 56, Aligned(address + content.size(), kMemoryAlignment));
}

}  // namespace

Bytes BuildPe(const PeContent& sections) {
  Bytes out(kHeadersSize);
  out[0] = 'M';
  out[1] = 'Z';
  Put32(out, 0x3c, kPeAt);
  out[kPeAt] = 'P';
  out[kPeAt + 1] = 'E';
  Put16(out, kPeAt + 4, 0x8664);
  Put16(out, kPeAt + 20, kOptionalSize);
  Put16(out, kPeAt + 22, 0x0206);
  Put16(out, kOptionalAt, 0x20b);
  Put32(out, kOptionalAt + 32, kMemoryAlignment);
  Put32(out, kOptionalAt + 36, kFileAlignment);
  Put32(out, kOptionalAt + 60, kHeadersSize);
  Put16(out, kOptionalAt + 68, 10);  // EFI application
  Put32(out, kOptionalAt + 108, 16);
  return AppendSections(std::move(out), sections);
}

Bytes AppendSections(Bytes image, const PeContent& sections) {
  for (const auto& [name, content] : sections) AddSection(image, name, content);
  return image;
}

Bytes AppendCertificates(Bytes image, size_t size) {
  const size_t directory = Get32(image, 0x3c) + 24 + 112 + 4 * 8;
  image.resize(Aligned(image.size(), 8));
  Put32(image, directory, image.size());
  Put32(image, directory + 4, size);
  image.resize(image.size() + size, 0xCE);
  return image;
}

}  // namespace sallyport

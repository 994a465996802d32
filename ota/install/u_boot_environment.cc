#include "ota/install/u_boot_environment.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace sallyport::ota {
namespace {

constexpr size_t kHeaderSize = 5;  // CRC-32 and flags
constexpr uint64_t kSector = 512;
// U-Boot's environments are some KiB; this is far above and bounds what is read.
constexpr uint64_t kCopySizeMax = 1 << 20;

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0);
    table[i] = value;
  }
  return table;
}();

// ISO-HDLC CRC-32, as zlib's.
uint32_t Crc32(ByteView bytes) {
  uint32_t crc = UINT32_MAX;
  for (const uint8_t byte : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ byte) & 0xff];
  return ~crc;
}

std::string_view NameOf(std::string_view text) { return text.substr(0, text.find('=')); }

Error BadConfig(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "uboot.config"};
}

std::vector<std::string_view> Words(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  std::vector<std::string_view> out;
  while (true) {
    const size_t start = line.find_first_not_of(kSpace);
    if (start == line.npos || line[start] == '#') return out;
    line.remove_prefix(start);
    out.push_back(line.substr(0, line.find_first_of(kSpace)));
    line.remove_prefix(out.back().size());
  }
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<UBootCopy> ParseCopy(const std::vector<std::string_view>& words) {
  if (words.size() < 3) return BadConfig("expected device, offset and size");
  const auto offset = ParseNumber(words[1]);
  const auto size = ParseNumber(words[2]);
  const bool good = offset && size && *offset % kSector == 0 && *size % kSector == 0 && *size > 0 &&
                    *size <= kCopySizeMax && *offset <= INT64_MAX - *size;
  if (!good)
    return BadConfig("offset " + std::string(words[1]) + ", size " + std::string(words[2]));
  return UBootCopy{std::string(words[0]), *offset, *size};
}

bool Overlap(const UBootCopy& a, const UBootCopy& b) {
  return a.device == b.device && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

}  // namespace

Result<std::array<UBootCopy, 2>> ParseFwEnvConfig(std::string_view text) {
  std::vector<UBootCopy> copies;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::vector<std::string_view> words = Words(line);
    if (words.empty()) continue;
    SP_TRY(UBootCopy copy, ParseCopy(words));
    copies.push_back(std::move(copy));
  }
  if (copies.size() != 2) return BadConfig("expected two copies");
  if (copies[0].size != copies[1].size) return BadConfig("the copies differ in size");
  if (Overlap(copies[0], copies[1])) return BadConfig("the copies overlap");
  return std::array<UBootCopy, 2>{copies[0], copies[1]};
}

Result<UBootEnvironment> UBootEnvironment::Parse(ByteView copy) {
  if (copy.size() <= kHeaderSize)
    return Error{Reason::kMalformed, std::to_string(copy.size()) + " bytes", "uboot.size"};
  ByteReader reader(copy, "U-Boot environment");
  SP_TRY(const uint32_t crc, reader.LittleU32());
  UBootEnvironment out;
  SP_TRY(out.flags, reader.U8());
  std::string_view data = AsText(reader.rest());
  if (Crc32(reader.rest()) != crc)
    return Error{Reason::kMalformed, "the checksum is wrong", "uboot.crc"};
  const Error bad{Reason::kMalformed, "no list of variables", "uboot.variable"};
  std::set<std::string_view> names;
  while (!data.empty() && data.front() != '\0') {
    const size_t end = data.find('\0');
    if (end == data.npos) return bad;
    const std::string_view text = data.substr(0, end);
    const size_t equals = text.find('=');
    if (equals == 0 || equals == text.npos || !names.insert(NameOf(text)).second) return bad;
    out.texts_.emplace_back(text);
    data.remove_prefix(end + 1);
  }
  if (data.empty()) return bad;
  return out;
}

Result<Bytes> UBootEnvironment::Encode(size_t size) const {
  SP_CHECK(size > kHeaderSize);
  ByteWriter data;
  for (const std::string& text : texts_) data.Raw(AsBytes(text)).U8(0);
  Bytes body = std::move(data).Take();
  if (body.size() + 1 > size - kHeaderSize)
    return Error{Reason::kNoSpace, "U-Boot's environment is full", "uboot.full"};
  body.resize(size - kHeaderSize);
  return ByteWriter().LittleU32(Crc32(body)).U8(flags).Raw(body).bytes();
}

std::optional<std::string_view> UBootEnvironment::Get(std::string_view name) const {
  for (const std::string& text : texts_)
    if (NameOf(text) == name) return std::string_view(text).substr(name.size() + 1);
  return std::nullopt;
}

void UBootEnvironment::Set(std::string_view name, std::string_view value) {
  SP_CHECK(!name.empty() && name.find_first_of(std::string_view("=\0", 2)) == name.npos &&
           value.find('\0') == value.npos);
  const std::string text = std::string(name) + "=" + std::string(value);
  const auto found = std::ranges::find(texts_, name, NameOf);
  if (found == texts_.end())
    texts_.push_back(text);
  else
    *found = text;
}

}  // namespace sallyport::ota

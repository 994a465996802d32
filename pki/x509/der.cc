#include "pki/x509/der.h"

#include <chrono>
#include <optional>

namespace sallyport::pki::der {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr size_t kLengthBytesMax = 3;  // nothing we read has 16 MiB

int Digits(ByteView text, size_t at, size_t count) {
  int value = 0;
  for (size_t i = at; i < at + count; ++i) value = value * 10 + (text[i] - '0');
  return value;
}

bool IsTimeText(ByteView text, size_t size) {
  return text.size() == size && text.back() == 'Z' &&
         std::ranges::all_of(text.first(size - 1), [](uint8_t c) { return c >= '0' && c <= '9'; });
}

// FromParts says nothing about impossible dates and times such as 30 February or 24:00.
std::optional<UnixTime> FromParts(int year, ByteView rest) {
  const std::chrono::year_month_day date{
      std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(Digits(rest, 0, 2))},
      std::chrono::day{static_cast<unsigned>(Digits(rest, 2, 2))}};
  const int hour = Digits(rest, 4, 2), minute = Digits(rest, 6, 2), second = Digits(rest, 8, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const int64_t day = sys_days(date).time_since_epoch().count();
  return UnixTime::FromSeconds(((day * 24 + hour) * 60 + minute) * 60 + second);
}

void AppendLength(Bytes& out, size_t size) {
  if (size < 0x80) {
    out.push_back(static_cast<uint8_t>(size));
    return;
  }
  const uint8_t count = size > 0xFFFF ? 3 : size > 0xFF ? 2 : 1;
  SP_CHECK(size < 1U << 24);
  out.push_back(static_cast<uint8_t>(0x80 | count));
  for (int shift = (count - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<uint8_t>(size >> shift));
}

void AppendDigits(Bytes& out, unsigned value, unsigned count) {
  unsigned scale = 1;
  for (unsigned i = 1; i < count; ++i) scale *= 10;
  for (; scale > 0; scale /= 10) out.push_back(static_cast<uint8_t>('0' + value / scale % 10));
}

}  // namespace

Result<size_t> Reader::Length() {
  const uint8_t first = rest_[1];
  if (first < 0x80) return size_t{2};
  const size_t count = first & 0x7F;
  if (count == 0 || count > kLengthBytesMax) return Refuse("indefinite or oversized length");
  if (rest_.size() < 2 + count) return Refuse("truncated length");
  return 2 + count;
}

Result<Element> Reader::Any() {
  if (rest_.size() < 2) return Refuse("truncated");
  if ((rest_[0] & 0x1F) == 0x1F) return Refuse("high tag number");
  SP_TRY(const size_t header, Length());
  size_t size = rest_[1];
  if (header > 2) {
    size = 0;
    for (size_t i = 2; i < header; ++i) size = size << 8 | rest_[i];
    if (size < 0x80 || (header > 3 && size >> (8 * (header - 3)) == 0))
      return Refuse("length is not minimal");
  }
  if (size > rest_.size() - header) return Refuse("truncated");
  const Element element{rest_[0], rest_.subspan(header, size), rest_.first(header + size)};
  rest_ = rest_.subspan(header + size);
  return element;
}

Result<Element> Reader::Next(uint8_t tag) {
  if (!NextIs(tag)) return Refuse("unexpected element");
  return Any();
}

Result<ByteView> Reader::Content(uint8_t tag) {
  SP_TRY(const Element element, Next(tag));
  return element.content;
}

Result<Reader> Reader::Enter(uint8_t tag) {
  SP_TRY(const ByteView content, Content(tag));
  return Reader(content, rule_);
}

Result<uint64_t> Reader::Unsigned(uint8_t tag) {
  SP_TRY(const ByteView content, Content(tag));
  if (content.empty() || content.size() > 8 || (content[0] & 0x80) != 0)
    return Refuse("number out of range");
  if (content.size() > 1 && content[0] == 0 && (content[1] & 0x80) == 0)
    return Refuse("number is not minimal");
  uint64_t value = 0;
  for (const uint8_t byte : content) value = value << 8 | byte;
  return value;
}

Result<ByteView> Reader::UnsignedBytes(size_t size_max) {
  SP_TRY(ByteView content, Content(kInteger));
  if (content.empty() || (content[0] & 0x80) != 0) return Refuse("integer is empty or negative");
  if (content[0] == 0) {
    if (content.size() == 1 || (content[1] & 0x80) == 0)
      return Refuse("integer is zero or not minimal");
    content = content.subspan(1);
  }
  if (content.size() > size_max) return Refuse("integer is too long");
  return content;
}

Result<Reader::Flag> Reader::Boolean() {
  SP_TRY(const ByteView content, Content(kBoolean));
  if (content.size() != 1 || (content[0] != 0 && content[0] != 0xFF)) return Refuse("boolean");
  return Flag{content[0] == 0xFF};
}

Result<ByteView> Reader::BitString() {
  SP_TRY(const ByteView content, Content(kBitString));
  if (content.empty() || content[0] != 0) return Refuse("bit string with unused bits");
  return content.subspan(1);
}

Result<UnixTime> Reader::Time() {
  SP_TRY(const Element element, Any());
  std::optional<UnixTime> time;
  if (element.tag == kUtcTime && IsTimeText(element.content, 13)) {
    const int year = Digits(element.content, 0, 2);
    time = FromParts(year < 50 ? 2000 + year : 1900 + year, element.content.subspan(2));
  } else if (element.tag == kGeneralizedTime && IsTimeText(element.content, 15)) {
    const int year = Digits(element.content, 0, 4);
    if (year >= 2050) time = FromParts(year, element.content.subspan(4));
  }
  if (!time) return Refuse("time");
  return *time;
}

Result<Unit> Reader::End() const {
  if (!rest_.empty()) return Refuse("trailing bytes");
  return Ok();
}

Bytes Encode(uint8_t tag, std::initializer_list<ByteView> parts) {
  size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  Bytes out;
  out.reserve(size + 5);
  out.push_back(tag);
  AppendLength(out, size);
  for (const ByteView part : parts) Append(out, part);
  return out;
}

Bytes EncodeUnsignedBytes(ByteView big_endian) {
  while (big_endian.size() > 1 && big_endian[0] == 0) big_endian = big_endian.subspan(1);
  constexpr uint8_t kZero[] = {0};
  const bool pad = big_endian.empty() || (big_endian[0] & 0x80) != 0;
  return Encode(kInteger, {pad ? ByteView(kZero) : ByteView(), big_endian});
}

Bytes EncodeUnsigned(uint8_t tag, uint64_t value) {
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (56 - 8 * i));
  Bytes out = EncodeUnsignedBytes(bytes);
  out[0] = tag;
  return out;
}

Bytes EncodeBitString(ByteView bytes) {
  constexpr uint8_t kNoUnusedBits[] = {0};
  return Encode(kBitString, {kNoUnusedBits, bytes});
}

Bytes EncodeTime(UnixTime time) {
  const auto seconds = std::chrono::seconds(time.seconds());
  const auto day = std::chrono::floor<days>(seconds);
  const std::chrono::year_month_day date{sys_days(day)};
  const std::chrono::hh_mm_ss clock(seconds - day);
  const int year = static_cast<int>(date.year());
  SP_CHECK(year >= 1950 && year <= 9999);
  const bool utc = year < 2050;
  Bytes text;
  text.reserve(15);
  AppendDigits(text, static_cast<unsigned>(year), utc ? 2 : 4);
  AppendDigits(text, static_cast<unsigned>(date.month()), 2);
  AppendDigits(text, static_cast<unsigned>(date.day()), 2);
  AppendDigits(text, static_cast<unsigned>(clock.hours().count()), 2);
  AppendDigits(text, static_cast<unsigned>(clock.minutes().count()), 2);
  AppendDigits(text, static_cast<unsigned>(clock.seconds().count()), 2);
  text.push_back('Z');
  return Encode(utc ? kUtcTime : kGeneralizedTime, {text});
}

}  // namespace sallyport::pki::der

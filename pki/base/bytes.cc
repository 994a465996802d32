#include "pki/base/bytes.h"

namespace sallyport {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// EncodeBits writes `bits` of the input per output character, most significant first.
std::string EncodeBits(ByteView bytes, unsigned bits, std::string_view alphabet) {
  std::string out;
  uint32_t buffer = 0;
  unsigned held = 0;
  for (const uint8_t byte : bytes) {
    buffer = (buffer << 8) | byte;
    held += 8;
    while (held >= bits) {
      held -= bits;
      out += alphabet[(buffer >> held) & ((1u << bits) - 1)];
    }
    buffer &= (1u << held) - 1;
  }
  if (held > 0) out += alphabet[(buffer << (bits - held)) & ((1u << bits) - 1)];
  return out;
}

}  // namespace

std::string HexEncode(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Result<Bytes> HexDecode(std::string_view text) {
  if (text.size() % 2 != 0) return Error{Reason::kMalformed, "hex: odd number of digits"};
  Bytes out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) return Error{Reason::kMalformed, "hex: not a hexadecimal digit"};
    out.push_back(static_cast<uint8_t>(high * 16 + low));
  }
  return out;
}

std::string Base32LowerEncode(ByteView bytes) { return EncodeBits(bytes, 5, kBase32); }

std::string Base64Encode(ByteView bytes) {
  std::string out = EncodeBits(bytes, 6, kBase64);
  while (out.size() % 4 != 0) out += '=';
  return out;
}

Result<Bytes> Base64Decode(std::string_view text) {
  const Error malformed{Reason::kMalformed, "base64: not canonical"};
  if (text.size() % 4 != 0) return malformed;
  std::string_view body = text;
  for (int i = 0; i < 2 && body.ends_with('='); ++i) body.remove_suffix(1);
  Bytes out;
  uint32_t buffer = 0;
  unsigned held = 0;
  for (const char c : body) {
    const size_t digit = kBase64.find(c);
    if (digit == std::string_view::npos) return malformed;
    buffer = (buffer << 6) | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<uint8_t>(buffer >> held));
      buffer &= (1u << held) - 1;
    }
  }
  if (buffer != 0 || Base64Encode(out) != text) return malformed;
  return out;
}

Result<ByteView> ByteReader::Sized16(size_t size_max) {
  SP_TRY(const uint16_t size, BigU16());
  if (size > size_max)
    return Error{Reason::kMalformed, std::string(what_) + ": length above its maximum"};
  return Take(size);
}

Result<ByteView> ByteReader::Sized32(size_t size_max) {
  SP_TRY(const uint32_t size, BigU32());
  if (size > size_max)
    return Error{Reason::kMalformed, std::string(what_) + ": length above its maximum"};
  return Take(size);
}

}  // namespace sallyport

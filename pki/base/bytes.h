// Bytes, fixed-size byte strings with distinct types, bounds-checked reading and writing, and the
// text encodings of the product. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/result.h"

namespace sallyport {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

// AsBytes borrows `text`.
inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
// AsText borrows `bytes`; no encoding is checked.
inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes ToBytes(ByteView view) { return {view.begin(), view.end()}; }
inline Bytes ToBytes(std::string_view text) { return ToBytes(AsBytes(text)); }
inline std::string ToString(ByteView view) { return std::string(AsText(view)); }
inline bool Equal(ByteView a, ByteView b) { return std::ranges::equal(a, b); }
inline void Append(Bytes& out, ByteView view) { out.insert(out.end(), view.begin(), view.end()); }

// FixedBytes<Tag, N> is N bytes with a meaning; different tags do not convert. Not for secrets
// (pki/crypto/secret.h).
template <typename Tag, size_t N>
class FixedBytes {
 public:
  static constexpr size_t kSize = N;
  // FromView returns kMalformed unless `view` has exactly N bytes.
  static Result<FixedBytes> FromView(ByteView view) {
    if (view.size() != N)
      return Error{Reason::kMalformed,
                   "expected " + std::to_string(N) + " bytes, got " + std::to_string(view.size())};
    FixedBytes out;
    std::ranges::copy(view, out.bytes_.begin());
    return out;
  }
  static FixedBytes FromArray(const std::array<uint8_t, N>& bytes) {
    FixedBytes out;
    out.bytes_ = bytes;
    return out;
  }
  ByteView view() const { return bytes_; }
  const std::array<uint8_t, N>& array() const { return bytes_; }
  auto operator<=>(const FixedBytes&) const = default;

 private:
  FixedBytes() = default;
  std::array<uint8_t, N> bytes_{};
};

// HexEncode writes lower case. HexDecode accepts both cases; kMalformed on anything else.
std::string HexEncode(ByteView bytes);
Result<Bytes> HexDecode(std::string_view text);
template <typename Tag, size_t N>
std::string HexEncode(const FixedBytes<Tag, N>& bytes) {
  return HexEncode(bytes.view());
}
// Base32LowerEncode writes RFC 4648 base32 in lower case without padding (device ids).
std::string Base32LowerEncode(ByteView bytes);
// Base64: RFC 4648 section 4 with padding, strict (no white space, canonical final bits).
std::string Base64Encode(ByteView bytes);
Result<Bytes> Base64Decode(std::string_view text);

// ByteReader reads a borrowed view front to back; every read is bounds-checked and returns
// kMalformed past the end. `what` names the structure in errors and must have static storage.
class ByteReader {
 public:
  ByteReader(ByteView bytes, std::string_view what) : rest_(bytes), what_(what) {}
  Result<uint8_t> U8() { return Integer<uint8_t>(true); }
  Result<uint16_t> BigU16() { return Integer<uint16_t>(true); }
  Result<uint32_t> BigU32() { return Integer<uint32_t>(true); }
  Result<uint64_t> BigU64() { return Integer<uint64_t>(true); }
  Result<uint16_t> LittleU16() { return Integer<uint16_t>(false); }
  Result<uint32_t> LittleU32() { return Integer<uint32_t>(false); }
  Result<uint64_t> LittleU64() { return Integer<uint64_t>(false); }
  // Take borrows the next `size` bytes of the input.
  Result<ByteView> Take(size_t size) {
    if (size > rest_.size()) return Short();
    const ByteView out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  // Sized16 is a TPM2B: a big-endian u16 length, then that many bytes, at most `size_max`.
  Result<ByteView> Sized16(size_t size_max);
  // Sized32 is a big-endian u32 length, then that many bytes, at most `size_max`.
  Result<ByteView> Sized32(size_t size_max);
  // End returns kMalformed when bytes are left.
  Result<Unit> End() const {
    if (!rest_.empty())
      return Error{Reason::kMalformed,
                   std::string(what_) + ": " + std::to_string(rest_.size()) + " trailing bytes"};
    return Unit{};
  }
  size_t remaining() const { return rest_.size(); }
  ByteView rest() const { return rest_; }

 private:
  Error Short() const { return Error{Reason::kMalformed, std::string(what_) + ": truncated"}; }
  template <typename T>
  Result<T> Integer(bool big) {
    if (rest_.size() < sizeof(T)) return Short();
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<uint64_t>(rest_[i]) << (8 * (big ? sizeof(T) - 1 - i : i));
    rest_ = rest_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  ByteView rest_;
  std::string_view what_;
};

// ByteWriter appends to its own buffer.
class ByteWriter {
 public:
  ByteWriter& U8(uint8_t value) { return Integer(value, true); }
  ByteWriter& BigU16(uint16_t value) { return Integer(value, true); }
  ByteWriter& BigU32(uint32_t value) { return Integer(value, true); }
  ByteWriter& BigU64(uint64_t value) { return Integer(value, true); }
  ByteWriter& LittleU16(uint16_t value) { return Integer(value, false); }
  ByteWriter& LittleU32(uint32_t value) { return Integer(value, false); }
  ByteWriter& LittleU64(uint64_t value) { return Integer(value, false); }
  ByteWriter& Raw(ByteView bytes) {
    Append(out_, bytes);
    return *this;
  }
  // Sized16 aborts above 65535 bytes: callers bound their input first.
  ByteWriter& Sized16(ByteView bytes) {
    SP_CHECK(bytes.size() <= UINT16_MAX);
    return BigU16(static_cast<uint16_t>(bytes.size())).Raw(bytes);
  }
  ByteWriter& Sized32(ByteView bytes) {
    SP_CHECK(bytes.size() <= UINT32_MAX);
    return BigU32(static_cast<uint32_t>(bytes.size())).Raw(bytes);
  }
  const Bytes& bytes() const { return out_; }
  Bytes Take() && { return std::move(out_); }

 private:
  template <typename T>
  ByteWriter& Integer(T value, bool big) {
    for (size_t i = 0; i < sizeof(T); ++i)
      out_.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >>
                                          (8 * (big ? sizeof(T) - 1 - i : i))));
    return *this;
  }
  Bytes out_;
};

}  // namespace sallyport

template <typename Tag, size_t N>
struct std::hash<sallyport::FixedBytes<Tag, N>> {
  size_t operator()(const sallyport::FixedBytes<Tag, N>& value) const {
    return std::hash<std::string_view>{}(sallyport::AsText(value.view()));
  }
};

// DER (X.690): a strict reader and a plain writer for the few structures we issue and accept. The
// reader refuses what DER does not allow (indefinite or non-minimal lengths, other booleans, padded
// integers) and high tag numbers, which X.509 does not use. Pure; thread-safe.
#pragma once

#include <initializer_list>

#include "pki/base/bytes.h"
#include "pki/base/time.h"

namespace sallyport::pki::der {

enum Tag : uint8_t {
  kBoolean = 0x01,
  kInteger = 0x02,
  kBitString = 0x03,
  kOctetString = 0x04,
  kOid = 0x06,
  kEnumerated = 0x0A,
  kUtf8String = 0x0C,
  kUtcTime = 0x17,
  kGeneralizedTime = 0x18,
  kSequence = 0x30,
  kSet = 0x31,
};
// ContextPrimitive and Context are the tags [n] around octets and around elements.
constexpr uint8_t ContextPrimitive(uint8_t n) { return static_cast<uint8_t>(0x80 | n); }
constexpr uint8_t Context(uint8_t n) { return static_cast<uint8_t>(0xA0 | n); }

// Element is one TLV; both views borrow the input.
struct Element {
  uint8_t tag;
  ByteView content;
  ByteView whole;
};

// Reader reads a borrowed view element by element. Every error is kMalformed with the rule given to
// the constructor, which must have static storage.
class Reader {
 public:
  Reader(ByteView der, std::string_view rule) : rest_(der), rule_(rule) {}

  Result<Element> Any();
  Result<Element> Next(uint8_t tag);
  // Content is the content of the next element, which must have `tag`.
  Result<ByteView> Content(uint8_t tag);
  // Enter is a reader of that content.
  Result<Reader> Enter(uint8_t tag);
  // Unsigned reads an INTEGER or ENUMERATED of 0..2^63-1.
  Result<uint64_t> Unsigned(uint8_t tag);
  // UnsignedBytes reads a positive INTEGER of at most `size_max` bytes, without its leading zero.
  Result<ByteView> UnsignedBytes(size_t size_max);
  struct Flag {
    bool value;
  };
  Result<Flag> Boolean();
  // BitString reads one without unused bits.
  Result<ByteView> BitString();
  // Time reads UTCTime (1950-2049) or GeneralizedTime (from 2050), as RFC 5280 4.1.2.5 divides
  // them.
  Result<UnixTime> Time();

  bool NextIs(uint8_t tag) const { return !rest_.empty() && rest_[0] == tag; }
  bool empty() const { return rest_.empty(); }
  // End refuses trailing bytes.
  Result<Unit> End() const;

 private:
  Error Refuse(std::string_view why) const {
    return Error{Reason::kMalformed, "der: " + std::string(why), rule_};
  }
  Result<size_t> Length();
  ByteView rest_;
  std::string_view rule_;
};

// Encode wraps the concatenation of `parts` in one TLV.
Bytes Encode(uint8_t tag, std::initializer_list<ByteView> parts);
Bytes EncodeUnsigned(uint8_t tag, uint64_t value);
// EncodeUnsignedBytes writes a big-endian number as INTEGER in its shortest form.
Bytes EncodeUnsignedBytes(ByteView big_endian);
Bytes EncodeBitString(ByteView bytes);
// EncodeTime cuts to whole seconds. Years 1950..9999 (aborts outside).
Bytes EncodeTime(UnixTime time);

}  // namespace sallyport::pki::der

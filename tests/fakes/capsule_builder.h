// Firmware capsules for tests.
#pragma once

#include "pki/base/bytes.h"

namespace sallyport {

inline constexpr std::string_view kTestFirmwareClass = "00112233-4455-6677-8899-aabbccddeeff";

// BuildCapsule makes a firmware management capsule of kTestFirmwareClass around `firmware`.
inline Bytes BuildCapsule(ByteView firmware, uint16_t drivers = 0, uint16_t payloads = 1) {
  ByteWriter body;
  body.LittleU32(1).LittleU16(drivers).LittleU16(payloads);
  const size_t header = 8 + 8 * (size_t{drivers} + payloads);
  for (size_t i = 0; i < size_t{drivers} + payloads; ++i) body.LittleU64(header);
  body.LittleU32(3).Raw(*HexDecode("33221100554477668899aabbccddeeff")).Raw(firmware);
  ByteWriter capsule;
  capsule.Raw(*HexDecode("edd5cb6d2de8444cbda17194199ad92a")).LittleU32(28).LittleU32(0x50000);
  capsule.LittleU32(static_cast<uint32_t>(28 + body.bytes().size())).Raw(body.bytes());
  return std::move(capsule).Take();
}

}  // namespace sallyport

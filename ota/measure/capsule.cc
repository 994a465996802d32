#include "ota/measure/capsule.h"

#include <algorithm>
#include <array>

namespace sallyport::ota {
namespace {

constexpr size_t kGuidSize = 16;
// 6DCBD5ED-E82D-4C44-BDA1-7194199AD92A, EFI_FIRMWARE_MANAGEMENT_CAPSULE_ID_GUID, as in memory.
constexpr std::array<uint8_t, kGuidSize> kManagementCapsule = {
    0xed, 0xd5, 0xcb, 0x6d, 0x2d, 0xe8, 0x44, 0x4c, 0xbd, 0xa1, 0x71, 0x94, 0x19, 0x9a, 0xd9, 0x2a};
constexpr uint32_t kManagementVersion = 1;

Error Refuse(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "capsule.header"};
}

// The first three fields of a GUID are little-endian in memory (UEFI 2.10, appendix A).
std::string GuidText(ByteView guid) {
  constexpr std::array<size_t, kGuidSize> kOrder = {3, 2, 1,  0,  5,  4,  7,  6,
                                                    8, 9, 10, 11, 12, 13, 14, 15};
  std::string out;
  for (size_t i = 0; i < kGuidSize; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += HexEncode(guid.subspan(kOrder[i], 1));
  }
  return out;
}

// Body returns what follows the capsule header.
Result<ByteView> Body(ByteView capsule) {
  ByteReader header(capsule, "capsule header");
  SP_TRY(const ByteView guid, header.Take(kGuidSize));
  SP_TRY(const uint32_t header_size, header.LittleU32());
  SP_TRY([[maybe_unused]] const uint32_t flags, header.LittleU32());
  SP_TRY(const uint32_t image_size, header.LittleU32());
  if (!Equal(guid, kManagementCapsule)) return Refuse("no firmware management capsule");
  if (image_size != capsule.size())
    return Refuse("says " + std::to_string(image_size) + " bytes, has " +
                  std::to_string(capsule.size()));
  if (header_size < capsule.size() - header.remaining() || header_size > capsule.size())
    return Refuse("header of " + std::to_string(header_size) + " bytes");
  return capsule.subspan(header_size);
}

// OnlyPayload returns what the one payload's offset points at.
Result<ByteView> OnlyPayload(ByteView body) {
  ByteReader header(body, "capsule payloads");
  SP_TRY(const uint32_t version, header.LittleU32());
  SP_TRY(const uint16_t drivers, header.LittleU16());
  SP_TRY(const uint16_t payloads, header.LittleU16());
  if (version != kManagementVersion || payloads != 1)
    return Refuse(std::to_string(payloads) + " payloads in version " + std::to_string(version));
  for (uint16_t i = 0; i < drivers; ++i) SP_TRY(header.LittleU64());
  SP_TRY(const uint64_t offset, header.LittleU64());
  if (offset < body.size() - header.remaining() || offset > body.size())
    return Refuse("payload at " + std::to_string(offset));
  return body.subspan(static_cast<size_t>(offset));
}

Result<std::string> FirmwareClass(ByteView capsule) {
  SP_TRY(const ByteView body, Body(capsule));
  SP_TRY(const ByteView payload, OnlyPayload(body));
  ByteReader header(payload, "capsule image header");
  SP_TRY([[maybe_unused]] const uint32_t version, header.LittleU32());
  SP_TRY(const ByteView guid, header.Take(kGuidSize));
  return GuidText(guid);
}

}  // namespace

bool IsFirmwareClass(std::string_view text) {
  constexpr std::string_view kPattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  const auto matches = [](char c, char wanted) {
    return wanted == 'x' ? (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') : c == wanted;
  };
  return std::ranges::equal(text, kPattern, matches);
}

Result<std::string> CapsuleFirmwareClass(ByteView capsule) {
  auto found = FirmwareClass(capsule);
  if (!found) return Refuse(found.error().detail);
  return found;
}

}  // namespace sallyport::ota

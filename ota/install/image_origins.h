// ImageOrigins: where the parts of an image in a slot came from: how much of an update was a delta,
// and how much fell back. Pure.
#pragma once

#include <array>
#include <string>

#include "pki/base/json.h"

namespace sallyport::ota {

enum class Origin : uint8_t {
  kDelta,   // made from the data of a delta and the running slot
  kCopy,    // as it is in the running slot
  kChunks,  // chunks that were fetched
  kFull,    // the full payload
};
inline constexpr std::array kOrigins = {Origin::kDelta, Origin::kCopy, Origin::kChunks,
                                        Origin::kFull};
std::string_view OriginName(Origin origin);

// OriginCount counts segments (or chunks) and their bytes in the image.
struct OriginCount {
  uint64_t segments = 0;
  uint64_t bytes = 0;
  bool operator==(const OriginCount&) const = default;
};

// What was written again after an interruption counts again.
class ImageOrigins {
 public:
  OriginCount& operator[](Origin origin) { return counts_[static_cast<size_t>(origin)]; }
  const OriginCount& operator[](Origin origin) const {
    return counts_[static_cast<size_t>(origin)];
  }
  void Count(Origin origin, uint64_t bytes);
  ImageOrigins& operator+=(const ImageOrigins& more);
  bool empty() const { return *this == ImageOrigins(); }
  bool operator==(const ImageOrigins&) const = default;

 private:
  std::array<OriginCount, kOrigins.size()> counts_;
};

// OriginsJson: {"delta":{"segments":N,"bytes":N},"copy":..,"chunks":..,"full":..}.
JsonValue OriginsJson(const ImageOrigins& origins);
// ParseOrigins: the rules of JsonCursor.
Result<ImageOrigins> ParseOrigins(const JsonCursor& json);
// OriginsText names those that gave something: "delta 91 (98 %), full 2 (2 %)", in segments and
// their part of all bytes.
std::string OriginsText(const ImageOrigins& origins);

}  // namespace sallyport::ota

#include "ota/install/image_origins.h"

#include <cmath>

namespace sallyport::ota {
std::string_view OriginName(Origin origin) {
  switch (origin) {
    case Origin::kDelta: return "delta";
    case Origin::kCopy: return "copy";
    case Origin::kChunks: return "chunks";
    case Origin::kFull: return "full";
  }
  std::abort();
}

void ImageOrigins::Count(Origin origin, uint64_t bytes) {
  ++(*this)[origin].segments;
  (*this)[origin].bytes += bytes;
}

ImageOrigins& ImageOrigins::operator+=(const ImageOrigins& more) {
  for (const Origin origin : kOrigins) {
    (*this)[origin].segments += more[origin].segments;
    (*this)[origin].bytes += more[origin].bytes;
  }
  return *this;
}

JsonValue OriginsJson(const ImageOrigins& origins) {
  std::vector<JsonMember> members;
  for (const Origin origin : kOrigins)
    members.push_back(
        {std::string(OriginName(origin)), JsonValue::Object({{"segments", origins[origin].segments},
                                                             {"bytes", origins[origin].bytes}})});
  return JsonValue::Object(std::move(members));
}

Result<ImageOrigins> ParseOrigins(const JsonCursor& json) {
  ImageOrigins out;
  for (const Origin origin : kOrigins) {
    SP_TRY(const JsonCursor count, json.Member(OriginName(origin)));
    SP_TRY(const int64_t segments, count.GetInteger("segments", 0));
    SP_TRY(const int64_t bytes, count.GetInteger("bytes", 0));
    out[origin] = {static_cast<uint64_t>(segments), static_cast<uint64_t>(bytes)};
  }
  return out;
}

std::string OriginsText(const ImageOrigins& origins) {
  uint64_t whole = 0;
  for (const Origin origin : kOrigins) whole += origins[origin].bytes;
  std::string out;
  for (const Origin origin : kOrigins) {
    const OriginCount& count = origins[origin];
    if (count.bytes == 0) continue;
    const auto percent = static_cast<unsigned>(
        std::lround(static_cast<double>(count.bytes) * 100 / static_cast<double>(whole)));
    out += (out.empty() ? "" : ", ") + std::string(OriginName(origin)) + " " +
           std::to_string(count.segments) + " (" + std::to_string(percent) + " %)";
  }
  return out;
}

}  // namespace sallyport::ota

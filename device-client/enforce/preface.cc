#include "device-client/enforce/preface.h"

#include <algorithm>

namespace sallyport::device {
namespace {

constexpr std::string_view kMagic = "SPX1";
constexpr uint8_t kClientKind = 1;
constexpr uint8_t kServerKind = 2;
// What else a server preface holds: code, length of the reason, version, time.
constexpr size_t kReasonMax = kPrefaceBodyMax - 1 - 2 - 8 - 8;

Bytes Frame(uint8_t kind, const Bytes& body) {
  SP_CHECK(body.size() <= kPrefaceBodyMax);
  return ByteWriter().Raw(AsBytes(kMagic)).U8(kind).Sized16(body).bytes();
}

Error Malformed(std::string detail, std::string_view rule) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

// BodyOf returns the body once it is complete; checks every byte that has arrived.
Result<std::optional<ByteView>> BodyOf(ByteView bytes, uint8_t kind) {
  const size_t seen = std::min(bytes.size(), kMagic.size());
  if (AsText(bytes.first(seen)) != kMagic.substr(0, seen))
    return Malformed("not a preface", "preface.magic");
  if (bytes.size() > 4 && bytes[4] != kind) return Malformed("of the wrong kind", "preface.kind");
  if (bytes.size() < kPrefaceHeaderSize) return std::optional<ByteView>();
  const size_t length = static_cast<size_t>(bytes[5]) << 8 | bytes[6];
  if (length > kPrefaceBodyMax)
    return Malformed("body of " + std::to_string(length) + " bytes", "preface.length");
  if (bytes.size() < kPrefaceHeaderSize + length) return std::optional<ByteView>();
  return std::optional(bytes.subspan(kPrefaceHeaderSize, length));
}

Error InBody(Error error) {
  error.rule = "preface.body";
  return error;
}

Result<ClientPreface> ParseClient(ByteView body) {
  ByteReader reader(body, "client preface");
  SP_TRY(const ByteView service, reader.Sized16(kPrefaceBodyMax));
  SP_TRY(const ByteView destination, reader.Sized16(kPrefaceBodyMax));
  SP_TRY(const uint64_t version, reader.BigU64());
  SP_TRY(reader.End());
  return ClientPreface{ToString(service), ToString(destination), version};
}

Result<ServerPreface> ParseServer(ByteView body) {
  ByteReader reader(body, "server preface");
  SP_TRY(const uint8_t code, reader.U8());
  SP_TRY(const ByteView reason, reader.Sized16(kPrefaceBodyMax));
  SP_TRY(const uint64_t version, reader.BigU64());
  SP_TRY(const uint64_t valid_until, reader.BigU64());
  SP_TRY(reader.End());
  if (code > static_cast<uint8_t>(PrefaceCode::kBackendUnavailable))
    return Malformed("unknown code", "preface.code");
  return ServerPreface{static_cast<PrefaceCode>(code), ToString(reason), version, valid_until};
}

template <typename T>
Result<std::optional<PrefaceRead<T>>> Read(ByteView bytes, uint8_t kind,
                                           Result<T> (*parse)(ByteView)) {
  SP_TRY(const std::optional<ByteView> body, BodyOf(bytes, kind));
  if (!body) return std::optional<PrefaceRead<T>>();
  auto preface = parse(*body);
  if (!preface && preface.error().rule.empty()) return InBody(std::move(preface).error());
  if (!preface) return std::move(preface).error();
  return std::optional(PrefaceRead<T>{*std::move(preface), kPrefaceHeaderSize + body->size()});
}

}  // namespace

Bytes WriteClientPreface(const ClientPreface& preface) {
  return Frame(kClientKind, ByteWriter()
                                .Sized16(AsBytes(preface.service))
                                .Sized16(AsBytes(preface.destination))
                                .BigU64(preface.policy_version)
                                .bytes());
}

Bytes WriteServerPreface(const ServerPreface& preface) {
  const std::string_view reason = std::string_view(preface.reason).substr(0, kReasonMax);
  return Frame(kServerKind, ByteWriter()
                                .U8(static_cast<uint8_t>(preface.code))
                                .Sized16(AsBytes(reason))
                                .BigU64(preface.policy_version)
                                .BigU64(preface.valid_until_ms)
                                .bytes());
}

Result<std::optional<PrefaceRead<ClientPreface>>> ReadClientPreface(ByteView bytes) {
  return Read<ClientPreface>(bytes, kClientKind, ParseClient);
}

Result<std::optional<PrefaceRead<ServerPreface>>> ReadServerPreface(ByteView bytes) {
  return Read<ServerPreface>(bytes, kServerKind, ParseServer);
}

}  // namespace sallyport::device

#include "attestation-server/evidence/event_data.h"

#include "pki/crypto/legacy_hash.h"

namespace sallyport::server {
namespace {

constexpr size_t kGuidSize = 16;
constexpr size_t kVariableNameMax = 512;  // characters; UEFI names in logs stay below 40
constexpr size_t kDescriptionCharsMax = 120;
constexpr size_t kImageLoadPathOffset =
    32;  // UEFI_IMAGE_LOAD_EVENT: four UINTN fields, then the device path

std::string GuidText(ByteView raw) {
  // The first three fields are little-endian on the wire.
  static constexpr std::array<size_t, kGuidSize> kOrder = {3, 2, 1,  0,  5,  4,  7,  6,
                                                           8, 9, 10, 11, 12, 13, 14, 15};
  std::string out;
  for (size_t i = 0; i < kGuidSize; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += HexEncode(raw.subspan(kOrder[i], 1));
  }
  return out;
}

bool Printable(uint32_t unit) { return unit >= 0x20 && unit < 0x7F; }

// Ucs2Text stops at the first zero unit; what is not ASCII becomes '?'.
std::string Ucs2Text(ByteView raw) {
  std::string out;
  for (size_t i = 0; i + 1 < raw.size() && out.size() < kDescriptionCharsMax; i += 2) {
    const uint32_t unit = raw[i] | static_cast<uint32_t>(raw[i + 1]) << 8;
    if (unit == 0) break;
    out += Printable(unit) ? static_cast<char>(unit) : '?';
  }
  return out;
}

std::string AsciiText(ByteView raw) {
  std::string out;
  for (const uint8_t byte : raw) {
    if (byte == 0 || out.size() == kDescriptionCharsMax) break;
    out += Printable(byte) ? static_cast<char>(byte) : '?';
  }
  return out;
}

bool LooksLikeUcs2(ByteView data) {
  return data.size() >= 4 && data[0] != 0 && data[1] == 0 && data[3] == 0;
}

std::string AnyText(ByteView data) {
  return LooksLikeUcs2(data) ? Ucs2Text(data) : AsciiText(data);
}

// LoadPath shows the last file-path node of an image load event.
std::string LoadPath(ByteView data) {
  std::string path;
  size_t at = kImageLoadPathOffset;
  while (data.size() >= at + 4) {
    const size_t length = data[at + 2] | static_cast<size_t>(data[at + 3]) << 8;
    if (length < 4 || length > data.size() - at) break;
    if (data[at] == 4 && data[at + 1] == 4) path = Ucs2Text(data.subspan(at + 4, length - 4));
    at += length;
  }
  return path;
}

// Sized text in front of a blob or of tables: one byte of length, then ASCII.
std::string SizedText(ByteView data) {
  if (data.empty() || data[0] > data.size() - 1) return "malformed";
  return AsciiText(data.subspan(1, data[0]));
}

// UEFI_PLATFORM_FIRMWARE_BLOB: address and length.
std::string DescribeBlob(ByteView data) {
  ByteReader reader(data, "firmware blob");
  const Result<uint64_t> base = reader.LittleU64();
  const Result<uint64_t> length = reader.LittleU64();
  if (!base || !length) return "";
  char text[40];
  std::snprintf(text, sizeof text, "0x%llx+0x%llx", static_cast<unsigned long long>(*base),
                static_cast<unsigned long long>(*length));
  return text;
}

// UEFI_GPT_DATA: the header of the table, then the number of its entries.
std::string DescribeGpt(ByteView data) {
  constexpr size_t kGptHeaderSize = 92;
  ByteReader reader(data, "gpt");
  if (!reader.Take(kGptHeaderSize)) return "malformed";
  const Result<uint64_t> count = reader.LittleU64();
  return count ? std::to_string(*count) + " partitions" : "malformed";
}

// DescribeNoAction: records are named by a signature of 16 bytes.
std::string DescribeNoAction(ByteView data) {
  constexpr std::string_view kLocality{"StartupLocality\0", 16};
  const std::string text = AnyText(data);
  if (!AsText(data).starts_with(kLocality) || data.size() != kLocality.size() + 1) return text;
  return text + " " + std::to_string(data.back());
}

std::string DescribeVariable(ByteView data) {
  const Result<EfiVariable> variable = ParseEfiVariable(data);
  if (!variable) return "malformed variable";
  return variable->name + " (" + std::to_string(variable->content.size()) + " bytes)";
}

}  // namespace

PcrDigest PcrDigest::Of(ByteView bytes) {
  SP_CHECK(bytes.size() <= kLogDigestBytesMax);
  PcrDigest out;
  std::ranges::copy(bytes, out.bytes_.begin());
  out.size_ = bytes.size();
  return out;
}

PcrDigest PcrDigest::Filled(Bank bank, uint8_t value) {
  PcrDigest out;
  out.size_ = BankDigestSize(bank);
  std::fill_n(out.bytes_.begin(), out.size_, value);
  return out;
}

PcrDigest HashWith(Bank bank, ByteView first, ByteView second) {
  if (bank == Bank::kSha1) return PcrDigest::Of(pki::Sha1ForInspection({first, second}));
  if (bank == Bank::kSha256) return PcrDigest::Of(pki::Sha256({first, second}).view());
  return PcrDigest::Of(pki::Hash(static_cast<pki::HashAlgorithm>(bank), {first, second}));
}

DataMatch MatchData(const Event& event, Bank bank) {
  const auto matches = [&](ByteView data) {
    return Equal(HashWith(bank, data).view(), event.digest(bank));
  };
  switch (RuleOf(event.type)) {
    case DigestRule::kNone:
    case DigestRule::kMeasurement: return DataMatch::kUnrelated;
    case DigestRule::kHashOfData: {
      if (matches(event.data)) return DataMatch::kMatches;
      const bool shim = event.type == EventType::kVariableAuthority && !event.data.empty();
      return shim && matches(event.data.first(event.data.size() - 1))
                 ? DataMatch::kMatchesButLastByte
                 : DataMatch::kDiffers;
    }
    case DigestRule::kVariable: {
      if (matches(event.data)) return DataMatch::kMatches;
      const Result<EfiVariable> variable = ParseEfiVariable(event.data);
      return variable && matches(variable->content) ? DataMatch::kMatches : DataMatch::kDiffers;
    }
  }
  std::abort();
}

Result<EfiVariable> ParseEfiVariable(ByteView data) {
  ByteReader reader(data, "efi variable");
  SP_TRY(const ByteView guid, reader.Take(kGuidSize));
  SP_TRY(const uint64_t name_units, reader.LittleU64());
  SP_TRY(const uint64_t content_size, reader.LittleU64());
  if (name_units > kVariableNameMax)
    return Error{Reason::kMalformed, "efi variable: name too long"};
  SP_TRY(const ByteView name, reader.Take(name_units * 2));
  if (content_size > reader.remaining())
    return Error{Reason::kMalformed, "efi variable: truncated content"};
  SP_TRY(const ByteView content, reader.Take(content_size));
  std::string text;
  for (size_t i = 0; i < name.size(); i += 2)
    text += Printable(name[i]) && name[i + 1] == 0 ? static_cast<char>(name[i]) : '?';
  return EfiVariable{GuidText(guid), std::move(text), content, reader.remaining()};
}

SeparatorKind ClassifySeparator(ByteView data) {
  if (data.size() != 4) return SeparatorKind::kUnknown;
  const uint32_t value = ByteReader(data, "separator").LittleU32().value();
  if (value == 0 || value == 0xFFFFFFFF) return SeparatorKind::kNormal;
  return value == 1 ? SeparatorKind::kFirmwareError : SeparatorKind::kUnknown;
}

bool IsSeparatorDigest(ByteView digest, Bank bank) {
  static constexpr std::array<uint8_t, 4> kZeros{};
  static constexpr std::array<uint8_t, 4> kOnes{0xFF, 0xFF, 0xFF, 0xFF};
  struct Pair {
    PcrDigest zeros;
    PcrDigest ones;
  };
  static const std::array<Pair, kBanks.size()> kKnown = [] {
    std::array<Pair, kBanks.size()> out;
    for (const Bank each : kBanks)
      out[BankIndex(each)] = {HashWith(each, kZeros), HashWith(each, kOnes)};
    return out;
  }();
  const Pair& known = kKnown[BankIndex(bank)];
  return Equal(digest, known.zeros.view()) || Equal(digest, known.ones.view());
}

std::optional<Bank> StrongestBank(const Event& event) {
  for (auto bank = kBanks.rbegin(); bank != kBanks.rend(); ++bank)
    if (!event.digest(*bank).empty()) return *bank;
  return std::nullopt;
}

std::optional<bool> SecureBootOf(const EventLog& log, std::optional<Bank> bank) {
  for (const Event& event : log.events) {
    if (event.pcr != 7 || event.type != EventType::kVariableDriverConfig) continue;
    const Result<EfiVariable> variable = ParseEfiVariable(event.data);
    if (!variable || variable->trailing != 0 || variable->name != "SecureBoot" ||
        variable->guid != kGlobalVariableGuid)
      continue;
    const std::optional<Bank> by = bank ? bank : StrongestBank(event);
    if (!by || MatchData(event, *by) != DataMatch::kMatches) return std::nullopt;
    return variable->content.size() == 1 && variable->content[0] == 1;
  }
  return std::nullopt;
}

std::string DescribeData(const Event& event) {
  switch (event.type) {
    case EventType::kVariableDriverConfig:
    case EventType::kVariableBoot:
    case EventType::kVariableBoot2:
    case EventType::kSpdmDevicePolicy:
    case EventType::kSpdmDeviceAuthority:
    case EventType::kVariableAuthority: return DescribeVariable(event.data);
    case EventType::kBootServicesApplication:
    case EventType::kBootServicesDriver:
    case EventType::kRuntimeServicesDriver: return LoadPath(event.data);
    case EventType::kSeparator:
      return HexEncode(event.data.first(std::min<size_t>(event.data.size(), 4)));
    case EventType::kEventTag: return event.data.size() > 8 ? AnyText(event.data.subspan(8)) : "";
    case EventType::kNoAction: return DescribeNoAction(event.data);
    case EventType::kPlatformFirmwareBlob: return DescribeBlob(event.data);
    case EventType::kPlatformFirmwareBlob2:
    case EventType::kHandoffTables2: return SizedText(event.data);
    case EventType::kGptEvent:
    case EventType::kGptEvent2: return DescribeGpt(event.data);
    case EventType::kPostCode:
    case EventType::kPostCode2:
    case EventType::kAction:
    case EventType::kScrtmVersion:
    case EventType::kScrtmContents:
    case EventType::kCompactHash:
    case EventType::kIpl:
    case EventType::kNonhostCode:
    case EventType::kNonhostConfig:
    case EventType::kNonhostInfo:
    case EventType::kOmitBootDeviceEvents:
    case EventType::kHcrtmEvent:
    case EventType::kSpdmFirmwareBlob:
    case EventType::kSpdmFirmwareConfig:
    case EventType::kEfiAction: return AnyText(event.data);
    case EventType::kPrebootCert:
    case EventType::kUnused:
    case EventType::kCpuMicrocode:
    case EventType::kPlatformConfigFlags:
    case EventType::kTableOfDevices:
    case EventType::kIplPartitionData:
    case EventType::kHandoffTables: return "";
  }
  return "";  // a value without a name
}

}  // namespace sallyport::server

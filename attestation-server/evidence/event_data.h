// What the data of an event says, and whether it may be believed: data is bound to the log only by
// its digest, and only for the types whose digest is the hash of the data. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "attestation-server/evidence/event_log.h"

namespace sallyport::server {

// PcrDigest is a digest or PCR value of one bank, held inline.
class PcrDigest {
 public:
  // Of takes at most 64 bytes; aborts above.
  static PcrDigest Of(ByteView bytes);
  // Zeros and Ones have the size of `bank`.
  static PcrDigest Filled(Bank bank, uint8_t value);
  ByteView view() const { return ByteView(bytes_).first(size_); }
  std::array<uint8_t, kLogDigestBytesMax>& mutable_bytes() { return bytes_; }
  size_t size() const { return size_; }
  bool operator==(const PcrDigest& other) const { return Equal(view(), other.view()); }

 private:
  std::array<uint8_t, kLogDigestBytesMax> bytes_{};
  size_t size_ = 0;
};

// HashWith hashes the concatenation of two parts with the algorithm of `bank`.
PcrDigest HashWith(Bank bank, ByteView first, ByteView second = {});

enum class DataMatch : uint8_t {
  kMatches,             // the digest is the hash of the data (or of a variable's content)
  kMatchesButLastByte,  // an authority whose log is one byte longer than what was hashed
  kDiffers,             // it should be, and is not
  kUnrelated,  // the digest stands for something outside the log, or the event is never extended
};
// MatchData compares digest and data by the rule of the event's type.
DataMatch MatchData(const Event& event, Bank bank);

// EfiVariable is UEFI_VARIABLE_DATA; views borrow the event.
struct EfiVariable {
  std::string guid;  // lower case, as in 8be4df61-93ca-11d2-aa0d-00e098032b8c
  std::string name;  // ASCII; other characters become '?'
  ByteView content;
  size_t trailing;  // bytes after the content: old shim versions write some
};
// ParseEfiVariable returns kMalformed when a size reaches past the end.
Result<EfiVariable> ParseEfiVariable(ByteView data);

inline constexpr std::string_view kGlobalVariableGuid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
inline constexpr std::string_view kImageSecurityGuid = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

enum class SeparatorKind : uint8_t { kNormal, kFirmwareError, kUnknown };
SeparatorKind ClassifySeparator(ByteView data);
// IsSeparatorDigest: whether `digest` is the one of a normal separator, whatever its event is
// called.
bool IsSeparatorDigest(ByteView digest, Bank bank);

// SecureBootOf reads the SecureBoot variable of PCR 7: true only for a content of exactly the byte
// 1, nullopt without such an event or when its data does not hash to its digest in `bank` (by
// default the strongest bank that the event carries).
std::optional<bool> SecureBootOf(const EventLog& log, std::optional<Bank> bank = std::nullopt);

// StrongestBank is the longest digest that the event carries, nullopt for none.
std::optional<Bank> StrongestBank(const Event& event);

// DescribeData renders data for people: variable names, actions, paths. Never used by a rule.
std::string DescribeData(const Event& event);

}  // namespace sallyport::server

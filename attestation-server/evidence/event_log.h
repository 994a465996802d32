// Parsing of TCG event logs (PC Client Platform Firmware Profile 1.05, section 10): little-endian,
// bounds-checked, nothing allocated from a length in the input but views. A parsed log is a claim:
// nothing in it may be believed before it was replayed to quoted PCR values (replay.h, quote.h).
// Pure; thread-safe.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "attestation-server/evidence/event_type.h"
#include "pki/base/bytes.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {

inline constexpr size_t kLogBytesMax =
    4u << 20;  // real logs reach 300 KB; 64 KiB is the specified minimum
inline constexpr size_t kLogEventsMax = 16384;  // real logs stay below 500 events
inline constexpr size_t kEventDataBytesMax =
    1u << 20;  // the largest real events are dbx variables of 24 KB
inline constexpr size_t kLogAlgorithmsMax = 8;    // a TPM has at most five banks today
inline constexpr size_t kLogDigestBytesMax = 64;  // SHA-512
inline constexpr uint32_t kPcrCount = 24;

// Bank is a PCR bank whose digests we understand, by TPM algorithm id. SHA-1 can be inspected and
// never judged: quotes and references take a pki::HashAlgorithm.
enum class Bank : uint16_t { kSha1 = 0x0004, kSha256 = 0x000B, kSha384 = 0x000C, kSha512 = 0x000D };
inline constexpr std::array kBanks = {Bank::kSha1, Bank::kSha256, Bank::kSha384, Bank::kSha512};

constexpr size_t BankIndex(Bank bank) {
  return bank == Bank::kSha1 ? 0 : static_cast<size_t>(bank) - 0x000A;
}
constexpr size_t BankDigestSize(Bank bank) {
  switch (bank) {
    case Bank::kSha1: return 20;
    case Bank::kSha256: return 32;
    case Bank::kSha384: return 48;
    case Bank::kSha512: return 64;
  }
  std::abort();
}
constexpr std::string_view BankName(Bank bank) {
  switch (bank) {
    case Bank::kSha1: return "sha1";
    case Bank::kSha256: return "sha256";
    case Bank::kSha384: return "sha384";
    case Bank::kSha512: return "sha512";
  }
  std::abort();
}
constexpr Bank BankOf(pki::HashAlgorithm algorithm) { return static_cast<Bank>(algorithm); }
std::optional<Bank> BankFromName(std::string_view name);

enum class LogFormat : uint8_t { kCryptoAgile, kSha1Legacy };

// Event borrows the log. `digests` is indexed by BankIndex; a view is empty when the log does not
// carry that bank. `index` counts from 0, the header of a crypto-agile log included.
struct Event {
  uint32_t index;
  uint32_t pcr;
  EventType type;
  std::array<ByteView, kBanks.size()> digests;
  ByteView data;

  // digest is empty when the event does not carry `bank`.
  ByteView digest(Bank bank) const { return digests[BankIndex(bank)]; }
};

// EventLog borrows the bytes it was parsed from.
struct EventLog {
  LogFormat format;
  std::vector<Bank> banks;  // understood banks that the header declares, in its order
  bool uniform = true;      // every event carries each declared algorithm
  std::vector<Event> events;
  std::optional<uint8_t> startup_locality;

  bool Carries(Bank bank) const;
};

// ParseEventLog accepts a crypto-agile log or a SHA-1-only one of the older format (which a verdict
// refuses: replay.h). Refusals, each with its rule:
//   log.too-large        more than kLogBytesMax bytes, kLogEventsMax events or kEventDataBytesMax
//   in one log.truncated        a field reaches past the end log.header           the Spec ID event
//   is not version 2 or its sizes disagree log.algorithms       0 or too many algorithms, one
//   twice, or a size that is not the algorithm's own log.digests          an event carries no
//   digest, an undeclared one, or one algorithm twice log.pcr-index        an extended PCR of 24 or
//   more log.startup-locality not PCR 0, twice, after an extend of PCR 0, or not 0, 3 or 4 cc-log
//   a confidential-computing table (padded with 0xFF), which is no TPM log
Result<EventLog> ParseEventLog(ByteView bytes);

}  // namespace sallyport::server

#include "attestation-server/evidence/replay.h"

namespace sallyport::server {
namespace {

constexpr uint32_t kDrtmPcrFirst = 17;
constexpr uint32_t kDrtmPcrLast = 22;

}  // namespace

ReplayedBank::ReplayedBank(Bank bank, uint8_t startup_locality) : bank_(bank) {
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const bool drtm = pcr >= kDrtmPcrFirst && pcr <= kDrtmPcrLast;
    values_[pcr] = PcrDigest::Filled(bank, drtm ? 0xFF : 0x00);
  }
  values_[0].mutable_bytes()[BankDigestSize(bank) - 1] = startup_locality;
}

void ReplayedBank::Extend(uint32_t pcr, ByteView digest) {
  values_[pcr] = HashWith(bank_, values_[pcr].view(), digest);
  touched_ |= 1u << pcr;
}

ReplayedBank Replay(const EventLog& log, Bank bank) {
  ReplayedBank out(bank, log.startup_locality.value_or(0));
  for (const Event& event : log.events)
    if (event.type != EventType::kNoAction && !event.digest(bank).empty())
      out.Extend(event.pcr, event.digest(bank));
  return out;
}

Result<ReplayedLog> ReplayedLog::Make(Bytes bytes, pki::HashAlgorithm algorithm) {
  const Bank bank = BankOf(algorithm);
  SP_TRY(EventLog log, ParseEventLog(bytes));
  if (log.format == LogFormat::kSha1Legacy)
    return Error{Reason::kUnsupported, "the log carries SHA-1 digests only", "legacy-log"};
  if (!log.Carries(bank))
    return Error{Reason::kUnsupported,
                 "the log does not carry the bank " + std::string(BankName(bank)), "log.bank"};
  if (!log.uniform)
    return Error{Reason::kMalformed, "an event does not carry every declared algorithm",
                 "log.digests"};
  ReplayedBank pcrs = Replay(log, bank);
  return ReplayedLog(std::move(bytes), std::move(log), pcrs);
}

ReplayedLog::ReplayedLog(Bytes bytes, EventLog log, ReplayedBank pcrs)
    : bytes_(std::move(bytes)), hash_(pki::Sha256(bytes_)), log_(std::move(log)), pcrs_(pcrs) {
  grammars_.reserve(kPcrCount);
  const std::optional<std::string> firmware = FirmwareVersion(log_, pcrs_.bank());
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    grammars_.push_back(CheckGrammar(log_, pcr, pcrs_.bank(), firmware));
}

}  // namespace sallyport::server

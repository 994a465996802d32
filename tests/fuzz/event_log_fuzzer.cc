// The event log parser, replay and grammars on any bytes: nothing is invented, an error names its
// rule and leaves no value, and a log that is written down again as it was read replays to the same
// PCRs. Seeds: tests/vectors/eventlog/logs, tests/vectors/ovmf.
#include "attestation-server/evidence/replay.h"

namespace {

using namespace sallyport;          // NOLINT(google-build-using-namespace)
using namespace sallyport::server;  // NOLINT(google-build-using-namespace)

// Views must lie inside the input: nothing is invented, nothing reaches past the end.
void CheckInside(ByteView whole, ByteView part) {
  if (part.empty()) return;
  SP_CHECK(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// Write is a log of the same events, in the banks we understand.
Bytes Write(const EventLog& log) {
  ByteWriter out;
  for (const Event& event : log.events) {
    const bool header = log.format == LogFormat::kCryptoAgile && event.index == 0;
    out.LittleU32(event.pcr).LittleU32(static_cast<uint32_t>(event.type));
    if (header) {
      ByteWriter spec;
      spec.Raw(AsBytes({"Spec ID Event03\0", 16})).LittleU32(0).U8(0).U8(2).U8(0).U8(2);
      spec.LittleU32(static_cast<uint32_t>(log.banks.size()));
      for (const Bank bank : log.banks)
        spec.LittleU16(static_cast<uint16_t>(bank))
            .LittleU16(static_cast<uint16_t>(BankDigestSize(bank)));
      spec.U8(0);
      out.Raw(Bytes(BankDigestSize(Bank::kSha1)));
      out.LittleU32(static_cast<uint32_t>(spec.bytes().size())).Raw(spec.bytes());
      continue;
    }
    if (log.format == LogFormat::kSha1Legacy) {
      out.Raw(event.digest(Bank::kSha1));
    } else {
      out.LittleU32(static_cast<uint32_t>(log.banks.size()));
      for (const Bank bank : log.banks)
        out.LittleU16(static_cast<uint16_t>(bank)).Raw(event.digest(bank));
    }
    out.LittleU32(static_cast<uint32_t>(event.data.size())).Raw(event.data);
  }
  return std::move(out).Take();
}

void CheckSame(const ReplayedBank& a, const ReplayedBank& b) {
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) SP_CHECK(a.value(pcr) == b.value(pcr));
}

void CheckLog(ByteView bytes, const EventLog& log) {
  SP_CHECK(bytes.size() <= kLogBytesMax && log.events.size() <= kLogEventsMax);
  for (const Event& event : log.events) {
    SP_CHECK(event.type == EventType::kNoAction || event.pcr < kPcrCount);
    CheckInside(bytes, event.data);
    for (const ByteView digest : event.digests) CheckInside(bytes, digest);
    static_cast<void>(DescribeData(event));
  }
  // Of algorithms we do not understand nothing is kept to write down.
  if (!log.uniform || log.banks.empty()) return;
  const Bytes again = Write(log);
  if (again.size() > kLogBytesMax) return;
  const Result<EventLog> read = ParseEventLog(again);
  SP_CHECK(read.has_value() && read->events.size() == log.events.size() &&
           read->banks == log.banks && read->startup_locality == log.startup_locality);
  for (const Bank bank : log.banks) CheckSame(Replay(log, bank), Replay(*read, bank));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  const Result<EventLog> log = ParseEventLog(bytes);
  SP_CHECK(log.has_value() || !log.error().rule.empty());
  if (log) CheckLog(bytes, *log);
  const Result<ReplayedLog> replayed =
      ReplayedLog::Make(ToBytes(bytes), pki::HashAlgorithm::kSha256);
  SP_CHECK(replayed.has_value() || !replayed.error().rule.empty());
  // Whatever can be judged could be parsed, and carries the bank in every event.
  if (!replayed) return 0;
  SP_CHECK(log.has_value() && log->uniform && log->Carries(Bank::kSha256));
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const PcrGrammar& grammar = replayed->grammar(pcr);
    SP_CHECK(grammar.judged.size() <= replayed->log().events.size());
    SP_CHECK(!grammar.fault || (!grammar.secure_boot_state && grammar.attempts.empty()));
    for (const BootAttempt& attempt : grammar.attempts)
      SP_CHECK(attempt.first + attempt.count <= grammar.judged.size());
  }
  return 0;
}

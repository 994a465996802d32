// The event log parser, replay and grammars on any bytes. Seeds: tests/vectors/eventlog/logs,
// tests/vectors/ovmf.
#include "attestation-server/evidence/replay.h"

namespace {

using namespace sallyport;          // NOLINT(google-build-using-namespace)
using namespace sallyport::server;  // NOLINT(google-build-using-namespace)

// Views must lie inside the input: nothing is invented, nothing reaches past the end.
void CheckInside(ByteView whole, ByteView part) {
  if (part.empty()) return;
  SP_CHECK(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckLog(ByteView bytes, const EventLog& log) {
  SP_CHECK(bytes.size() <= kLogBytesMax && log.events.size() <= kLogEventsMax);
  for (const Event& event : log.events) {
    SP_CHECK(event.type == EventType::kNoAction || event.pcr < kPcrCount);
    CheckInside(bytes, event.data);
    for (const ByteView digest : event.digests) CheckInside(bytes, digest);
    static_cast<void>(DescribeData(event));
  }
  for (const Bank bank : log.banks) {
    const ReplayedBank once = Replay(log, bank);
    const ReplayedBank twice = Replay(log, bank);
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) SP_CHECK(once.value(pcr) == twice.value(pcr));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  const Result<EventLog> log = ParseEventLog(bytes);
  SP_CHECK(log.has_value() || !log.error().rule.empty());
  if (log) CheckLog(bytes, *log);
  const Result<ReplayedLog> replayed =
      ReplayedLog::Make(ToBytes(bytes), pki::HashAlgorithm::kSha256);
  // Whatever can be judged could be parsed, and carries the bank in every event.
  if (!replayed) return 0;
  SP_CHECK(log.has_value() && log->uniform && log->Carries(Bank::kSha256));
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    SP_CHECK(replayed->grammar(pcr).judged.size() <= replayed->log().events.size());
  return 0;
}

// Whatever is cut from a real log, and whichever bit of it is flipped: the log is refused, or
// another PCR value or a fault shows, or nothing changes that a policy reads.
#include <gtest/gtest.h>

#include "attestation-server/evidence/replay.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;

std::optional<std::vector<SignatureId>> Revoked(const PcrGrammar& grammar) {
  return grammar.secure_boot_state ? grammar.secure_boot_state->dbx : std::nullopt;
}

bool SameEvents(const PcrGrammar& a, const PcrGrammar& b) {
  return std::ranges::equal(a.judged, b.judged, [](const Event* x, const Event* y) {
    return Equal(x->digest(Bank::kSha256), y->digest(Bank::kSha256));
  });
}

bool SameAttempts(const PcrGrammar& a, const PcrGrammar& b) {
  return std::ranges::equal(a.attempts, b.attempts, [](const BootAttempt& x, const BootAttempt& y) {
    return x.first == y.first && x.count == y.count && x.returned == y.returned;
  });
}

bool SameReading(const PcrGrammar& a, const PcrGrammar& b) {
  return SameEvents(a, b) && SameAttempts(a, b) && a.secure_boot == b.secure_boot &&
         Revoked(a) == Revoked(b);
}

enum class Outcome { kRefused, kOtherPcrs, kFault, kNothing, kAnotherReading };

Outcome Of(const ReplayedLog& real, const Bytes& changed) {
  const Result<ReplayedLog> log = ReplayedLog::Make(changed, kSha256);
  if (!log) return log.error().rule.empty() ? Outcome::kAnotherReading : Outcome::kRefused;
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    if (!(log->pcrs().value(pcr) == real.pcrs().value(pcr))) return Outcome::kOtherPcrs;
  bool fault = false;
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    if (log->grammar(pcr).fault && !real.grammar(pcr).fault)
      fault = true;
    else if (!SameReading(log->grammar(pcr), real.grammar(pcr)))
      return Outcome::kAnotherReading;
  }
  return fault ? Outcome::kFault : Outcome::kNothing;
}

struct Case {
  const char* log;
  size_t bit_stride;  // 1: every bit; else a prime, so that every bit position is met
  size_t cut_stride;
};

class RealLog : public testing::TestWithParam<Case> {};

TEST_P(RealLog, GainsNothingByAFlippedBit) {
  Bytes bytes = VectorFile(GetParam().log);
  const ReplayedLog real = ReplayedLog::Make(bytes, kSha256).value();
  std::map<Outcome, size_t> outcomes;

  for (size_t bit = 0; bit < bytes.size() * 8; bit += GetParam().bit_stride) {
    const auto mask = static_cast<uint8_t>(1 << bit % 8);
    bytes[bit / 8] ^= mask;
    const Outcome outcome = Of(real, bytes);
    EXPECT_NE(outcome, Outcome::kAnotherReading) << "bit " << bit;
    ++outcomes[outcome];
    bytes[bit / 8] ^= mask;
  }

  for (const Outcome outcome :
       {Outcome::kRefused, Outcome::kOtherPcrs, Outcome::kFault, Outcome::kNothing})
    EXPECT_GT(outcomes[outcome], 0u);
}

TEST_P(RealLog, GainsNothingByACut) {
  const Bytes bytes = VectorFile(GetParam().log);
  const ReplayedLog real = ReplayedLog::Make(bytes, kSha256).value();

  for (size_t size = 0; size < bytes.size(); size += GetParam().cut_stride) {
    const Outcome outcome =
        Of(real, Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)));
    EXPECT_TRUE(outcome == Outcome::kRefused || outcome == Outcome::kOtherPcrs) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(ThreeAndOneSampled, RealLog,
                         testing::Values(Case{"eventlog/logs/tpm2tools__event-sd-boot-fedora37.bin",
                                              1, 1},
                                         Case{"ovmf/uki-sb-on-snakeoil/eventlog.bin", 1, 1},
                                         Case{"eventlog/logs/gotpm__arch-linux-workstation.bin", 1,
                                              1},
                                         Case{"eventlog/logs/gotpm__rhel8-uefi.bin", 61, 7}));

}  // namespace
}  // namespace sallyport::server

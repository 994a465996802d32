#include "attestation-server/evidence/quirk.h"

#include <gtest/gtest.h>

#include "attestation-server/evidence/grammar.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

Bytes Utf16Version(std::string_view text) {
  Bytes out;
  for (const char c : text) out.insert(out.end(), {static_cast<uint8_t>(c), 0});
  out.insert(out.end(), {0, 0});
  return out;
}
EventLogBuilder Firmware(std::string_view version) {
  return EventLogBuilder().Hashed(0, EventType::kScrtmVersion, Utf16Version(version));
}
std::optional<std::string> VersionOf(const EventLogBuilder& log) {
  return FirmwareVersion(ParseEventLog(log.bytes()).value(), Bank::kSha256);
}

TEST(FirmwareVersion, IsTextOrHex) {
  EXPECT_EQ(VersionOf(Firmware("N40ET41W ")), "N40ET41W");
  EXPECT_EQ(VersionOf(EventLogBuilder().Hashed(0, EventType::kScrtmVersion, Bytes{0x1e, 0xfb})),
            "1efb");
  EXPECT_EQ(VersionOf(EventLogBuilder()), std::nullopt);
}

TEST(FirmwareVersion, DoesNotBelieveDataThatDoesNotHashToItsDigest) {
  EXPECT_EQ(VersionOf(EventLogBuilder().Measured(0, EventType::kScrtmVersion, Bytes{1},
                                                 Utf16Version("N40ET41W"))),
            std::nullopt);
}

TEST(FirmwareVersion, IsNotTakenFromWhatTheSystemAppends) {
  EventLogBuilder log;
  log.Separator(0).Hashed(0, EventType::kScrtmVersion, Utf16Version("N40ET41W"));
  EXPECT_EQ(VersionOf(log), std::nullopt);
}

TEST(FindQuirk, CoversTheVersionsOfItsRowAlone) {
  for (const char* const version : {"N40ET00W", "N40ET41W", "N40ET99W"})
    EXPECT_NE(FindQuirk(QuirkId::kExitUnlogged, version), nullptr) << version;
  for (const char* const version : {"N39ET41W", "N41ET00W", "", "1efb6b54"})
    EXPECT_EQ(FindQuirk(QuirkId::kExitUnlogged, version), nullptr) << version;
  EXPECT_EQ(FindQuirk(QuirkId::kExitUnlogged, std::nullopt), nullptr);
  EXPECT_NE(FindQuirk(QuirkId::kShimAuthorityByte, std::nullopt), nullptr);
}

TEST(Quirks, AllSayWhoWhatAndWhy) {
  for (const Quirk& quirk : Quirks()) {
    EXPECT_TRUE(quirk.check.starts_with("quirk."));
    EXPECT_TRUE(quirk.rule.starts_with("grammar."));
    EXPECT_FALSE(quirk.vendor.empty() || quirk.reason.empty());
    EXPECT_LE(quirk.first, quirk.last);
  }
}

// Each quirk is seen in a real log, and the log has no fault because of it.
struct Seen {
  const char* log;
  uint32_t pcr;
  std::string_view check;
};
class QuirkOfALog : public testing::TestWithParam<Seen> {};

TEST_P(QuirkOfALog, IsApplied) {
  const Bytes bytes = VectorFile(std::string("eventlog/logs/") + GetParam().log);
  const EventLog log = ParseEventLog(bytes).value();
  const auto firmware = FirmwareVersion(log, Bank::kSha256);
  const PcrGrammar grammar = CheckGrammar(log, GetParam().pcr, Bank::kSha256, firmware);

  EXPECT_FALSE(grammar.fault.has_value());
  ASSERT_EQ(grammar.quirks.size(), 1u);
  EXPECT_EQ(grammar.quirks[0]->check, GetParam().check);
}

INSTANTIATE_TEST_SUITE_P(
    Real, QuirkOfALog,
    testing::Values(Seen{"tpm2tools__event-postcode.bin", 4, "quirk.ami-boot-option"},
                    Seen{"tpm2tools__event-postcode.bin", 5, "quirk.ami-exit"},
                    Seen{"keylime__binary_bios_measurements.bin", 5, "quirk.lenovo-exit"},
                    Seen{"gotpm__cos-85-amd-sev.bin", 7, "quirk.shim-authority"},
                    Seen{"gotpm__rhel8-uefi.bin", 8, "quirk.redhat-grub"},
                    Seen{"gotpm__arch-linux-workstation.bin", 8, "quirk.sd-boot-pcr8"}));

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/evidence/grammar.h"

#include <gtest/gtest.h>

#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

std::string FaultOf(const EventLogBuilder& builder, uint32_t pcr) {
  const EventLog log = ParseEventLog(builder.bytes()).value();
  const PcrGrammar grammar = CheckGrammar(log, pcr, Bank::kSha256);
  return grammar.fault ? std::string(grammar.fault->rule) : "";
}

size_t JudgedEvents(const EventLogBuilder& builder, uint32_t pcr) {
  const EventLog log = ParseEventLog(builder.bytes()).value();
  const PcrGrammar grammar = CheckGrammar(log, pcr, Bank::kSha256);
  EXPECT_FALSE(grammar.fault.has_value());
  return grammar.judged.size();
}

constexpr std::string_view kCalling = "Calling EFI Application from Boot Option";
constexpr std::string_view kReturning = "Returning from EFI Application from Boot Option";

EventLogBuilder Boot() { return EventLogBuilder().Action(4, kCalling).Separator(4); }
EventLogBuilder Variables(bool on = true) {
  return EventLogBuilder().SecureBootVariables(on).Separator(7);
}

TEST(Pcr4Grammar, AcceptsABootOptionWithItsApplications) {
  EXPECT_EQ(JudgedEvents(Boot().Application("uki").Application("linux"), 4), 2u);
}

TEST(Pcr4Grammar, ToleratesAFallBackAfterARefusedSlot) {
  EXPECT_EQ(JudgedEvents(Boot().Action(4, kReturning).Action(4, kCalling).Application("uki"), 4),
            1u);
}

TEST(Pcr4Grammar, KeepsTheApplicationOfTheSlotThatRanFirst) {
  EXPECT_EQ(
      JudgedEvents(
          Boot().Application("bad").Action(4, kReturning).Action(4, kCalling).Application("uki"),
          4),
      2u);
}

TEST(Pcr4Grammar, RefusesCallsOutOfOrder) {
  EXPECT_EQ(FaultOf(EventLogBuilder().Separator(4).Application("uki"), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(EventLogBuilder().Separator(4).Action(4, kCalling), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(EventLogBuilder().Action(4, kCalling).Action(4, kCalling).Separator(4), 4),
            "grammar.boot-option");
  EXPECT_EQ(FaultOf(Boot().Action(4, kCalling), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(Boot().Action(4, kReturning), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(Boot().Action(4, kReturning).Application("uki"), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(EventLogBuilder().Action(4, kReturning).Separator(4), 4),
            "grammar.boot-option");
}

TEST(Pcr4Grammar, RefusesUnknownActionsAndTypes) {
  EXPECT_EQ(FaultOf(Boot().Action(4, "Returning"), 4), "grammar.boot-option");
  EXPECT_EQ(FaultOf(Boot().Hashed(4, EventType::kIpl, AsBytes("grub")), 4), "grammar.event");
  EXPECT_EQ(FaultOf(Boot().Hashed(4, static_cast<EventType>(0x8000FFFF), {}), 4), "grammar.event");
}

TEST(Pcr4Grammar, RefusesAnApplicationRelabelledAsUnused) {
  const EventLogBuilder log =
      Boot().Application("uki").Measured(4, EventType::kUnused, AsBytes("evil"), {});
  EXPECT_EQ(FaultOf(log, 4), "grammar.event");
}

TEST(Pcr4Grammar, RefusesAnApplicationRelabelledAsAnAction) {
  const EventLogBuilder log = Boot().Application("uki").Measured(
      4, EventType::kEfiAction, AsBytes("evil"), AsBytes(kCalling));
  EXPECT_EQ(FaultOf(log, 4), "grammar.data");
}

TEST(Separators, AreThereExactlyOnce) {
  EXPECT_EQ(FaultOf(EventLogBuilder(), 2), "grammar.separator");
  EXPECT_EQ(FaultOf(EventLogBuilder().Separator(2), 2), "");
  EXPECT_EQ(FaultOf(EventLogBuilder().Separator(2).Separator(2), 2), "grammar.separator");
  EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(2, EventType::kSeparator, Bytes(4, 0xFF)), 2), "");
  EXPECT_EQ(FaultOf(EventLogBuilder(), 8), "");
}

TEST(Separators, ThatReportAFirmwareErrorAreRefused) {
  EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(2, EventType::kSeparator, Bytes{1, 0, 0, 0}), 2),
            "grammar.separator");
  EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(2, EventType::kSeparator, Bytes{2, 0, 0, 0}), 2),
            "grammar.separator");
  EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(2, EventType::kSeparator, Bytes(5, 0)), 2),
            "grammar.separator");
}

TEST(Separators, UnderAnotherTypeAreRefused) {
  const EventLogBuilder log =
      EventLogBuilder()
          .Measured(2, EventType::kPlatformFirmwareBlob, Bytes(4, 0), AsBytes("blob"))
          .Separator(2);
  EXPECT_EQ(FaultOf(log, 2), "grammar.disguised");
  EXPECT_EQ(
      FaultOf(Boot().Measured(4, EventType::kBootServicesApplication, AsBytes(kCalling), {}), 4),
      "grammar.disguised");
}

TEST(Pcr7Grammar, AcceptsSecureBootOnAndOff) {
  EXPECT_EQ(JudgedEvents(Variables(true).Authority(), 7), 6u);
  EXPECT_EQ(JudgedEvents(Variables(false), 7), 5u);
}

TEST(Pcr7Grammar, ReportsTheSecureBootState) {
  const auto state = [](const EventLogBuilder& builder) {
    const EventLog log = ParseEventLog(builder.bytes()).value();
    return CheckGrammar(log, 7, Bank::kSha256).secure_boot;
  };
  EXPECT_EQ(state(Variables(true).Authority()), true);
  EXPECT_EQ(state(Variables(false)), false);
  EXPECT_EQ(state(EventLogBuilder().Separator(7)), std::nullopt);
}

TEST(Pcr7Grammar, RefusesAVariableAfterTheSeparator) {
  EXPECT_EQ(FaultOf(Variables().Config(kImageSecurityGuid, "dbt", {}), 7), "grammar.variable");
}

TEST(Pcr7Grammar, RefusesAVariableTwiceMissingOrUnknown) {
  const EventLogBuilder twice =
      EventLogBuilder().SecureBootVariables().Config(kImageSecurityGuid, "dbx", Bytes(60, 7));
  EXPECT_EQ(FaultOf(twice, 7), "grammar.variable");
  EXPECT_EQ(
      FaultOf(EventLogBuilder().Config(kGlobalVariableGuid, "SecureBoot", Bytes{1}).Separator(7),
              7),
      "grammar.variable");
  EXPECT_EQ(FaultOf(EventLogBuilder().Config(kGlobalVariableGuid, "Unknown", {}), 7),
            "grammar.variable");
  EXPECT_EQ(FaultOf(EventLogBuilder().Config(kGlobalVariableGuid, "dbx", {}), 7),
            "grammar.variable");
  EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(7, EventType::kVariableDriverConfig, Bytes(8, 0)), 7),
            "grammar.variable");
}

TEST(Pcr7Grammar, RefusesAnAuthorityBeforeTheSeparator) {
  EXPECT_EQ(FaultOf(EventLogBuilder().SecureBootVariables().Authority(), 7), "grammar.variable");
}

TEST(Pcr7Grammar, RefusesSecureBootThatAuthorisedNothing) {
  EXPECT_EQ(FaultOf(Variables(true), 7), "grammar.secure-boot");
}

TEST(Pcr7Grammar, RefusesSecureBootWithoutKeys) {
  EventLogBuilder log;
  log.Config(kGlobalVariableGuid, "SecureBoot", Bytes{1}).Config(kGlobalVariableGuid, "PK", {});
  log.Config(kGlobalVariableGuid, "KEK", Bytes(9, 1)).Config(kImageSecurityGuid, "db", Bytes(9, 1));
  log.Config(kImageSecurityGuid, "dbx", {}).Separator(7).Authority();
  EXPECT_EQ(FaultOf(log, 7), "grammar.secure-boot");
}

TEST(Pcr7Grammar, RefusesAMalformedSecureBootVariable) {
  EXPECT_EQ(FaultOf(EventLogBuilder().Config(kGlobalVariableGuid, "SecureBoot", Bytes{2}), 7),
            "grammar.secure-boot");
  EXPECT_EQ(FaultOf(EventLogBuilder().Config(kGlobalVariableGuid, "SecureBoot", Bytes{1, 1}), 7),
            "grammar.secure-boot");
}

TEST(Pcr7Grammar, RefusesDebugModeAndJudgesDisabledDmaProtection) {
  EXPECT_EQ(FaultOf(Variables().Action(7, "UEFI Debug Mode"), 7), "grammar.debug");
  EXPECT_EQ(FaultOf(Variables().Action(7, "Anything"), 7), "grammar.event");
  EXPECT_EQ(JudgedEvents(Variables().Authority().Action(7, "DMA Protection Disabled"), 7), 7u);
}

TEST(Pcr7Grammar, RefusesDataThatDoesNotHashToItsDigest) {
  Bytes other = EventLogBuilder::VariableData(kGlobalVariableGuid, "SecureBoot", Bytes{0});
  const Bytes real = EventLogBuilder::VariableData(kGlobalVariableGuid, "SecureBoot", Bytes{1});
  EXPECT_EQ(
      FaultOf(EventLogBuilder().Measured(7, EventType::kVariableDriverConfig, other, real), 7),
      "grammar.data");
}

class RealBoot : public testing::TestWithParam<std::pair<const char*, bool>> {};

TEST_P(RealBoot, HasNoFaultInAnyPcr) {
  const Bytes bytes = VectorFile(std::string("ovmf/") + GetParam().first + "/eventlog.bin");
  const EventLog log = ParseEventLog(bytes).value();
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
    const PcrGrammar grammar = CheckGrammar(log, pcr, Bank::kSha256);
    EXPECT_FALSE(grammar.fault.has_value())
        << pcr << " " << (grammar.fault ? grammar.fault->detail : "");
    if (pcr != 7) continue;
    EXPECT_EQ(grammar.secure_boot, GetParam().second);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ovmf, RealBoot,
    testing::Values(std::pair("ab-sb-off-step5-v1", false), std::pair("ab-sb-off-step6-v2", false),
                    std::pair("ab-sb-on-slotA-v1", true), std::pair("sdboot-uki-sb-off", false),
                    std::pair("uki-sb-off", false), std::pair("uki-sb-off-multibank", false),
                    std::pair("uki-sb-on-snakeoil", true)));

class VendorBoot : public testing::TestWithParam<const char*> {};

TEST_P(VendorBoot, HasAFaultlessPcr4And7) {
  const Bytes bytes = VectorFile(std::string("eventlog/logs/") + GetParam());
  const EventLog log = ParseEventLog(bytes).value();
  for (const uint32_t pcr : {4u, 7u}) {
    const PcrGrammar grammar = CheckGrammar(log, pcr, Bank::kSha256);
    EXPECT_FALSE(grammar.fault.has_value())
        << pcr << " " << (grammar.fault ? grammar.fault->detail : "");
  }
}

INSTANTIATE_TEST_SUITE_P(Gce, VendorBoot,
                         testing::Values("gotpm__cos-101-amd-sev.bin", "gotpm__cos-85-amd-sev.bin",
                                         "gotpm__rhel8-uefi.bin",
                                         "gotpm__ubuntu-2104-no-secure-boot.bin",
                                         "tpm2tools__event-moklisttrusted.bin"));

TEST(VendorLogs, WithoutABootOptionCallAreNotJudgedByEvents) {
  const Bytes bytes = VectorFile("eventlog/logs/tpm2tools__event-postcode.bin");
  const EventLog log = ParseEventLog(bytes).value();
  EXPECT_EQ(CheckGrammar(log, 4, Bank::kSha256).fault->rule, "grammar.boot-option");
}

}  // namespace
}  // namespace sallyport::server

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

constexpr std::string_view kCalling = kCallingBootOption;
constexpr std::string_view kReturning = kReturningBootOption;

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

TEST(Pcr7Grammar, RefusesBytesBehindAVariable) {
  Bytes data = EventLogBuilder::VariableData(kGlobalVariableGuid, "SecureBoot", Bytes{1});
  data.push_back(0);
  EventLogBuilder builder;
  builder.Hashed(7, EventType::kVariableDriverConfig, data).Separator(7);
  const EventLog log = ParseEventLog(builder.bytes()).value();
  const PcrGrammar grammar = CheckGrammar(log, 7, Bank::kSha256, std::nullopt);
  ASSERT_TRUE(grammar.fault.has_value());
  EXPECT_EQ(grammar.fault->detail, "bytes after the variable");
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

TEST(Pcr0Grammar, RefusesFirmwareAfterTheSeparator) {
  const EventLogBuilder before =
      EventLogBuilder().Hashed(0, EventType::kScrtmVersion, AsBytes("1")).Separator(0);
  EXPECT_EQ(FaultOf(before, 0), "");
  EXPECT_EQ(FaultOf(EventLogBuilder(before).Hashed(0, EventType::kPostCode, AsBytes("code")), 0),
            "grammar.order");
}

constexpr std::string_view kExit = "Exit Boot Services Invocation";
constexpr std::string_view kLeft = "Exit Boot Services Returned with Success";
constexpr std::string_view kFailed = "Exit Boot Services Returned with Failure";

TEST(Pcr5Grammar, AcceptsTheEndOfBootServicesOnceOrAfterAFailure) {
  const EventLogBuilder boot = EventLogBuilder().Separator(5);
  EXPECT_EQ(JudgedEvents(EventLogBuilder(boot).Action(5, kExit).Action(5, kLeft), 5), 2u);
  EXPECT_EQ(JudgedEvents(EventLogBuilder(boot)
                             .Action(5, kExit)
                             .Action(5, kFailed)
                             .Action(5, kExit)
                             .Action(5, kLeft),
                         5),
            4u);
}

TEST(Pcr5Grammar, RefusesALogThatDoesNotEndThere) {
  const EventLogBuilder boot = EventLogBuilder().Separator(5);
  EXPECT_EQ(FaultOf(boot, 5), "grammar.exit");
  EXPECT_EQ(FaultOf(EventLogBuilder(boot).Action(5, kExit), 5), "grammar.exit");
  EXPECT_EQ(FaultOf(EventLogBuilder(boot).Action(5, kLeft), 5), "grammar.exit");
  EXPECT_EQ(FaultOf(EventLogBuilder(boot).Action(5, kExit).Action(5, kExit), 5), "grammar.exit");
  EXPECT_EQ(FaultOf(EventLogBuilder(boot).Action(5, kExit).Action(5, kFailed), 5), "grammar.exit");
  EXPECT_EQ(FaultOf(EventLogBuilder().Action(5, kExit).Action(5, kLeft).Separator(5), 5),
            "grammar.exit");
  const EventLogBuilder left = EventLogBuilder(boot).Action(5, kExit).Action(5, kLeft);
  EXPECT_EQ(FaultOf(EventLogBuilder(left).Hashed(5, EventType::kGptEvent, Bytes(92, 1)), 5),
            "grammar.exit");
}

EventLogBuilder Grub(std::string_view prefix, std::string_view command, std::string_view hashed) {
  const std::string text = std::string(prefix) + std::string(command) + std::string(1, '\0');
  return EventLogBuilder().Measured(8, EventType::kIpl, AsBytes(hashed), AsBytes(text));
}

TEST(Pcr8Grammar, RecomputesCommandsWithoutTheirPrefix) {
  for (const std::string_view prefix : {"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "}) {
    EXPECT_EQ(FaultOf(Grub(prefix, "set a=b", "set a=b"), 8), "");
    EXPECT_EQ(FaultOf(Grub(prefix, "set a=b", "set a=c"), 8), "grammar.text");
  }
  EXPECT_EQ(FaultOf(Grub("", "set a=b", "set a=b"), 8), "grammar.text");
}

TEST(Pcr9Grammar, RefusesATaggedEventWhoseSizesDisagree) {
  const auto tagged = [](uint32_t size) {
    const ByteWriter data = ByteWriter().LittleU32(0x8F3B22EC).LittleU32(size).Raw(Bytes(4, 'x'));
    return EventLogBuilder().Measured(9, EventType::kEventTag, AsBytes("initrd"), data.bytes());
  };
  EXPECT_EQ(FaultOf(tagged(4), 9), "");
  EXPECT_EQ(FaultOf(tagged(5), 9), "grammar.tag");
  EXPECT_EQ(FaultOf(tagged(0), 9), "grammar.tag");
}

// Section adds what the stub measures of a section: `named` first, then its content.
EventLogBuilder& Section(EventLogBuilder& log, std::string_view named, std::string_view told) {
  Bytes label;
  for (const char c : told) label.insert(label.end(), {static_cast<uint8_t>(c), 0});
  label.insert(label.end(), {0, 0});
  log.Measured(11, EventType::kIpl, AsBytes(std::string(named) + std::string(1, '\0')), label);
  return log.Measured(11, EventType::kIpl, AsBytes("content"), label);
}

TEST(Pcr11Grammar, TakesNamesAndContentsInTurns) {
  EventLogBuilder log;
  Section(Section(log, ".linux", ".linux"), ".initrd", ".initrd");
  EXPECT_EQ(JudgedEvents(log, 11), 4u);
}

TEST(Pcr11Grammar, RefusesASectionUnderAnotherName) {
  EventLogBuilder log;
  EXPECT_EQ(FaultOf(Section(log, ".linux", ".initrd"), 11), "grammar.stub");
  EventLogBuilder half;
  half.Measured(11, EventType::kIpl, AsBytes(std::string_view(".x\0", 3)),
                Bytes{'.', 0, 'x', 0, 0, 0});
  EXPECT_EQ(FaultOf(half, 11), "grammar.stub");
  half.Measured(11, EventType::kIpl, AsBytes("content"), Bytes{'.', 0, 'y', 0, 0, 0});
  EXPECT_EQ(FaultOf(half, 11), "grammar.stub");
}

TEST(Pcr14Grammar, KnowsTheVariablesOfShimAlone) {
  const auto mok = [](std::string_view name) {
    return EventLogBuilder().Measured(14, EventType::kIpl, AsBytes("list"),
                                      AsBytes(std::string(name) + std::string(1, '\0')));
  };
  for (const std::string_view name : {"MokList", "MokListX", "MokListTrusted"})
    EXPECT_EQ(FaultOf(mok(name), 14), "");
  EXPECT_EQ(FaultOf(mok("MokLists"), 14), "grammar.mok");
}

TEST(UnusedPcrs, TakeNoEventAtAll) {
  for (const uint32_t pcr : {10u, 15u, 16u, 17u, 23u})
    EXPECT_EQ(FaultOf(EventLogBuilder().Hashed(pcr, EventType::kIpl, AsBytes("x")), pcr),
              "grammar.event");
}

TEST(Pcr7Grammar, BelievesSpdmPoliciesOnlyWhenTheyHash) {
  const Bytes data = EventLogBuilder::VariableData(kImageSecurityGuid, "devdb", Bytes(9, 1));
  EventLogBuilder log = Variables(false);
  EXPECT_EQ(FaultOf(EventLogBuilder(log).Hashed(7, EventType::kSpdmDevicePolicy, data), 7), "");
  EXPECT_EQ(
      FaultOf(EventLogBuilder(log).Measured(7, EventType::kSpdmDeviceAuthority, Bytes{1}, data), 7),
      "grammar.data");
}

TEST(Pcr7Grammar, TellsWhatTheVariablesSay) {
  const EventLogBuilder builder = Variables(false);
  const Bytes bytes = builder.bytes();
  const EventLog log = ParseEventLog(bytes).value();
  const PcrGrammar grammar = CheckGrammar(log, 7, Bank::kSha256);
  ASSERT_TRUE(grammar.secure_boot_state.has_value());
  EXPECT_TRUE(grammar.secure_boot_state->dbx->empty());
  EXPECT_TRUE(grammar.secure_boot_state->authorities.empty());
}

TEST(Pcr4Grammar, TellsWhichBootOptionsReturned) {
  const EventLogBuilder builder = Boot()
                                      .Application("bad")
                                      .Action(4, kReturning)
                                      .Action(4, kCalling)
                                      .Action(4, kReturning)
                                      .Action(4, kCalling)
                                      .Application("uki")
                                      .Application("linux");
  const Bytes bytes = builder.bytes();
  const EventLog log = ParseEventLog(bytes).value();
  const PcrGrammar grammar = CheckGrammar(log, 4, Bank::kSha256);
  ASSERT_EQ(grammar.attempts.size(), 3u);
  EXPECT_TRUE(grammar.attempts[0].returned);
  EXPECT_EQ(grammar.attempts[0].count, 1u);
  EXPECT_EQ(grammar.attempts[1].count, 0u);
  EXPECT_FALSE(grammar.attempts[2].returned);
  EXPECT_EQ(grammar.attempts[2].first, 1u);
  EXPECT_EQ(grammar.attempts[2].count, 2u);
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

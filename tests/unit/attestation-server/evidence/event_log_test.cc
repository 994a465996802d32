#include "attestation-server/evidence/event_log.h"

#include <gtest/gtest.h>

#include "attestation-server/evidence/replay.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr size_t kHeaderSize = 32 + 33;  // Spec ID event with one algorithm

std::string RuleOfParsing(ByteView bytes) {
  const Result<EventLog> log = ParseEventLog(bytes);
  return log ? "" : std::string(log.error().name());
}

void PatchU32(Bytes& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

Bytes OneEvent() { return EventLogBuilder().Separator(4).bytes(); }

TEST(ParseEventLog, ReadsTheFieldsOfAnEvent) {
  const Bytes bytes = EventLogBuilder({Bank::kSha1, Bank::kSha256}).Action(4, "hello").bytes();

  const EventLog log = ParseEventLog(bytes).value();

  EXPECT_EQ(log.format, LogFormat::kCryptoAgile);
  ASSERT_EQ(log.events.size(), 2u);
  EXPECT_EQ(log.events[1].pcr, 4u);
  EXPECT_EQ(log.events[1].type, EventType::kEfiAction);
  EXPECT_EQ(AsText(log.events[1].data), "hello");
  EXPECT_TRUE(Equal(log.events[1].digest(Bank::kSha256), pki::Sha256(AsBytes("hello")).view()));
  EXPECT_EQ(log.events[1].digest(Bank::kSha1).size(), 20u);
  EXPECT_TRUE(log.events[1].digest(Bank::kSha384).empty());
}

TEST(ParseEventLog, RefusesEveryTruncationOfARealLog) {
  const Bytes bytes = VectorFile("ovmf/uki-sb-off/eventlog.bin");
  const EventLog whole = ParseEventLog(bytes).value();

  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<EventLog> cut = ParseEventLog(ByteView(bytes).first(size));
    // A cut between two events is a shorter log: only the quote can tell, by the PCR values.
    if (cut) {
      EXPECT_LT(cut->events.size(), whole.events.size()) << size;
    }
  }
}

TEST(ParseEventLog, RefusesTrailingBytes) {
  Bytes bytes = OneEvent();
  bytes.push_back(0);
  EXPECT_EQ(RuleOfParsing(bytes), "log.truncated");
}

TEST(ParseEventLog, RefusesNothingAtAllAndZeroPadding) {
  EXPECT_EQ(RuleOfParsing({}), "log.truncated");
  for (const size_t zeros : {1u, 12u, 4096u})
    EXPECT_NE(RuleOfParsing(EventLogBuilder().Separator(4).Raw(Bytes(zeros, 0)).bytes()), "")
        << zeros;
}

TEST(ParseEventLog, RefusesTheSpecIdEventOutsidePcr0) {
  Bytes bytes = OneEvent();
  bytes[0] = 1;
  EXPECT_EQ(RuleOfParsing(bytes), "log.header");
}

TEST(ParseEventLog, RefusesAnotherSpecVersion) {
  Bytes bytes = OneEvent();
  bytes[32 + 21] = 1;
  EXPECT_EQ(RuleOfParsing(bytes), "log.header");
}

TEST(ParseEventLog, RefusesWrongVendorInformationSize) {
  Bytes bytes = OneEvent();
  bytes[kHeaderSize - 1] = 1;
  EXPECT_EQ(RuleOfParsing(bytes), "log.header");
}

TEST(ParseEventLog, RefusesALieAboutAnAlgorithmsDigestSize) {
  Bytes bytes = OneEvent();
  bytes[32 + 30] = 31;
  EXPECT_EQ(RuleOfParsing(bytes), "log.algorithms");
}

TEST(ParseEventLog, RefusesNoAlgorithmsAndNineOfThem) {
  for (const uint32_t count : {0u, 9u, 0xFFFFFFFFu}) {
    Bytes bytes = OneEvent();
    PatchU32(bytes, 32 + 24, count);
    EXPECT_EQ(RuleOfParsing(bytes), "log.algorithms") << count;
  }
}

TEST(ParseEventLog, RefusesAnAlgorithmDeclaredTwice) {
  EXPECT_EQ(RuleOfParsing(EventLogBuilder({Bank::kSha256, Bank::kSha256}).bytes()),
            "log.algorithms");
}

TEST(ParseEventLog, RefusesDigestCountsThatAreNotTheDeclaredOnes) {
  for (const uint32_t count : {0u, 2u, 0x80000000u, 0xFFFFFFFFu}) {
    Bytes bytes = OneEvent();
    PatchU32(bytes, kHeaderSize + 8, count);
    EXPECT_EQ(RuleOfParsing(bytes), "log.digests") << count;
  }
}

TEST(ParseEventLog, RefusesAnUndeclaredDigestAlgorithm) {
  Bytes bytes = OneEvent();
  bytes[kHeaderSize + 12] = 0x77;
  EXPECT_EQ(RuleOfParsing(bytes), "log.digests");
}

TEST(ParseEventLog, RefusesOneAlgorithmTwiceInAnEvent) {
  Bytes bytes = EventLogBuilder({Bank::kSha256, Bank::kSha512}).bytes();
  ByteWriter event;
  event.LittleU32(4).LittleU32(4).LittleU32(2);
  for (int i = 0; i < 2; ++i) event.LittleU16(0x000B).Raw(Bytes(32, 1));
  event.LittleU32(0);
  Append(bytes, event.bytes());
  EXPECT_EQ(RuleOfParsing(bytes), "log.digests");
}

TEST(ParseEventLog, SkipsAnUnknownAlgorithmByItsDeclaredSize) {
  ByteWriter spec;
  spec.Raw(AsBytes({"Spec ID Event03\0", 16})).LittleU32(0).U8(0).U8(2).U8(0).U8(2).LittleU32(2);
  spec.LittleU16(0x7777).LittleU16(5).LittleU16(0x000B).LittleU16(32).U8(0);
  ByteWriter log;
  log.LittleU32(0)
      .LittleU32(3)
      .Raw(Bytes(20, 0))
      .LittleU32(static_cast<uint32_t>(spec.bytes().size()));
  log.Raw(spec.bytes()).LittleU32(4).LittleU32(4).LittleU32(2);
  log.LittleU16(0x7777).Raw(Bytes(5, 9)).LittleU16(0x000B).Raw(Bytes(32, 1)).LittleU32(0);

  const EventLog parsed = ParseEventLog(log.bytes()).value();

  EXPECT_EQ(parsed.banks, std::vector{Bank::kSha256});
  EXPECT_TRUE(Equal(parsed.events[1].digest(Bank::kSha256), Bytes(32, 1)));
}

TEST(ParseEventLog, RefusesEventDataBeyondTheEnd) {
  Bytes bytes = OneEvent();
  PatchU32(bytes, bytes.size() - 8, 5);
  EXPECT_EQ(RuleOfParsing(bytes), "log.truncated");
}

TEST(ParseEventLog, RefusesOversizedEventDataWithoutReadingIt) {
  Bytes bytes = OneEvent();
  PatchU32(bytes, bytes.size() - 8, kEventDataBytesMax + 1);
  EXPECT_EQ(RuleOfParsing(bytes), "log.too-large");
}

TEST(ParseEventLog, RefusesPcr24) {
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().Separator(24).bytes()), "log.pcr-index");
}

TEST(ParseEventLog, AcceptsAnyPcrOfAnEventThatIsNeverExtended) {
  EXPECT_EQ(
      RuleOfParsing(EventLogBuilder().NoAction(0xFFFFFFFF, AsBytes("SP800-155 Event")).bytes()),
      "");
}

TEST(ParseEventLog, RefusesMoreEventsThanTheLimit) {
  EventLogBuilder log;
  for (size_t i = 1; i < kLogEventsMax; ++i) log.NoAction(0, {});
  EXPECT_EQ(RuleOfParsing(log.bytes()), "");
  EXPECT_EQ(RuleOfParsing(log.NoAction(0, {}).bytes()), "log.too-large");
}

TEST(ParseEventLog, RefusesOneByteOverFourMebibytes) {
  EventLogBuilder log;
  const Bytes blob(kEventDataBytesMax - 100, 0);
  for (int i = 0; i < 4; ++i) log.NoAction(0, blob);
  Bytes bytes = log.bytes();
  const size_t missing = kLogBytesMax - bytes.size() - (4 + 4 + 4 + 2 + 32 + 4);
  bytes = log.NoAction(0, Bytes(missing, 0)).bytes();
  ASSERT_EQ(bytes.size(), kLogBytesMax);

  EXPECT_EQ(RuleOfParsing(bytes), "");
  bytes.push_back(0);
  EXPECT_EQ(RuleOfParsing(bytes), "log.too-large");
}

TEST(ParseEventLog, ReadsTheStartupLocality) {
  EXPECT_EQ(ParseEventLog(EventLogBuilder().Locality(3).bytes())->startup_locality, 3);
  EXPECT_EQ(ParseEventLog(OneEvent())->startup_locality, std::nullopt);
}

TEST(ParseEventLog, RefusesAMisplacedOrMalformedStartupLocality) {
  const Bytes well = [] {
    Bytes data = ToBytes(std::string_view("StartupLocality\0", 16));
    data.push_back(3);
    return data;
  }();
  Bytes longer = well;
  longer.push_back(0);

  EXPECT_EQ(RuleOfParsing(EventLogBuilder().Separator(0).Locality(3).bytes()),
            "log.startup-locality");
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().Locality(3).Locality(3).bytes()),
            "log.startup-locality");
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().Locality(2).bytes()), "log.startup-locality");
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().NoAction(1, well).bytes()), "log.startup-locality");
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().NoAction(0, longer).bytes()), "log.startup-locality");
  EXPECT_EQ(RuleOfParsing(EventLogBuilder().NoAction(0, ByteView(well).first(16)).bytes()),
            "log.startup-locality");
}

TEST(ParseEventLog, RefusesConfidentialComputingTables) {
  Bytes bytes = OneEvent();
  bytes.insert(bytes.end(), 64, 0xFF);
  EXPECT_EQ(RuleOfParsing(bytes), "cc-log");
}

TEST(ParseEventLog, ReadsALogWithoutSpecIdAsSha1Legacy) {
  ByteWriter log;
  log.LittleU32(4).LittleU32(4).Raw(Bytes(20, 1)).LittleU32(0);

  const EventLog parsed = ParseEventLog(log.bytes()).value();

  EXPECT_EQ(parsed.format, LogFormat::kSha1Legacy);
  EXPECT_EQ(parsed.banks, std::vector{Bank::kSha1});
}

TEST(EventType, NamesGoBothWays) {
  EXPECT_EQ(EventTypeName(EventType::kVariableAuthority), "EV_EFI_VARIABLE_AUTHORITY");
  EXPECT_EQ(EventTypeFromName("EV_EFI_VARIABLE_AUTHORITY"), EventType::kVariableAuthority);
  EXPECT_EQ(EventTypeName(static_cast<EventType>(0x1234)), std::nullopt);
  EXPECT_EQ(EventTypeLabel(static_cast<EventType>(0x1234)), "0x00001234");
  EXPECT_EQ(EventTypeFromName("EV_NONSENSE"), std::nullopt);
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/evidence/event_data.h"

#include <gtest/gtest.h>

#include "tests/fakes/event_log_builder.h"

namespace sallyport::server {
namespace {

std::string Described(EventType type, ByteView data, uint32_t pcr = 0) {
  const Bytes bytes = EventLogBuilder().Hashed(pcr, type, data).bytes();
  return DescribeData(ParseEventLog(bytes).value().events.at(1));
}

Bytes Sized(std::string_view text, size_t tail) {
  Bytes out{static_cast<uint8_t>(text.size())};
  Append(out, AsBytes(text));
  out.resize(out.size() + tail);
  return out;
}

TEST(DescribeData, NamesBlobsAndTablesOfTheNewerKind) {
  EXPECT_EQ(Described(EventType::kPlatformFirmwareBlob2, Sized("POST CODE", 16)), "POST CODE");
  EXPECT_EQ(Described(EventType::kHandoffTables2, Sized("SMBIOS", 32), 1), "SMBIOS");
  EXPECT_EQ(Described(EventType::kPlatformFirmwareBlob2, Bytes{9, 'x'}), "malformed");
  EXPECT_EQ(Described(EventType::kPlatformFirmwareBlob2, {}), "malformed");
}

TEST(DescribeData, ShowsAddressAndLengthOfABlob) {
  const ByteWriter blob = ByteWriter().LittleU64(0x820000).LittleU64(0x80000);
  EXPECT_EQ(Described(EventType::kPlatformFirmwareBlob, blob.bytes()), "0x820000+0x80000");
  EXPECT_EQ(Described(EventType::kPlatformFirmwareBlob, Bytes(9, 1)), "");
}

TEST(DescribeData, CountsThePartitionsOfATable) {
  const ByteWriter table = ByteWriter().Raw(Bytes(92, 0)).LittleU64(4);
  EXPECT_EQ(Described(EventType::kGptEvent, table.bytes(), 5), "4 partitions");
  EXPECT_EQ(Described(EventType::kGptEvent, Bytes(95, 0), 5), "malformed");
}

TEST(DescribeData, NamesTheSignatureOfARecordAndTheLocality) {
  const Bytes locality = EventLogBuilder().Locality(3).bytes();
  EXPECT_EQ(DescribeData(ParseEventLog(locality)->events.at(1)), "StartupLocality 3");
  const Bytes manifest = EventLogBuilder().NoAction(0, AsBytes("SP800-155 Event3")).bytes();
  EXPECT_EQ(DescribeData(ParseEventLog(manifest)->events.at(1)), "SP800-155 Event3");
}

TEST(DescribeData, SaysNothingOfAValueWithoutAName) {
  EXPECT_EQ(Described(static_cast<EventType>(0x8000FFFF), AsBytes("anything")), "");
}

TEST(MatchData, KnowsTwoWaysToMeasureABootVariable) {
  const Bytes content = Bytes(40, 9);
  const Bytes whole = EventLogBuilder::VariableData(kGlobalVariableGuid, "Boot0001", content);
  const auto match = [&](EventType type, ByteView measured) {
    const Bytes bytes = EventLogBuilder().Measured(1, type, measured, whole).bytes();
    return MatchData(ParseEventLog(bytes).value().events.at(1), Bank::kSha256);
  };
  for (const EventType type : {EventType::kVariableBoot, EventType::kVariableBoot2}) {
    EXPECT_EQ(match(type, whole), DataMatch::kMatches);
    EXPECT_EQ(match(type, content), DataMatch::kMatches);
    EXPECT_EQ(match(type, AsBytes("else")), DataMatch::kDiffers);
  }
  EXPECT_EQ(match(EventType::kVariableDriverConfig, content), DataMatch::kDiffers);
  EXPECT_EQ(match(EventType::kVariableAuthority, ByteView(whole).first(whole.size() - 1)),
            DataMatch::kMatchesButLastByte);
  EXPECT_EQ(match(EventType::kVariableAuthority, ByteView(whole).first(whole.size() - 2)),
            DataMatch::kDiffers);
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/evidence/replay.h"

#include <gtest/gtest.h>

#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

TEST(Replay, StartsPcr0AtTheStartupLocality) {
  const Bytes bytes = EventLogBuilder().Locality(3).bytes();
  const ReplayedBank pcrs = Replay(ParseEventLog(bytes).value(), Bank::kSha256);

  Bytes initial(32, 0);
  initial.back() = 3;
  EXPECT_EQ(HexEncode(pcrs.value(0).view()), HexEncode(initial));
  EXPECT_EQ(HexEncode(pcrs.value(1).view()), std::string(64, '0'));
  EXPECT_EQ(HexEncode(pcrs.value(17).view()), std::string(64, 'f'));
  EXPECT_EQ(HexEncode(pcrs.value(22).view()), std::string(64, 'f'));
  EXPECT_EQ(HexEncode(pcrs.value(23).view()), std::string(64, '0'));
  EXPECT_FALSE(pcrs.touched(0));
}

TEST(Replay, StartsPcr0AtLocality4UnderAHardwareCrtm) {
  const Bytes bytes = EventLogBuilder()
                          .Locality(4)
                          .Measured(0, EventType::kHcrtmEvent, AsBytes("acm"), AsBytes("HCRTM"))
                          .bytes();
  Bytes initial(32, 0);
  initial.back() = 4;
  const PcrDigest once =
      HashWith(Bank::kSha256, initial, HashWith(Bank::kSha256, AsBytes("acm")).view());
  EXPECT_EQ(Replay(ParseEventLog(bytes).value(), Bank::kSha256).value(0), once);
}

TEST(Replay, NeverExtendsNoAction) {
  const Bytes bytes = EventLogBuilder().NoAction(4, AsBytes("anything")).bytes();
  EXPECT_FALSE(Replay(ParseEventLog(bytes).value(), Bank::kSha256).touched(4));
}

TEST(ReplayedLog, RefusesASha1OnlyLogAndAMissingBank) {
  const auto rule = [](Bytes bytes, pki::HashAlgorithm bank) {
    const Result<ReplayedLog> log = ReplayedLog::Make(std::move(bytes), bank);
    return log ? "" : std::string(log.error().name());
  };
  EXPECT_EQ(rule(VectorFile("eventlog/logs/tpm2tools__event-uefi-sha1-log.bin"),
                 pki::HashAlgorithm::kSha256),
            "legacy-log");
  EXPECT_EQ(rule(EventLogBuilder({Bank::kSha1}).bytes(), pki::HashAlgorithm::kSha256), "log.bank");
  EXPECT_EQ(rule(EventLogBuilder().bytes(), pki::HashAlgorithm::kSha384), "log.bank");
  EXPECT_EQ(
      rule(VectorFile("eventlog/logs/tpm2tools__event-uefivar.bin"), pki::HashAlgorithm::kSha256),
      "log.digests");
  EXPECT_EQ(rule(EventLogBuilder().bytes(), pki::HashAlgorithm::kSha256), "");
}

TEST(ReplayedLog, KeepsItsEventsWhenMoved) {
  ReplayedLog first =
      ReplayedLog::Make(EventLogBuilder().Action(4, "hello").bytes(), pki::HashAlgorithm::kSha256)
          .value();
  const ReplayedLog second = std::move(first);
  EXPECT_EQ(AsText(second.log().events[1].data), "hello");
  EXPECT_EQ(second.hash(), pki::Sha256(second.bytes()));
}

TEST(SecureBootOf, DoesNotBelieveDataThatDoesNotHashToItsDigest) {
  Bytes bytes = EventLogBuilder().SecureBootVariables(false).bytes();
  EXPECT_EQ(SecureBootOf(ParseEventLog(bytes).value(), Bank::kSha256), false);

  const std::string_view name("B\0o\0o\0t\0", 8);
  bytes[AsText(bytes).find(name) + name.size()] = 1;

  EXPECT_EQ(SecureBootOf(ParseEventLog(bytes).value(), Bank::kSha256), std::nullopt);
}

TEST(SecureBootOf, TakesAZeroLengthVariableAsOff) {
  const Bytes bytes = EventLogBuilder().Config(kGlobalVariableGuid, "SecureBoot", {}).bytes();
  EXPECT_EQ(SecureBootOf(ParseEventLog(bytes).value(), Bank::kSha256), false);
}

}  // namespace
}  // namespace sallyport::server

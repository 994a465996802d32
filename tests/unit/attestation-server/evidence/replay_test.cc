#include "attestation-server/evidence/replay.h"

#include <gtest/gtest.h>

#include <sstream>

#include "pki/base/json.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

// One fact of a vector's expected answer against ours.
struct Tally {
  int matched = 0;
  int total = 0;
  void Count(bool same, const std::string& what) {
    ++total;
    matched += same ? 1 : 0;
    EXPECT_TRUE(same) << what;
  }
};

void CompareBanks(const EventLog& log, const JsonValue& expected, const std::string& name,
                  Tally& tally) {
  size_t banks_with_events = 0;
  for (const Bank bank : log.banks) {
    const ReplayedBank ours = Replay(log, bank);
    const JsonValue* const theirs = expected.Find(BankName(bank));
    bool any = false;
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
      const JsonValue* const value =
          theirs == nullptr ? nullptr : theirs->Find(std::to_string(pcr));
      any |= ours.touched(pcr);
      if (value == nullptr && !ours.touched(pcr)) continue;
      const bool same = value != nullptr && ours.touched(pcr) &&
                        *value->if_string() == HexEncode(ours.value(pcr).view());
      tally.Count(same, name + " " + std::string(BankName(bank)) + " pcr " + std::to_string(pcr));
    }
    banks_with_events += any ? 1 : 0;
  }
  tally.Count(expected.if_object()->size() == banks_with_events, name + " set of banks");
}

std::string SecureBootText(const JsonValue& expected) {
  if (const bool* const flag = expected.if_bool()) return *flag ? "true" : "false";
  return expected.if_string() != nullptr ? "false" : "null";  // "zero-length" is not on
}

std::string SecureBootText(std::optional<bool> ours) {
  return ours ? (*ours ? "true" : "false") : "null";
}

void CompareOne(const std::string& name, const JsonValue& expected, Tally& tally) {
  const Bytes bytes = VectorFile("eventlog/logs/" + name);
  const Result<EventLog> log = ParseEventLog(bytes);
  const bool should_fail = expected.Find("error")->kind() != JsonValue::Kind::kNull;
  tally.Count(log.has_value() != should_fail, name + " accepted");
  if (!log || should_fail) return;
  const bool agile = *expected.Find("format")->if_string() == "agile";
  tally.Count((log->format == LogFormat::kCryptoAgile) == agile, name + " format");
  tally.Count(static_cast<int64_t>(log->events.size()) == *expected.Find("events")->if_integer(),
              name + " events");
  tally.Count(log->startup_locality.value_or(0) == *expected.Find("startup_locality")->if_integer(),
              name + " locality");
  tally.Count(SecureBootText(SecureBootOf(*log)) == SecureBootText(*expected.Find("secure_boot")),
              name + " secure boot");
  CompareBanks(*log, *expected.Find("banks"), name, tally);
}

TEST(Replay, AgreesWithThirdPartyLogs) {
  const JsonValue expected = ParseJson(VectorText("eventlog/expected.json")).value();
  Tally tally;

  for (const JsonMember& member : *expected.if_object())
    CompareOne(member.key, member.value, tally);

  std::printf("third-party event logs: %zu logs, %d/%d facts matched\n",
              expected.if_object()->size(), tally.matched, tally.total);
  EXPECT_EQ(tally.matched, tally.total);
}

// A derived log is the RHEL 8 log with one splice, and what must become of it.
struct Derived {
  std::string name;
  std::string sha256;
  std::string verdict;
  Bytes bytes;
};

std::vector<Derived> DerivedLogs() {
  const Bytes base = VectorFile("eventlog/logs/gotpm__rhel8-uefi.bin");
  std::istringstream rows(VectorText("eventlog/derived.tsv"));
  std::vector<Derived> out;
  std::string line;
  std::getline(rows, line);
  while (std::getline(rows, line)) {
    std::istringstream cells(line);
    std::string name, offset, remove, insert, sha256, rule;
    for (std::string* const cell : {&name, &offset, &remove, &insert, &sha256, &rule})
      std::getline(cells, *cell, '\t');
    const size_t at = std::stoul(offset);
    Bytes bytes(base.begin(), base.begin() + static_cast<ptrdiff_t>(at));
    if (insert != "-") Append(bytes, HexDecode(insert).value());
    Append(bytes, ByteView(base).subspan(at + std::stoul(remove)));
    out.push_back({name, sha256, rule, std::move(bytes)});
  }
  return out;
}

bool SamePcrs(const ReplayedBank& a, const ReplayedBank& b) {
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    if (!(a.value(pcr) == b.value(pcr))) return false;
  return true;
}

TEST(Replay, AgreesWithTheVerdictsOnDerivedLogs) {
  const Bytes base = VectorFile("eventlog/logs/gotpm__rhel8-uefi.bin");
  const ReplayedBank genuine = Replay(ParseEventLog(base).value(), Bank::kSha256);
  Tally tally;

  for (const Derived& derived : DerivedLogs()) {
    ASSERT_EQ(HexEncode(pki::Sha256(derived.bytes)), derived.sha256) << derived.name;
    const Result<EventLog> log = ParseEventLog(derived.bytes);
    const bool same_pcrs = log && SamePcrs(Replay(*log, Bank::kSha256), genuine);
    if (derived.verdict.find("replay still matches") != std::string::npos) {
      const auto mismatched = [](const Event& e) {
        return MatchData(e, Bank::kSha256) == DataMatch::kDiffers;
      };
      tally.Count(same_pcrs && std::ranges::count_if(log->events, mismatched) == 1, derived.name);
    } else if (derived.verdict.find("mismatch") != std::string::npos) {
      tally.Count(log && !same_pcrs, derived.name);
    } else {
      tally.Count(!log, derived.name);
    }
  }

  std::printf("derived event logs: %d/%d verdicts matched\n", tally.matched, tally.total);
  EXPECT_EQ(tally.matched, tally.total);
  EXPECT_EQ(tally.total, 13);
}

// The PCR values of tpm2_pcrread: lines like "    4 : 0x1234...".
std::map<uint32_t, std::string> ReadPcrs(const std::string& text, std::string_view bank) {
  std::map<uint32_t, std::string> out;
  std::istringstream lines(text.substr(text.find(std::string(bank) + ":")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const size_t value = line.find("0x");
    if (value == std::string::npos) break;
    std::string hex = line.substr(value + 2);
    for (char& c : hex) c = static_cast<char>(std::tolower(c));
    out[static_cast<uint32_t>(std::stoul(line))] = hex;
  }
  return out;
}

class OvmfBoot : public testing::TestWithParam<const char*> {};

TEST_P(OvmfBoot, ReplaysToThePcrsOfTheTpm) {
  const std::string boot = std::string("ovmf/") + GetParam();
  const ReplayedLog log =
      ReplayedLog::Make(VectorFile(boot + "/eventlog.bin"), pki::HashAlgorithm::kSha256).value();
  const std::map<uint32_t, std::string> pcrs = ReadPcrs(VectorText(boot + "/pcrs.yaml"), "sha256");

  ASSERT_EQ(pcrs.size(), kPcrCount);
  for (const auto& [pcr, value] : pcrs) {
    if (pcr == 10) continue;  // IMA's, not in this log
    EXPECT_EQ(HexEncode(log.pcrs().value(pcr).view()), value) << pcr;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OvmfBoot,
                         testing::Values("ab-sb-off-step5-v1", "ab-sb-off-step6-v2",
                                         "ab-sb-on-slotA-v1", "sdboot-uki-sb-off", "uki-sb-off",
                                         "uki-sb-off-multibank", "uki-sb-on-snakeoil"));

TEST(Replay, StartsPcr0AtTheStartupLocality) {
  const Bytes bytes = EventLogBuilder().Locality(3).bytes();
  const ReplayedBank pcrs = Replay(ParseEventLog(bytes).value(), Bank::kSha256);

  EXPECT_EQ(HexEncode(pcrs.value(0).view()), std::string(62, '0') + "03");
  EXPECT_EQ(HexEncode(pcrs.value(1).view()), std::string(64, '0'));
  EXPECT_EQ(HexEncode(pcrs.value(17).view()), std::string(64, 'f'));
  EXPECT_EQ(HexEncode(pcrs.value(22).view()), std::string(64, 'f'));
  EXPECT_EQ(HexEncode(pcrs.value(23).view()), std::string(64, '0'));
  EXPECT_FALSE(pcrs.touched(0));
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

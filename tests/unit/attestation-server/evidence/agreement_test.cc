// Agreement with what others say of logs, boots and databases that we did not make.
#include <gtest/gtest.h>

#include <sstream>

#include "attestation-server/evidence/replay.h"
#include "pki/base/json.h"
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

Tally EventLogs() {
  const JsonValue expected = ParseJson(VectorText("eventlog/expected.json")).value();
  Tally tally;

  for (const JsonMember& member : *expected.if_object())
    CompareOne(member.key, member.value, tally);

  return tally;
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

Tally DerivedEventLogs() {
  const Bytes base = VectorFile("eventlog/logs/gotpm__rhel8-uefi.bin");
  const ReplayedBank genuine = Replay(ParseEventLog(base).value(), Bank::kSha256);
  Tally tally;

  for (const Derived& derived : DerivedLogs()) {
    EXPECT_EQ(HexEncode(pki::Sha256(derived.bytes)), derived.sha256) << derived.name;
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

  return tally;
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

void CompareBoot(const std::string& name, Tally& tally) {
  const std::string boot = "ovmf/" + name;
  const ReplayedLog log =
      ReplayedLog::Make(VectorFile(boot + "/eventlog.bin"), pki::HashAlgorithm::kSha256).value();
  const std::map<uint32_t, std::string> pcrs = ReadPcrs(VectorText(boot + "/pcrs.yaml"), "sha256");
  tally.Count(pcrs.size() == kPcrCount, name + " all pcrs");
  for (const auto& [pcr, value] : pcrs) {
    if (pcr == 10) continue;  // IMA's, not in this log
    tally.Count(HexEncode(log.pcrs().value(pcr).view()) == value,
                name + " pcr " + std::to_string(pcr));
    tally.Count(!log.grammar(pcr).fault, name + " grammar of pcr " + std::to_string(pcr));
  }
  const bool on = name.find("sb-on") != std::string::npos;
  tally.Count(log.grammar(7).secure_boot == on, name + " secure boot");
}

Tally Boots() {
  Tally tally;
  for (const char* const boot :
       {"ab-sb-off-step5-v1", "ab-sb-off-step6-v2", "ab-sb-on-slotA-v1", "sdboot-uki-sb-off",
        "uki-sb-off", "uki-sb-off-multibank", "uki-sb-on-snakeoil"})
    CompareBoot(boot, tally);
  // Its PCRs are extended and it has no log: nothing to parse, so nothing to admit.
  tally.Count(!ParseEventLog({}), "grub-sb-off has no log");
  return tally;
}

// A database, and how many signatures others find in it; nothing when they refuse it.
struct Database {
  const char* file;
  std::optional<size_t> signatures;
  bool update = false;  // behind an EFI_VARIABLE_AUTHENTICATION_2 header
};
constexpr Database kDatabases[] = {
    {"1.siglist", 1},
    {"2.siglist", 2},
    {"4.siglist", 78},
    {"inconsistent-sizes1.siglist", std::nullopt},
    {"invalid-sigheader-size.siglist", std::nullopt},
    {"invalid-signature-size.siglist", std::nullopt},
    {"ms_amd64_DBXUpdate.bin", 443, true},
    {"ms_arm_DBXUpdate.bin", 110, true},
    {"MS-2016-08-08.bin", 77, true},
    {"dbxupdate-2014-08-11.bin", 13, true},
    {"dbxupdate_x64-2020-10-12.bin", 186, true},
};

// WithoutHeader skips EFI_TIME and WIN_CERTIFICATE, whose first field is its size.
ByteView WithoutHeader(ByteView update) {
  constexpr size_t kTimeSize = 16;
  const uint32_t certificate = ByteReader(update.subspan(kTimeSize), "update").LittleU32().value();
  return update.subspan(kTimeSize + certificate);
}

Tally SignatureDatabases() {
  Tally tally;
  for (const Database& database : kDatabases) {
    const Bytes file = VectorFile(std::string("uefi/") + database.file);
    const auto ids = ParseSignatureLists(database.update ? WithoutHeader(file) : ByteView(file));
    tally.Count(ids.has_value() == database.signatures.has_value(),
                std::string(database.file) + " accepted");
    if (!ids || !database.signatures) continue;
    tally.Count(ids->size() == *database.signatures,
                std::string(database.file) + " has " + std::to_string(ids->size()) + " signatures");
  }
  return tally;
}

TEST(Agreement, HoldsOverEveryThirdPartyVector) {
  const std::pair<const char*, Tally> topics[] = {
      {"event logs", EventLogs()},
      {"derived event logs", DerivedEventLogs()},
      {"measured boots of OVMF", Boots()},
      {"UEFI signature databases", SignatureDatabases()}};
  Tally all;
  for (const auto& [topic, tally] : topics) {
    std::printf("%-26s %4d/%d\n", topic, tally.matched, tally.total);
    all.matched += tally.matched;
    all.total += tally.total;
  }
  std::printf("%-26s %4d/%d\n", "matched", all.matched, all.total);
  EXPECT_EQ(all.matched, all.total);
  EXPECT_GE(all.total, 700);  // no topic was lost
}

}  // namespace
}  // namespace sallyport::server

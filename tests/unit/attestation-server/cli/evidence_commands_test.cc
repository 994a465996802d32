#include "attestation-server/cli/evidence_commands.h"

#include <sstream>

#include "attestation-server/evidence/replay.h"
#include "attestation-server/evidence/ima.h"
#include "attestation-server/reference/reference_file.h"
#include "pki/base/json.h"
#include "pki/tpm/signature.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

// The fixture holds a real boot of OVMF; its quote covers PCR 0, 2, 4, 7, 9 and 11.
class EvidenceCommands : public ::testing::Test {
 protected:
  EvidenceCommands() {
    const std::string boot = "ovmf/ab-sb-on-slotA-v1/";
    for (const char* const name : {"eventlog.bin", "quote.msg", "quote.sig", "ak.pub"})
      Store(name, VectorFile(boot + name));
    options_ = {.ak = "ak.pub",
                .attest = "quote.msg",
                .signature = "quote.sig",
                .nonce = VectorText(boot + "nonce"),
                .pcrs = "sha256:0,2,4,7,9,11",
                .pcr_values = "",
                .log = "eventlog.bin",
                .references = {}};
    options_.json = true;
  }
  void Store(const std::string& name, const Bytes& content) {
    static_cast<void>((*files_.Open(name, OpenMode::kCreate))->WriteAt(0, content).has_value());
  }
  CommandResult Verify() { return VerifyEvidence(files_, options_); }

  // RuleResult of the last verification, "absent" when the rule is not listed.
  static std::string RuleResult(const CommandResult& result, std::string_view rule) {
    const JsonValue json = Json(result);
    for (const JsonValue& check : *json.Find("checks")->if_array())
      if (*check.Find("rule")->if_string() == rule) return *check.Find("result")->if_string();
    return "absent";
  }
  static JsonValue Json(const CommandResult& result) {
    return ParseJson(result.out.substr(0, result.out.size() - 1)).value();
  }
  static std::string VerdictOf(const CommandResult& result) {
    return *Json(result).Find("verdict")->if_string();
  }

  // StoreReference writes what the stored log measures into PCR 4 and 7; `image` replaces the first
  // digest of PCR 4.
  void StoreReference(const std::string& name, std::optional<uint8_t> image) {
    const ReplayedLog log = ReplayedLog::Make(VectorFile("ovmf/ab-sb-on-slotA-v1/eventlog.bin"),
                                              pki::HashAlgorithm::kSha256)
                                .value();
    ReferenceFile file{
        .device_class = "edge", .bank = pki::HashAlgorithm::kSha256, .expectation = {}};
    for (const uint32_t pcr : {4u, 7u}) {
      PcrEventsExpected events;
      for (const Event* const event : log.grammar(pcr).judged)
        events.push_back({event->type, PcrDigest::Of(event->digest(Bank::kSha256)), "image"});
      if (pcr == 4 && image) events.at(0).digest = PcrDigest::Filled(Bank::kSha256, *image);
      file.expectation.pcrs.emplace(pcr, std::move(events));
    }
    Store(name, ToBytes(WriteReferenceFile(file)));
  }

  MemoryFileSystem files_;
  EvidenceVerifyOptions options_;
};

TEST_F(EvidenceCommands, ReplayPrintsTheFixedKeys) {
  const CommandResult result = ReplayLogFile(files_, {"eventlog.bin", true});

  EXPECT_EQ(result.code, ExitCode::kYes);
  const JsonValue json = Json(result);
  EXPECT_EQ(*json.Find("format")->if_string(), "crypto-agile");
  EXPECT_EQ(*json.Find("events")->if_integer(), 43);
  EXPECT_EQ(*json.Find("secure_boot")->if_bool(), true);
  EXPECT_EQ(*json.Find("startup_locality")->if_integer(), 0);
  EXPECT_EQ(*json.Find("banks")->Find("sha256")->Find("4")->if_string(),
            "2afa11aefe1bad06f1ea4b0f13be3ba577d1954f22996b0a888713989e8f8c50");
  EXPECT_EQ(json.Find("banks")->Find("sha256")->Find("8"), nullptr);
}

TEST_F(EvidenceCommands, ReplayReadsLegacyLogs) {
  Store("legacy.bin", VectorFile("eventlog/logs/tpm2tools__event-uefi-sha1-log.bin"));
  const CommandResult result = ReplayLogFile(files_, {"legacy.bin", true});
  EXPECT_EQ(*Json(result).Find("format")->if_string(), "sha1-legacy");
  EXPECT_EQ(*Json(result).Find("secure_boot")->if_bool(), false);
  EXPECT_NE(Json(result).Find("banks")->Find("sha1"), nullptr);
}

TEST_F(EvidenceCommands, ReplaySaysNullWithoutASecureBootVariable) {
  Store("event.bin", VectorFile("eventlog/logs/tpm2tools__event.bin"));
  EXPECT_EQ(Json(ReplayLogFile(files_, {"event.bin", true})).Find("secure_boot")->kind(),
            JsonValue::Kind::kNull);
}

TEST_F(EvidenceCommands, ReplayRefusesMalformedAndMissingLogsWithExitCode2) {
  Store("bogus.bin", VectorFile("eventlog/logs/keylime__bogus.bin"));
  const CommandResult bogus = ReplayLogFile(files_, {"bogus.bin", true});
  EXPECT_EQ(bogus.code, ExitCode::kUsage);
  EXPECT_EQ(*Json(bogus).Find("error")->Find("reason")->if_string(), "log.too-large");
  EXPECT_EQ(ReplayLogFile(files_, {"absent.bin", true}).code, ExitCode::kUsage);
  files_.FailReads("eventlog.bin");
  EXPECT_EQ(ReplayLogFile(files_, {"eventlog.bin", true}).code, ExitCode::kUsage);
}

TEST_F(EvidenceCommands, EventsPrintsOneObjectPerEvent) {
  const CommandResult result = ListLogEvents(files_, {"eventlog.bin", true});
  std::istringstream lines(result.out);
  std::vector<JsonValue> events;
  for (std::string line; std::getline(lines, line);) events.push_back(ParseJson(line).value());

  ASSERT_EQ(events.size(), 43u);
  const JsonValue& secure_boot = events[4];
  EXPECT_EQ(*secure_boot.Find("type")->if_string(), "EV_EFI_VARIABLE_DRIVER_CONFIG");
  EXPECT_EQ(*secure_boot.Find("decoded")->Find("name")->if_string(), "SecureBoot");
  EXPECT_EQ(secure_boot.Find("decoded")->Find("signatures"), nullptr);
  const JsonValue& db = events[7];
  EXPECT_EQ(*db.Find("decoded")->Find("name")->if_string(), "db");
  EXPECT_TRUE(
      db.Find("decoded")->Find("signatures")->if_array()->at(0).if_string()->starts_with("x509:"));
  EXPECT_EQ(*secure_boot.Find("rule")->if_string(), "hash-of-data");
  EXPECT_EQ(*secure_boot.Find("data_matches")->if_bool(), true);
  const JsonValue& application = events[30];
  EXPECT_EQ(*application.Find("rule")->if_string(), "measurement");
  EXPECT_EQ(application.Find("data_matches")->kind(), JsonValue::Kind::kNull);
}

TEST_F(EvidenceCommands, TextNamesWhatIsThere) {
  EXPECT_NE(ReplayLogFile(files_, {"eventlog.bin", false}).out.find("secure boot on"),
            std::string::npos);
  EXPECT_NE(ListLogEvents(files_, {"eventlog.bin", false}).out.find("SecureBoot (1 bytes)"),
            std::string::npos);
  options_.json = false;
  EXPECT_EQ(Verify().out.substr(0, 5), "pass\n");
}

TEST_F(EvidenceCommands, VerifyPassesARealBoot) {
  const CommandResult result = Verify();
  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_EQ(VerdictOf(result), "pass");
  EXPECT_EQ(RuleResult(result, "quote.magic"), "pass");
  EXPECT_EQ(RuleResult(result, "quote.digest"), "pass");
  EXPECT_EQ(RuleResult(result, "log.replay"), "pass");
  EXPECT_EQ(RuleResult(result, "ak.restricted"), "not-run");
  EXPECT_EQ(RuleResult(result, "ak.name"), "not-run");
  EXPECT_EQ(RuleResult(result, "quote.qualified-signer"), "not-run");
}

TEST_F(EvidenceCommands, VerifyLeavesTheDigestOpenWithoutLogAndValues) {
  options_.log.clear();
  const CommandResult result = Verify();
  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_EQ(RuleResult(result, "quote.digest"), "not-run");
  EXPECT_EQ(RuleResult(result, "log.present"), "not-run");
}

TEST_F(EvidenceCommands, VerifyNamesTheRuleThatFails) {
  options_.nonce = "00";
  EXPECT_EQ(RuleResult(Verify(), "quote.extra-data"), "fail");
  EXPECT_EQ(Verify().code, ExitCode::kNo);
  options_ = {.ak = "ak.pub",
              .attest = "quote.msg",
              .signature = "quote.sig",
              .nonce = "00",
              .pcrs = "sha256:0",
              .references = {}};
  options_.json = true;
  EXPECT_EQ(RuleResult(Verify(), "quote.selection"), "fail");
}

TEST_F(EvidenceCommands, VerifyRefusesMalformedEvidenceWithExitCode1) {
  Store("empty", {});
  const auto with = [&](std::string EvidenceVerifyOptions::* field, std::string_view rule) {
    EvidenceVerifyOptions options = options_;
    options.*field = "empty";
    const CommandResult result = VerifyEvidence(files_, options);
    EXPECT_EQ(result.code, ExitCode::kNo);
    EXPECT_EQ(RuleResult(result, rule), "fail");
  };
  with(&EvidenceVerifyOptions::ak, "ak.structure");
  with(&EvidenceVerifyOptions::attest, "quote.signature");
  with(&EvidenceVerifyOptions::signature, "quote.structure");
  with(&EvidenceVerifyOptions::log, "log.structure");
  with(&EvidenceVerifyOptions::pcr_values, "quote.values");
}

TEST_F(EvidenceCommands, VerifyRefusesWrongUsageWithExitCode2) {
  const auto code = [&](std::string EvidenceVerifyOptions::* field, const char* value) {
    EvidenceVerifyOptions options = options_;
    options.*field = value;
    return VerifyEvidence(files_, options).code;
  };
  EXPECT_EQ(code(&EvidenceVerifyOptions::nonce, "xyz"), ExitCode::kUsage);
  EXPECT_EQ(code(&EvidenceVerifyOptions::ak_parent, "owner"), ExitCode::kUsage);
  EXPECT_EQ(code(&EvidenceVerifyOptions::ak, "absent"), ExitCode::kUsage);
  for (const char* const pcrs :
       {"", "sha256", "sm3:0", "sha256:24", "sha256:0,0", "sha256:0,", "sha256:0;1", "sha256:x"})
    EXPECT_EQ(code(&EvidenceVerifyOptions::pcrs, pcrs), ExitCode::kUsage) << pcrs;
}

TEST_F(EvidenceCommands, VerifyNeverAcceptsSha1) {
  options_.pcrs = "sha1:0,2,4,7,9,11";
  const CommandResult result = Verify();
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_EQ(RuleResult(result, "quote.selection"), "fail");
}

TEST_F(EvidenceCommands, VerifyJudgesReferencesAsAlternatives) {
  StoreReference("good.json", std::nullopt);
  StoreReference("bad.json", 1);
  options_.references = {"bad.json", "good.json"};
  EXPECT_EQ(VerdictOf(Verify()), "pass");
  EXPECT_EQ(RuleResult(Verify(), "reference.match"), "pass");

  options_.references = {"bad.json"};
  const CommandResult result = Verify();
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_EQ(RuleResult(result, "pcr.4"), "fail");
  EXPECT_EQ(RuleResult(result, "pcr.7"), "pass");
  const JsonValue json = Json(result);
  const std::vector<JsonValue>& diff = *json.Find("diff")->if_array();
  ASSERT_EQ(diff.size(), 1u);
  EXPECT_EQ(*diff[0].Find("pcr")->if_integer(), 4);
  EXPECT_EQ(*diff[0].Find("event")->if_integer(), 30);
  EXPECT_EQ(*diff[0].Find("expected")->if_string(), HexEncode(Bytes(32, 1)));
}

TEST_F(EvidenceCommands, VerifyFailsWhenAReferenceCouldNotBeJudged) {
  StoreReference("good.json", std::nullopt);
  options_.references = {"good.json"};
  options_.log.clear();
  EXPECT_EQ(Verify().code, ExitCode::kNo);
  EXPECT_EQ(RuleResult(Verify(), "reference.available"), "fail");
}

TEST_F(EvidenceCommands, VerifyRefusesAReferenceThatDoesNotParse) {
  Store("bad.json", ToBytes(std::string_view("{}")));
  options_.references = {"bad.json"};
  EXPECT_EQ(Verify().code, ExitCode::kUsage);
}

TEST_F(EvidenceCommands, VerifyTakesPcrValuesAndIgnoresUnrequestedOnes) {
  const ReplayedLog log = ReplayedLog::Make(VectorFile("ovmf/ab-sb-on-slotA-v1/eventlog.bin"),
                                            pki::HashAlgorithm::kSha256)
                              .value();
  std::vector<JsonMember> pcrs;
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    pcrs.push_back({std::to_string(pcr), HexEncode(log.pcrs().value(pcr).view())});
  Store("pcrs.json",
        ToBytes(WriteJson(JsonValue::Object({{"sha256", JsonValue::Object(std::move(pcrs))}}))));
  options_.pcr_values = "pcrs.json";
  EXPECT_EQ(VerdictOf(Verify()), "pass");
  options_.log.clear();
  EXPECT_EQ(VerdictOf(Verify()), "pass");
  EXPECT_EQ(RuleResult(Verify(), "quote.digest"), "pass");
}

TEST_F(EvidenceCommands, VerifyFailsWhenAQuotedPcrIsNotInTheLog) {
  Store("other.bin", VectorFile("ovmf/ab-sb-off-step5-v1/eventlog.bin"));
  options_.log = "other.bin";
  EXPECT_EQ(RuleResult(Verify(), "quote.digest"), "fail");
}

TEST_F(EvidenceCommands, VerifyTakesPublicAreasAndDerSignatures) {
  const std::string boot = "ovmf/uki-sb-on-snakeoil/";
  for (const char* const name : {"quote.msg", "quote.sig", "ak.tpmt"})
    Store(name, VectorFile(boot + name));
  const Bytes area = VectorFile(boot + "ak.tpmt");
  ByteWriter wrapped;
  wrapped.Sized16(area);
  Store("ak.tpm2b", wrapped.bytes());
  const Bytes tpmt = VectorFile(boot + "quote.sig");
  const auto der = pki::ParseTpmSignature(tpmt).value().bytes;
  Store("quote.der", der);
  options_ = {.ak = "ak.tpmt",
              .attest = "quote.msg",
              .signature = "quote.sig",
              .nonce = VectorText(boot + "nonce"),
              .pcrs = "sha256:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23",
              .references = {}};
  options_.json = true;

  const CommandResult result = Verify();
  EXPECT_EQ(VerdictOf(result), "pass");
  EXPECT_EQ(RuleResult(result, "ak.restricted"), "pass");
  EXPECT_EQ(RuleResult(result, "quote.qualified-signer"), "pass");
  options_.ak = "ak.tpm2b";
  options_.signature = "quote.der";
  EXPECT_EQ(VerdictOf(Verify()), "pass");

  // One signature has one DER form.
  Bytes padded = der;
  padded.insert(padded.begin() + 4, 0);
  ++padded[1];
  ++padded[3];
  Bytes short_outer = der;
  --short_outer[1];
  Bytes trailing = der;
  trailing.push_back(0);
  for (const Bytes& malformed : {padded, short_outer, trailing}) {
    Store("malformed.der", malformed);
    options_.signature = "malformed.der";
    EXPECT_EQ(RuleResult(Verify(), "quote.scheme"), "fail") << HexEncode(malformed);
  }
}

// A real boot whose kernel listed its modules; the quote covers every PCR.
class ImaCommands : public EvidenceCommands {
 protected:
  ImaCommands() {
    const std::string boot = "ovmf/uki-sb-on-snakeoil/";
    for (const char* const name :
         {"quote.msg", "quote.sig", "ak.tpmt", "eventlog.bin", "ima_binary.bin", "ima_ascii.txt"})
      Store(name, VectorFile(boot + name));
    StoreValues(VectorText(boot + "pcrs.yaml"));
    options_ = {.ak = "ak.tpmt",
                .attest = "quote.msg",
                .signature = "quote.sig",
                .nonce = VectorText(boot + "nonce"),
                .pcrs = "sha256:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23",
                .pcr_values = "pcrs.json",
                .log = "eventlog.bin",
                .ima = "ima_binary.bin",
                .references = {"files.json"}};
    options_.json = true;
    StoreFiles(28);
  }
  void StoreValues(const std::string& yaml) {
    std::vector<JsonMember> pcrs;
    size_t at = yaml.find("sha256:");
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
      at = yaml.find("0x", at) + 2;
      pcrs.push_back({std::to_string(pcr), yaml.substr(at, 64)});
    }
    Store("pcrs.json",
          ToBytes(WriteJson(JsonValue::Object({{"sha256", JsonValue::Object(std::move(pcrs))}}))));
  }
  // StoreFiles allows the first `count` files of the list.
  void StoreFiles(size_t count) {
    const Bytes list = VectorFile("ovmf/uki-sb-on-snakeoil/ima_binary.bin");
    auto expected = std::make_shared<ImaExpected>();
    ByteReader in(list, "list");
    while (count-- > 0)
      expected->files.insert(ToString(ParseImaEntry(pki::ReadMeasuredEntry(in).value())->digest));
    ReferenceFile file{
        .device_class = "edge", .bank = pki::HashAlgorithm::kSha256, .expectation = {}};
    const ReplayedLog log =
        ReplayedLog::Make(VectorFile("ovmf/uki-sb-on-snakeoil/eventlog.bin"), file.bank).value();
    file.expectation.pcrs.emplace(4, log.pcrs().value(4));
    file.expectation.ima.push_back(std::move(expected));
    Store("files.json", ToBytes(WriteReferenceFile(file)));
  }
};

TEST_F(ImaCommands, VerifyJudgesAListInBothForms) {
  const CommandResult binary = Verify();
  EXPECT_EQ(VerdictOf(binary), "pass") << binary.out;
  EXPECT_EQ(RuleResult(binary, "ima.file"), "pass");
  options_.ima = "ima_ascii.txt";
  EXPECT_EQ(VerdictOf(Verify()), "pass");
}

TEST_F(ImaCommands, VerifyFailsOnAFileThatIsNotAllowed) {
  StoreFiles(27);
  const CommandResult result = Verify();
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_EQ(RuleResult(result, "ima.file"), "fail");
  EXPECT_NE(result.out.find("/mods/watchdog.ko"), std::string::npos);
}

TEST_F(ImaCommands, VerifyFailsWithoutValuesOrReferences) {
  options_.pcr_values.clear();
  EXPECT_EQ(RuleResult(Verify(), "ima.replay"), "fail");
  options_.pcr_values = "pcrs.json";
  options_.references.clear();
  EXPECT_EQ(RuleResult(Verify(), "ima.reference"), "fail");
}

TEST_F(ImaCommands, VerifyRefusesAnAsciiListThatDoesNotParse) {
  Store("bad.txt", ToBytes(std::string_view("10 zz ima-ng\n")));
  options_.ima = "bad.txt";
  EXPECT_EQ(Verify().code, ExitCode::kUsage);
}

}  // namespace
}  // namespace sallyport::server

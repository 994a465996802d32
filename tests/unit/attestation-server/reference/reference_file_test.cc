#include "attestation-server/reference/reference_file.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

const std::string kDigest(64, 'a');

std::string FileWith(const std::string& pcrs, const std::string& more = "") {
  return R"({"sallyport":"reference/v1","class":"edge","bank":"sha256","pcrs":)" + pcrs + more +
         "}";
}

std::string RuleOf(const std::string& json) {
  const Result<ReferenceFile> file = ParseReferenceFile(json);
  return file ? "" : std::string(file.error().name());
}

TEST(ReferenceFile, ReadsValuesAndEvents) {
  const std::string event = R"({"type":"EV_EFI_BOOT_SERVICES_APPLICATION","digest":")" + kDigest +
                            R"(","what":"uki 1.4.2"})";
  const ReferenceFile file = ParseReferenceFile(FileWith(R"({"7":{"value":")" + kDigest +
                                                         R"("},"4":{"events":[)" + event + "]}}"))
                                 .value();

  EXPECT_EQ(file.device_class, "edge");
  EXPECT_EQ(file.bank, pki::HashAlgorithm::kSha256);
  EXPECT_EQ(HexEncode(std::get<PcrValueExpected>(file.expectation.pcrs.at(7)).view()), kDigest);
  const auto& events = std::get<PcrEventsExpected>(file.expectation.pcrs.at(4));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, EventType::kBootServicesApplication);
  EXPECT_EQ(events[0].what, "uki 1.4.2");
  EXPECT_EQ(file.expectation.secure_boot, std::nullopt);
}

TEST(ReferenceFile, IsWrittenAsItIsRead) {
  const std::string json = FileWith(
      R"({"0":{"value":")" + kDigest + R"("},"11":{"events":[{"digest":")" + kDigest + R"("}]}})",
      R"(,"secure_boot":true)");
  const std::string once = WriteReferenceFile(ParseReferenceFile(json).value());
  EXPECT_EQ(WriteReferenceFile(ParseReferenceFile(once).value()), once);
  EXPECT_EQ(ParseReferenceFile(once)->expectation.secure_boot, true);
}

std::string SecureBootWith(const std::string& db) {
  return FileWith(R"({"7":{"secure_boot":{"pk":[],"kek":[],"db":[)" + db + R"(],"dbx":["sha256:)" +
                  kDigest + R"("],"events":[{"digest":")" + kDigest + R"("}]}}})");
}

TEST(ReferenceFile, ReadsAndWritesWhatSecureBootShallSay) {
  const std::string json =
      SecureBootWith("\"x509:" + std::string(64, 'b') + "\",\"x509:" + std::string(64, '0') + "\"");
  const ReferenceFile file = ParseReferenceFile(json).value();
  const auto& state = std::get<SecureBootExpected>(file.expectation.pcrs.at(7));
  ASSERT_EQ(state.db.size(), 2u);
  EXPECT_LT(state.db[0], state.db[1]);
  EXPECT_EQ(state.dbx.at(0).Text(), "sha256:" + kDigest);
  EXPECT_EQ(state.events.size(), 1u);
  const std::string once = WriteReferenceFile(file);
  EXPECT_EQ(WriteReferenceFile(ParseReferenceFile(once).value()), once);
}

TEST(ReferenceFile, MayNameItsDevicesAndWhatItSupersedes) {
  const std::string a(52, 'a'), b(52, 'b');
  const auto with = [](const std::string& member) {
    return ParseReferenceFile(
        "{" + member +
        R"(,"sallyport":"reference/v1","class":"edge","bank":"sha256","pcrs":{"7":{"value":")" +
        std::string(64, '0') + "\"}}}");
  };
  const auto rule = [&](const std::string& member) {
    const auto read = with(member);
    return read ? "read" : std::string(read.error().name());
  };
  const ReferenceFile file = with("\"devices\":[\"" + a + "\",\"" + b + "\"],\"supersedes\":[\"" +
                                  std::string(64, '1') + "\"]")
                                 .value();
  EXPECT_EQ(file.devices, (std::vector<std::string>{a, b}));
  EXPECT_EQ(file.supersedes.size(), 1u);
  const ReferenceFile again = ParseReferenceFile(WriteReferenceFile(file)).value();
  EXPECT_EQ(again.devices, file.devices);
  EXPECT_EQ(again.supersedes, file.supersedes);
  for (const std::string& devices :
       {std::string("[]"), "[\"" + b + "\",\"" + a + "\"]", "[\"" + a + "\",\"" + a + "\"]",
        std::string("[\"cam-1\"]"), std::string("[7]")})
    EXPECT_NE(rule("\"devices\":" + devices), "read") << devices;
  EXPECT_EQ(rule("\"supersedes\":[\"zz\"]"), "reference.supersedes");
  EXPECT_EQ(rule("\"supersedes\":[]"), "reference.supersedes");
}

TEST(ReferenceFile, RefusesSignaturesItDoesNotKnowAndSecureBootOutsidePcr7) {
  EXPECT_EQ(RuleOf(SecureBootWith("\"md5:00\"")), "reference.signature");
  EXPECT_EQ(RuleOf(SecureBootWith("7")), "reference.signature");
  std::string elsewhere = SecureBootWith("");
  elsewhere.replace(elsewhere.find("\"7\""), 3, "\"4\"");
  EXPECT_EQ(RuleOf(elsewhere), "reference.pcr");
}

TEST(ReferenceFile, RefusesAFileThatWouldAcceptAnything) {
  EXPECT_EQ(RuleOf(FileWith("{}")), "reference.pcrs");
}

TEST(ReferenceFile, RefusesAPcrJudgedByBothOrNeither) {
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{}})")), "reference.pcr");
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"events":[],"value":")" + kDigest + R"("}})")),
            "reference.pcr");
}

TEST(ReferenceFile, RefusesOtherSpellingsOfAPcr) {
  for (const char* const pcr : {"24", "04", "-1", "", "4 ", "x"})
    EXPECT_EQ(RuleOf(FileWith(std::string("{\"") + pcr + R"(":{"events":[]}})")), "reference.pcr")
        << pcr;
}

TEST(ReferenceFile, RefusesDigestsThatAreNotTheBanks) {
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"value":"aa"}})")), "reference.digest");
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"value":"zz"}})")), "reference.digest");
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"events":[{"digest":""}]}})")), "reference.digest");
}

TEST(ReferenceFile, RefusesSha1AndUnknownFormats) {
  EXPECT_EQ(RuleOf(R"({"sallyport":"reference/v1","class":"e","bank":"sha1","pcrs":{}})"),
            "reference.bank");
  EXPECT_EQ(RuleOf(R"({"sallyport":"reference/v2","class":"e","bank":"sha256","pcrs":{}})"),
            "reference.format");
}

TEST(ReferenceFile, RefusesUnknownKeysTypesAndDuplicates) {
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"events":[]}})", R"(,"accept_all":true)")),
            "json.unknown-key");
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"events":[]},"4":{"events":[]}})")), "json.duplicate-key");
  EXPECT_EQ(RuleOf(FileWith(R"({"4":{"events":[{"type":"EV_X","digest":")" + kDigest + R"("}]}})")),
            "reference.event");
  EXPECT_EQ(RuleOf("{}"), "json.missing-key");
  EXPECT_EQ(RuleOf(""), "json.syntax");
}

TEST(ReferenceFile, RefusesAnEmptyClass) {
  EXPECT_EQ(
      RuleOf(
          R"({"sallyport":"reference/v1","class":"","bank":"sha256","pcrs":{"4":{"events":[]}}})"),
      "reference.text");
}

}  // namespace
}  // namespace sallyport::server

// Sentences for operators.
#include "attestation-server/operations/explanation.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

std::string Explained(const char* json, const Others& others = {},
                      const char* nearest = "edge-os 1.4.2") {
  const JsonValue value = ParseJson(json).value();
  const auto sentence = ExplainDifference(JsonCursor(value), {nearest}, others);
  return sentence ? *sentence : std::string(sentence.error().name());
}

TEST(ExplainDifference, SaysWhatIsNotInWhichReleaseAndWhoElseShowsIt) {
  EXPECT_EQ(
      Explained(
          R"({"pcr":4,"event":17,"type":"EV_EFI_BOOT_SERVICES_APPLICATION",)"
          R"("got":"9f12ab349f12ab349f12ab34","data":"","expected":"3c5d","what":"edge-os 1.4.2"})",
          {311, 12, UnixTime::FromSeconds(1'790'000'000)}),
      "PCR 4 event 17: boot image 9f12ab349f12ab34.. is not in edge-os 1.4.2, which expects "
      "3c5d; 311 other devices show it since 2026-09-21T14:13:20Z (12 of them fail now)");
}

TEST(ExplainDifference, SaysWhatIsMissingTooMuchOrAnotherValue) {
  EXPECT_EQ(
      Explained(
          R"({"pcr":11,"event":-1,"type":"","got":"","data":"","expected":"3c5d","what":".linux"})"),
      "PCR 11: an event is missing that edge-os 1.4.2 expects: .linux 3c5d");
  EXPECT_EQ(
      Explained(R"({"pcr":0,"event":3,"type":"EV_EFI_PLATFORM_FIRMWARE_BLOB","got":"aa","data":"",)"
                R"("expected":"","what":"no further event is expected"})"),
      "PCR 0 event 3: firmware code aa does not belong there: no further event is expected; no "
      "other device has shown it");
  EXPECT_EQ(
      Explained(
          R"({"pcr":7,"event":-1,"type":"","got":"aa","data":"","expected":"bb","what":"value of the pcr"})"),
      "PCR 7: holds aa, edge-os 1.4.2 expects bb (value of the pcr); no other device has shown it");
}

TEST(ExplainDifference, WhatAnEventCallsItselfIsQuotedAndHarmless) {
  const std::string sentence = Explained(
      "{\"pcr\":4,\"event\":1,\"type\":\"\",\"got\":\"aa\",\"data\":\"\\u001b[2Jok\",\"expected\":"
      "\"bb\",\"what\":\"\"}");
  EXPECT_NE(sentence.find("it calls itself \"?[2Jok\""), std::string::npos) << sentence;
}

TEST(ExplainDifference, RefusesWhatIsNoDifference) {
  EXPECT_EQ(Explained("{}"), "json.missing-key");
}

TEST(LacksReferenceOnly, SaysYesToReferenceRulesAlone) {
  const auto lacks = [](const char* checks) {
    const JsonValue value = ParseJson(checks).value();
    return LacksReferenceOnly(JsonCursor(value));
  };
  EXPECT_TRUE(
      lacks(R"([{"rule":"pcr.4","result":"fail"},{"rule":"reference.match","result":"fail"}])"));
  EXPECT_FALSE(lacks(R"([{"rule":"pcr.4","result":"fail"},{"rule":"key.name","result":"fail"}])"));
  EXPECT_FALSE(
      lacks(R"([{"rule":"pcr.4","result":"fail"},{"rule":"log.replay","result":"not-run"}])"));
  EXPECT_FALSE(lacks(R"([{"rule":"secure-boot.off","result":"fail"}])"));
  EXPECT_TRUE(
      lacks(R"([{"rule":"pcr.4","result":"fail"},{"rule":"ima.file","result":"not-run"}])"));
  EXPECT_FALSE(lacks(R"([{"rule":"pcr.4","result":"fail"},{"rule":"ima.file","result":"fail"}])"));
  EXPECT_FALSE(lacks("[]"));
  EXPECT_FALSE(lacks("{}"));
}

TEST(ExplainRule, HasWordsForEveryKindOfRule) {
  for (const char* const rule :
       {"pcr.4", "reference.match", "reference.available", "secure-boot.off", "log.present",
        "ak.name", "quote.digest", "key.name", "tls.policy", "ima.file"})
    EXPECT_FALSE(ExplainRule(rule).empty()) << rule;
  EXPECT_EQ(ExplainRule("something"), "");
}

}  // namespace
}  // namespace sallyport::server

#include "attestation-server/evidence/appraise.h"

#include <gtest/gtest.h>

#include "tests/fakes/quoted_boot.h"

namespace sallyport::server {
namespace {

PcrDigest DigestOf(std::string_view text) { return HashWith(Bank::kSha256, AsBytes(text)); }

// An image is what a release expects of it: its applications in PCR 4, its sections in PCR 11.
Expectation Image(const std::string& name, bool kernel = true) {
  Expectation out{.label = name};
  PcrEventsExpected boot{{EventType::kBootServicesApplication, DigestOf(name + " stub"), name}};
  PcrEventsExpected sections;
  if (kernel) {
    boot.push_back({EventType::kBootServicesApplication, DigestOf(name + " linux"), name});
    for (const std::string section : {".linux", ".cmdline", ".initrd"}) {
      sections.push_back({std::nullopt, DigestOf(section + std::string(1, '\0')), name});
      sections.push_back({std::nullopt, DigestOf(name + section), name});
    }
  }
  out.pcrs.emplace(4, boot);
  out.pcrs.emplace(11, sections);
  return out;
}

Bytes Utf16(std::string_view text) {
  Bytes out;
  for (const char c : text) out.insert(out.end(), {static_cast<uint8_t>(c), 0});
  out.insert(out.end(), {0, 0});
  return out;
}

class FallBackTest : public testing::Test {
 public:
  FallBackTest() {
    log_.SecureBootVariables(false).Separator(7).Action(4, kCallingBootOption).Separators();
    Know(ReferenceRole::kCommitted, Image("good"));
    Know(ReferenceRole::kPending, Image("next"));
    Know(ReferenceRole::kRecovery, Image("no-kernel", false));
  }
  void Know(ReferenceRole role, Expectation expectation) {
    candidates_.push_back({role, std::move(expectation)});
  }
  FallBackTest& Stub(const std::string& name) {
    log_.Application(name + " stub");
    return *this;
  }
  // Section is one section as the stub measures it: name, then content.
  FallBackTest& Section(const std::string& name, const std::string& section) {
    const Bytes label = Utf16(section);
    log_.Measured(11, EventType::kIpl, AsBytes(section + std::string(1, '\0')), label);
    log_.Measured(11, EventType::kIpl, AsBytes(name + section), label);
    return *this;
  }
  FallBackTest& Sections(const std::string& name) {
    return Section(name, ".linux").Section(name, ".cmdline").Section(name, ".initrd");
  }
  // Options is a command line as systemd-boot and its stub measure it, over `hashed` if not itself.
  FallBackTest& Options(std::string_view text, std::string_view hashed = "") {
    const Bytes line = Utf16(text);
    log_.Measured(12, EventType::kIpl, hashed.empty() ? line : Utf16(hashed), line);
    return *this;
  }
  FallBackTest& Boots(const std::string& name) {
    Stub(name).Sections(name);
    log_.Application(name + " linux");
    return *this;
  }
  FallBackTest& Returns() {
    log_.Action(4, kReturningBootOption).Action(4, kCallingBootOption);
    return *this;
  }
  QuotedBoot::Outcome Outcome() { return boot_.Judge(log_, candidates_); }

  QuotedBoot boot_;
  EventLogBuilder log_;
  std::vector<Candidate> candidates_;
};

TEST_F(FallBackTest, PassesAfterASlotThatWasRefusedUnmeasured) {
  Returns().Returns().Boots("good");
  const auto outcome = Outcome();
  EXPECT_EQ(outcome.rule(), "");
  EXPECT_EQ(outcome.reference.nearest->expectation.label, "good");
}

TEST_F(FallBackTest, PassesAfterAKnownImageWithoutAKernel) {
  Stub("no-kernel").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "");
}

TEST_F(FallBackTest, PassesAfterAKnownImageThatReturnedBeforeAndAfterMeasuringItsSections) {
  Stub("next").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "");
}

TEST_F(FallBackTest, PassesAfterAKnownImageWhoseKernelDidNotLoad) {
  Stub("next").Sections("next").Returns().Stub("no-kernel").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "");
}

TEST_F(FallBackTest, PassesAfterTheSameImageReturnedOnce) {
  Stub("good").Sections("good").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "");
}

TEST_F(FallBackTest, RefusesAfterAnUnknownImageThatRan) {
  Stub("evil").Returns().Boots("good");
  const auto outcome = Outcome();
  EXPECT_EQ(outcome.rule(), "pcr.4");
  EXPECT_EQ(outcome.reference.diff.at(0).got, HexEncode(DigestOf("evil stub").view()));
}

// Whoever has root can extend PCR 4 and 11 as often as a log has room for: no proof may cost more
// for it.
TEST_F(FallBackTest, RefusesMoreBootOptionsThanAnyFirmwareTries) {
  for (int i = 0; i < 31; ++i) Stub("no-kernel").Returns();
  Boots("good");
  EXPECT_EQ(Outcome().rule(), "");
  Returns();
  Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.4");
  const ReplayedLog log = ReplayedLog::Make(log_.bytes(), QuotedBoot::kBank).value();
  EXPECT_EQ(log.grammar(4).fault->rule, "grammar.boot-option");
}

// What a disk's owner adds beside an approved image: a command line or credentials (PCR 12), system
// extensions (PCR 13).
TEST_F(FallBackTest, RefusesWhatCameBesideAnApprovedImage) {
  for (const uint32_t pcr : {12u, 13u}) {
    FallBackTest::log_ = EventLogBuilder();
    log_.SecureBootVariables(false).Separator(7).Action(4, kCallingBootOption).Separators();
    Boots("good");
    log_.Measured(pcr, EventType::kIpl, AsBytes("init=/bin/sh"), AsBytes("init=/bin/sh"));
    const auto outcome = Outcome();
    EXPECT_EQ(outcome.rule(), PcrRule(pcr));
    ASSERT_EQ(outcome.reference.diff.size(), 1u);
    EXPECT_EQ(outcome.reference.diff[0].got, HexEncode(DigestOf("init=/bin/sh").view()));
    EXPECT_EQ(outcome.detail(), "no reference lists what came beside the image");
  }
}

TEST_F(FallBackTest, PassesTheImagesOwnCommandLineFromTheBootLoader) {
  Boots("good").Options("good.cmdline").Options("good.cmdline");
  EXPECT_EQ(Outcome().rule(), "");
}

// The last line feed of the section is not passed on.
TEST_F(FallBackTest, PassesTheOwnCommandLineWithoutItsLineFeed) {
  Expectation image = Image("good");
  auto& sections = std::get<PcrEventsExpected>(image.pcrs.at(11));
  sections = {sections[2], {std::nullopt, DigestOf("quiet\n"), "line"}};
  candidates_.clear();
  Know(ReferenceRole::kCommitted, image);
  Stub("good");
  log_.Measured(11, EventType::kIpl, AsBytes(std::string_view(".cmdline\0", 9)), Utf16(".cmdline"));
  log_.Measured(11, EventType::kIpl, AsBytes("quiet\n"), Utf16(".cmdline"));
  log_.Application("good linux");
  Options("quiet");
  EXPECT_EQ(Outcome().rule(), "");
}

TEST_F(FallBackTest, RefusesAnyOtherCommandLineFromTheBootLoader) {
  const std::string good = "good.cmdline";
  const Bytes bare = ToBytes(AsBytes(good));
  const Bytes wide = Utf16(good);
  const Bytes open(wide.begin(), wide.end() - 2);
  Bytes longer = wide;
  std::ranges::copy(Utf16("init=/bin/sh"), std::back_inserter(longer));
  for (const Bytes& data : {Utf16(good + " init=/bin/sh"), Utf16("next.cmdline"), Utf16(""), bare,
                            open, longer, Bytes(wide.begin(), wide.end() - 1)}) {
    log_ = EventLogBuilder();
    log_.SecureBootVariables(false).Separator(7).Action(4, kCallingBootOption).Separators();
    Boots("good").Options(good);
    log_.Measured(12, EventType::kIpl, data, data);
    EXPECT_EQ(Outcome().rule(), "pcr.12") << HexEncode(data);
  }
}

// The log's event types are its sender's word. The grammar stops at one that does not belong there,
// and nothing behind it is among the judged events.
TEST_F(FallBackTest, RefusesACommandLineUnderAForeignEventType) {
  const Bytes line = Utf16("init=/bin/sh");
  for (const bool after_own : {false, true}) {
    log_ = EventLogBuilder();
    log_.SecureBootVariables(false).Separator(7).Action(4, kCallingBootOption).Separators();
    Boots("good");
    if (after_own) Options("good.cmdline");
    log_.Measured(12, EventType::kAction, line, line);
    EXPECT_EQ(Outcome().rule(), "pcr.12") << after_own;
  }
}

TEST_F(FallBackTest, RefusesTheCommandLineOfAReturnedImageForOneWithoutAny) {
  Expectation image = Image("bare");
  auto& sections = std::get<PcrEventsExpected>(image.pcrs.at(11));
  sections.erase(sections.begin() + 2, sections.end());
  Know(ReferenceRole::kCommitted, image);
  Stub("next").Sections("next").Returns();
  Stub("bare").Section("bare", ".linux").Options("next.cmdline");
  log_.Application("bare linux");
  EXPECT_EQ(Outcome().rule(), "pcr.12");
}

TEST_F(FallBackTest, RefusesACommandLineWhoseDigestIsOfAnother) {
  Boots("good").Options("good.cmdline", "init=/bin/sh");
  EXPECT_EQ(Outcome().rule(), "pcr.12");
}

TEST_F(FallBackTest, RefusesTheCommandLineOfTheImageThatReturned) {
  Stub("next").Sections("next").Options("next.cmdline").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.12");
}

TEST_F(FallBackTest, PassesWhatCameBesideAnImageWhenAReferenceListsIt) {
  Expectation image = Image("good");
  image.pcrs.emplace(12, PcrEventsExpected{{EventType::kIpl, DigestOf("quiet"), "options"}});
  candidates_.clear();
  Know(ReferenceRole::kCommitted, image);
  Boots("good");
  log_.Measured(12, EventType::kIpl, AsBytes("quiet"), AsBytes("quiet"));
  EXPECT_EQ(Outcome().rule(), "");
  log_.Measured(12, EventType::kIpl, AsBytes("init=/bin/sh"), AsBytes("init=/bin/sh"));
  EXPECT_EQ(Outcome().rule(), "pcr.12");
}

TEST_F(FallBackTest, RefusesAKnownImageThatStartedSomethingElse) {
  Stub("next").Stub("evil").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.4");
}

TEST_F(FallBackTest, RefusesAnUnknownImageThatStayed) {
  Stub("next").Returns().Boots("evil");
  EXPECT_EQ(Outcome().rule(), "pcr.4");
}

TEST_F(FallBackTest, RefusesSectionsOfAnImageThatDidNotRun) {
  Stub("no-kernel").Sections("next").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.11");
}

TEST_F(FallBackTest, RefusesHalfOfTheSectionsOfAKnownImage) {
  Stub("next").Section("next", ".linux").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.11");
}

TEST_F(FallBackTest, RefusesAKnownImageOfTheOtherSecureBootState) {
  candidates_[1].expectation.secure_boot = true;
  candidates_[0].expectation.secure_boot = false;
  Stub("next").Returns().Boots("good");
  EXPECT_EQ(Outcome().rule(), "pcr.4");
}

TEST_F(FallBackTest, RefusesTheFinalValueOfAFallBack) {
  const ReplayedLog straight =
      ReplayedLog::Make(EventLogBuilder(log_).Application("good stub").bytes(), QuotedBoot::kBank)
          .value();
  candidates_.clear();
  Expectation by_value{.label = "value"};
  by_value.pcrs.emplace(4, straight.pcrs().value(4));
  Know(ReferenceRole::kCommitted, by_value);
  Returns().Stub("good");
  EXPECT_EQ(Outcome().rule(), "pcr.4");
}

TEST(Appraise, AppliesAQuirkOfAFirmwareOnlyWhenItsVersionWasQuoted) {
  EventLogBuilder log;
  log.Hashed(0, EventType::kScrtmVersion, HexDecode("1efb6b540c1d5540a4ad4ef4bf17b83a").value());
  log.SecureBootVariables(false).Separator(7).Separators().Application("uki");
  Expectation expectation{.label = "ami"};
  expectation.pcrs.emplace(
      4, PcrEventsExpected{{EventType::kBootServicesApplication, DigestOf("uki"), "uki"}});
  const std::vector<Candidate> candidates{{ReferenceRole::kCommitted, expectation}};

  QuotedBoot boot;
  const auto quoted = boot.Judge(log.bytes(), log.bytes(), candidates, 1u << 0 | 1u << 4);
  EXPECT_EQ(quoted.rule(), "");
  EXPECT_EQ(quoted.checks.Of("quirk.ami-boot-option"), CheckResult::kPass);
  const auto unquoted = boot.Judge(log.bytes(), log.bytes(), candidates, 1u << 4);
  EXPECT_EQ(unquoted.rule(), "pcr.4");
}

TEST(Appraise, ShowsTheQuirksItApplied) {
  EventLogBuilder log;
  log.SecureBootVariables(true).Separator(7);
  Bytes data =
      EventLogBuilder::VariableData("605dab50-e046-4300-abb6-3dd810dd8b23", "Shim", Bytes(40, 9));
  const Bytes hashed = data;
  data.push_back(0);
  log.Measured(7, EventType::kVariableAuthority, hashed, data);
  const ReplayedLog replayed = ReplayedLog::Make(log.bytes(), QuotedBoot::kBank).value();
  Expectation expectation{.label = "shim"};
  PcrEventsExpected events;
  for (const Event* const event : replayed.grammar(7).judged)
    events.push_back({event->type, PcrDigest::Of(event->digest(Bank::kSha256)), ""});
  expectation.pcrs.emplace(7, events);

  const auto outcome = QuotedBoot().Judge(log, {{ReferenceRole::kCommitted, expectation}});

  EXPECT_EQ(outcome.rule(), "");
  EXPECT_EQ(outcome.checks.Of("quirk.shim-authority"), CheckResult::kPass);
}

}  // namespace
}  // namespace sallyport::server

// What a boot showed, as an expectation; and what never becomes one.
#include "attestation-server/evidence/observe.h"

#include <gtest/gtest.h>

#include "tests/fakes/quoted_boot.h"

namespace sallyport::server {
namespace {

PcrDigest DigestOf(std::string_view text) { return HashWith(Bank::kSha256, AsBytes(text)); }

Expectation Image(const std::string& image) {
  Expectation out{.label = image};
  out.pcrs.emplace(4,
                   PcrEventsExpected{{EventType::kBootServicesApplication, DigestOf(image), ""}});
  return out;
}

class ObserveTest : public testing::Test {
 protected:
  ObserveTest() {
    log_.SecureBootVariables(false).Separator(7).Action(4, kCallingBootOption).Separators();
  }
  Result<Expectation> Seen(const Expectation* base) {
    const Bytes bytes = log_.bytes();
    outcome_ = boot_.Judge(bytes, bytes, {}, kMask);
    replayed_.emplace(ReplayedLog::Make(bytes, QuotedBoot::kBank).value());
    return Observe(base, *outcome_.pcrs, *replayed_, {});
  }
  std::string Refused(const Expectation* base) {
    const Result<Expectation> seen = Seen(base);
    return seen ? "observed" : std::string(seen.error().name());
  }

  static constexpr uint32_t kMask = 1 << 0 | 1 << 4 | 1 << 7 | 1 << 11;
  QuotedBoot boot_;
  EventLogBuilder log_;
  QuotedBoot::Outcome outcome_;
  std::optional<ReplayedLog> replayed_;
};

TEST_F(ObserveTest, ReplacesWhatDiffersAndKeepsTheRest) {
  log_.Application("new");
  Expectation base = Image("old");
  base.pcrs.emplace(11, PcrDigest::Filled(Bank::kSha256, 0));
  const Expectation seen = Seen(&base).value();
  ASSERT_EQ(seen.pcrs.size(), 2u);
  const auto& events = std::get<PcrEventsExpected>(seen.pcrs.at(4));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].digest, DigestOf("new"));
  EXPECT_EQ(events[0].what, "") << "what an event says of itself is no reference value";
  EXPECT_EQ(std::get<PcrValueExpected>(seen.pcrs.at(11)), PcrDigest::Filled(Bank::kSha256, 0));
}

TEST_F(ObserveTest, TakesWhatCameBesideAnImageAmongWhatDiffers) {
  log_.Application("new");
  log_.Measured(12, EventType::kIpl, AsBytes("quiet"), AsBytes("quiet"));
  Expectation base = Image("new");
  base.pcrs.emplace(11, PcrDigest::Filled(Bank::kSha256, 0));
  const Bytes bytes = log_.bytes();
  const auto quoted = boot_.Judge(bytes, bytes, {}, kMask | 1u << 12);
  const ReplayedLog log = ReplayedLog::Make(bytes, QuotedBoot::kBank).value();
  EXPECT_EQ(DiffersOn(base, *quoted.pcrs, log, {}), std::vector<uint32_t>{12});
  const Expectation seen = Observe(&base, *quoted.pcrs, log, {}).value();
  EXPECT_EQ(std::get<PcrEventsExpected>(seen.pcrs.at(12)).at(0).digest, DigestOf("quiet"));
}

TEST_F(ObserveTest, WithoutABaseEveryQuotedPcrIsJudged) {
  log_.Application("new");
  const Expectation seen = Seen(nullptr).value();
  EXPECT_EQ(seen.pcrs.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<PcrEventsExpected>(seen.pcrs.at(4)));
  EXPECT_TRUE(std::holds_alternative<PcrEventsExpected>(seen.pcrs.at(7)));
  EXPECT_TRUE(std::holds_alternative<PcrValueExpected>(seen.pcrs.at(11)));
  EXPECT_EQ(seen.secure_boot, false);
}

TEST_F(ObserveTest, PcrsThatAreJudgedElsewhereAreLeftToIt) {
  log_.Application("new");
  static_cast<void>(Seen(nullptr));
  const Expectation seen = Observe(nullptr, *outcome_.pcrs, *replayed_, {}, 1u << 11).value();
  EXPECT_FALSE(seen.pcrs.contains(11));
  EXPECT_TRUE(seen.pcrs.contains(4));
}

TEST_F(ObserveTest, AValueStaysAValue) {
  log_.Application("new");
  Expectation base;
  base.pcrs.emplace(4, PcrDigest::Filled(Bank::kSha256, 0));
  const Expectation seen = Seen(&base).value();
  EXPECT_TRUE(std::holds_alternative<PcrValueExpected>(seen.pcrs.at(4)));
}

TEST_F(ObserveTest, ALogThatBreaksAGrammarIsNeverTaken) {
  log_.Application("new").Separator(4);
  const Expectation base = Image("old");
  EXPECT_EQ(Refused(&base), "observe.grammar");
  EXPECT_EQ(Refused(nullptr), "observe.grammar");
  Expectation by_value;
  by_value.pcrs.emplace(4, PcrDigest::Filled(Bank::kSha256, 0));
  EXPECT_EQ(Refused(&by_value), "observe.grammar") << "a value would hide it";
}

TEST_F(ObserveTest, SecureBootKeysAreWrittenByHand) {
  log_.Application("new");
  Expectation base = Image("new");
  base.pcrs.emplace(7, SecureBootExpected{});
  EXPECT_EQ(Refused(&base), "observe.secure-boot");
}

TEST_F(ObserveTest, WhatWasNotQuotedIsNotInvented) {
  log_.Application("new");
  Expectation base = Image("new");
  base.pcrs.emplace(9, PcrDigest::Filled(Bank::kSha256, 0));
  EXPECT_EQ(Refused(&base), "observe.refused");
}

TEST_F(ObserveTest, ABootForTheOtherSecureBootStateIsRefused) {
  log_.Application("new");
  Expectation base = Image("old");
  base.secure_boot = true;
  EXPECT_EQ(Refused(&base), "observe.refused");
}

}  // namespace
}  // namespace sallyport::server

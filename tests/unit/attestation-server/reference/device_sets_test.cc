#include "attestation-server/reference/device_sets.h"

#include <gtest/gtest.h>

#include "attestation-server/reference/reference_file.h"

namespace sallyport::server {
namespace {

Expectation Platform(std::string label = "class edge") {
  Expectation out{.label = std::move(label)};
  out.pcrs.emplace(7, PcrDigest::Filled(Bank::kSha256, 7));
  out.pcrs.emplace(4, PcrDigest::Filled(Bank::kSha256, 4));
  return out;
}

Sha256Digest Digest(uint8_t value) { return *Sha256Digest::FromView(Bytes(32, value)); }

ota::Release ReleaseWith(std::vector<Sha256Digest> off, std::vector<Sha256Digest> on) {
  const auto version = ota::ReleaseVersion::Parse("2.0.0").value();
  const ota::ReleaseFile file{"releases/edge-os/2.0.0/uki.efi", 1, Digest(1)};
  return {.product = "edge-os",
          .version = version,
          .hardware = {"virtual-x86_64"},
          .min_version = version,
          .rollback_index = 1,
          .security_floor = false,
          .uki = file,
          .image = {1, Digest(1), file, file},
          .measurements = {std::move(off), std::move(on), {Digest(11)}}};
}

TEST(ExpectationsOfRelease, MakesOneAlternativePerSecureBootState) {
  const std::vector<Expectation> both =
      ExpectationsOfRelease(ReleaseWith({Digest(1), Digest(2)}, {Digest(1)}));

  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].secure_boot, false);
  EXPECT_EQ(both[1].secure_boot, true);
  EXPECT_EQ(both[0].label, "edge-os 2.0.0");
  EXPECT_EQ(std::get<PcrEventsExpected>(both[0].pcrs.at(4)).size(), 2u);
  EXPECT_EQ(std::get<PcrEventsExpected>(both[1].pcrs.at(4)).size(), 1u);
  EXPECT_EQ(std::get<PcrEventsExpected>(both[1].pcrs.at(11)).size(), 1u);
  EXPECT_EQ(ExpectationsOfRelease(ReleaseWith({}, {Digest(1)})).size(), 1u);
}

TEST(ChooseCandidates, GivesADeviceWithoutReleasesItsClassAlone) {
  const std::vector<Candidate> candidates =
      ChooseCandidates({.platform = {Platform()}, .committed = {}, .pending = {}, .recovery = {}});
  ASSERT_EQ(candidates.size(), 1u);
  EXPECT_EQ(candidates[0].role, ReferenceRole::kCommitted);
}

TEST(ChooseCandidates, GivesNothingToADeviceWithoutReferences) {
  EXPECT_TRUE(ChooseCandidates({}).empty());
}

TEST(ChooseCandidates, FallBackToTheImageBeforeTheFirstReleaseIsARecovery) {
  const Expectation before = Platform();
  const std::vector<Candidate> candidates =
      ChooseCandidates({.platform = {before},
                        .committed = ExpectationsOfRelease(ReleaseWith({Digest(1)}, {})),
                        .pending = {},
                        .recovery = {before}});

  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[1].role, ReferenceRole::kRecovery);
  EXPECT_EQ(std::get<PcrDigest>(candidates[1].expectation.pcrs.at(4)),
            std::get<PcrDigest>(before.pcrs.at(4)));
}

TEST(ChooseCandidates, KeepsTheClassOpenWhileAFirstUpdateIsPending) {
  const DeviceSets sets{.platform = {Platform()},
                        .committed = {},
                        .pending = ExpectationsOfRelease(ReleaseWith({Digest(1)}, {Digest(2)})),
                        .recovery = {}};
  const std::vector<Candidate> candidates = ChooseCandidates(sets);

  ASSERT_EQ(candidates.size(), 3u);
  EXPECT_EQ(candidates[0].role, ReferenceRole::kCommitted);
  EXPECT_EQ(candidates[1].role, ReferenceRole::kPending);
  EXPECT_EQ(candidates[1].expectation.secure_boot, false);
  EXPECT_EQ(candidates[1].expectation.label, "edge-os 2.0.0 on class edge");
}

TEST(ChooseCandidates, LetsTheReleaseDecideThePcrsItChanges) {
  const DeviceSets sets{.platform = {Platform()},
                        .committed = ExpectationsOfRelease(ReleaseWith({}, {Digest(2)})),
                        .pending = {},
                        .recovery = {}};
  const std::vector<Candidate> candidates = ChooseCandidates(sets);

  ASSERT_EQ(candidates.size(), 1u);
  const Expectation& merged = candidates[0].expectation;
  EXPECT_TRUE(std::holds_alternative<PcrEventsExpected>(merged.pcrs.at(4)));
  EXPECT_TRUE(std::holds_alternative<PcrValueExpected>(merged.pcrs.at(7)));
}

// With a boot loader in between, PCR 4 holds it before the image.
class BootLoaderTest : public testing::Test {
 protected:
  static PcrEventsExpected Applications(const std::vector<uint8_t>& digests) {
    PcrEventsExpected out;
    for (const uint8_t digest : digests)
      out.push_back(
          {EventType::kBootServicesApplication, PcrDigest::Of(Digest(digest).view()), ""});
    return out;
  }
  // Pcr4 is what is expected under a release of images 1 (and kernel 2 with Secure Boot off).
  static std::vector<PcrDigest> Pcr4(std::vector<uint8_t> of_class, std::optional<bool> on) {
    Expectation platform = Platform();
    platform.secure_boot = on;
    platform.pcrs.insert_or_assign(4, Applications(of_class));
    const auto candidates = ChooseCandidates(
        {.platform = {platform},
         .committed = ExpectationsOfRelease(on == true ? ReleaseWith({}, {Digest(1)})
                                                       : ReleaseWith({Digest(1), Digest(2)}, {})),
         .pending = {},
         .recovery = {}});
    std::vector<PcrDigest> out;
    for (const ExpectedEvent& event :
         std::get<PcrEventsExpected>(candidates.at(0).expectation.pcrs.at(4)))
      out.push_back(event.digest);
    return out;
  }
  static std::vector<PcrDigest> Digests(const std::vector<uint8_t>& values) {
    std::vector<PcrDigest> out;
    for (const ExpectedEvent& event : Applications(values)) out.push_back(event.digest);
    return out;
  }
};

TEST_F(BootLoaderTest, StaysBeforeTheImageOfTheRelease) {
  EXPECT_EQ(Pcr4({90, 8, 9}, false), Digests({90, 1, 2}));
  EXPECT_EQ(Pcr4({90, 8, 9}, std::nullopt), Digests({90, 1, 2}));
  EXPECT_EQ(Pcr4({90, 91, 8, 9}, false), Digests({90, 91, 1, 2}));
  EXPECT_EQ(Pcr4({90, 8}, true), Digests({90, 1}));
}

TEST_F(BootLoaderTest, IsNotMadeOfTheImageOfTheClass) {
  EXPECT_EQ(Pcr4({8, 9}, false), Digests({1, 2}));
  EXPECT_EQ(Pcr4({8, 9}, std::nullopt), Digests({1, 2}));
  EXPECT_EQ(Pcr4({8}, true), Digests({1}));
  EXPECT_EQ(Pcr4({8}, false), Digests({1, 2}));
  EXPECT_EQ(Pcr4({}, false), Digests({1, 2}));
}

TEST(ChooseCandidates, DoesNotCombineDifferentSecureBootStates) {
  Expectation on = Platform();
  on.secure_boot = true;
  const DeviceSets sets{.platform = {on},
                        .committed = ExpectationsOfRelease(ReleaseWith({Digest(1)}, {Digest(2)})),
                        .pending = {},
                        .recovery = {}};
  const std::vector<Candidate> candidates = ChooseCandidates(sets);

  ASSERT_EQ(candidates.size(), 1u);
  EXPECT_EQ(candidates[0].expectation.secure_boot, true);
}

TEST(ChooseCandidates, OrdersCommittedBeforePendingBeforeRecovery) {
  const std::vector<Expectation> release = ExpectationsOfRelease(ReleaseWith({Digest(1)}, {}));
  const std::vector<Candidate> candidates =
      ChooseCandidates({{Platform("a"), Platform("b")}, release, release, release});

  ASSERT_EQ(candidates.size(), 6u);
  EXPECT_EQ(candidates[0].role, ReferenceRole::kCommitted);
  EXPECT_EQ(candidates[2].role, ReferenceRole::kPending);
  EXPECT_EQ(candidates[4].role, ReferenceRole::kRecovery);
}

TEST(ChooseCandidates, AnOwnAlternativeStandsForItselfAndUnderLaterReleases) {
  DeviceSets sets;
  sets.committed = ExpectationsOfRelease(ReleaseWith({Digest(1)}, {}));
  sets.own = {Platform("own")};
  const std::vector<Candidate> candidates = ChooseCandidates(sets);
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].role, ReferenceRole::kCommitted);
  EXPECT_EQ(candidates[0].expectation.label, "edge-os 2.0.0 on own");
  EXPECT_EQ(candidates[1].role, ReferenceRole::kOwn);
  EXPECT_EQ(candidates[1].expectation.label, "own");
}

TEST(ChooseCandidates, AnOwnAlternativeTakesNothingAwayFromTheClass) {
  DeviceSets sets;
  sets.platform = {Platform()};
  sets.own = {Platform("own")};
  const std::vector<Candidate> candidates = ChooseCandidates(sets);
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].expectation.label, "class edge");
  EXPECT_EQ(candidates[1].role, ReferenceRole::kOwn);
}

TEST(PutOnBase, TakesTheReleasesPcrsAndKeepsTheOthers) {
  ReferenceFile base{.device_class = "edge", .expectation = Platform()};
  base.expectation.secure_boot = true;
  const ReferenceFile made = PutOnBase(ReleaseWith({Digest(1)}, {Digest(2)}), base).value();
  EXPECT_TRUE(std::holds_alternative<PcrValueExpected>(made.expectation.pcrs.at(7)));
  EXPECT_EQ(std::get<PcrEventsExpected>(made.expectation.pcrs.at(4))[0].digest,
            PcrDigest::Of(Digest(2).view()));
  EXPECT_TRUE(made.expectation.pcrs.contains(11));
  EXPECT_EQ(made.expectation.secure_boot, true);
  const ExpectedEvent loader{std::nullopt, PcrDigest::Of(Digest(90).view()), "loader"};
  base.expectation.pcrs.insert_or_assign(4, PcrEventsExpected{loader, loader});
  const auto behind = PutOnBase(ReleaseWith({}, {Digest(2)}), base).value();
  EXPECT_EQ(std::get<PcrEventsExpected>(behind.expectation.pcrs.at(4)).size(), 2u);
  EXPECT_EQ(PutOnBase(ReleaseWith({Digest(1)}, {}), base).error().rule, "release.secure-boot");
  base.expectation.secure_boot.reset();
  EXPECT_EQ(PutOnBase(ReleaseWith({Digest(1)}, {Digest(2)}), base).error().rule,
            "release.secure-boot");
}

}  // namespace
}  // namespace sallyport::server

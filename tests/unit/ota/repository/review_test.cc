#include "ota/repository/review.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class ReviewTest : public RepositoryFixture {
 protected:
  void StageRelease() { ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90))); }
  std::string Refusal(std::string_view role = "targets") {
    const auto review = ReviewStaged(folder_, role);
    return review ? "ok" : std::string(review.error().name());
  }
  // Restage writes the staged body of `role` again with members replaced.
  void Restage(const std::string& role, std::vector<JsonMember> members) {
    const auto draft = folder_.Staged(role).value();
    ASSERT_TRUE(folder_.StageBody(role, WithMembers(draft.body, std::move(members))));
  }
  static bool Mentions(const Review& review, std::string_view text) {
    return ReviewText(review).find(text) != std::string::npos;
  }
};

TEST_F(ReviewTest, ShowsRoleVersionExpiryPayloadDigestAndEveryDifference) {
  StageRelease();
  const auto review = ReviewStaged(folder_, "targets");
  ASSERT_TRUE(review) << review.error().ToString();
  EXPECT_EQ(review->version, 2U);
  EXPECT_EQ(review->previous_version, 1U);
  EXPECT_EQ(review->expires, FormatRfc3339(kNow + Days(90)));
  EXPECT_TRUE(
      Mentions(*review, HexEncode(pki::Sha256(AsBytes(CanonicalJson(review->draft.body))))));
  EXPECT_TRUE(Mentions(*review, "new release: edge-os 2.0.0 for virtual-x86_64"));
  EXPECT_TRUE(Mentions(*review, "~ \"version\": 1 -> 2"));
  EXPECT_TRUE(Mentions(*review, "+ \"targets\".\"releases/edge-os/2.0.0/uki.efi\".\"length\""));
}

TEST_F(ReviewTest, ShowsWhichReleaseIsWithdrawn) {
  StageRelease();
  SignBoth("targets");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  ASSERT_TRUE(WithdrawRelease(folder_, "edge-os", Inputs().version, kNow + Days(90)));
  const auto review = ReviewStaged(folder_, "targets");
  ASSERT_TRUE(review) << review.error().ToString();
  EXPECT_TRUE(Mentions(*review, "WITHDRAWN release: releases/edge-os/2.0.0/release.json\n"));
  EXPECT_TRUE(Mentions(*review, "- \"targets\".\"releases/edge-os/2.0.0/uki.efi\".\"length\""));
  EXPECT_FALSE(Mentions(*review, "new release"));
}

TEST_F(ReviewTest, ShowsCharactersThatDeceiveTheEyeAsBytes) {
  StageRelease();
  const JsonValue targets = *folder_.Staged("targets")->body.Find("targets");
  const JsonValue file = targets.if_object()->front().value;
  Restage("targets", {{"targets", WithMembers(targets, {{"a\n+ \"b\"\xe2\x80\xae\x7f", file}})}});
  const auto review = ReviewStaged(folder_, "targets");
  ASSERT_TRUE(review) << review.error().ToString();
  const std::string text = ReviewText(*review);
  EXPECT_TRUE(
      std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c < 0x7f); }));
  EXPECT_TRUE(Mentions(*review, "<e2><80><ae><7f>"));
}

TEST_F(ReviewTest, RefusesToShowMembersItDoesNotKnow) {
  StageRelease();
  Restage("targets", {{"surprise", 1}});
  EXPECT_EQ(Refusal(), "sign.cannot-show");
}

TEST_F(ReviewTest, RefusesAReleaseWhoseFileIsAbsentOrAltered) {
  StageRelease();
  const auto targets = DraftTargets(folder_.Staged("targets").value()).value();
  const std::string path = "releases/edge-os/2.0.0/release.json";
  const std::string file = folder_.TargetFilePath(path, *targets.Find(path)->digests.sha256());
  Bytes json = ReadFile(files_, file, kReleaseSizeMax).value();
  json[json.size() / 2] ^= 1;
  Write(file, json);
  EXPECT_EQ(Refusal(), "sign.cannot-show");
  ASSERT_TRUE(files_.Remove(file));
  EXPECT_EQ(Refusal(), "sign.cannot-show");
}

TEST_F(ReviewTest, RefusesKeysThatAreNotWhatTheirIdSays) {
  StageRelease();
  const JsonValue delegations = *folder_.Staged("targets")->body.Find("delegations");
  const std::string id = Key("policy-1").id;
  const JsonValue keys =
      WithMembers(*delegations.Find("keys"), {{id, KeyToJson(Key("root-1").key.public_key())}});
  Restage("targets", {{"delegations", WithMembers(delegations, {{"keys", keys}})}});
  EXPECT_EQ(Refusal(), "sign.cannot-show");
}

TEST_F(ReviewTest, RefusesAVersionThatDoesNotFollowThePublishedOne) {
  StageRelease();
  for (const int version : {1, 3}) {
    Restage("targets", {{"version", version}});
    EXPECT_EQ(Refusal(), "repository.version-not-next");
    for (const char* key : {"targets-1", "targets-2"})
      ASSERT_TRUE(SignStaged(folder_, "targets", Key(key)));
    EXPECT_EQ(Rule(PublishNow()), "repository.version-not-next");
  }
}

TEST_F(ReviewTest, SignsNothingThatWasSwappedAfterItWasShown) {
  StageRelease();
  const auto review = ReviewStaged(folder_, "targets").value();
  Restage("targets", {{"expires", "2099-01-01T00:00:00Z"}});
  EXPECT_EQ(SignReviewed(folder_, review, Key("targets-1")).error().name(), "sign.draft-changed");
  EXPECT_EQ(StatusOf(folder_, "targets")->signatures, 0U);
}

TEST_F(ReviewTest, KeepsASignatureThatCameWhileItWasShown) {
  StageRelease();
  const auto review = ReviewStaged(folder_, "targets").value();
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-2")));
  EXPECT_TRUE(SignReviewed(folder_, review, Key("targets-1"))->ready);
}

TEST_F(ReviewTest, SignaturesOfTwoCopiesAreMerged) {
  StageRelease();
  const Bytes unsigned_draft = folder_.Staged("targets")->bytes;
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-1")));
  const Bytes alice = folder_.Staged("targets")->bytes;
  ASSERT_TRUE(folder_.Stage("targets", unsigned_draft));
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-2")));
  const auto merged = MergeSignatures(folder_, "targets", alice);
  ASSERT_TRUE(merged) << merged.error().ToString();
  EXPECT_TRUE(merged->ready);
  EXPECT_TRUE(MergeSignatures(folder_, "targets", alice)->ready);
  EXPECT_TRUE(PublishNow());
}

TEST_F(ReviewTest, MergesNoForeignNoForgedAndNoOtherPayloadsSignature) {
  StageRelease();
  const JsonValue body = folder_.Staged("targets")->body;
  const Signer foreign = Key("root-1");
  EXPECT_EQ(MergeSignatures(folder_, "targets", *WriteSigned(body, {&foreign})).error().name(),
            "repository.foreign-key");
  const Signer good = Key("targets-1");
  std::string forged = ToString(*WriteSigned(body, {&good}));
  const size_t at = forged.find("\"sig\":\"") + 10;
  forged[at] = forged[at] == '0' ? '1' : '0';
  EXPECT_EQ(MergeSignatures(folder_, "targets", AsBytes(forged)).error().name(),
            "repository.foreign-key");
  const JsonValue other = WithMembers(body, {{"version", 7}});
  EXPECT_EQ(MergeSignatures(folder_, "targets", *WriteSigned(other, {&good})).error().name(),
            "merge.payload-differs");
  EXPECT_FALSE(MergeSignatures(folder_, "targets", AsBytes("{}")));
  EXPECT_EQ(StatusOf(folder_, "targets")->signatures, 0U);
}

}  // namespace
}  // namespace sallyport::ota

#include "ota/repository/signed_release.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class SignedReleaseTest : public RepositoryFixture {
 protected:
  SignedReleaseTest() {
    SP_CHECK(CreateRelease(folder_, Inputs(), kNow + Days(90)).has_value());
    const auto staged = DraftTargets(folder_.Staged("targets").value()).value();
    const auto& file = staged.targets.at("releases/edge-os/2.0.0/release.json");
    json_ = ReadFile(files_,
                     folder_.TargetFilePath("releases/edge-os/2.0.0/release.json",
                                            *file.digests.sha256()),
                     1 << 20)
                .value();
    root_ = folder_.PublishedVersion("root", 1).value();
  }
  std::string Check(UnixTime now = kNow, const std::string& domain = "edge.example") {
    const auto checked = CheckSignedRelease(folder_, root_, domain, json_, now);
    return checked ? "signed" : std::string(checked.error().name());
  }
  void Sign() {
    SignBoth("targets");
    ASSERT_TRUE(PublishNow());
  }

  Bytes json_;
  Bytes root_;
};

TEST_F(SignedReleaseTest, TakesWhatEnoughOfflineKeysSigned) {
  Sign();
  EXPECT_EQ(Check(), "signed");
}

TEST_F(SignedReleaseTest, RefusesWhatLiesThereUnsigned) {
  EXPECT_EQ(Check(), "release.unsigned");
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-1")));
  EXPECT_EQ(Check(), "release.unsigned") << "one of two signatures, and not published";
}

TEST_F(SignedReleaseTest, RefusesOtherBytesOfASignedRelease) {
  Sign();
  Release other = ParseRelease(json_).value();
  other.measurements.pcr4_secure_boot_on.push_back(pki::Sha256(AsBytes("evil")));
  json_ = ToBytes(WriteRelease(other));
  EXPECT_EQ(Check(), "release.unsigned");
}

TEST_F(SignedReleaseTest, BelievesTheRootItWasGivenAlone) {
  Sign();
  EXPECT_EQ(Check(kNow, "other.example"), "tuf.profile");
  MemoryFileSystem files;
  RepositoryFolder foreign(files, "/repo");
  ASSERT_TRUE(FoundUpdateTrust(files, "/keys", "/repo",
                               {.trust_domain = "edge.example",
                                .development = true,
                                .threshold = 1,
                                .online_passphrase = ""},
                               kNow)
                  .has_value());
  root_ = foreign.PublishedVersion("root", 1).value();
  EXPECT_NE(Check(), "signed");
}

TEST_F(SignedReleaseTest, RefusesAFolderThatIsOlderThanItsTimestamp) {
  Sign();
  EXPECT_EQ(Check(kNow + Days(1)), "tuf.expired");
}

}  // namespace
}  // namespace sallyport::ota

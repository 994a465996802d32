#include "ota/repository/components.h"

#include "ota/repository/review.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/capsule_builder.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class ComponentsTest : public RepositoryFixture {
 protected:
  ComponentsTest() {
    Write("/in/app.img", app_);
    Write("/in/bios.cap", capsule_);
    Write("/in/empty", Bytes());
  }
  Result<Release> Create(std::vector<ComponentInput> components) {
    ReleaseInputs inputs = Inputs();
    inputs.components = std::move(components);
    return CreateRelease(folder_, inputs, kNow + Days(90));
  }
  std::string RuleOf(std::vector<ComponentInput> components) {
    const auto release = Create(std::move(components));
    return release ? "ok" : std::string(release.error().name());
  }
  const Bytes app_ = Bytes(3 << 20, 5);
  const Bytes capsule_ = BuildCapsule(ToBytes("firmware"));
};

TEST_F(ComponentsTest, AreTargetsOfTheRelease) {
  const Release release = Create({{"app", "/in/app.img"}, {"bios", "/in/bios.cap", 9}}).value();

  ASSERT_EQ(release.components.size(), 2u);
  const ReleaseFile& app = release.components[0].file;
  EXPECT_EQ(app.path, "releases/edge-os/2.0.0/components/app");
  EXPECT_EQ(app.sha256, pki::Sha256(app_));
  EXPECT_EQ(*ReadFile(files_, folder_.TargetFilePath(app.path, app.sha256), 4 << 20), app_);
  EXPECT_EQ(release.components[1].firmware, (FirmwareVersion{std::string(kTestFirmwareClass), 9}));
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());
  const auto trusted = Refresh();
  ASSERT_TRUE(trusted);
  for (const ReleaseFile* file : FilesOf(release))
    EXPECT_NE(trusted->top().Find(file->path), nullptr) << file->path;
}

TEST_F(ComponentsTest, AreShownToTheSigner) {
  ASSERT_TRUE(Create({{"app", "/in/app.img"}, {"bios", "/in/bios.cap", 9}}));
  const std::string text = ReviewText(*ReviewStaged(folder_, "targets"));

  EXPECT_NE(text.find("file app"), std::string::npos) << text;
  EXPECT_NE(text.find("capsule bios of 00112233-4455-6677-8899-aabbccddeeff version 9"),
            std::string::npos)
      << text;
}

TEST_F(ComponentsTest, RefusesWhatCannotBeAComponent) {
  EXPECT_EQ(RuleOf({{"../app", "/in/app.img"}}), "release.component");
  EXPECT_EQ(RuleOf({{"app", "/in/app.img"}, {"app", "/in/app.img"}}), "release.component");
  EXPECT_EQ(RuleOf({{"app", "/in/empty"}}), "release.component");
  EXPECT_EQ(RuleOf({{"app", "/in/absent"}}), "not-found");
  EXPECT_EQ(RuleOf({{"bios", "/in/app.img", 9}}), "capsule.header");
  EXPECT_EQ(RuleOf(std::vector<ComponentInput>(9, {"app", "/in/app.img"})), "release.component");
}

TEST(ParseComponentInput, ReadsBothForms) {
  const auto file = ParseComponentInput("app=/in/a=b@c", false);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->name, "app");
  EXPECT_EQ(file->path, "/in/a=b@c");
  const auto capsule = ParseComponentInput("bios=/in/bios@home.cap@17", true);
  ASSERT_TRUE(capsule);
  EXPECT_EQ(capsule->path, "/in/bios@home.cap");
  EXPECT_EQ(capsule->firmware_version, 17u);
  for (const char* bad : {"app", "app="}) EXPECT_FALSE(ParseComponentInput(bad, false)) << bad;
  for (const char* bad :
       {"bios=/in/b.cap", "bios=/in/b.cap@", "bios=b@x", "bios=b@4294967296", "bios=@1"})
    EXPECT_FALSE(ParseComponentInput(bad, true)) << bad;
}

}  // namespace
}  // namespace sallyport::ota

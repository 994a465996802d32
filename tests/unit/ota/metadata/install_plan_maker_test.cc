#include "ota/metadata/install_plan_maker.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace sallyport::ota {
namespace {

// What the installer takes cannot be made from unverified bytes: these do not compile, which is the
// point.
TEST(InstallPlan, ComesOnlyFromAVerifiedReleaseOrBundle) {
  EXPECT_FALSE((std::is_constructible_v<InstallPlan, InstallFacts>));
  EXPECT_FALSE((std::is_constructible_v<InstallPlan, InstallFacts, LocalCommit>));
  EXPECT_FALSE((std::is_constructible_v<VerifiedBundle, BundleStatement, Sha256Digest, Release,
                                        Bytes, TrustedMetadata>));
  EXPECT_FALSE((std::is_constructible_v<VerifiedRelease, ReleaseDigest, Release, Bytes>));
  EXPECT_FALSE(std::is_default_constructible_v<VerifiedManifest>);
}

}  // namespace
}  // namespace sallyport::ota

#include "attestation-server/cli/ek_bundle_command.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

constexpr const char* kImported =
    R"({"imported":true,"lists":0,"profile":"default","refused":[],"vendors":[{"added":[{"anchor":true,"not_after":"2040-01-01T00:00:00Z","sha256":"00","subject":"CN=Root"}],"kept":2,"removed":1,"vendor":"IFX"}],"version":3})";
constexpr const char* kRefused =
    R"({"imported":false,"lists":0,"profile":"default","refused":[{"detail":"rsa-1024","file":"a.pem","rule":"bundle.weak-key","subject":"CN=Old"}],"vendors":[],"version":2})";

TEST(ShowEkBundle, TellsWhatWasAddedPerVendor) {
  const CommandResult shown = ShowEkBundle(kImported, false);
  EXPECT_EQ(shown.code, ExitCode::kYes);
  EXPECT_EQ(
      shown.out,
      "imported version 3 into profile default\nIFX: 1 added, 2 kept, 1 removed\n  + CN=Root, "
      "until 2040-01-01T00:00:00Z\n");
}

TEST(ShowEkBundle, IsAClearNoWhenNothingWasImported) {
  const CommandResult shown = ShowEkBundle(kRefused, false);
  EXPECT_EQ(shown.code, ExitCode::kNo);
  EXPECT_NE(shown.out.find("refused a.pem: bundle.weak-key: rsa-1024 (CN=Old)"), std::string::npos);
}

TEST(ShowEkBundle, GivesTheReportItselfToPrograms) {
  EXPECT_TRUE(ShowEkBundle(kImported, true).out.starts_with(kImported));
  EXPECT_EQ(ShowEkBundle(kRefused, true).code, ExitCode::kNo);
  EXPECT_NE(ShowEkBundle("no JSON", true).code, ExitCode::kYes);
}

}  // namespace
}  // namespace sallyport::server

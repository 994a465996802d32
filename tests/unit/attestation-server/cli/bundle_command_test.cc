#include "attestation-server/cli/bundle_command.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "attestation-server/cli/release_commands.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

// The way from a role to a folder: docs/operations/usb-update.md, which CI runs.
TEST(BundleCommand, NeedsExactlyOneOfReleaseAndOutAndASerial) {
  MemoryFileSystem files;
  EXPECT_EQ(ReleaseBundle(files, {.repository = "/r", .role = "usb"}, kNow).code, ExitCode::kUsage);
  EXPECT_EQ(
      ReleaseBundle(files, {.repository = "/r", .role = "usb", .release = "a/1", .out = "/o"}, kNow)
          .code,
      ExitCode::kUsage);
  EXPECT_EQ(ReleaseBundle(files, {.repository = "/r", .role = "usb", .release = "a/1"}, kNow).code,
            ExitCode::kUsage);
}

TEST(BundleCommand, RegistersItsOptions) {
  CLI::App app;
  CommandSink sink;
  AddReleaseCommands(app, sink);
  app.parse("release bundle --repository r --role usb --out o --json", false);
  EXPECT_TRUE(sink.command());
}

}  // namespace
}  // namespace sallyport::server

// A founded repository in memory, its keys, and a device that refreshes from it.
#pragma once

#include <gtest/gtest.h>

#include "ota/metadata/limits.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/ceremony.h"
#include "ota/repository/create.h"
#include "ota/repository/keys.h"
#include "ota/repository/policy_release.h"
#include "ota/repository/sign.h"
#include "ota/metadata/folder_fetcher.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/pe_builder.h"

namespace sallyport::ota {

class RepositoryFixture : public testing::Test {
 protected:
  static constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

  explicit RepositoryFixture(CeremonyOptions options = {.trust_domain = "edge.example"})
      : options_(std::move(options)) {
    const auto founded = FoundUpdateTrust(files_, "/keys", "/repo", options_, kNow);
    EXPECT_TRUE(founded) << founded.error().ToString();
    const Bytes root = ReadFile(files_, "/repo/metadata/1.root.json", kRootSizeMax).value();
    EXPECT_TRUE(device_.Initialise(root));
    const Bytes kernel = BuildPe({{".text", ToBytes("a kernel")}});
    Write(
        "/in/uki.efi",
        BuildPe({{".text", ToBytes("stub")}, {".linux", kernel}, {".cmdline", ToBytes("quiet")}}));
    Write("/in/root.img", Bytes(20'000, 7));
  }
  void Write(const std::string& path, ByteView bytes) {
    EXPECT_TRUE(files_.MakeDirectories("/in"));
    EXPECT_TRUE(WriteFileAtomically(files_, path, bytes));
  }
  ReleaseInputs Inputs(const std::string& version = "2.0.0") const {
    return {.product = "edge-os",
            .version = ReleaseVersion::Parse(version).value(),
            .min_version = ReleaseVersion::Parse("1.0.0").value(),
            .hardware = {"virtual-x86_64"},
            .rollback_index = 2,
            .security_floor = false,
            .uki_path = "/in/uki.efi",
            .image_path = "/in/root.img"};
  }
  Signer Key(const std::string& name) {
    return LoadSigner(files_, "/keys/offline/" + name + ".pem", options_.offline_passphrase)
        .value();
  }
  Result<PublishReport> PublishNow(UnixTime now = kNow) {
    return Publish(folder_, "edge.example",
                   LoadOnlineKeys(files_, "/keys", options_.online_passphrase).value(), {}, now);
  }
  std::string Rule(const Result<PublishReport>& result) {
    return result ? "ok" : std::string(result.error().name());
  }
  void SignBoth(const std::string& role) {
    for (const char* number : {"-1", "-2"})
      EXPECT_TRUE(SignStaged(folder_, role, Key(role + number)));
  }
  Result<TrustedMetadata> Refresh(UnixTime now = kNow) { return device_.Refresh(fetcher_, now); }

  CeremonyOptions options_;
  MemoryFileSystem files_;
  RepositoryFolder folder_{files_, "/repo"};
  FolderFetcher fetcher_{files_, "/repo/metadata", "/repo/targets"};
  MetadataClient device_{files_, "/device", ImageRules("edge.example")};
};

}  // namespace sallyport::ota

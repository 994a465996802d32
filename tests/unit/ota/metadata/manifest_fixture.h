// The device manifest as a device receives it: an image repository, a director, and a verifier that
// was provisioned with the first roots of both.
#pragma once

#include <gtest/gtest.h>

#include "ota/metadata/uptane.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {

inline constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
inline constexpr int64_t kFirst = (int64_t{1} << 32) + 1;  // incarnation 1, counter 1
inline const std::string kDevice(52, 'a');

class ManifestFixture : public testing::Test {
 protected:
  ManifestFixture() {
    image_.set_development(true);
    image_.PublishRoot();
    release_ = AddSampleRelease(image_, "2.0.0", 2);
    image_.Delegate("targets", {"policy", {"policy/*"}});
    image_.targets("policy")["policy/policy.json"].content = ToBytes("policy manifest");
    image_.PublishNext();
    director_.set_development(true);
    director_.PublishRoot();
    for (const char* role : {"timestamp", "snapshot", "targets"})
      director_.role(role).version = kFirst;
    State(kDevice, "edge.example", 1);
    Assign();
    EXPECT_TRUE(verifier_.Provision(image_.CurrentRoot(), director_.CurrentRoot()));
  }
  void State(const std::string& device, const std::string& trust_domain, int incarnation) {
    director_.set_statement(JsonValue::Object({{"device", device},
                                               {"trust_domain", trust_domain},
                                               {"incarnation", incarnation},
                                               {"rollout", "r1"}}));
  }
  // Assign makes the director sign the release as the image repository has it, and the slice.
  void Assign() {
    director_.targets()[kReleasePath] = image_.targets()[kReleasePath];
    director_.targets()["slice.json"] = {slice_, JsonValue::Object({{"kind", "policy-slice"}})};
    director_.Publish();
  }
  Result<VerifiedManifest> Verify() {
    return verifier_.Verify(director_.Manifest(slice_), image_, floors_, kNow);
  }
  std::string Rule() {
    const auto manifest = Verify();
    return manifest ? "ok" : std::string(manifest.error().name());
  }
  std::string StoredRule(UnixTime now = kNow) {
    const auto manifest = verifier_.VerifyStored(floors_, now);
    return manifest ? "ok" : std::string(manifest.error().name());
  }

  const std::string kReleasePath = "releases/edge-os/2.0.0/release.json";
  TufRepository image_{kNow, "edge.example"};
  TufRepository director_{kNow, "edge.example"};
  std::optional<Release> release_;
  Bytes slice_ = ToBytes("slice");
  ManifestFloors floors_;
  MemoryFileSystem files_;
  ManifestVerifier verifier_{files_, "/state", {kDevice, "edge.example", "virtual-x86_64"}};
};

}  // namespace sallyport::ota

// Sealed releases for tests of the installer and the update driver.
#pragma once

#include "ota/install/content_keys.h"
#include "tests/fakes/fake_random.h"
#include "tests/fakes/update_world.h"

namespace sallyport {

// SealForTest is `release` with tables, full payload, deltas and chunks sealed.
TestRelease SealForTest(TestRelease release, const pki::ContentSeal& seal);

// FakeContentKeys has one key, and gives it to whoever asks.
class FakeContentKeys final : public ota::ContentKeySource {
 public:
  explicit FakeContentKeys(uint8_t fill) : key_(*pki::ContentKey::FromView(Bytes(32, fill))) {}
  Result<pki::ContentSeal> Get(const ReleaseDigest&, const pki::ContentKeyId&) override {
    ++asked;
    if (failure) return *failure;
    return seal();
  }
  pki::ContentSeal seal() const { return pki::ContentSeal(key_); }
  std::optional<Error> failure;
  unsigned asked = 0;

 private:
  pki::ContentKey key_;
};

}  // namespace sallyport

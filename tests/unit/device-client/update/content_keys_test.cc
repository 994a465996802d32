#include "device-client/update/content_keys.h"

#include "tests/fakes/delta_release.h"
#include "tests/fakes/sealed_release.h"
#include "tests/fakes/soft_ek.h"

#include "pki/tpm/make_credential.h"

namespace sallyport::device {
namespace {

const Bytes kKey(32, 7);
const Bytes kAkName(34, 5);
const ReleaseDigest kRelease = ReleaseDigest::FromArray({1});

pki::ContentKeyId IdOf(const Bytes& key) {
  return pki::ContentSeal(*pki::ContentKey::FromView(key)).id();
}

class DeviceContentKeysTest : public ::testing::Test {
 protected:
  WrappedContentKey Wrap(const Bytes& secret, const Bytes& ak_name = kAkName) {
    const auto made =
        *pki::MakeCredential(*pki::EkPublicFromKey(ek_.public_key()), ak_name, secret);
    return {ReleaseDigest::FromArray({}), IdOf(kKey), made.credential_blob, made.encrypted_secret};
  }
  ContentKeyParts Parts() {
    return {files_, "/state",
            [this](ByteView blob, ByteView secret) -> Result<pki::SecretBytes> {
              if (tpm_failure_) return *tpm_failure_;
              const auto opened = ek_.Activate(blob, secret, kAkName);
              if (!opened)
                return Error{Reason::kBadSignature, "another TPM's", "tpm.activate-credential"};
              return pki::SecretBytes::CopyOf(*opened);
            },
            [this](const ReleaseDigest&) -> Result<WrappedContentKey> {
              ++fetched_;
              if (!server_) return Error{Reason::kUnavailable, "gone", "content-key.unreachable"};
              return *server_;
            }};
  }
  std::string_view Get(const ReleaseDigest& release = kRelease) {
    const auto seal = DeviceContentKeys(Parts()).Get(release, IdOf(kKey));
    if (!seal) return seal.error().name();
    return seal->id() == IdOf(kKey) ? "the key" : "another key";
  }

  MemoryFileSystem files_;
  SoftEk ek_;
  std::optional<Error> tpm_failure_;
  std::optional<WrappedContentKey> server_ = Wrap(kKey);
  int fetched_ = 0;
};

TEST_F(DeviceContentKeysTest, FetchesOnceAndOpensWhatIsKeptWithoutAServer) {
  EXPECT_EQ(Get(), "the key");
  server_.reset();
  EXPECT_EQ(Get(), "the key");
  EXPECT_EQ(fetched_, 1);
  EXPECT_EQ(Get(ReleaseDigest::FromArray({2})), "content-key.unreachable") << "of another release";
}

TEST_F(DeviceContentKeysTest, KeepsNoPlainKey) {
  ASSERT_EQ(Get(), "the key");
  const std::string kept = ToString(*ReadFile(files_, "/state/content-key.json", 8192));
  EXPECT_EQ(kept.find(HexEncode(kKey)), std::string::npos);
}

TEST_F(DeviceContentKeysTest, RefusesAnotherKeyThanTheReleaseNames) {
  server_ = Wrap(Bytes(32, 8));
  EXPECT_EQ(Get(), "content-key.other");
  server_ = Wrap(Bytes(31, 7));
  EXPECT_EQ(Get(), "content-key.other");
  EXPECT_EQ(*LoadContentKey(files_, "/state"), std::nullopt) << "nothing is kept of it";
}

TEST_F(DeviceContentKeysTest, RefusesWhatWasWrappedForAnotherTpm) {
  server_ = Wrap(kKey, Bytes(34, 6));
  EXPECT_EQ(Get(), "tpm.activate-credential");
  EXPECT_EQ(*LoadContentKey(files_, "/state"), std::nullopt);
}

TEST_F(DeviceContentKeysTest, FetchesAnewWhatIsKeptAndDoesNotOpen) {
  for (const WrappedContentKey& spoiled : {Wrap(kKey, Bytes(34, 6)), Wrap(Bytes(32, 8)),
                                           WrappedContentKey{kRelease, IdOf(kKey), {}, {}}}) {
    WrappedContentKey kept = spoiled;
    kept.release = kRelease;
    ASSERT_TRUE(SaveContentKey(files_, "/state", kept));
    EXPECT_EQ(Get(), "the key");
  }
  ASSERT_TRUE(WriteFileAtomically(files_, "/state/content-key.json", AsBytes("{")));
  EXPECT_EQ(Get(), "the key");
  EXPECT_EQ(fetched_, 4);
}

TEST_F(DeviceContentKeysTest, WaitsForATpmThatDoesNotAnswer) {
  ASSERT_EQ(Get(), "the key");
  tpm_failure_ = Error{Reason::kUnavailable, "busy", "tpm.activate-credential"};
  EXPECT_EQ(Get(), "tpm.activate-credential");
  EXPECT_EQ(fetched_, 1) << "what is kept may be good";
}

TEST_F(DeviceContentKeysTest, InstallsASealedReleaseAndResumesItAfterAPowerCutWithoutAServer) {
  const TestRelease old = MakeTestRelease("1.0.0", 1);
  const TestRelease release = SealForTest(MakeDeltaRelease("2.0.0", old),
                                          pki::ContentSeal(*pki::ContentKey::FromView(kKey)));
  UpdateWorld world(old);
  world.AddRelease(release);
  ReleaseSource source(release);
  source.BreakOffAfter(release.index.size());
  DeviceContentKeys keys(Parts());
  EXPECT_FALSE(world.MakeInstaller(nullptr, nullptr, &keys).Install(release.plan, source));
  EXPECT_EQ(fetched_, 1);

  server_.reset();
  ASSERT_EQ(world.PowerOn(PowerLoss::kAll), ota::Slot::kA);
  source.BreakOffAfter(UINT64_MAX);
  DeviceContentKeys again(Parts());
  const auto installed =
      world.MakeInstaller(nullptr, nullptr, &again).Install(release.plan, source);
  ASSERT_TRUE(installed) << installed.error().ToString();
  EXPECT_TRUE(world.HoldsRelease(ota::Slot::kB, release));
  EXPECT_EQ(fetched_, 1);
}

}  // namespace
}  // namespace sallyport::device

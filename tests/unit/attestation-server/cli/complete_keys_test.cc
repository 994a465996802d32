#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation-server/server_keys.h"
#include "pki/base/random.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kUnlock = "/unlock.key";

// A deployment as the first version made it: without the keys of audit and verdicts.
class CompleteKeysTest : public testing::Test {
 protected:
  CompleteKeysTest() { Found(); }
  void Found() {
    files_ = MemoryFileSystem();
    SP_CHECK(WriteFileAtomically(files_, std::string(kUnlock), AsBytes(std::string(64, 'a'))));
    SP_CHECK(files_.MakeDirectories("/state"));
    const auto domain = pki::TrustDomain::Parse("edge.example").value();
    const auto hierarchy =
        pki::CreateHierarchy({domain, "admin"}, random_, RealClock().Wall()).value();
    pki::IssuerStore store =
        pki::IssuerStore::Create(files_, layout_.issuers(), Unlock(), pki::kKdfForTests, random_)
            .value();
    SP_CHECK(store.PutIssuer(kDeviceIssuerName, hierarchy.device_issuer, random_));
    SP_CHECK(store.PutIssuer(kServerIssuerName, hierarchy.server_issuer, random_));
    SP_CHECK(store.PutKey(kSignedTimeName,
                          pki::PrivateKey::Generate(pki::KeyType::kEd25519).value(), random_));
    SP_CHECK(
        WriteFileAtomically(files_, layout_.trust_bundle(),
                            AsBytes(pki::WriteTrustBundle(pki::BundleOf(hierarchy, domain, 1)))));
  }
  pki::UnlockSecret Unlock() { return LoadUnlock(files_, std::string(kUnlock)).value(); }
  pki::IssuerStore Store() {
    return pki::IssuerStore::Open(files_, layout_.issuers(), Unlock()).value();
  }
  pki::TrustBundle Bundle() {
    return pki::ParseTrustBundle(
               AsText(ReadFile(files_, layout_.trust_bundle(), pki::kTrustBundleBytesMax).value()))
        .value();
  }
  Result<std::vector<std::string>> Complete() {
    return CompleteServerKeys(files_, layout_, std::string(kUnlock), random_);
  }

  MemoryFileSystem files_;
  SystemRandom random_;
  StateLayout layout_{"/state"};
};

TEST_F(CompleteKeysTest, AnOldDeploymentIsToldTheCommandThatMakesItsKeys) {
  const auto opened = OpenServerKeys(files_, layout_, std::string(kUnlock));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().rule, "server.key-missing");
  EXPECT_THAT(opened.error().detail, HasSubstr("audit-checkpoint"));
  EXPECT_THAT(opened.error().detail, HasSubstr("sallyport ca complete-keys"));
}

TEST_F(CompleteKeysTest, MakesWhatIsMissingAndNamesItInTheBundle) {
  EXPECT_THAT(Complete().value(), ElementsAre("audit-checkpoint", "verdict"));
  EXPECT_EQ(Bundle().sequence, 2);
  EXPECT_EQ(Bundle().audit_key->spki(), Store().GetKey(kAuditKeyName).value().public_key().spki());
  EXPECT_EQ(Bundle().verdict_key->spki(), Store().GetKey(kVerdictKeyName).value().public_key().spki());
}

TEST_F(CompleteKeysTest, LeavesACompleteDeploymentAsItIs) {
  ASSERT_TRUE(Complete().has_value());
  const pki::PublicKey verdict = Store().GetKey(kVerdictKeyName).value().public_key();
  EXPECT_THAT(Complete().value(), IsEmpty());
  EXPECT_EQ(Bundle().sequence, 2);
  EXPECT_EQ(Store().GetKey(kVerdictKeyName).value().public_key().spki(), verdict.spki());
}

TEST_F(CompleteKeysTest, GoesOnAfterAPowerCutAnywhere) {
  for (uint64_t cut = 0;; ++cut) {
    Found();
    files_.CutPowerAfter(cut);
    const bool whole = Complete().has_value();
    files_.Restart();
    ASSERT_TRUE(Complete().has_value()) << "cut after " << cut;
    EXPECT_EQ(Bundle().sequence, 2);
    EXPECT_EQ(Bundle().verdict_key->spki(), Store().GetKey(kVerdictKeyName).value().public_key().spki());
    EXPECT_EQ(Bundle().audit_key->spki(), Store().GetKey(kAuditKeyName).value().public_key().spki());
    if (whole) break;
  }
}

TEST_F(CompleteKeysTest, NeverReplacesAKeyThatTheBundleNames) {
  ASSERT_TRUE(Complete().has_value());
  ASSERT_TRUE(files_.Remove(layout_.issuers() + "/verdict.key").has_value());
  const auto again = Complete();
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().rule, "server.key-lost");
  EXPECT_FALSE(Store().GetKey(kVerdictKeyName).has_value());
}

}  // namespace
}  // namespace sallyport::server

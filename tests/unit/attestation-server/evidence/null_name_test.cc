#include "attestation-server/evidence/null_name.h"

#include <gtest/gtest.h>

#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {
namespace {

constexpr uint32_t kMask = 1u << 4;

// The fixture is an honest certification of the kernel's key; each test breaks one thing.
class NullName : public testing::Test {
 protected:
  NullName() {
    policy_.extra_data = nonce_;
    policy_.bank = pki::HashAlgorithm::kSha256;
    policy_.pcr_mask = kMask;
    fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kCertify);
    fields_.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields_.extra_data = nonce_;
    fields_.body = TwoSized(null_.name(), null_.qualified_name(pki::tpm::kNullHierarchy));
  }
  std::string Failure() {
    const Bytes attest = fields_.Write();
    return Failure(attest, ak_.Sign(attest));
  }
  std::string Failure(const Bytes& attest, const Bytes& signature) {
    return Failure(std::optional(NullNameInput{kernel_, attest, signature}), false);
  }
  std::string Failure(const std::optional<NullNameInput>& input, bool required) {
    CheckList checks;
    state_ = CheckNullName(key_, input, required, policy_, Quote(), checks);
    const Check* const failure = checks.FirstFailure();
    EXPECT_EQ(failure == nullptr, checks.AllPassed());
    if (input) {
      EXPECT_EQ(failure == nullptr, state_ == NullNameState::kCertified);
    }
    return failure == nullptr ? "" : std::string(failure->rule);
  }
  AuthenticatedQuote Quote() {
    const std::vector<PcrValue> values{{4, PcrDigest::Filled(Bank::kSha256, 4)}};
    AttestFields fields;
    fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = nonce_;
    fields.body = QuoteBodyBytes({{0x000B, kMask}},
                                 pki::Hash(pki::HashAlgorithm::kSha256, {values[0].value.view()}));
    const Bytes attest = fields.Write();
    const Bytes signature = ak_.Sign(attest);
    CheckList checks(QuoteRules());
    return *CheckQuote(key_, {attest, signature, &values, nullptr}, policy_, checks);
  }

  SoftTpmKey ak_{kAkAttributes};
  SoftTpmKey null_{kTlsAttributes};
  AttestationKey key_ = AttestationKey::FromArea(ak_.area()).value();
  Bytes nonce_ = Bytes(32, 9);
  Bytes kernel_ = null_.name();
  QuoteExpectation policy_{};
  AttestFields fields_;
  NullNameState state_ = NullNameState::kUnknown;
};

TEST_F(NullName, AcceptsTheKeyThatTheKernelSaw) { EXPECT_EQ(Failure(), ""); }

TEST_F(NullName, NotOfferedIsSaidAndRefusedWhenItIsRequired) {
  EXPECT_EQ(Failure(std::nullopt, false), "");
  EXPECT_EQ(state_, NullNameState::kNotOffered);
  EXPECT_EQ(Failure(std::nullopt, true), "null-name.offered");
}

TEST_F(NullName, RefusesAnotherNameThanTheKernels) {
  kernel_ = SoftTpmKey(kTlsAttributes).name();
  EXPECT_EQ(Failure(), "null-name.kernel");
  kernel_.clear();
  EXPECT_EQ(Failure(), "null-name.kernel");
}

TEST_F(NullName, RefusesAKeyOfAnotherHierarchy) {
  fields_.body = TwoSized(null_.name(), null_.qualified_name(pki::tpm::kOwner));
  EXPECT_EQ(Failure(), "null-name.hierarchy");
}

TEST_F(NullName, RefusesAnotherChallengeBootAndSigner) {
  fields_.extra_data = Bytes(32, 8);
  EXPECT_EQ(Failure(), "null-name.extra-data");
  fields_.extra_data = nonce_;
  ++fields_.clock.reset_count;
  EXPECT_EQ(Failure(), "null-name.boot");
  --fields_.clock.reset_count;
  fields_.qualified_signer = ak_.qualified_name(pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "null-name.qualified-signer");
}

TEST_F(NullName, RefusesForgedCertifications) {
  const Bytes attest = fields_.Write();
  EXPECT_EQ(Failure(attest, SoftTpmKey(kAkAttributes).Sign(attest)), "null-name.signature");
  EXPECT_EQ(Failure(attest, {}), "null-name.structure");
  EXPECT_EQ(Failure(Bytes(pki::kAttestBytesMax + 1), ak_.Sign(attest)), "null-name.size");
  Bytes other = ak_.Sign(attest);
  other[3] = 0x0C;
  EXPECT_EQ(Failure(attest, other), "null-name.scheme");
  fields_.magic = 0;
  EXPECT_EQ(Failure(), "null-name.magic");
  fields_.magic = pki::tpm::kGenerated;
  fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kQuote);
  EXPECT_EQ(Failure(), "null-name.type");
}

TEST(KindOfTpm, IsKnownForVendorsOfOneKindAlone) {
  EXPECT_EQ(KindOfTpm("id:49465800"), TpmKind::kDiscrete);
  EXPECT_EQ(KindOfTpm("id:494e5443"), TpmKind::kFirmware);
  EXPECT_EQ(KindOfTpm("id:474F4F47"), TpmKind::kVirtual);
  EXPECT_EQ(KindOfTpm("id:53414C4C"), TpmKind::kUnknown);
  EXPECT_EQ(KindOfTpm("49465800"), TpmKind::kUnknown);
  EXPECT_EQ(KindOfTpm(""), TpmKind::kUnknown);
}

}  // namespace
}  // namespace sallyport::server

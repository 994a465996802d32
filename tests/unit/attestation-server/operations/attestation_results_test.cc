// What each state of a device says to relying parties.
#include "attestation-server/operations/attestation_results.h"

#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class AttestationResultsTest : public OperationsTest {
 protected:
  AttestationResultsTest() {
    device_ = MakeDevice(1);
    device_.attested_at = now_ - Seconds(10);
    device_.valid_until = now_ + Hours(1);
    device_.tier = pki::Tier::kMeasured;
    device_.tpm.vendor_chain = true;
  }
  pki::AttestationResult Result() {
    return ResultOf(device_, "spiffe://edge.example/server/c", now_);
  }
  int Claim(const std::string& name) {
    const auto result = Result();
    const auto found = result.trust_vector.find(name);
    return found == result.trust_vector.end() ? 0 : found->second;
  }

  DeviceRecord device_;
};

TEST_F(AttestationResultsTest, APassThatHoldsAffirmsUntilItEnds) {
  EXPECT_EQ(Result().Status(), pki::TrustTier::kAffirming);
  EXPECT_EQ(Claim("instance-identity"), 2);
  EXPECT_EQ(Claim("configuration"), 2);
  EXPECT_EQ(Claim("executables"), 3);
  EXPECT_EQ(Claim("hardware"), 2);
  EXPECT_EQ(Result().issued_at, device_.attested_at);
  EXPECT_EQ(Result().expires, device_.valid_until);
  EXPECT_EQ(Result().subject, "spiffe://edge.example/device/" + device_.id);
}

TEST_F(AttestationResultsTest, WithoutPcr7NothingIsSaidOfTheConfiguration) {
  device_.tier = pki::Tier::kAttested;
  EXPECT_EQ(Claim("configuration"), 0);
  EXPECT_EQ(Result().Status(), pki::TrustTier::kAffirming);
}

TEST_F(AttestationResultsTest, ATestTpmIsAWarning) {
  device_.tpm.vendor_chain = false;
  EXPECT_EQ(Claim("hardware"), 32);
  EXPECT_EQ(Result().Status(), pki::TrustTier::kWarning);
}

TEST_F(AttestationResultsTest, AnExpiredOrPendingDeviceAffirmsNothing) {
  now_ = device_.valid_until;
  EXPECT_EQ(Result().Status(), pki::TrustTier::kNone);
  EXPECT_EQ(Result().issued_at, now_);
  EXPECT_EQ(Result().expires, now_ + kNegativeResultLifetime);
  now_ = UnixTime::FromSeconds(1500);
  device_.state = DeviceState::kPending;
  EXPECT_TRUE(Result().trust_vector.empty());
}

TEST_F(AttestationResultsTest, AFailureSpeaksAgainstWhatFailed) {
  device_.posture = Posture::kFailing;
  device_.state = DeviceState::kQuarantined;
  device_.causes = {QuarantineCause::kPosture};
  for (const auto& [rule, name, claim] :
       {std::tuple("pcr.4", "executables", 96), std::tuple("reference.match", "executables", 96),
        std::tuple("secure-boot.off", "configuration", 96),
        std::tuple("pcr.7", "configuration", 96), std::tuple("log.structure", "executables", 99),
        std::tuple("quote.digest", "executables", 99)}) {
    device_.reason = rule;
    EXPECT_EQ(Claim(name), claim) << rule;
    EXPECT_EQ(Claim("instance-identity"), 2) << rule;
    EXPECT_EQ(Result().Status(), pki::TrustTier::kContraindicated) << rule;
  }
}

TEST_F(AttestationResultsTest, AClonedStolenOrRetiredDeviceIsNotTheOneItWas) {
  for (const QuarantineCause cause : {QuarantineCause::kOperator, QuarantineCause::kClone,
                                      QuarantineCause::kTpmChanged, QuarantineCause::kRestore}) {
    device_.state = DeviceState::kQuarantined;
    device_.causes = {cause};
    EXPECT_EQ(Claim("instance-identity"), 97);
    EXPECT_EQ(Result().trust_vector.size(), 1u) << "nothing else is affirmed";
  }
  device_.causes.clear();
  device_.state = DeviceState::kRetired;
  EXPECT_EQ(Claim("instance-identity"), 97);
}

TEST_F(AttestationResultsTest, IsShownSignedAndHoldsNoReferenceValue) {
  Keep(device_);
  AttestationResults results(
      *database_,
      pki::VerdictSigner::Make(pki::PrivateKey::Generate(pki::KeyType::kP256).value()).value(),
      "spiffe://edge.example/server/c");
  const JsonValue shown = results.Show(device_.name, now_).value();
  EXPECT_EQ(std::ranges::count(*shown.Find("ear")->if_string(), '.'), 2);
  EXPECT_NE(shown.Find("jwks"), nullptr);
  EXPECT_EQ(RuleOf(results.Show("nobody", now_)), "device.unknown");
}

}  // namespace
}  // namespace sallyport::server

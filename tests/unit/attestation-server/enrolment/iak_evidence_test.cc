#include "attestation-server/enrolment/iak_evidence.h"

#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kDomain = "edge.example";

EkCertificateOptions IakOptions() {
  return {.key_usage = "critical,digitalSignature",
          .extended_key_usage = "2.23.133.8.3",
          .hardware_serial = "SN-4711",
          .policies = "2.23.133.11.1.2"};
}

// ClaimOptions: what to get wrong.
struct ClaimOptions {
  EkCertificateOptions certificate = IakOptions();
  std::string domain = std::string(kDomain);
  Bytes ek_public = {};  // certified for; empty: the true one
  Bytes name = {};       // certified; empty: the AK's
  pki::tpm::AttestType type = pki::tpm::AttestType::kCertify;
  uint32_t magic = pki::tpm::kGenerated;
};

class IakTest : public FlowTest {
 protected:
  IakTest() : device_(vendor_) {}

  Profiles MakerProfiles() const {
    Profile profile{RootsOf(vendor_), false};
    profile.iak_roots = RootsOf(maker_);
    Profiles out;
    out.emplace("default", std::move(profile));
    return out;
  }
  BeginInput Begin() const {
    BeginInput out = device_.Begin(pki::Purpose::kEnrol);
    out.ek_certificates.clear();
    return out;
  }
  IakClaim Claim(const ClaimOptions& options = {}) const {
    const BeginInput begin = Begin();
    AttestFields fields;
    fields.magic = options.magic;
    fields.type = static_cast<uint16_t>(options.type);
    fields.qualified_signer = iak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = ToBytes(
        pki::IakQualifyingData(options.domain, device_.ak().name(),
                               options.ek_public.empty() ? begin.ek_public : options.ek_public)
            .view());
    const Bytes name = options.name.empty() ? device_.ak().name() : options.name;
    fields.body = TwoSized(name, name);
    const Bytes attest = fields.Write();
    return {{maker_.EkCertificate(iak_.key().public_key(), options.certificate),
             maker_.intermediate_der()},
            iak_.area().Marshal(),
            attest,
            iak_.Sign(attest)};
  }
  std::string Rule(const IakClaim& claim) const {
    const BeginInput begin = Begin();
    const auto screened =
        ScreenIak(claim, begin.ak_public, begin.ek_public, kDomain, MakerProfiles(), now_);
    return screened.has_value() ? "" : std::string(screened.error().rule);
  }

  const FakeTpmVendor maker_;
  const SoftTpmKey iak_{kAkAttributes};
  FakeTpmDevice device_;
};

TEST_F(IakTest, ProvesTheAkAndNamesTheMachine) {
  const BeginInput begin = Begin();
  const ScreenedIak screened =
      ScreenIak(Claim(), begin.ak_public, begin.ek_public, kDomain, MakerProfiles(), now_).value();
  EXPECT_EQ(screened.certificate.serial, "SN-4711");
  EXPECT_EQ(screened.profiles, std::vector<std::string>{"default"});
}

TEST_F(IakTest, TheIakMayBeTheAkItself) {
  IakClaim claim = Claim();
  claim.attest.clear();
  claim.signature.clear();
  const BeginInput begin = Begin();
  EXPECT_TRUE(ScreenIak(claim, claim.iak_public, begin.ek_public, kDomain, MakerProfiles(), now_)
                  .has_value());
  EXPECT_EQ(Rule(claim), "iak.structure");
}

TEST_F(IakTest, RefusesCertificationsOfAnotherKeyServerOrEk) {
  EXPECT_EQ(Rule(Claim({.name = iak_.name()})), "iak.name");
  EXPECT_EQ(Rule(Claim({.domain = "other.example"})), "iak.extra-data");
  EXPECT_EQ(Rule(Claim({.ek_public = Bytes(40, 1)})), "iak.extra-data");
}

TEST_F(IakTest, RefusesForgedCertifications) {
  IakClaim claim = Claim();
  claim.signature.back() ^= 1;
  EXPECT_EQ(Rule(claim), "iak.signature");
  claim = Claim();
  claim.attest.back() ^= 1;
  EXPECT_EQ(Rule(claim), "iak.signature");
  claim = Claim();
  claim.signature[3] = 0x0C;  // SHA-384
  EXPECT_EQ(Rule(claim), "iak.scheme");
  EXPECT_EQ(Rule(Claim({.magic = 0x12345678})), "iak.magic");
  EXPECT_EQ(Rule(Claim({.type = pki::tpm::AttestType::kQuote})), "iak.type");
}

TEST_F(IakTest, RefusesAnIakThatIsNotTheCertifiedKey) {
  const SoftTpmKey other(kAkAttributes);
  IakClaim claim = Claim();
  claim.iak_public = other.area().Marshal();
  EXPECT_EQ(Rule(claim), "iak.key-match");
}

TEST_F(IakTest, RefusesAnIakThatCouldSignAnything) {
  IakClaim claim = Claim();
  pki::PublicArea area = iak_.area();
  area.attributes &= ~pki::tpm::kRestricted;
  claim.iak_public = area.Marshal();
  EXPECT_EQ(Rule(claim), "ak.restricted");
}

TEST_F(IakTest, RefusesOtherMakersAndCertificatesOfOtherKinds) {
  IakClaim claim = Claim();
  claim.chain = {vendor_.EkCertificate(iak_.key().public_key(), IakOptions()),
                 vendor_.intermediate_der()};
  EXPECT_EQ(Rule(claim), "ek.chain");
  ClaimOptions ek_usage;
  ek_usage.certificate.extended_key_usage = "2.23.133.8.1";
  EXPECT_EQ(Rule(Claim(ek_usage)), "iak.extended-key-usage");
  claim.chain.clear();
  EXPECT_EQ(Rule(claim), "iak.missing");
  const BeginInput begin = Begin();
  Profiles none = MakerProfiles();
  none.begin()->second.iak_roots.reset();
  EXPECT_EQ(ScreenIak(Claim(), begin.ak_public, begin.ek_public, kDomain, none, now_).error().rule,
            "iak.profile");
}

// IakFlowTest goes through the door.
class IakFlowTest : public IakTest {
 protected:
  IakFlowTest() {
    FlowConfig config{.trust_domain = pki::TrustDomain::Parse(kDomain).value(),
                      .development = true,
                      .incarnation = 1,
                      .classes = {{"online", {Hours(1), false}}},
                      .profiles = MakerProfiles(),
                      .pcrs = {0, 4, 7},
                      .limits = limits_};
    flow_ = std::make_unique<EnrolmentFlow>(
        std::move(config), FlowParts{*database_, blobs_, random_, events_}, signer_);
    device_.Boot("uki 1");
  }
  void List(std::string_view serial) {
    Must([&](Connection& c) {
      return EkList(c).Put({SerialListingKey(serial), "cam-9", "default",
                            Placement{"berlin", "online", {}}, now_, "alice"});
    });
  }
  Answer<Admitted> EnrolByIak(const ProofOptions& options = {}) {
    BeginInput begin = Begin();
    begin.iak = Claim();
    const IssuedChallenge challenge = Issued(flow_->Begin(channel_, begin, now_));
    return flow_->Prove(channel_, device_.Prove(pki::Purpose::kEnrol, challenge, leaf_, options),
                        now_);
  }
};

TEST_F(IakFlowTest, AListedMachineComesIn) {
  List("SN-4711");
  const Answer<Admitted> admitted = EnrolByIak();
  ASSERT_EQ(RefusalOf(admitted), nullptr) << RefusalOf(admitted)->rule;
  EXPECT_EQ(std::get<Admitted>(admitted).chain.size(), 2u);
}

TEST_F(IakFlowTest, AMachineOfAnotherSerialNumberDoesNot) {
  List("SN-4712");
  EXPECT_EQ(RuleOf(EnrolByIak()), "admission.unlisted");
}

TEST_F(IakFlowTest, ATokenDoesNotReplaceTheList) {
  ProofOptions options;
  options.token = token_;
  EXPECT_EQ(RuleOf(EnrolByIak(options)), "admission.unlisted");
}

TEST_F(IakFlowTest, TakesOneVoucherAndNoMoreThanItsSizes) {
  BeginInput both = device_.Begin(pki::Purpose::kEnrol);
  both.iak = Claim();
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, both, now_)), "begin.voucher");
  const auto rule = [&](auto spoil) {
    BeginInput begin = Begin();
    begin.iak = Claim();
    spoil(*begin.iak);
    return RuleOf(flow_->Begin(channel_, begin, now_));
  };
  EXPECT_EQ(rule([](IakClaim& claim) { claim.chain.resize(pki::kEkChainMax + 1); }),
            "iak.chain-length");
  EXPECT_EQ(rule([](IakClaim& claim) { claim.chain[0].resize(pki::kEkCertificateBytesMax + 1); }),
            "iak.certificate-size");
  EXPECT_EQ(rule([](IakClaim& claim) { claim.attest.resize(1 << 16); }), "iak.size");
}

TEST_F(IakFlowTest, RefusesAnEkOfAnotherTemplate) {
  BeginInput begin = Begin();
  begin.iak = Claim();
  pki::PublicArea ek = pki::ParsePublicArea(begin.ek_public).value();
  ek.auth_policy[0] ^= 1;
  begin.ek_public = ek.Marshal();
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ek.key-match");
}

}  // namespace
}  // namespace sallyport::server

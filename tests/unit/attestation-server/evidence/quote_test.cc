#include "attestation-server/evidence/quote.h"

#include <gtest/gtest.h>

#include "pki/base/json.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/soft_tpm_key.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;
constexpr uint16_t kBank = pki::tpm::kAlgSha256;
constexpr uint32_t kMask = 1u << 4 | 1u << 7;

// The fixture is an honest quote of PCR 4 and 7; each test breaks one thing and names the rule that
// must fail.
class CheckQuoteRules : public testing::Test {
 protected:
  CheckQuoteRules() {
    expected_.extra_data = nonce_;
    expected_.bank = kSha256;
    expected_.pcr_mask = kMask;
    fields_.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields_.extra_data = nonce_;
    Select({{kBank, kMask}});
  }

  void Select(const pki::PcrSelection& selection) {
    fields_.body = QuoteBodyBytes(selection, DigestOf(kSha256));
  }
  Bytes DigestOf(pki::HashAlgorithm hash) const {
    return pki::Hash(hash, {values_[0].value.view(), values_[1].value.view()});
  }

  std::string Failure() { return FailureOf(fields_.Write()); }
  std::string FailureOf(const Bytes& attest) { return FailureOf(attest, ak_.Sign(attest)); }
  std::string FailureOf(const Bytes& attest, const Bytes& signature) {
    checks_ = CheckList(QuoteRules());
    const AttestationKey ak = AttestationKey::FromArea(ak_.area()).value();
    quote_ = CheckQuote(ak, {attest, signature, &values_, nullptr}, expected_, checks_);
    const Check* const failure = checks_.FirstFailure();
    EXPECT_EQ(failure == nullptr, quote_.has_value());
    return failure == nullptr ? "" : std::string(failure->rule);
  }

  SoftTpmKey ak_{kAkAttributes};
  Bytes nonce_ = Bytes(32, 9);
  std::vector<PcrValue> values_{{4, PcrDigest::Filled(Bank::kSha256, 4)},
                                {7, PcrDigest::Filled(Bank::kSha256, 7)}};
  QuoteExpectation expected_{};
  AttestFields fields_;
  CheckList checks_;
  std::optional<AuthenticatedQuote> quote_;
};

TEST_F(CheckQuoteRules, AcceptAnHonestQuote) {
  EXPECT_EQ(Failure(), "");

  EXPECT_TRUE(checks_.AllPassed());
  ASSERT_TRUE(quote_.has_value());
  EXPECT_EQ(*quote_->pcrs.value(4), values_[0].value);
  EXPECT_TRUE(quote_->pcrs.selected(7));
  EXPECT_FALSE(quote_->pcrs.selected(0));
  EXPECT_EQ(quote_->pcrs.value(0), std::nullopt);
}

TEST_F(CheckQuoteRules, RefuseAStaleNonce) {
  fields_.extra_data = Bytes(32, 8);
  EXPECT_EQ(Failure(), "quote.extra-data");
}

TEST_F(CheckQuoteRules, RefuseExtraDataOfAnotherLength) {
  for (const size_t size : {0u, 31u, 33u}) {
    fields_.extra_data = Bytes(size, 9);
    EXPECT_EQ(Failure(), "quote.extra-data") << size;
  }
}

TEST_F(CheckQuoteRules, RefuseWrongMagic) {
  fields_.magic = 0xFF544348;
  EXPECT_EQ(Failure(), "quote.magic");
}

TEST_F(CheckQuoteRules, RefuseACertificationOfferedAsAQuote) {
  fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kCertify);
  fields_.body = TwoSized(ak_.name(), ak_.name());
  EXPECT_EQ(Failure(), "quote.type");
}

TEST_F(CheckQuoteRules, RefuseAnExtraPcr) {
  Select({{kBank, kMask | 1u}});
  EXPECT_EQ(Failure(), "quote.selection");
}

TEST_F(CheckQuoteRules, RefuseAMissingPcr) {
  Select({{kBank, 1u << 4}});
  EXPECT_EQ(Failure(), "quote.selection");
}

TEST_F(CheckQuoteRules, RefuseAResettablePcrRelabelled) {
  Select({{kBank, 1u << 4 | 1u << 16}});
  EXPECT_EQ(Failure(), "quote.selection");
}

TEST_F(CheckQuoteRules, RefuseASecondBank) {
  Select({{kBank, kMask}, {pki::tpm::kAlgSha1, kMask}});
  EXPECT_EQ(Failure(), "quote.selection");
}

TEST_F(CheckQuoteRules, RefuseAnotherBank) {
  Select({{pki::tpm::kAlgSha1, kMask}});
  EXPECT_EQ(Failure(), "quote.selection");
}

TEST_F(CheckQuoteRules, RefuseTheSameBankTwice) {
  Select({{kBank, kMask}, {kBank, kMask}});
  EXPECT_EQ(Failure(), "quote.structure");
}

TEST_F(CheckQuoteRules, RefuseAnEmptySelection) {
  Select({});
  EXPECT_NE(Failure(), "");
}

TEST_F(CheckQuoteRules, RefuseATrailingByte) {
  fields_.body.push_back(0);
  EXPECT_EQ(Failure(), "quote.structure");
}

TEST_F(CheckQuoteRules, CallASignedAttestThatEndsWithinItsHeaderMalformed) {
  const Bytes attest = fields_.Write();
  for (const size_t size : {1u, 3u, 5u})
    EXPECT_EQ(FailureOf(Bytes(attest.begin(), attest.begin() + size)), "quote.structure") << size;
}

TEST_F(CheckQuoteRules, CallAMalformedSignatureMalformed) {
  const Bytes attest = fields_.Write();
  Bytes signature = ak_.Sign(attest);
  EXPECT_EQ(FailureOf(attest, {}), "quote.structure");
  EXPECT_EQ(FailureOf(attest, ToBytes(ByteView(signature).first(20))), "quote.structure");
  signature.push_back(0);
  EXPECT_EQ(FailureOf(attest, signature), "quote.structure");
}

TEST_F(CheckQuoteRules, RefuseOtherValuesThanQuoted) {
  values_[1].value = PcrDigest::Filled(Bank::kSha256, 8);
  EXPECT_EQ(Failure(), "quote.digest");
}

TEST_F(CheckQuoteRules, RefuseADigestMadeWithTheBanksHashInsteadOfTheSchemes) {
  values_ = {{4, PcrDigest::Filled(Bank::kSha384, 4)}, {7, PcrDigest::Filled(Bank::kSha384, 7)}};
  expected_.bank = pki::HashAlgorithm::kSha384;
  fields_.body =
      QuoteBodyBytes({{pki::tpm::kAlgSha384, kMask}}, DigestOf(pki::HashAlgorithm::kSha384));
  EXPECT_EQ(Failure(), "quote.digest");

  fields_.body = QuoteBodyBytes({{pki::tpm::kAlgSha384, kMask}}, DigestOf(kSha256));
  EXPECT_EQ(Failure(), "");
}

TEST_F(CheckQuoteRules, RefuseValuesThatAreNotExactlyTheRequestedOnes) {
  const std::vector<PcrValue> honest = values_;
  const auto with = [&](std::vector<PcrValue> values) {
    values_ = std::move(values);
    fields_.body = QuoteBodyBytes({{kBank, kMask}}, DigestOf(kSha256));
    return Failure();
  };
  EXPECT_EQ(with({honest[0], honest[0]}), "quote.values");
  EXPECT_EQ(with({honest[0], honest[1], {5, honest[0].value}}), "quote.values");
  EXPECT_EQ(with({honest[0], {7, PcrDigest::Filled(Bank::kSha1, 7)}}), "quote.values");
  EXPECT_EQ(with({honest[0], {24, honest[1].value}}), "quote.values");
  EXPECT_EQ(with({honest[0], {16, honest[1].value}}), "quote.values");
}

TEST_F(CheckQuoteRules, RefuseAnotherSigner) {
  fields_.qualified_signer = ak_.qualified_name(pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "quote.qualified-signer");
}

TEST_F(CheckQuoteRules, LeaveTheSignerOpenWhenTheParentIsNotStated) {
  fields_.qualified_signer = Bytes(34, 1);
  expected_.ak_parent = AkParent::kAny;
  EXPECT_EQ(Failure(), "");
  EXPECT_EQ(checks_.Of("quote.qualified-signer"), CheckResult::kNotRun);
}

TEST_F(CheckQuoteRules, RefuseOldTpmFirmware) {
  expected_.firmware_floor = 8;
  EXPECT_EQ(Failure(), "quote.firmware");
}

TEST_F(CheckQuoteRules, RefuseASignatureOfAnotherKey) {
  const Bytes attest = fields_.Write();
  EXPECT_EQ(FailureOf(attest, SoftTpmKey(kAkAttributes).Sign(attest)), "quote.signature");
}

TEST_F(CheckQuoteRules, RefuseZeroAndOutOfRangeSignatureNumbers) {
  const Bytes attest = fields_.Write();
  const Bytes good = ak_.Sign(attest);
  const Bytes order =
      HexDecode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  const auto with = [&](ByteView r, ByteView s) {
    ByteWriter out;
    out.BigU16(pki::tpm::kAlgEcdsa).BigU16(pki::tpm::kAlgSha256).Sized16(r).Sized16(s);
    return FailureOf(attest, out.bytes());
  };
  ByteReader reader(ByteView(good).subspan(4), "signature");
  const ByteView r = reader.Sized16(64).value();
  const ByteView s = reader.Sized16(64).value();

  EXPECT_EQ(with(r, s), "");
  EXPECT_EQ(with(Bytes(32, 0), s), "quote.signature");
  EXPECT_EQ(with({}, s), "quote.signature");
  EXPECT_EQ(with(r, order), "quote.signature");
  EXPECT_EQ(with(order, s), "quote.signature");
}

// n - s verifies wherever s does; TPMs emit both, and nothing here depends on one signature having
// one form.
TEST_F(CheckQuoteRules, AcceptHighAndLowS) {
  const Bytes attest = fields_.Write();
  const Bytes good = ak_.Sign(attest);
  const Bytes order =
      HexDecode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  ByteReader reader(ByteView(good).subspan(4), "signature");
  const ByteView r = reader.Sized16(64).value();
  Bytes s(32, 0);
  const ByteView low = reader.Sized16(64).value();
  std::ranges::copy(low, s.end() - static_cast<ptrdiff_t>(low.size()));
  int borrow = 0;
  for (size_t i = 32; i-- > 0;) {
    const int difference = order[i] - s[i] - borrow;
    borrow = difference < 0 ? 1 : 0;
    s[i] = static_cast<uint8_t>(difference + 256 * borrow);
  }
  ByteWriter other;
  other.BigU16(pki::tpm::kAlgEcdsa).BigU16(pki::tpm::kAlgSha256).Sized16(r).Sized16(s);

  EXPECT_EQ(FailureOf(attest, other.bytes()), "");
}

TEST_F(CheckQuoteRules, RefuseASchemeThatIsNotTheKeys) {
  const Bytes attest = fields_.Write();
  Bytes signature = ak_.Sign(attest);
  signature[3] = 0x0C;  // SHA-384
  EXPECT_EQ(FailureOf(attest, signature), "quote.scheme");
  signature[3] = 0x04;  // SHA-1
  EXPECT_EQ(FailureOf(attest, signature), "quote.scheme");
  signature[1] = 0x14;  // RSASSA
  EXPECT_EQ(FailureOf(attest, signature), "quote.scheme");
}

TEST_F(CheckQuoteRules, RefuseOversizedEvidenceBeforeParsingIt) {
  EXPECT_EQ(FailureOf(Bytes(pki::kAttestBytesMax + 1), Bytes(70)), "quote.size");
  EXPECT_EQ(FailureOf(Bytes(100), Bytes(pki::kTpmSignatureBytesMax + 1)), "quote.size");
}

TEST_F(CheckQuoteRules, RefuseEveryTruncationAndEveryFlippedBit) {
  const Bytes attest = fields_.Write();
  const Bytes signature = ak_.Sign(attest);
  for (size_t size = 0; size < attest.size(); ++size)
    EXPECT_NE(
        FailureOf(Bytes(attest.begin(), attest.begin() + static_cast<ptrdiff_t>(size)), signature),
        "");
  for (size_t size = 0; size < signature.size(); ++size)
    EXPECT_NE(FailureOf(attest,
                        Bytes(signature.begin(), signature.begin() + static_cast<ptrdiff_t>(size))),
              "");
  for (size_t bit = 0; bit < attest.size() * 8; ++bit) {
    Bytes flipped = attest;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(FailureOf(flipped, signature), "quote.signature");
  }
  for (size_t bit = 0; bit < signature.size() * 8; ++bit) {
    Bytes flipped = signature;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_NE(FailureOf(attest, flipped), "");
  }
}

TEST_F(CheckQuoteRules, ReportEverythingThatIsWrongBehindAGoodSignature) {
  fields_.extra_data = Bytes(32, 8);
  fields_.firmware = 0;
  expected_.firmware_floor = 1;
  values_[0].value = PcrDigest::Filled(Bank::kSha256, 99);

  EXPECT_EQ(Failure(), "quote.extra-data");
  EXPECT_EQ(checks_.Of("quote.digest"), CheckResult::kFail);
  EXPECT_EQ(checks_.Of("quote.firmware"), CheckResult::kFail);
  EXPECT_EQ(checks_.Of("quote.selection"), CheckResult::kPass);
}

TEST(JudgeClock, KnowsTheBootsApart) {
  const ClockRecord last{{1000, 5, 2, true}, 3};
  const auto relation = [&](pki::ClockInfo now) { return JudgeClock(now, last).value().relation; };

  EXPECT_EQ(JudgeClock({1, 1, 1, true}, std::nullopt)->relation, BootRelation::kFirstSeen);
  EXPECT_EQ(relation({1001, 5, 2, true}), BootRelation::kSameBoot);
  EXPECT_EQ(relation({900, 6, 0, false}), BootRelation::kNewBoot);
  EXPECT_EQ(relation({1001, 5, 3, true}), BootRelation::kNewBoot);
  EXPECT_EQ(relation({1001, 5, 1, true}), BootRelation::kCleared);
  EXPECT_EQ(JudgeClock({1, 0, 0, true}, last)->generation, 4u);
  EXPECT_EQ(JudgeClock({1001, 5, 2, true}, last)->generation, 3u);
}

TEST(JudgeClock, RefusesAClockThatDoesNotAdvanceWithinABoot) {
  const ClockRecord last{{1000, 5, 2, true}, 0};
  EXPECT_FALSE(JudgeClock({1000, 5, 2, true}, last));
  EXPECT_FALSE(JudgeClock({999, 5, 2, true}, last));
  EXPECT_FALSE(JudgeClock({1001, 5, 2, false}, last));
  EXPECT_TRUE(JudgeClock({1001, 5, 2, false}, ClockRecord{{1000, 5, 2, false}, 0}));
}

TEST(JudgeClock, ToleratesOneUnorderlyShutdownAndNotOneAfterTheOther) {
  const ClockRecord safe{{1000, 5, 0, true}, 0};
  const ClockRecord unsafe{{900, 6, 0, false}, 0};

  EXPECT_EQ(JudgeClock({900, 6, 0, false}, safe)->relation, BootRelation::kNewBoot);
  EXPECT_EQ(JudgeClock({901, 6, 0, false}, unsafe)->relation, BootRelation::kSameBoot);
  const auto again = JudgeClock({900, 7, 0, false}, unsafe);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().reason, Reason::kReplayed);
  EXPECT_FALSE(JudgeClock({899, 6, 1, false}, unsafe));
  EXPECT_FALSE(JudgeClock({1, 0, 0, false}, unsafe));
  // Past what was seen nothing was lost, and a TPM that says so itself is believed.
  EXPECT_TRUE(JudgeClock({901, 7, 0, false}, unsafe));
  EXPECT_TRUE(JudgeClock({900, 7, 0, true}, unsafe));
}

// Kinds of AK: which hash signs is the key's own matter, as long as it says so.
class AkKinds : public testing::TestWithParam<SoftKeyKind> {};

TEST_P(AkKinds, SignQuotesOfBothBanks) {
  const SoftTpmKey ak(kAkAttributes, GetParam());
  const AttestationKey key = AttestationKey::FromArea(ak.area()).value();
  for (const Bank bank : {Bank::kSha256, Bank::kSha384}) {
    const std::vector<PcrValue> values{{4, PcrDigest::Filled(bank, 4)}};
    AttestFields fields;
    fields.qualified_signer = ak.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = Bytes(32, 9);
    fields.body = QuoteBodyBytes({{static_cast<uint16_t>(bank), 1u << 4}},
                                 pki::Hash(GetParam().hash, {values[0].value.view()}));
    const Bytes attest = fields.Write();
    QuoteExpectation expected{};
    expected.extra_data = fields.extra_data;
    expected.bank = static_cast<pki::HashAlgorithm>(bank);
    expected.pcr_mask = 1u << 4;
    CheckList checks(AkRules());
    checks.Add(QuoteRules());
    CheckAk(key, ak.name(), checks);
    EXPECT_TRUE(CheckQuote(key, {attest, ak.Sign(attest), &values, nullptr}, expected, checks));
    EXPECT_TRUE(checks.AllPassed());
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, AkKinds,
    testing::Values(
        SoftKeyKind{},
        SoftKeyKind{pki::KeyType::kP256, pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha384},
        SoftKeyKind{pki::KeyType::kP384, pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha256},
        SoftKeyKind{pki::KeyType::kP384, pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha384},
        SoftKeyKind{pki::KeyType::kRsa, pki::SignatureScheme::kRsaPkcs1,
                    pki::HashAlgorithm::kSha256, 2048},
        SoftKeyKind{pki::KeyType::kRsa, pki::SignatureScheme::kRsaPkcs1,
                    pki::HashAlgorithm::kSha384, 3072},
        SoftKeyKind{pki::KeyType::kRsa, pki::SignatureScheme::kRsaPss, pki::HashAlgorithm::kSha256,
                    3072},
        SoftKeyKind{pki::KeyType::kRsa, pki::SignatureScheme::kRsaPss, pki::HashAlgorithm::kSha384,
                    2048}));

std::string AkFailure(const pki::PublicArea& area,
                      const std::optional<Bytes>& frozen = std::nullopt) {
  CheckList checks(AkRules());
  CheckAk(AttestationKey::FromArea(area).value(), frozen, checks);
  const Check* const failure = checks.FirstFailure();
  EXPECT_EQ(checks.AllPassed(), failure == nullptr);
  return failure == nullptr ? "" : std::string(failure->rule);
}

TEST(CheckAk, RefusesKeysThatCouldSignForgedStatements) {
  const auto without = [](uint32_t bit) {
    return AkFailure(SoftTpmKey(kAkAttributes & ~bit).area());
  };
  const auto with = [](uint32_t bit) { return AkFailure(SoftTpmKey(kAkAttributes | bit).area()); };

  EXPECT_EQ(without(0), "");
  EXPECT_EQ(without(pki::tpm::kRestricted), "ak.restricted");
  EXPECT_EQ(without(pki::tpm::kSensitiveDataOrigin), "ak.sensitive-data-origin");
  EXPECT_EQ(without(pki::tpm::kFixedTpm), "ak.fixed-tpm");
  EXPECT_EQ(without(pki::tpm::kFixedParent), "ak.fixed-parent");
  EXPECT_EQ(without(pki::tpm::kSign), "ak.sign");
  EXPECT_EQ(with(pki::tpm::kDecrypt), "ak.decrypt");
  EXPECT_EQ(with(pki::tpm::kEncryptedDuplication), "ak.encrypted-duplication");
}

TEST(CheckAk, RefusesAKeyWithoutAnExplicitScheme) {
  pki::PublicArea area = SoftTpmKey(kAkAttributes).area();
  area.scheme.reset();
  EXPECT_EQ(AkFailure(area), "ak.scheme");
}

TEST(CheckAk, RefusesAnotherKeyThanTheFrozenOne) {
  const SoftTpmKey ak(kAkAttributes);
  EXPECT_EQ(AkFailure(ak.area(), ak.name()), "");
  EXPECT_EQ(AkFailure(ak.area(), SoftTpmKey(kAkAttributes).name()), "ak.name");
  pki::PublicArea other_hash = ak.area();
  other_hash.name_alg = pki::HashAlgorithm::kSha384;
  EXPECT_EQ(AkFailure(other_hash, ak.name()), "ak.name");
}

TEST(CheckAk, RunsNothingForABarePublicKey) {
  CheckList checks(AkRules());
  CheckAk(AttestationKey::FromPublicKey(SoftTpmKey(kAkAttributes).key().public_key()), std::nullopt,
          checks);
  EXPECT_EQ(checks.FirstFailure(), nullptr);
  EXPECT_FALSE(checks.AllPassed());
}

// Quotes of real TPMs: what the quote itself says it selects is what is asked for here.
struct RealQuote {
  Bytes attest, signature;
  pki::Attest parsed;
  explicit RealQuote(const std::string& attest_file, const std::string& signature_file)
      : attest(VectorFile(attest_file)),
        signature(VectorFile(signature_file)),
        parsed(pki::ParseAttest(attest).value()) {}

  std::string Failure(const AttestationKey& ak, ByteView nonce, const std::vector<PcrValue>* values,
                      AkParent parent) {
    QuoteExpectation expected{};
    expected.extra_data = nonce;
    expected.bank = kSha256;
    expected.pcr_mask = parsed.quote()->selection.at(0).bitmap;
    expected.ak_parent = parent;
    checks = CheckList(QuoteRules());
    static_cast<void>(CheckQuote(ak, {attest, signature, values, nullptr}, expected, checks));
    return checks.FirstFailure() == nullptr ? "" : std::string(checks.FirstFailure()->rule);
  }
  CheckList checks;
};

class OvmfQuote : public testing::TestWithParam<const char*> {};

TEST_P(OvmfQuote, IsAuthentic) {
  const std::string boot = std::string("ovmf/") + GetParam();
  RealQuote quote(boot + "/quote.msg", boot + "/quote.sig");
  const AttestationKey ak =
      AttestationKey::FromArea(pki::ParsePublicArea(VectorFile(boot + "/ak.tpmt")).value()).value();
  const Bytes nonce = HexDecode(VectorText(boot + "/nonce").substr(0, 40)).value();

  EXPECT_EQ(quote.Failure(ak, nonce, nullptr, AkParent::kEndorsement), "");
  EXPECT_EQ(quote.checks.Of("quote.qualified-signer"), CheckResult::kPass);
  EXPECT_EQ(quote.checks.Of("quote.digest"), CheckResult::kNotRun);
  EXPECT_EQ(quote.Failure(ak, Bytes(20, 1), nullptr, AkParent::kEndorsement), "quote.extra-data");
}

INSTANTIATE_TEST_SUITE_P(All, OvmfQuote,
                         testing::Values("grub-sb-off", "sdboot-uki-sb-off", "uki-sb-off",
                                         "uki-sb-off-multibank", "uki-sb-on-snakeoil"));

TEST(RealQuotes, OfGceVerifyWithTheirPcrValues) {
  const std::string dir = "attest/gce-cos-85-no-nonce/";
  RealQuote quote(dir + "quote-sha256.tpms_attest", dir + "quote-sha256.tpmt_signature");
  const AttestationKey ak =
      AttestationKey::FromArea(pki::ParsePublicArea(VectorFile(dir + "ak.tpmt_public")).value())
          .value();
  std::vector<PcrValue> values;
  const JsonValue json = ParseJson(VectorText(dir + "pcrs-sha256.json")).value();
  for (const JsonMember& member : *json.if_object())
    values.push_back({static_cast<uint32_t>(std::stoul(member.key)),
                      PcrDigest::Of(HexDecode(*member.value.if_string()).value())});

  EXPECT_EQ(quote.Failure(ak, {}, &values, AkParent::kAny), "");
  EXPECT_EQ(quote.checks.Of("quote.digest"), CheckResult::kPass);
}

TEST(RealQuotes, OfKeylimeVerifyWithABarePublicKey) {
  const std::string dir = "attest/keylime-tpm2-quote/";
  RealQuote quote(dir + "quote.out", dir + "quotesig.out");
  const AttestationKey ak =
      AttestationKey::FromPublicKey(pki::PublicKey::FromPem(VectorText(dir + "akpub.pem")).value());

  EXPECT_EQ(quote.Failure(ak, VectorFile(dir + "rand.out"), nullptr, AkParent::kEndorsement), "");
  EXPECT_EQ(quote.checks.Of("quote.qualified-signer"), CheckResult::kNotRun);
}

}  // namespace
}  // namespace sallyport::server

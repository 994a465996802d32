// Whatever is cut from a real quote or its signature, and whichever bit of them is flipped: the
// quote is refused, and nothing is authenticated.
#include <gtest/gtest.h>

#include "attestation-server/evidence/quote.h"
#include "pki/base/json.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

struct Real {
  const char* attest;
  const char* signature;
  const char* key;  // TPMT_PUBLIC, or PEM
  pki::HashAlgorithm bank;
  const char* values = "";  // JSON of PCR values, where they were kept
};

constexpr Real kReal[] = {
    {"attest/gce-cos-85-no-nonce/quote-sha256.tpms_attest",
     "attest/gce-cos-85-no-nonce/quote-sha256.tpmt_signature",
     "attest/gce-cos-85-no-nonce/ak.tpmt_public", pki::HashAlgorithm::kSha256,
     "attest/gce-cos-85-no-nonce/pcrs-sha256.json"},
    {"attest/gce-cos-85-no-nonce/quote-sha384.tpms_attest",
     "attest/gce-cos-85-no-nonce/quote-sha384.tpmt_signature",
     "attest/gce-cos-85-no-nonce/ak.tpmt_public", pki::HashAlgorithm::kSha384,
     "attest/gce-cos-85-no-nonce/pcrs-sha384.json"},
    {"attest/keylime-tpm2-quote/quote.out", "attest/keylime-tpm2-quote/quotesig.out",
     "attest/keylime-tpm2-quote/akpub.pem", pki::HashAlgorithm::kSha256},
    {"ovmf/uki-sb-on-snakeoil/quote.msg", "ovmf/uki-sb-on-snakeoil/quote.sig",
     "ovmf/uki-sb-on-snakeoil/ak.tpmt", pki::HashAlgorithm::kSha256},
};

AttestationKey KeyOf(const std::string& file) {
  if (file.ends_with(".pem"))
    return AttestationKey::FromPublicKey(pki::PublicKey::FromPem(VectorText(file)).value());
  return AttestationKey::FromArea(pki::ParsePublicArea(VectorFile(file)).value()).value();
}

class RealQuote : public testing::TestWithParam<Real> {
 protected:
  RealQuote()
      : attest_(VectorFile(GetParam().attest)),
        signature_(VectorFile(GetParam().signature)),
        asked_(pki::ParseAttest(attest_).value()),
        ak_(KeyOf(GetParam().key)) {
    if (std::string_view(GetParam().values).empty()) return;
    const JsonValue json = ParseJson(VectorText(GetParam().values)).value();
    values_.emplace();
    for (const JsonMember& member : *json.if_object())
      values_->push_back({static_cast<uint32_t>(std::stoul(member.key)),
                          PcrDigest::Of(HexDecode(*member.value.if_string()).value())});
  }
  // Authenticates: what CheckQuote says of these bytes when exactly the real quote is asked for.
  bool Authenticates(ByteView attest, ByteView signature,
                     const std::optional<std::vector<PcrValue>>& values) const {
    QuoteExpectation expected{};
    expected.extra_data = asked_.extra_data;
    expected.bank = GetParam().bank;
    expected.pcr_mask = asked_.quote()->selection.at(0).bitmap;
    expected.ak_parent = AkParent::kAny;
    CheckList checks(QuoteRules());
    const auto quote = CheckQuote(ak_, {attest, signature, values ? &*values : nullptr, nullptr},
                                  expected, checks);
    EXPECT_TRUE(checks.FirstFailure() == nullptr || !quote)
        << "a failed quote authenticates nothing";
    return checks.FirstFailure() == nullptr && checks.Of("quote.signature") == CheckResult::kPass;
  }
  // FlipEach calls `still_good` with each bit of `bytes` flipped in turn.
  static void FlipEach(Bytes& bytes, const std::function<bool()>& still_good) {
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = static_cast<uint8_t>(1 << bit % 8);
      bytes[bit / 8] ^= mask;
      EXPECT_FALSE(still_good()) << "bit " << bit;
      bytes[bit / 8] ^= mask;
    }
  }

  Bytes attest_, signature_;
  pki::Attest asked_;
  AttestationKey ak_;
  std::optional<std::vector<PcrValue>> values_;
};

TEST_P(RealQuote, IsRefusedWithAnyBitFlipped) {
  ASSERT_TRUE(Authenticates(attest_, signature_, values_));
  FlipEach(attest_, [this] { return Authenticates(attest_, signature_, values_); });
  FlipEach(signature_, [this] { return Authenticates(attest_, signature_, values_); });
}

TEST_P(RealQuote, IsRefusedWhenCutAnywhereOrContinued) {
  for (size_t size = 0; size < attest_.size(); ++size)
    EXPECT_FALSE(Authenticates(ByteView(attest_).first(size), signature_, values_)) << size;
  for (size_t size = 0; size < signature_.size(); ++size)
    EXPECT_FALSE(Authenticates(attest_, ByteView(signature_).first(size), values_)) << size;
  Bytes longer = attest_;
  longer.push_back(0);
  EXPECT_FALSE(Authenticates(longer, signature_, values_));
  longer = signature_;
  longer.push_back(0);
  EXPECT_FALSE(Authenticates(attest_, longer, values_));
}

TEST_P(RealQuote, AuthenticatesNoOtherValues) {
  if (!values_) return;
  for (PcrValue& value : *values_) {
    Bytes bytes = ToBytes(value.value.view());
    const PcrDigest real = value.value;
    FlipEach(bytes, [&] {
      value.value = PcrDigest::Of(bytes);
      return Authenticates(attest_, signature_, values_);
    });
    value.value = real;
  }
  std::vector<PcrValue> fewer = *values_;
  fewer.pop_back();
  EXPECT_FALSE(Authenticates(attest_, signature_, fewer));
}

INSTANTIATE_TEST_SUITE_P(Four, RealQuote, testing::ValuesIn(kReal));

}  // namespace
}  // namespace sallyport::server

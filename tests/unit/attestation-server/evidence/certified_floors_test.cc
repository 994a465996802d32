#include "attestation-server/evidence/certified_floors.h"

#include <gtest/gtest.h>

#include "pki/tpm/constants.h"
#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {
namespace {

constexpr uint32_t kMask = 1u << 4;
constexpr pki::FloorCounts kBase{100, 101, 102, 103, 104};
constexpr pki::FloorCounts kCounts{103, 102, 109, 104, 104};

// NameOfArea is the Name of an index that somebody else defined.
Bytes NameOfArea(uint32_t index, uint32_t attributes, uint16_t size, ByteView policy = {}) {
  ByteWriter area;
  area.BigU32(index).BigU16(pki::tpm::kAlgSha256).BigU32(attributes).Sized16(policy).BigU16(size);
  return std::move(ByteWriter().BigU16(pki::tpm::kAlgSha256).Raw(pki::Sha256(area.bytes()).view()))
      .Take();
}

// The fixture is an honest device; each test breaks one thing of one index.
class CertifiedFloorsTest : public testing::Test {
 protected:
  CertifiedFloorsTest() {
    for (size_t i = 0; i < attests_.size(); ++i) {
      AttestFields& fields = attests_[i];
      fields.type = static_cast<uint16_t>(pki::tpm::AttestType::kNv);
      fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
      fields.extra_data = nonce_;
      fields.body = i == 0 ? NvBodyBytes(pki::FloorBaseIndexName(), pki::FloorCountBytes(kBase))
                           : NvBodyBytes(CounterName(i), CountBytes(kCounts[i - 1]));
    }
  }
  static Bytes CounterName(size_t i) {
    return pki::FloorCounterIndexName(static_cast<pki::FloorCounter>(i - 1));
  }
  static Bytes CountBytes(uint64_t count) { return std::move(ByteWriter().BigU64(count)).Take(); }
  struct Certified {
    Bytes attest;
    Bytes signature;
  };
  std::vector<Certified> Sign(const SoftTpmKey& key) {
    std::vector<Certified> out;
    for (const AttestFields& fields : attests_) {
      const Bytes attest = fields.Write();
      out.push_back({attest, key.Sign(attest)});
    }
    return out;
  }
  std::string Failure() { return Failure(Sign(ak_)); }
  std::string Failure(const std::vector<Certified>& certified) {
    std::vector<FloorInput> input;
    for (const Certified& each : certified) input.push_back({each.attest, each.signature});
    CheckList checks(FloorRules());
    floors_ = CheckFloors(key_, input, nonce_, AkParent::kEndorsement, quote_, checks);
    const Check* const failure = checks.FirstFailure();
    EXPECT_EQ(floors_.has_value(), failure == nullptr);
    EXPECT_EQ(floors_.has_value(), checks.AllPassed());
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
    QuoteExpectation policy{};
    policy.extra_data = nonce_;
    policy.bank = pki::HashAlgorithm::kSha256;
    policy.pcr_mask = kMask;
    CheckList checks(QuoteRules());
    return *CheckQuote(key_, {attest, signature, &values, nullptr}, policy, checks);
  }

  SoftTpmKey ak_{kAkAttributes};
  AttestationKey key_ = AttestationKey::FromArea(ak_.area()).value();
  Bytes nonce_ = Bytes(32, 9);
  AuthenticatedQuote quote_ = Quote();
  std::array<AttestFields, pki::kFloorCounters + 1> attests_;
  std::optional<CertifiedFloors> floors_;
};

TEST_F(CertifiedFloorsTest, AreCountsLessTheirBase) {
  EXPECT_EQ(Failure(), "");
  EXPECT_EQ(floors_->base, kBase);
  EXPECT_EQ(floors_->counts, kCounts);
  EXPECT_EQ(floors_->floors(), (pki::FloorCounts{3, 1, 7, 1, 0}));
}

// What TPM 2.0 Part 2, 13.5 says of the first counter's area, written out.
TEST_F(CertifiedFloorsTest, NamesAreThoseOfTheIndicesAsTheyStandInTheTpm) {
  EXPECT_EQ(pki::FloorCounterIndexName(pki::FloorCounter::kRollbackIndex),
            NameOfArea(0x0180A501, 0x22040014, 8));
  EXPECT_EQ(pki::FloorBaseIndexName(), NameOfArea(0x0180A500, 0x22042804, 40));
}

TEST_F(CertifiedFloorsTest, RefusesTooFewTooManyAndAnotherOrder) {
  std::vector<Certified> certified = Sign(ak_);
  certified.push_back(certified.back());
  EXPECT_EQ(Failure(certified), "floors.complete");
  certified.resize(5);
  EXPECT_EQ(Failure(certified), "floors.complete");
  EXPECT_EQ(Failure(std::vector<Certified>{}), "floors.complete");
  std::swap(attests_[1], attests_[2]);
  EXPECT_EQ(Failure(), "floors.index");
}

TEST_F(CertifiedFloorsTest, RefusesAnotherKeysSignatureAndReplayedQualifyingData) {
  EXPECT_EQ(Failure(Sign(SoftTpmKey(kAkAttributes))), "floors.signature");
  attests_[3].extra_data = Bytes(32, 8);
  EXPECT_EQ(Failure(), "floors.extra-data");
}

TEST_F(CertifiedFloorsTest, RefusesAnotherBootAndAnotherParent) {
  ++attests_[5].clock.reset_count;
  EXPECT_EQ(Failure(), "floors.boot");
  --attests_[5].clock.reset_count;
  ++attests_[5].clock.restart_count;
  EXPECT_EQ(Failure(), "floors.boot");
  --attests_[5].clock.restart_count;
  attests_[0].qualified_signer = ak_.qualified_name(pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "floors.qualified-signer");
}

TEST_F(CertifiedFloorsTest, RefusesAnythingButOurCounters) {
  const auto with_name = [&](size_t i, const Bytes& name) {
    const Bytes kept = attests_[i].body;
    attests_[i].body =
        NvBodyBytes(name, i == 0 ? pki::FloorCountBytes(kBase) : CountBytes(kCounts[i - 1]));
    const std::string failure = Failure();
    attests_[i].body = kept;
    return failure;
  };
  EXPECT_EQ(with_name(1, NameOfArea(0x0180A501, 0x22040004, 8)), "floors.index") << "ordinary";
  EXPECT_EQ(with_name(1, NameOfArea(0x0180A509, 0x22040014, 8)), "floors.index") << "elsewhere";
  EXPECT_EQ(with_name(1, NameOfArea(0x0180A501, 0x20040014, 8)), "floors.index") << "other bits";
  EXPECT_EQ(with_name(1, NameOfArea(0x0180A501, 0x22040014, 8, Bytes(32, 1))), "floors.index")
      << "a policy";
  EXPECT_EQ(with_name(0, NameOfArea(0x0180A500, 0x22042004, 40)), "floors.index") << "not locked";
  EXPECT_EQ(with_name(0, Bytes()), "floors.index");
}

TEST_F(CertifiedFloorsTest, RefusesPartsOfAnIndex) {
  attests_[2].body = NvBodyBytes(CounterName(2), CountBytes(kCounts[1]), 1);
  EXPECT_EQ(Failure(), "floors.contents");
  attests_[2].body = NvBodyBytes(CounterName(2), Bytes(7));
  EXPECT_EQ(Failure(), "floors.contents");
  attests_[2].body = NvBodyBytes(CounterName(2), Bytes());
  EXPECT_EQ(Failure(), "floors.contents");
}

TEST_F(CertifiedFloorsTest, RefusesACounterBelowWhereItBegan) {
  attests_[1].body = NvBodyBytes(CounterName(1), CountBytes(kBase[0] - 1));
  EXPECT_EQ(Failure(), "floors.base");
  attests_[1].body = NvBodyBytes(CounterName(1), CountBytes(kBase[0]));
  EXPECT_EQ(Failure(), "");
}

TEST_F(CertifiedFloorsTest, RefusesWhatIsNoCertificationOfAnIndex) {
  attests_[4].magic = 0;
  EXPECT_EQ(Failure(), "floors.magic");
  attests_[4].magic = pki::tpm::kGenerated;
  const Bytes kept = attests_[4].body;
  attests_[4].type = static_cast<uint16_t>(pki::tpm::AttestType::kCertify);
  attests_[4].body = TwoSized(Bytes(34), Bytes(34));
  EXPECT_EQ(Failure(), "floors.type");
  attests_[4].type = static_cast<uint16_t>(pki::tpm::AttestType::kNv);
  attests_[4].body = kept;
  std::vector<Certified> certified = Sign(ak_);
  certified[4].attest.resize(pki::kAttestBytesMax + 1);
  EXPECT_EQ(Failure(certified), "floors.size");
  certified = Sign(ak_);
  certified[4].signature[3] = 0x0C;
  EXPECT_EQ(Failure(certified), "floors.scheme");
  certified[4].signature.clear();
  EXPECT_EQ(Failure(certified), "floors.structure");
}

TEST_F(CertifiedFloorsTest, EveryTruncationOfEachIndexIsRefused) {
  const std::vector<Certified> honest = Sign(ak_);
  for (size_t i = 0; i < honest.size(); ++i)
    for (size_t size = 0; size < honest[i].attest.size(); ++size) {
      std::vector<Certified> certified = honest;
      certified[i].attest.resize(size);
      EXPECT_NE(Failure(certified), "") << i << " " << size;
      certified[i].signature = ak_.Sign(certified[i].attest);  // even when the AK had signed it
      EXPECT_NE(Failure(certified), "") << i << " " << size;
    }
}

TEST_F(CertifiedFloorsTest, EveryFlippedBitIsRefused) {
  const std::vector<Certified> honest = Sign(ak_);
  const auto flip = [&](size_t i, Bytes Certified::* part) {
    for (size_t bit = 0; bit < (honest[i].*part).size() * 8; ++bit) {
      std::vector<Certified> certified = honest;
      Bytes& bytes = certified[i].*part;
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1u << (bit % 8)));
      EXPECT_NE(Failure(certified), "") << i << " " << bit;
    }
  };
  for (const size_t i : {0u, 5u}) {
    flip(i, &Certified::attest);
    flip(i, &Certified::signature);
  }
}

}  // namespace
}  // namespace sallyport::server

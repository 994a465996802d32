#include "attestation-server/evidence/key_evidence.h"

#include <gtest/gtest.h>

#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {
namespace {

Bytes CreationDataOf(ByteView outside_info, uint32_t hierarchy = pki::tpm::kNullHierarchy) {
  const Bytes parent = std::move(ByteWriter().BigU32(hierarchy)).Take();
  ByteWriter out;
  out.BigU32(0)
      .Sized16({})
      .U8(1)
      .BigU16(pki::tpm::kAlgNull)
      .Sized16(parent)
      .Sized16(parent)
      .Sized16(outside_info);
  return std::move(out).Take();
}

// The fixture is an honest certification of a TLS key's creation; each test breaks one thing.
class CheckKeyRules : public testing::Test {
 protected:
  CheckKeyRules() { MakeCreation(); }

  void MakeCreation() {
    kind_ = KeyCertification::kCreation;
    fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kCreation);
    fields_.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields_.extra_data = qualifying_;
    fields_.body =
        TwoSized(tls_.name(), pki::CreationHash(pki::HashAlgorithm::kSha256, creation_data_));
  }
  void MakeCertify(uint32_t hierarchy) {
    kind_ = KeyCertification::kCertify;
    fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kCertify);
    fields_.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields_.extra_data = qualifying_;
    fields_.body = TwoSized(tls_.name(), tls_.qualified_name(hierarchy));
  }

  std::string Failure() {
    const Bytes attest = fields_.Write();
    return FailureOf(attest, (forger_ ? *forger_ : ak_).Sign(attest));
  }
  std::string FailureOf(const Bytes& attest, const Bytes& signature) {
    const Bytes area = tls_.area().Marshal();
    const Bytes spki = csr_spki_.value_or(tls_.key().public_key().spki());
    checks_ = CheckList(KeyRules(kind_));
    const AttestationKey ak = AttestationKey::FromArea(ak_.area()).value();
    key_ = CheckKey(ak, {kind_, area, creation_data_, attest, signature, spki},
                    {qualifying_, nonce_}, checks_);
    const Check* const failure = checks_.FirstFailure();
    EXPECT_EQ(failure == nullptr, key_.has_value());
    return failure == nullptr ? "" : std::string(failure->rule);
  }

  SoftTpmKey ak_{kAkAttributes};
  SoftTpmKey tls_{kTlsAttributes};
  std::optional<SoftTpmKey> forger_;
  KeyCertification kind_ = KeyCertification::kCreation;
  Bytes nonce_ = Bytes(32, 5);
  Bytes qualifying_ = Bytes(32, 6);
  Bytes creation_data_ = CreationDataOf(Bytes(32, 5));
  std::optional<Bytes> csr_spki_;
  AttestFields fields_;
  CheckList checks_;
  std::optional<ProvenTlsKey> key_;
};

TEST_F(CheckKeyRules, ProveAKeyMadeForThisChallenge) {
  EXPECT_EQ(Failure(), "");

  EXPECT_TRUE(checks_.AllPassed());
  ASSERT_TRUE(key_.has_value());
  EXPECT_EQ(key_->name(), tls_.name());
  EXPECT_EQ(key_->spki(), tls_.key().public_key().spki());
  EXPECT_TRUE(key_->in_null_hierarchy());
  EXPECT_FALSE(key_->policy_bound());
}

TEST_F(CheckKeyRules, ProveAnExistingKeyAtRenewal) {
  MakeCertify(pki::tpm::kNullHierarchy);
  EXPECT_EQ(Failure(), "");
  EXPECT_TRUE(checks_.AllPassed());
  EXPECT_TRUE(key_->in_null_hierarchy());

  MakeCertify(pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "");
  EXPECT_FALSE(key_->in_null_hierarchy());
}

TEST_F(CheckKeyRules, SayWhenTheKeyIsNotInTheNullHierarchy) {
  creation_data_ = CreationDataOf(nonce_, pki::tpm::kOwner);
  MakeCreation();
  EXPECT_EQ(Failure(), "");
  EXPECT_FALSE(key_->in_null_hierarchy());
}

TEST_F(CheckKeyRules, RefuseASignatureOfAnotherKey) {
  forger_.emplace(kAkAttributes);
  EXPECT_EQ(Failure(), "key.signature");
}

TEST_F(CheckKeyRules, RefuseACertificationOfAnotherKey) {
  const SoftTpmKey other(kTlsAttributes);
  fields_.body =
      TwoSized(other.name(), pki::CreationHash(pki::HashAlgorithm::kSha256, creation_data_));
  EXPECT_EQ(Failure(), "key.name");

  MakeCertify(pki::tpm::kNullHierarchy);
  fields_.body = TwoSized(other.name(), other.qualified_name(pki::tpm::kNullHierarchy));
  EXPECT_EQ(Failure(), "key.name");
}

TEST_F(CheckKeyRules, RefuseAnotherKindOfAttestation) {
  MakeCertify(pki::tpm::kNullHierarchy);
  kind_ = KeyCertification::kCreation;
  EXPECT_EQ(Failure(), "key.type");
}

TEST_F(CheckKeyRules, RefuseAnotherChallenge) {
  fields_.extra_data = Bytes(32, 7);
  EXPECT_EQ(Failure(), "key.extra-data");
  fields_.extra_data = Bytes(31, 6);
  EXPECT_EQ(Failure(), "key.extra-data");
}

TEST_F(CheckKeyRules, RefuseWrongMagic) {
  fields_.magic = 1;
  EXPECT_EQ(Failure(), "key.magic");
}

TEST_F(CheckKeyRules, RefuseOtherCreationData) {
  creation_data_ = CreationDataOf(nonce_, pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "key.creation-hash");
  creation_data_.push_back(0);
  EXPECT_EQ(Failure(), "key.creation-hash");
}

TEST_F(CheckKeyRules, RefuseAKeyMadeForAnotherNonce) {
  creation_data_ = CreationDataOf(Bytes(32, 4));
  MakeCreation();
  EXPECT_EQ(Failure(), "key.outside-info");
}

TEST_F(CheckKeyRules, RefuseAnotherKeyInTheRequest) {
  csr_spki_ = SoftTpmKey(kTlsAttributes).key().public_key().spki();
  EXPECT_EQ(Failure(), "key.csr");
}

TEST_F(CheckKeyRules, RefuseARequestThatSharesHalfOfItsKey) {
  const Bytes same = tls_.key().public_key().spki();
  for (const size_t byte :
       {same.size() - 64, same.size() - 33, same.size() - 32, same.size() - 1}) {
    csr_spki_ = same;
    csr_spki_->at(byte) ^= 1;
    EXPECT_EQ(Failure(), "key.csr") << byte;
  }
  csr_spki_ = same;
  csr_spki_->push_back(0);
  EXPECT_EQ(Failure(), "key.csr");
}

TEST_F(CheckKeyRules, RefuseKeysThatCanLeaveTheTpm) {
  tls_ = SoftTpmKey(kTlsAttributes & ~pki::tpm::kFixedTpm);
  MakeCreation();
  EXPECT_EQ(Failure(), "tls.fixed-tpm");
  tls_ = SoftTpmKey(kTlsAttributes & ~pki::tpm::kSensitiveDataOrigin);
  MakeCreation();
  EXPECT_EQ(Failure(), "tls.sensitive-data-origin");
}

TEST_F(CheckKeyRules, RefuseARestrictedTlsKey) {
  tls_ = SoftTpmKey(kTlsAttributes | pki::tpm::kRestricted);
  MakeCreation();
  EXPECT_EQ(Failure(), "tls.restricted");
}

TEST_F(CheckKeyRules, RefuseASchemeThatIsNotTheAks) {
  const Bytes attest = fields_.Write();
  Bytes signature = ak_.Sign(attest);
  signature[3] = 0x0C;  // SHA-384
  EXPECT_EQ(FailureOf(attest, signature), "key.scheme");
}

TEST_F(CheckKeyRules, RefuseWhatIsLargerThanAnyTpmMakes) {
  EXPECT_EQ(FailureOf(Bytes(pki::kAttestBytesMax + 1), Bytes(70)), "key.size");
  EXPECT_EQ(FailureOf(Bytes(100), Bytes(pki::kTpmSignatureBytesMax + 1)), "key.size");
}

TEST_F(CheckKeyRules, RefuseTrailingBytesAndMalformedSignatures) {
  fields_.body.push_back(0);
  EXPECT_EQ(Failure(), "key.structure");
  fields_.body.pop_back();
  const Bytes attest = fields_.Write();
  EXPECT_EQ(FailureOf(attest, {}), "key.structure");
}

TEST_F(CheckKeyRules, RefuseEveryTruncationAndEveryFlippedBit) {
  Bytes attest = fields_.Write();
  Bytes signature = ak_.Sign(attest);
  for (Bytes* const part : {&attest, &signature})
    for (size_t bit = 0; bit < part->size() * 8; ++bit) {
      const auto mask = static_cast<uint8_t>(1 << bit % 8);
      (*part)[bit / 8] ^= mask;
      EXPECT_NE(FailureOf(attest, signature), "") << bit;
      (*part)[bit / 8] ^= mask;
    }
  for (size_t size = 0; size < attest.size(); ++size)
    EXPECT_NE(FailureOf(ToBytes(ByteView(attest).first(size)), signature), "") << size;
  for (size_t size = 0; size < signature.size(); ++size)
    EXPECT_NE(FailureOf(attest, ToBytes(ByteView(signature).first(size))), "") << size;
}

TEST_F(CheckKeyRules, RefuseAnotherSigner) {
  fields_.qualified_signer = ak_.qualified_name(pki::tpm::kOwner);
  EXPECT_EQ(Failure(), "key.qualified-signer");
}

}  // namespace
}  // namespace sallyport::server

#include "pki/x509/ek_certificate.h"

#include "pki/x509/pem.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

Bytes Vector(const std::string& name) { return VectorFile("ek/" + name); }

std::string_view TakeRule(ByteView bytes) {
  const auto taken = TakeEkCertificates(bytes);
  return taken.has_value() ? "" : taken.error().rule;
}
std::string_view ReadRule(ByteView bytes) {
  const auto read = ReadEkCertificate(bytes);
  return read.has_value() ? "" : read.error().rule;
}

class TakeEk : public testing::Test {
 protected:
  Bytes Stored(uint8_t type, size_t counted) const {
    Bytes out{0x10, 0x01, type, static_cast<uint8_t>(counted >> 8), static_cast<uint8_t>(counted)};
    Append(out, der_);
    return out;
  }
  Bytes Sized(size_t counted, ByteView behind = {}) const {
    Bytes out{static_cast<uint8_t>(counted >> 8), static_cast<uint8_t>(counted)};
    Append(out, der_);
    Append(out, behind);
    return out;
  }

  const FakeTpmVendor vendor_;
  const SoftEk ek_;
  const Bytes der_ = vendor_.EkCertificate(ek_.public_key());
  const std::vector<Bytes> alone_{der_};
};

TEST_F(TakeEk, CutsPaddingOfEitherKind) {
  for (const uint8_t fill : {uint8_t{0x00}, uint8_t{0xFF}}) {
    Bytes padded = der_;
    padded.insert(padded.end(), 400, fill);
    EXPECT_EQ(TakeEkCertificates(padded).value(), alone_);
  }
}

TEST_F(TakeEk, RefusesOtherBytesBehindIt) {
  for (const Bytes& behind : {Bytes{0x00, 0xFF}, Bytes{0x01}, Bytes{0xFF, 0x00}}) {
    Bytes bytes = der_;
    Append(bytes, behind);
    EXPECT_EQ(TakeRule(bytes), "ek.der");
  }
}

TEST_F(TakeEk, CutsTheHeaderOfThePcClientSpecification) {
  EXPECT_EQ(TakeEkCertificates(Stored(0, der_.size())).value(), alone_);
  EXPECT_EQ(TakeRule(Stored(1, der_.size())), "ek.nv-header");
  EXPECT_EQ(TakeRule(Stored(0, der_.size() + 1)), "ek.nv-header");
  EXPECT_EQ(TakeRule(Vector("goattest__bug142_nvheader_overflow.bin")), "ek.nv-header");
}

TEST_F(TakeEk, CutsASizeInFront) {
  EXPECT_EQ(TakeEkCertificates(Sized(der_.size())).value(), alone_);
  EXPECT_EQ(TakeEkCertificates(Sized(der_.size(), Bytes(100, 0xFF))).value(), alone_);
  EXPECT_EQ(TakeRule(Sized(der_.size() + 1)), "ek.nv-header");
  EXPECT_EQ(TakeRule(Sized(der_.size(), Bytes{1})), "ek.nv-header");
}

TEST_F(TakeEk, TakesAChainLeafFirst) {
  Bytes chain = der_;
  Append(chain, vendor_.intermediate_der());
  const std::vector<Bytes> both{der_, vendor_.intermediate_der()};
  EXPECT_EQ(TakeEkCertificates(chain).value(), both);
  chain.insert(chain.end(), 99, 0xFF);
  EXPECT_EQ(TakeEkCertificates(chain).value(), both);
  EXPECT_EQ(TakeEkCertificates(AsBytes("Subject: a note\n" + CertificatePem(der_) +
                                       CertificatePem(vendor_.intermediate_der())))
                .value(),
            both);
}

TEST_F(TakeEk, RefusesMoreThanAnyTpmHolds) {
  Bytes chain;
  std::string pem;
  for (size_t i = 0; i <= kEkChainMax; ++i) {
    Append(chain, der_);
    pem += CertificatePem(der_);
  }
  EXPECT_EQ(TakeRule(chain), "ek.chain-length");
  EXPECT_EQ(TakeRule(AsBytes(pem)), "ek.chain-length");
}

TEST_F(TakeEk, RefusesWhatIsLargerThanAnyTpmStores) {
  Bytes padded = der_;
  padded.resize(kEkCertificateBytesMax, 0xFF);
  EXPECT_EQ(TakeRule(padded), "");
  padded.push_back(0xFF);
  EXPECT_EQ(TakeRule(padded), "ek.size");
  Bytes large{0x30, 0x82, 0x20, 0x00};
  large.resize(4 + 0x2000);
  EXPECT_EQ(TakeRule(large), "ek.size");
  EXPECT_EQ(TakeRule(Bytes(1 << 20, 0x30)), "ek.size");
}

TEST_F(TakeEk, RefusesPemThatHoldsNoCertificateOrABrokenOne) {
  std::string pem = CertificatePem(der_);
  EXPECT_EQ(TakeRule(AsBytes(ek_.public_key().ToPem())), "ek.der");
  EXPECT_EQ(TakeRule(AsBytes(pem.substr(0, pem.size() / 2))), "ek.der");
  EXPECT_EQ(TakeRule(AsBytes(pem + pem.substr(0, 200))), "ek.der");
}

TEST(TakeEkCertificates, NamesAttributeCertificates) {
  for (const char* name : {"nuc1", "nuc_pc", "nuc_pc2", "pc1", "pc2", "pc3"})
    EXPECT_EQ(TakeRule(Vector(std::string("platform/Intel_") + name + ".cer")),
              "ek.attribute-certificate");
  const std::string pem = "-----BEGIN ATTRIBUTE CERTIFICATE-----\n" +
                          Base64Encode(Vector("platform/Intel_pc1.cer")) +
                          "\n-----END ATTRIBUTE CERTIFICATE-----\n";
  EXPECT_EQ(TakeRule(AsBytes(pem)), "ek.attribute-certificate");
}

TEST(ReadEkCertificate, ReadsGoogleEccAndRsa) {
  const EkCertificate ecc = ReadEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  EXPECT_EQ(ecc.key->type(), KeyType::kP256);
  EXPECT_EQ(ecc.manufacturer, "");
  EXPECT_EQ(ReadEkCertificate(Vector("gce__pca_tpm_rsa_enc_cert.pem"))->key_name, "rsa-2048");
}

TEST(ReadEkCertificate, CutsNvPaddingAndReadsACriticalSanWithAnEmptySubject) {
  const EkCertificate ek = ReadEkCertificate(Vector("keylime__st_sha256_with_rsa_der.der")).value();
  EXPECT_EQ(ek.manufacturer, "id:53544D20");
  EXPECT_EQ(ek.vendor(), "STM");
  EXPECT_EQ(ek.model, "ST33HTPHAHB4");
  EXPECT_EQ(ek.version, "id:00490004");
  EXPECT_EQ(ek.firmware(), 73U << 16 | 4U);
  EXPECT_EQ(ek.der.size(), 1600u - 431u);
}

TEST(ReadEkCertificate, KeepsTheBytesOfANameThatIsNotStrictDer) {
  const Bytes file = Vector("keylime__certificate_wrapper_malformed.der");
  const EkCertificate ek = ReadEkCertificate(file).value();
  EXPECT_EQ(ek.manufacturer, "id:4E544300");
  EXPECT_EQ(ek.model, "NPCT75x");
  EXPECT_NE(ek.deviation, "");
  EXPECT_TRUE(Equal(ek.der, ByteView(file).first(ek.der.size())));
}

TEST_F(TakeEk, ReadsACertificateThatNeverEnds) {
  EXPECT_EQ(ReadEkCertificate(der_)->not_after, UnixTime::FromSeconds(253402300799));
}

TEST_F(TakeEk, RefusesTruncationAtEveryByte) {
  for (size_t size = 0; size < der_.size(); ++size)
    EXPECT_EQ(ReadRule(ByteView(der_).first(size)), "ek.der") << size;
}

TEST_F(TakeEk, EitherReadsOrRefusesWhateverBitIsFlipped) {
  for (size_t bit = 0; bit < der_.size() * 8; ++bit) {
    Bytes bytes = der_;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto read = ReadEkCertificate(bytes);
    const bool sound =
        read.has_value() ? Equal(read->der, bytes) : read.error().rule.starts_with("ek.");
    EXPECT_TRUE(sound) << bit;
  }
}

TEST_F(TakeEk, NamesEveryKindOfKey) {
  const auto name = [&](KeyType type) {
    return ReadEkCertificate(vendor_.EkCertificate(PrivateKey::Generate(type)->public_key()))
        ->key_name;
  };
  EXPECT_EQ(name(KeyType::kP256), "p-256");
  EXPECT_EQ(name(KeyType::kP384), "p-384");
  EXPECT_EQ(name(KeyType::kRsa), "rsa-2048");
  EXPECT_EQ(name(KeyType::kEd25519), "ED25519");
}

TEST_F(TakeEk, ReadsTheTpmFromTheSubjectWhenTheSanHasNone) {
  const EkCertificate ek =
      ReadEkCertificate(
          vendor_.EkCertificate(ek_.public_key(), {.tpm_name = false, .subject = "no TPM here"}))
          .value();
  EXPECT_EQ(ek.manufacturer, "");
  EXPECT_EQ(ek.manufacturer_id(), std::nullopt);
}

TEST_F(TakeEk, ReadsVersionsOfEightAndOfFourDigits) {
  const auto firmware = [&](const std::string& version) {
    return ReadEkCertificate(vendor_.EkCertificate(ek_.public_key(), {.version = version}))
        ->firmware();
  };
  EXPECT_EQ(firmware("id:00070055"), 7U << 16 | 0x55U);
  EXPECT_EQ(firmware("id:0755"), 7U << 16 | 0x55U);
  EXPECT_EQ(firmware("7.85"), std::nullopt);
  EXPECT_EQ(firmware("id:0007005x"), std::nullopt);
}

TEST_F(TakeEk, RefusesATpmThatIsNamedTwiceOrWithControlCharacters) {
  EXPECT_EQ(ReadRule(vendor_.EkCertificate(ek_.public_key(), {.second_manufacturer = "id:0"})),
            "ek.san");
  EXPECT_EQ(ReadRule(vendor_.EkCertificate(ek_.public_key(), {.model = "a\x1b[2J"})), "ek.san");
}

}  // namespace
}  // namespace sallyport::pki

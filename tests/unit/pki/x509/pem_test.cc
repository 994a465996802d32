#include "pki/x509/pem.h"

namespace sallyport::pki {
namespace {

TEST(CertificatePem, ReadsBackAsWritten) {
  const std::string text = CertificatePem(Bytes(100, 1)) + CertificatePem(Bytes(3, 2));

  EXPECT_EQ(*ParseCertificatePem(text), (std::vector<Bytes>{Bytes(100, 1), Bytes(3, 2)}));
}

TEST(CertificatePem, RefusesEverythingThatIsNotABlock) {
  const std::string one = CertificatePem(Bytes(3, 1));
  for (const std::string& bad :
       {std::string(), "x" + one, one + "x", one.substr(0, one.size() - 5),
        std::string("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nA?==\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")})
    EXPECT_EQ(ParseCertificatePem(bad).error().rule, "pem.malformed") << bad;
}

TEST(CertificatePem, RefusesTooManyBlocksAndTooManyBytes) {
  std::string text;
  for (size_t i = 0; i <= kPemChainMax; ++i) text += CertificatePem(Bytes(3, 1));

  EXPECT_EQ(ParseCertificatePem(text).error().rule, "pem.count");
  EXPECT_EQ(ParseCertificatePem(std::string(1 << 20, ' ')).error().rule, "pem.size");
}

}  // namespace
}  // namespace sallyport::pki

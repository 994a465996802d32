// The test manufacturer's certificates, read by OpenSSL, and the TPMs that carry them.
#include "tests/node/vendor_ca.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "tests/fakes/fake_random.h"

namespace sallyport::node {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1795000000);  // 2026-11-18

std::string OutputOf(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  ::pclose(pipe);
  return out;
}

class VendorCaTest : public testing::Test {
 protected:
  VendorCaTest() {
    char name[] = "/tmp/sp-ca-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~VendorCaTest() override { std::filesystem::remove_all(dir_); }
  // Certificate reads an EK certificate out of NV into a file.
  std::string Certificate(const SwTpm& tpm, uint32_t index) const {
    const std::string path = dir_ + "/ek.der";
    char hex[16];
    std::snprintf(hex, sizeof hex, "0x%08x", index);
    OutputOf("tpm2_nvread -C o -T " + tpm.tcti() + " -o " + path + " " + hex);
    return path;
  }
  std::string dir_;
  FakeRandom random_;
  PosixFileSystem files_;
};

TEST_F(VendorCaTest, OpensslAcceptsTheChainOfBothCertificatesOfATpm) {
  const auto vendor = VendorCa::Make(kNow, random_);
  ASSERT_TRUE(vendor && vendor->Save(files_, dir_ + "/vendor"));
  auto tpm = SwTpm::Start(dir_ + "/tpm");
  ASSERT_TRUE(tpm);

  const auto made = Manufacture(*tpm, *vendor, kNow, random_);

  ASSERT_TRUE(made) << made.error().ToString();
  for (const uint32_t index : {kEkCertificateRsa2048Index, kEkCertificateP256Index}) {
    const std::string verify =
        "openssl verify -attime 1795000000 -purpose any -ignore_critical -CAfile " + dir_ +
        "/vendor/root.pem -untrusted " + dir_ + "/vendor/intermediate.pem ";
    EXPECT_NE(OutputOf(verify + Certificate(*tpm, index)).find(": OK"), std::string::npos);
  }
}

TEST_F(VendorCaTest, NamesTheTpmAndThePurpose) {
  const auto vendor = VendorCa::Make(kNow, random_);
  auto tpm = SwTpm::Start(dir_ + "/tpm");
  ASSERT_TRUE(vendor && tpm && Manufacture(*tpm, *vendor, kNow, random_));

  const std::string text =
      OutputOf("openssl x509 -noout -text -in " + Certificate(*tpm, kEkCertificateP256Index));

  for (const char* part :
       {"Subject: \n", "X509v3 Subject Alternative Name: critical", "id:49424D00", "swtpm",
        "2.23.133.8.1", "Key Agreement", "CA:FALSE", "9999", "prime256v1"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST_F(VendorCaTest, HasOnlyTheSha256BankAfterManufacture) {
  const auto vendor = VendorCa::Make(kNow, random_);
  auto tpm = SwTpm::Start(dir_ + "/tpm");
  ASSERT_TRUE(vendor && tpm && Manufacture(*tpm, *vendor, kNow, random_));

  const std::string banks = OutputOf("tpm2_getcap pcrs -T " + tpm->tcti());

  EXPECT_NE(banks.find("sha256: [ 0, 1"), std::string::npos) << banks;
  EXPECT_NE(banks.find("sha1: [ ]"), std::string::npos) << banks;
}

TEST_F(VendorCaTest, IssuesTheSameAfterBeingSavedAndLoaded) {
  const auto vendor = VendorCa::Make(kNow, random_);
  ASSERT_TRUE(vendor && vendor->Save(files_, dir_));

  const auto loaded = VendorCa::Load(files_, dir_);

  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->root(), vendor->root());
  EXPECT_EQ(loaded->intermediate(), vendor->intermediate());
}

}  // namespace
}  // namespace sallyport::node

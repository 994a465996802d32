#include "pki/x509/iak_certificate.h"

#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

class IakCertificateTest : public testing::Test {
 protected:
  static EkCertificateOptions Good() {
    return {.key_usage = "critical,digitalSignature",
            .extended_key_usage = "2.23.133.8.3",
            .hardware_serial = "SN-4711",
            .policies = "2.23.133.11.1.2"};
  }
  Bytes Make(const EkCertificateOptions& options) const {
    return vendor_.EkCertificate(key_.public_key(), options);
  }
  // Rule is the first that refuses.
  std::string Rule(const EkCertificateOptions& options) const {
    const Result<IakCertificate> read = ReadIakCertificate(Make(options));
    if (!read.has_value()) return std::string(read.error().rule);
    const Result<Unit> all = RequireAll(CheckIakProfile(*read));
    return all.has_value() ? "" : std::string(all.error().rule);
  }

  const FakeTpmVendor vendor_;
  const SoftEk key_;
};

TEST_F(IakCertificateTest, ReadsTheSerialNumberOfTheMachine) {
  EXPECT_EQ(ReadIakCertificate(Make(Good()))->serial, "SN-4711");
  EkCertificateOptions subject = Good();
  subject.hardware_serial = "";
  subject.subject_serial = "SN-0815";
  EXPECT_EQ(ReadIakCertificate(Make(subject))->serial, "SN-0815");
  EXPECT_EQ(Rule(subject), "");
  EXPECT_EQ(Rule(Good()), "");
}

TEST_F(IakCertificateTest, RefusesSerialNumbersThatDoNotName) {
  EkCertificateOptions options = Good();
  options.subject_serial = "SN-4711";
  EXPECT_EQ(Rule(options), "");
  options.subject_serial = "SN-4712";
  EXPECT_EQ(Rule(options), "iak.serial");
  options.subject_serial = "";
  options.hardware_serial = "SN 4711";
  EXPECT_EQ(Rule(options), "iak.serial");
  options.hardware_serial = std::string(kHardwareSerialMax + 1, '7');
  EXPECT_EQ(Rule(options), "iak.serial");
  options.hardware_serial = std::string(kHardwareSerialMax, '7');
  EXPECT_EQ(Rule(options), "");
  options.hardware_serial = "";
  EXPECT_EQ(Rule(options), "iak.serial");
}

TEST_F(IakCertificateTest, RefusesEachBreach) {
  const auto with = [](auto change) {
    EkCertificateOptions options = Good();
    change(options);
    return options;
  };
  EXPECT_EQ(Rule(with([](auto& o) { o.key_usage = "critical,keyAgreement"; })), "iak.key-usage");
  EXPECT_EQ(Rule(with([](auto& o) { o.key_usage = "critical,digitalSignature,keyCertSign"; })),
            "iak.key-usage");
  EXPECT_EQ(Rule(with([](auto& o) { o.key_usage = ""; })), "iak.key-usage");
  EXPECT_EQ(Rule(with([](auto& o) { o.extended_key_usage = ""; })), "iak.extended-key-usage");
  EXPECT_EQ(Rule(with([](auto& o) { o.extended_key_usage = "2.23.133.8.1"; })),
            "iak.extended-key-usage");
  EXPECT_EQ(Rule(with([](auto& o) { o.is_ca = true; })), "iak.ca");
  EXPECT_EQ(Rule(with([](auto& o) { o.critical_extension = "1.2.3.4"; })),
            "iak.extension-critical");
}

TEST_F(IakCertificateTest, ListsEveryRule) {
  EkCertificateOptions options = Good();
  options.usage_twice = true;
  options.policies = "1.2.3";
  const auto checks = CheckIakProfile(ReadIakCertificate(Make(options)).value());
  std::string failed, warned;
  for (const EkCheck& check : checks) {
    if (check.result == CheckResult::kFail) failed += std::string(check.rule) + " ";
    if (check.warning) warned += std::string(check.rule) + " ";
  }
  EXPECT_EQ(failed, "iak.extended-key-usage iak.extension-twice ");
  EXPECT_EQ(warned, "iak.policy ");
  EXPECT_EQ(checks.size(), 11u);
}

TEST_F(IakCertificateTest, RefusesKeysThatAreNoAttestationKeys) {
  const auto rule = [&](KeyType type) {
    const Bytes der = vendor_.EkCertificate(PrivateKey::Generate(type)->public_key(), Good());
    const auto checks = CheckIakProfile(ReadIakCertificate(der).value());
    const Result<Unit> all = RequireAll(checks);
    return all.has_value() ? std::string() : std::string(all.error().rule);
  };
  EXPECT_EQ(rule(KeyType::kP384), "");
  EXPECT_EQ(rule(KeyType::kRsa), "");
  EXPECT_EQ(rule(KeyType::kEd25519), "iak.key");
}

TEST_F(IakCertificateTest, AnEkCertificateIsNoIakCertificate) {
  EXPECT_EQ(Rule({}), "iak.key-usage");
}

TEST_F(IakCertificateTest, RefusesTruncationAtEveryByte) {
  const Bytes whole = Make(Good());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(ReadIakCertificate(ByteView(whole).first(size)).has_value()) << size;
}

}  // namespace
}  // namespace sallyport::pki

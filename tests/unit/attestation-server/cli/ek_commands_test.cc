#include "attestation-server/cli/ek_commands.h"

#include "pki/base/json.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);  // September 2026

class EkVerify : public ::testing::Test {
 protected:
  EkVerify() {
    for (const char* name : {"gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt"})
      Store(std::string("google/") + name, VectorFile(std::string("ek/") + name));
    for (const char* name : {"STM_RSA_RT.pem", "STM_RSA_05I.pem", "GS_TPM_RT.pem"})
      Store(std::string("st/") + name, VectorFile(std::string("ek/") + name));
  }
  void Store(const std::string& name, const Bytes& content) {
    SP_CHECK((*files.Open(name, OpenMode::kCreate))->WriteAt(0, content).has_value());
  }
  CommandResult Run(const std::string& vector, const std::string& roots, UnixTime now = kNow) {
    Store("cert", VectorFile("ek/" + vector));
    return VerifyEkFile(files, {"cert", roots, true}, now);
  }
  static JsonValue Json(const CommandResult& result) {
    return *ParseJson(std::string_view(result.out).substr(0, result.out.size() - 1));
  }
  // FailedRule is the rule of the one check that failed.
  static std::string FailedRule(const CommandResult& result) {
    EXPECT_EQ(result.code, ExitCode::kNo);
    const JsonValue json = Json(result);
    EXPECT_EQ(*json.Find("verdict")->if_string(), "fail");
    std::string rules;
    for (const JsonValue& check : *json.Find("checks")->if_array())
      if (*check.Find("result")->if_string() == "fail") rules += *check.Find("rule")->if_string();
    return rules;
  }
  MemoryFileSystem files;
};

TEST_F(EkVerify, PassesARealCertificateUnderItsVendor) {
  const CommandResult result = Run("keylime__st_sha256_with_rsa_der.der", "st");
  EXPECT_EQ(result.code, ExitCode::kYes) << result.out;
  const JsonValue json = Json(result);
  EXPECT_EQ(*json.Find("verdict")->if_string(), "pass");
  EXPECT_EQ(*json.Find("manufacturer")->if_string(), "id:53544D20");
  EXPECT_EQ(*json.Find("model")->if_string(), "ST33HTPHAHB4");
  EXPECT_EQ(*json.Find("version")->if_string(), "id:00490004");
  EXPECT_EQ(*json.Find("key")->if_string(), "rsa-2048");
  EXPECT_EQ(json.Find("checks")->if_array()->size(), 2u);
}

TEST_F(EkVerify, NamesTheKeyOfAnEccCertificate) {
  EXPECT_EQ(*Json(Run("gce__pca_tpm_ecc_enc_cert.pem", "google")).Find("key")->if_string(),
            "p-256");
}

TEST_F(EkVerify, RefusesAnotherVendorsCertificate) {
  EXPECT_EQ(FailedRule(Run("keylime__st_sha256_with_rsa_der.der", "google")), "ek.chain");
}

TEST_F(EkVerify, RefusesAnExpiredChain) {
  EXPECT_EQ(FailedRule(Run("keylime__st_sha256_with_rsa_der.der", "st",
                           UnixTime::FromSeconds(7'000'000'000))),
            "ek.expired");
}

TEST_F(EkVerify, AnswersNoWithTheRuleForWhatIsNoEkCertificate) {
  EXPECT_EQ(FailedRule(Run("gce__pca_tpm_rsa_sign_cert.pem", "google")), "ek.key-usage");
  const CommandResult result = Run("goattest__bug142_nvheader_overflow.bin", "google");
  EXPECT_EQ(FailedRule(result), "ek.der");
  EXPECT_EQ(Json(result).Find("manufacturer")->kind(), JsonValue::Kind::kNull);
  EXPECT_EQ(*Json(result).Find("checks")->if_array()->back().Find("result")->if_string(),
            "not-run");
}

TEST_F(EkVerify, SaysWhichFileCannotBeUsed) {
  EXPECT_EQ(Run("gce__pca_tpm_ecc_enc_cert.pem", "nowhere").code, ExitCode::kUsage);
  EXPECT_EQ(VerifyEkFile(files, {"missing", "google", true}, kNow).code, ExitCode::kUsage);

  Store("broken/root.pem", ToBytes("not a certificate"));
  const CommandResult result = Run("gce__pca_tpm_ecc_enc_cert.pem", "broken");
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_NE(result.out.find("\"reason\":\"ek.root\""), std::string::npos);
  EXPECT_NE(result.err.find("broken"), std::string::npos);
}

TEST_F(EkVerify, PrintsTheSameForPeople) {
  Store("cert", VectorFile("ek/keylime__st_sha256_with_rsa_der.der"));
  const CommandResult result = VerifyEkFile(files, {"cert", "st"}, kNow);
  EXPECT_NE(result.out.find("verdict       pass\n"), std::string::npos);
  EXPECT_NE(result.out.find("model         ST33HTPHAHB4\n"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::server

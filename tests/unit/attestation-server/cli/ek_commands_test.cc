#include "attestation-server/cli/ek_commands.h"

#include <filesystem>
#include <sstream>

#include "pki/base/json.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/soft_ek.h"
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
    return VerifyEkFile(files, {.cert = "cert", .roots = roots, .json = true}, now);
  }
  CommandResult RunFake(const Bytes& certificate, const std::vector<std::string>& crls = {}) {
    Store("cert", certificate);
    Store("fake/root.der", vendor.root_der());
    Store("fake/issuer.crt", vendor.intermediate_der());
    Store("fake/README.txt", ToBytes("no certificate"));
    return VerifyEkFile(files, {.cert = "cert", .roots = "fake", .crls = crls, .json = true}, kNow);
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
  const FakeTpmVendor vendor;
  const SoftEk ek;
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
  EXPECT_EQ(json.Find("checks")->if_array()->size(), 15u);
  for (const JsonValue& check : *json.Find("checks")->if_array())
    EXPECT_NE(*check.Find("result")->if_string(), "fail");
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
  EXPECT_EQ(FailedRule(result), "ek.nv-header");
  EXPECT_EQ(Json(result).Find("manufacturer")->kind(), JsonValue::Kind::kNull);
  EXPECT_EQ(*Json(result).Find("checks")->if_array()->back().Find("result")->if_string(),
            "not-run");
}

TEST_F(EkVerify, SaysWhichFileCannotBeUsed) {
  EXPECT_EQ(Run("gce__pca_tpm_ecc_enc_cert.pem", "nowhere").code, ExitCode::kUsage);
  EXPECT_EQ(VerifyEkFile(files, {.cert = "missing", .roots = "google", .json = true}, kNow).code,
            ExitCode::kUsage);

  Store("broken/root.pem", ToBytes("not a certificate"));
  const CommandResult result = Run("gce__pca_tpm_ecc_enc_cert.pem", "broken");
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_NE(result.out.find("\"reason\":\"ek.root\""), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("broken"), std::string::npos);
}

TEST_F(EkVerify, PrintsTheSameForPeople) {
  Store("cert", VectorFile("ek/keylime__st_sha256_with_rsa_der.der"));
  const CommandResult result = VerifyEkFile(files, {.cert = "cert", .roots = "st"}, kNow);
  EXPECT_NE(result.out.find("verdict       pass\n"), std::string::npos);
  EXPECT_NE(result.out.find("model         ST33HTPHAHB4\n"), std::string::npos);
}

TEST_F(EkVerify, JudgesByTheListThatIsGiven) {
  const Bytes leaf = vendor.EkCertificate(ek.public_key(), {.serial = 5});
  Store("good.crl", vendor.Crl());
  Store("bad.crl", vendor.Crl({.revoked = {5}}));
  Store("old.crl", vendor.Crl({.next_update = 1'700'000'000}));
  Store("broken.crl", ToBytes("none"));
  EXPECT_EQ(RunFake(leaf, {"good.crl"}).code, ExitCode::kYes);
  EXPECT_EQ(FailedRule(RunFake(leaf, {"bad.crl"})), "crl.revoked");
  EXPECT_EQ(FailedRule(RunFake(leaf, {"good.crl", "old.crl"})), "crl.stale");
  EXPECT_EQ(RunFake(leaf, {"broken.crl"}).code, ExitCode::kUsage);
  EXPECT_EQ(RunFake(leaf, {"missing.crl"}).code, ExitCode::kUsage);
}

TEST_F(EkVerify, TakesAChainOutOfOneFile) {
  Bytes chain = vendor.EkCertificate(ek.public_key());
  Append(chain, vendor.intermediate_der());
  Store("cert", chain);
  Store("top/root.pem", vendor.root_der());
  EXPECT_EQ(VerifyEkFile(files, {.cert = "cert", .roots = "top"}, kNow).code, ExitCode::kYes);
}

TEST_F(EkVerify, NamesEveryRuleThatFailed) {
  const Bytes leaf = vendor.EkCertificate(
      ek.public_key(), {.key_usage = "critical,digitalSignature", .not_after = 1'600'000'000});
  EXPECT_EQ(FailedRule(RunFake(leaf)), "ek.key-usageek.expired");
}

TEST_F(EkVerify, MarksWarnings) {
  const CommandResult result = Run("keylime__st_sha256_with_rsa_der.der", "st");
  std::string warned;
  const JsonValue json = Json(result);
  for (const JsonValue& check : *json.Find("checks")->if_array())
    if (check.Find("warning") != nullptr) warned += *check.Find("rule")->if_string();
  EXPECT_EQ(warned, "ek.advisory.cve-2019-16863");
}

// RowsOf reads a table of tests/vectors: tab-separated, '#' starts a comment.
std::vector<std::vector<std::string>> RowsOf(const std::string& name) {
  std::istringstream text(VectorText(name));
  std::vector<std::vector<std::string>> out;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream cells(line);
    out.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');) out.back().push_back(cell);
  }
  return out;
}

// A fifth cell says why we differ; docs/verifier.md has the reasons at length. OpenSslWord is
// what our check of the chain says in the words of the table, which was made without regard to
// time.
std::string OpenSslWord(const JsonValue& json) {
  for (const JsonValue& check : *json.Find("checks")->if_array())
    if (*check.Find("rule")->if_string() == "ek.chain")
      return *check.Find("result")->if_string() == "pass"      ? "ok"
             : *check.Find("result")->if_string() == "not-run" ? "unreadable"
                                                               : "none";
  return "none";
}

TEST(EkAgreement, WithEveryCertificateOfTheVectors) {
  PosixFileSystem files;
  const std::string base = SALLYPORT_SOURCE_DIR "/tests/vectors/ek/";
  int matched = 0;
  const auto rows = RowsOf("ek/expected.tsv");
  for (const std::vector<std::string>& row : rows) {
    const CommandResult result =
        VerifyEkFile(files, {.cert = base + row[0], .roots = base + row[1], .json = true}, kNow);
    const JsonValue json =
        *ParseJson(std::string_view(result.out).substr(0, result.out.size() - 1));
    const bool same = *json.Find("verdict")->if_string() == row[2] && OpenSslWord(json) == row[3];
    EXPECT_EQ(same, row.size() == 4) << row[0] << "\n" << result.out;
    matched += same ? 1 : 0;
  }
  std::printf("EK certificates: %d/%zu\n", matched, rows.size());
  EXPECT_EQ(rows.size(), 19u);
}

// No CA certificate of any vendor passes for an EK, and each reads.
TEST(EkAgreement, WithEveryCaCertificateOfTheVendors) {
  PosixFileSystem files;
  const std::string base = SALLYPORT_SOURCE_DIR "/tests/vectors/ek/";
  int refused = 0;
  int all = 0;
  for (const std::string folder : {"roots-keylime", "roots-gce"})
    for (const auto& entry : std::filesystem::directory_iterator(base + folder)) {
      const CommandResult result =
          VerifyEkFile(files, {.cert = entry.path(), .roots = base + folder, .json = true}, kNow);
      const bool named = result.out.find(R"("result":"fail","rule":"ek.ca")") != std::string::npos;
      EXPECT_TRUE(result.code == ExitCode::kNo && named) << entry.path() << result.out;
      refused += named ? 1 : 0;
      ++all;
    }
  std::printf("CA certificates refused as EK: %d/%d\n", refused, all);
  EXPECT_EQ(refused, 56);
}

}  // namespace
}  // namespace sallyport::server

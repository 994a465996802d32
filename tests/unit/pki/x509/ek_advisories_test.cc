#include "pki/x509/ek_advisories.h"

#include "tests/fakes/soft_ek.h"

namespace sallyport::pki {
namespace {

std::string Hex(uint32_t value) {
  std::string out = "id:";
  for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789ABCDEF"[value >> shift & 0xF];
  return out;
}

// CertificateOf is one that names `firmware` of the maker, not a real one.
EkCertificate CertificateOf(uint32_t manufacturer, std::string model, const std::string& version,
                            std::string key_name = "rsa-2048",
                            UnixTime made = UnixTime::FromSeconds(1'500'000'000)) {
  return {.der = {},
          .spki = {},
          .key = std::nullopt,
          .key_name = std::move(key_name),
          .manufacturer = Hex(manufacturer),
          .model = std::move(model),
          .version = version,
          .not_before = made,
          .not_after = made,
          .deviation = {}};
}

// Effect is "refuse", "warn" or "none" of `rule`.
std::string Effect(const EkCertificate& certificate, std::string_view rule,
                   const std::vector<std::string>& accepted = {}) {
  for (const EkCheck& check : CheckAdvisories(certificate, accepted)) {
    if (check.rule != rule) continue;
    EXPECT_NE(check.detail, "");
    return check.result == CheckResult::kFail ? "refuse" : check.warning ? "warn" : "pass";
  }
  return "none";
}

constexpr uint32_t kInfineon = 0x49465800;
constexpr uint32_t kStm = 0x53544D20;
constexpr uint32_t kIntel = 0x494E5443;
constexpr uint32_t kAmd = 0x414D4400;
constexpr uint32_t kNuvoton = 0x4E544300;
constexpr uint32_t kIbm = 0x00001014;
constexpr UnixTime kLater = UnixTime::FromSeconds(1'780'000'000);

TEST(EkAdvisories, EachHoldsForItsFirstAndLastFirmwareAndForNoneBesides) {
  for (const EkAdvisory& advisory : EkAdvisories()) {
    const std::string effect = advisory.effect == AdvisoryEffect::kRefuse ? "refuse" : "warn";
    const std::string model = std::string(advisory.model) + "x";
    const auto at = [&](uint32_t firmware) {
      return Effect(CertificateOf(advisory.manufacturer, model, Hex(firmware)), advisory.rule);
    };
    EXPECT_EQ(at(advisory.from), effect) << advisory.id;
    EXPECT_EQ(at(advisory.to), effect) << advisory.id;
    if (advisory.to != UINT32_MAX) {
      EXPECT_EQ(at(advisory.to + 1), "none") << advisory.id;
    }
    EXPECT_EQ(Effect(CertificateOf(0x58585858, model, Hex(advisory.from)), advisory.rule), "none");
    EXPECT_FALSE(advisory.source.empty());
    EXPECT_TRUE(advisory.rule.starts_with("ek.advisory.cve-"));
  }
}

TEST(EkAdvisories, RefuseRsaKeysOfFirmwareWithRoca) {
  const auto effect = [](const std::string& version, const std::string& key) {
    return Effect(CertificateOf(kInfineon, "SLB9670", version, key), "ek.advisory.cve-2017-15361");
  };
  EXPECT_EQ(effect("id:0007003D", "rsa-2048"), "refuse");  // 7.61
  EXPECT_EQ(effect("id:0007003E", "rsa-2048"), "none");    // 7.62, the first with the remedy
  EXPECT_EQ(effect("id:073D", "rsa-2048"), "refuse");
  EXPECT_EQ(effect("id:0007003D", "p-256"), "none");
  EXPECT_EQ(effect("", "rsa-2048"), "warn");  // the certificate does not tell
}

TEST(EkAdvisories, WarnWhereTheOperatorHasAcceptedThem) {
  EXPECT_EQ(Effect(CertificateOf(kInfineon, "SLB9670", "id:0007003D"), "ek.advisory.cve-2017-15361",
                   {"CVE-2017-15361"}),
            "warn");
  EXPECT_EQ(Effect(CertificateOf(kInfineon, "SLB9670", "id:0007003D"), "ek.advisory.cve-2017-15361",
                   {"CVE-2019-16863"}),
            "refuse");
}

TEST(EkAdvisories, WarnOfTpmFail) {
  EXPECT_EQ(
      Effect(CertificateOf(kStm, "ST33HTPHAHB4", "id:00490004"), "ek.advisory.cve-2019-16863"),
      "warn");
  EXPECT_EQ(
      Effect(CertificateOf(kStm, "ST33HTPHAHB4", "id:00490014"), "ek.advisory.cve-2019-16863"),
      "none");
  EXPECT_EQ(Effect(CertificateOf(kIntel, "Intel", "id:00020000"), "ek.advisory.cve-2019-11090"),
            "warn");
  EXPECT_EQ(Effect(CertificateOf(kIntel, "Intel", "id:00020000", "p-256", kLater),
                   "ek.advisory.cve-2019-11090"),
            "none");
}

TEST(EkAdvisories, WarnOfTheOverrunsOf2023) {
  EXPECT_EQ(Effect(CertificateOf(kNuvoton, "NPCT65x", "id:00010003"), "ek.advisory.cve-2023-1017"),
            "warn");
  EXPECT_EQ(Effect(CertificateOf(kNuvoton, "NPCT75x", "id:00070002"), "ek.advisory.cve-2023-1017"),
            "none");
  EXPECT_EQ(Effect(CertificateOf(kIbm, "swtpm", "id:20191023"), "ek.advisory.cve-2023-1018"),
            "warn");
}

TEST(EkAdvisories, WarnOfHmacSigning) {
  for (const uint32_t maker : {kIntel, kAmd, kIbm}) {
    EXPECT_EQ(Effect(CertificateOf(maker, "any", "id:00010000"), "ek.advisory.cve-2025-2884"),
              "warn");
    EXPECT_EQ(Effect(CertificateOf(maker, "any", "id:00010000", "p-256", kLater),
                     "ek.advisory.cve-2025-2884"),
              "none");
  }
}

TEST(EkAdvisories, SayThatNoneHolds) {
  const auto checks = CheckAdvisories(CertificateOf(kNuvoton, "NPCT75x", "id:00070002"), {});
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks.front().rule, "ek.advisories");
  EXPECT_EQ(checks.front().result, CheckResult::kPass);
}

}  // namespace
}  // namespace sallyport::pki

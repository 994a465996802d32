#include "device-client/tpm/key_templates.h"

#include <gtest/gtest.h>

#include "pki/tpm/key_rules.h"
#include "pki/tpm/name.h"

namespace sallyport::device {
namespace {

// Templates have no point on the curve yet; all other rules must hold.
std::vector<std::string_view> Failed(const std::vector<pki::KeyRuleResult>& results) {
  std::vector<std::string_view> out;
  for (const pki::KeyRuleResult& result : results)
    if (!result.passed) out.push_back(result.rule);
  return out;
}

TEST(KeyTemplates, FollowTheRulesThatTheServerChecks) {
  EXPECT_EQ(Failed(pki::CheckAttestationKey(AkTemplate())),
            (std::vector<std::string_view>{"ak.key"}));
  EXPECT_EQ(Failed(pki::CheckTlsKey(TlsKeyTemplate(Bytes(64, 1)))),
            (std::vector<std::string_view>{"tls.key"}));
}

TEST(KeyTemplates, OfTheAttestationKeyNeverChanges) {
  EXPECT_EQ(HexEncode(AkTemplate().Marshal()).substr(0, 40),
            "0023000b00050472000000100018000b00030010");
}

TEST(KeyTemplates, OfTlsKeysDifferByEntropy) {
  EXPECT_NE(TlsKeyTemplate(Bytes(64, 1)), TlsKeyTemplate(Bytes(64, 2)));
}

}  // namespace
}  // namespace sallyport::device

// Policy texts of any origin: reading gives a value or an error, never both, and canonical grants
// are a fixed point.
#include "pki/base/result.h"
#include "policies/decision/canonical.h"
#include "policies/language/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace policy = sallyport::policy;
  const std::string_view text = sallyport::AsText({data, size});
  policy::Diagnostics out("fuzz.yaml");
  const auto read = policy::ReadPolicy(
      text, [](std::string_view name) { return policy::ZoneRule::Parse(name); }, out);
  SP_CHECK(read.has_value() == !out.has_errors());
  if (read) {
    policy::Diagnostics lowering("fuzz.yaml");
    const auto rules = policy::Lower(*read, nullptr, lowering);
    SP_CHECK(rules.has_value());
    const auto manifest = policy::MakePolicyManifest(*rules, {1, {}, {}});
    SP_CHECK(policy::ReadSignedRules(policy::MakePolicyTexts(*rules), manifest).has_value());
  }
  const auto grant = policy::ParseGrant(text);
  if (grant) {
    const std::string canonical = policy::CanonicalGrant(*grant);
    SP_CHECK(policy::CanonicalGrant(*policy::ParseGrant(canonical)) == canonical);
  }
  return 0;
}

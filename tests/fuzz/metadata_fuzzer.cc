// Every role's reader over arbitrary bytes: no crash, no endless loop, and what parses is written
// back to a canonical form that parses to the same.
#include <cstddef>
#include <cstdint>

#include "ota/metadata/limits.h"
#include "ota/metadata/uptane.h"

using namespace sallyport;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  if (const auto tree =
          ParseJson(AsText(bytes), {.size_max = 1 << 20, .depth_max = ota::kMetadataDepthMax})) {
    const auto again =
        ParseJson(WriteJson(*tree), {.size_max = 8 << 20, .depth_max = ota::kMetadataDepthMax});
    SP_CHECK(again && CanonicalJson(*again) == CanonicalJson(*tree));
  }
  if (const auto document = ota::SignedDocument::Parse(bytes, ota::kTargetsSizeMax)) {
    const auto body = document->TrustAnchor();
    static_cast<void>(ota::Root::Parse(body));
    static_cast<void>(ota::Timestamp::Parse(body));
    static_cast<void>(ota::Snapshot::Parse(body));
    const auto targets = ota::Targets::Parse(body);
    if (targets) {
      for (const auto& delegation : targets->delegations)
        static_cast<void>(delegation.Matches("a/b.txt"));
    }
  }
  if (const auto release = ota::ParseRelease(bytes))
    SP_CHECK(ota::ParseRelease(AsBytes(ota::WriteRelease(*release))));
  if (const auto bundle = ota::DecodeBundle(bytes))
    SP_CHECK(ota::EncodeBundle(*bundle) == ToBytes(bytes));
  return 0;
}

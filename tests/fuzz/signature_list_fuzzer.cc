// EFI signature lists on any bytes: an error names its rule; what is read is sorted, bounded, each
// once, and reads back from its text. Seeds: tests/vectors/uefi.
#include <algorithm>

#include "attestation-server/evidence/signature_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;          // NOLINT(google-build-using-namespace)
  using namespace sallyport::server;  // NOLINT(google-build-using-namespace)
  const auto ids = ParseSignatureLists(ByteView(data, size));
  SP_CHECK(ids.has_value() || !ids.error().name().empty());
  if (!ids) return 0;
  SP_CHECK(ids->size() <= kSignaturesMax);
  SP_CHECK(std::ranges::adjacent_find(*ids, std::ranges::greater_equal()) == ids->end());
  for (const SignatureId& id : *ids) SP_CHECK(SignatureId::Parse(id.Text()).value() == id);
  return 0;
}

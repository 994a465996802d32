// The keys that the TLS key provider knows, by id: OpenSSL's decoder gets nothing but the bytes of
// a PEM block. Private to device-client/tpm.
#pragma once

#include <memory>

#include "device-client/tpm/tls_key_provider.h"

namespace sallyport::device {

// ProviderKey is what an EVP_PKEY of the provider holds. A public half imported for comparison has
// no `sign`.
struct ProviderKey {
  Bytes point;  // 0x04 || x || y, empty until imported
  DigestSigner sign;
};

// AddProviderKey returns an id that is never reused. All three are thread-safe.
uint64_t AddProviderKey(std::shared_ptr<const ProviderKey> key);
void RemoveProviderKey(uint64_t id);
std::shared_ptr<const ProviderKey> FindProviderKey(uint64_t id);  // null when there is none

}  // namespace sallyport::device

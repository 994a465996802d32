// The provider's face towards OpenSSL (provider(7), provider-keymgmt(7), provider-signature(7),
// provider-decoder(7)). Private to device-client/tpm.
#pragma once

#include <openssl/core.h>

#include <string_view>

namespace sallyport::device {

inline constexpr char kTlsKeyProviderName[] = "sallyport-tpm";
inline constexpr std::string_view kTlsKeyPemBegin = "-----BEGIN SALLYPORT TPM KEY-----";
inline constexpr std::string_view kTlsKeyPemEnd = "-----END SALLYPORT TPM KEY-----";

// TlsKeyProviderInit is an OSSL_provider_init_fn.
extern "C" int TlsKeyProviderInit(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in,
                                  const OSSL_DISPATCH** out, void** provider_context);

}  // namespace sallyport::device

// TlsIdentity: who this device is towards a TLS peer, wherever its key lives.
#pragma once

#include <memory>
#include <string>

#include "device-client/tpm/tls_key_provider.h"
#include "pki/x509/identity_extension.h"

namespace sallyport::device {

// TlsIdentity is immutable; a renewal makes a new one. Shared by the connections that present it:
// the key must outlive the last of them.
struct TlsIdentity {
  std::string chain_pem;  // leaf first
  std::shared_ptr<const TlsKeyReference> key;
  pki::KeyProtection key_protection;
};

}  // namespace sallyport::device

#include "pki/crypto/pkcs11_key.h"

#include <gtest/gtest.h>

namespace sallyport::pki {
namespace {

// Signing with a token: tests/integration/pkcs11_test.cc.
TEST(Pkcs11Uri, IsRefusedWithAPinInItOrUnknownAttributes) {
  for (const char* const uri :
       {"pkcs11:object=a;pin-value=1234", "pkcs11:object=a?pin-source=file:/pin",
        "pkcs11:object=a?module-name=x", "pkcs11:object=a?module-path=%2",
        "pkcs11:a?module-path=%00", "targets-1.pem"})
    EXPECT_EQ(OpenPkcs11Key(uri, "").error().name(), "key.pkcs11-uri") << uri;
}

}  // namespace
}  // namespace sallyport::pki

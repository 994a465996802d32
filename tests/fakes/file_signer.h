// FileSigner signs files as evmctl does, with an RSA or P-256 key.
#pragma once

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "pki/crypto/signature.h"

namespace sallyport {

class FileSigner {
 public:
  explicit FileSigner(pki::KeyType type, uint32_t key_id = 0xA1B2C3D4)
      : key_(pki::PrivateKey::Generate(type).value()), key_id_(key_id) {}
  const pki::PublicKey& key() const { return key_.public_key(); }
  uint32_t key_id() const { return key_id_; }

  // Raw is PKCS #1 v1.5 or DER ECDSA with SHA-256 over `message`.
  Bytes Raw(ByteView message) const {
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* parameters = nullptr;
    size_t size = 0;
    SP_CHECK(EVP_DigestSignInit_ex(context, &parameters, "SHA256", nullptr, nullptr,
                                   static_cast<EVP_PKEY*>(key_.native()), nullptr) == 1);
    SP_CHECK(EVP_DigestSign(context, nullptr, &size, message.data(), message.size()) == 1);
    Bytes out(size);
    SP_CHECK(EVP_DigestSign(context, out.data(), &size, message.data(), message.size()) == 1);
    out.resize(size);
    EVP_MD_CTX_free(context);
    return out;
  }
  // Attribute is security.ima with a header in front of `signature`.
  Bytes Attribute(uint8_t type, uint8_t version, ByteView signature) const {
    ByteWriter out;
    out.U8(type).U8(version).U8(4).BigU32(key_id_).Sized16(signature);
    return std::move(out).Take();
  }
  // OfFile is a version 2 signature of a file with this content.
  Bytes OfFile(std::string_view content) const { return Attribute(3, 2, Raw(AsBytes(content))); }

 private:
  pki::PrivateKey key_;
  uint32_t key_id_;
};

}  // namespace sallyport

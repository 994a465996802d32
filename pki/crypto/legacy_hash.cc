#include "pki/crypto/legacy_hash.h"

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {

std::array<uint8_t, 20> Sha1ForInspection(std::initializer_list<ByteView> parts) {
  static EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  thread_local const EvpMdCtx context{EVP_MD_CTX_new()};
  SP_CHECK(sha1 != nullptr && context != nullptr &&
           EVP_DigestInit_ex2(context.get(), sha1, nullptr) == 1);
  for (const ByteView part : parts)
    SP_CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  std::array<uint8_t, 20> out{};
  SP_CHECK(EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1);
  return out;
}

}  // namespace sallyport::pki

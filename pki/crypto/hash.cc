#include "pki/crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {
namespace {

const EVP_MD* Fetched(HashAlgorithm algorithm) {
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  static EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  switch (algorithm) {
    case HashAlgorithm::kSha256: return sha256;
    case HashAlgorithm::kSha384: return sha384;
    case HashAlgorithm::kSha512: return sha512;
  }
  std::abort();
}

EVP_MD_CTX* ThreadContext() {
  thread_local const EvpMdCtx context{EVP_MD_CTX_new()};
  SP_CHECK(context != nullptr);
  return context.get();
}

void HashInto(HashAlgorithm algorithm, std::initializer_list<ByteView> parts, uint8_t* out) {
  EVP_MD_CTX* const context = ThreadContext();
  SP_CHECK(EVP_DigestInit_ex2(context, Fetched(algorithm), nullptr) == 1);
  for (const ByteView part : parts)
    SP_CHECK(EVP_DigestUpdate(context, part.data(), part.size()) == 1);
  SP_CHECK(EVP_DigestFinal_ex(context, out, nullptr) == 1);
}

}  // namespace

std::string DrainOpenSslErrors() {
  std::string first;
  while (const unsigned long code = ERR_get_error()) {
    if (!first.empty()) continue;
    const char* const reason = ERR_reason_error_string(code);
    first = reason != nullptr ? reason : "code " + std::to_string(code);
  }
  return first.empty() ? "no reason given" : first;
}

Sha256Digest Sha256(std::initializer_list<ByteView> parts) {
  std::array<uint8_t, 32> out;
  HashInto(HashAlgorithm::kSha256, parts, out.data());
  return Sha256Digest::FromArray(out);
}

Bytes Hash(HashAlgorithm algorithm, std::initializer_list<ByteView> parts) {
  Bytes out(DigestSize(algorithm));
  HashInto(algorithm, parts, out.data());
  return out;
}

struct Hasher::State {
  HashAlgorithm algorithm;
  EvpMdCtx context;
};

Hasher::Hasher(HashAlgorithm algorithm)
    : state_(std::make_unique<State>(State{algorithm, EvpMdCtx(EVP_MD_CTX_new())})) {
  SP_CHECK(EVP_DigestInit_ex2(state_->context.get(), Fetched(algorithm), nullptr) == 1);
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

Hasher& Hasher::Update(ByteView bytes) {
  SP_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

Bytes Hasher::Finish() {
  Bytes out(DigestSize(state_->algorithm));
  SP_CHECK(EVP_DigestFinal_ex(state_->context.get(), out.data(), nullptr) == 1);
  return out;
}

Sha256Digest HmacSha256(ByteView key, std::initializer_list<ByteView> parts) {
  Bytes message;
  for (const ByteView part : parts) Append(message, part);
  std::array<uint8_t, 32> out;
  SP_CHECK(HMAC(Fetched(HashAlgorithm::kSha256), key.data(), static_cast<int>(key.size()),
                message.data(), message.size(), out.data(), nullptr) != nullptr);
  return Sha256Digest::FromArray(out);
}

bool ConstantTimeEqual(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Sha256Digest LabelledDigest(std::string_view label, std::initializer_list<ByteView> parts) {
  Bytes message = ToBytes(label);
  message.push_back(0);
  for (const ByteView part : parts) Append(message, part);
  return Sha256(message);
}

}  // namespace sallyport::pki

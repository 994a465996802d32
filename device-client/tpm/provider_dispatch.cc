// Three small algorithms. The EC key management can import but not export: when EVP_DigestSignInit
// first tries the default provider's ECDSA, it fails to move the key there and falls back to the
// key's own provider, ours.
#include "device-client/tpm/provider_dispatch.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

#include <cstring>
#include <optional>

#include "device-client/tpm/provider_key.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr int kBits = 256;
constexpr int kSecurityBits = 128;
constexpr size_t kSignatureBytesMax = 72;  // DER of two 32-byte integers with sign bytes
constexpr char kGroup[] = "prime256v1";    // libssl looks it up by its object name
constexpr char kAlgorithmKey[] = "EC";
constexpr size_t kPemBytesMax = 512;  // our block is about 80 bytes
constexpr size_t kPointBytes = 65;

using KeyPtr = std::shared_ptr<const ProviderKey>;

// A key object as OpenSSL holds it.
struct KeyData {
  KeyPtr key = std::make_shared<const ProviderKey>();
};
KeyData* ToKey(void* key) { return static_cast<KeyData*>(key); }
const KeyData* ToKey(const void* key) { return static_cast<const KeyData*>(key); }

template <typename Function>
constexpr OSSL_DISPATCH Entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

// ---- Key management

void* KeyNew(void* /*provider*/) { return new KeyData; }
void KeyFree(void* key) { delete ToKey(key); }

// The decoder hands a KeyData* over by reference; whoever loads it owns it.
void* KeyLoad(const void* reference, size_t size) {
  if (size != sizeof(KeyData*)) return nullptr;
  KeyData* const* const slot = static_cast<KeyData* const*>(reference);
  KeyData* const key = *slot;
  *const_cast<KeyData**>(slot) = nullptr;
  return key;
}

int KeyHas(const void* data, int selection) {
  const ProviderKey& key = *ToKey(data)->key;
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !key.sign) return 0;
  if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && key.point.empty()) return 0;
  return 1;
}

int KeyMatch(const void* a, const void* b, int selection) {
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) return 1;  // both are P-256
  const Bytes& point = ToKey(a)->key->point;
  return !point.empty() && point == ToKey(b)->key->point ? 1 : 0;
}

bool IsOurGroup(const OSSL_PARAM params[]) {
  const OSSL_PARAM* const group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
  const char* name = nullptr;
  return group != nullptr && OSSL_PARAM_get_utf8_string_ptr(group, &name) == 1 &&
         (std::strcmp(name, kGroup) == 0 || std::strcmp(name, "P-256") == 0);
}

int KeyImport(void* data, int selection, const OSSL_PARAM params[]) {
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 || !IsOurGroup(params)) return 0;
  const OSSL_PARAM* const pub = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
  const void* bytes = nullptr;
  size_t size = 0;
  if (pub == nullptr || OSSL_PARAM_get_octet_string_ptr(pub, &bytes, &size) != 1 ||
      size != kPointBytes)
    return 0;
  auto key = std::make_shared<ProviderKey>();
  key->point = ToBytes(ByteView(static_cast<const uint8_t*>(bytes), size));
  ToKey(data)->key = std::move(key);
  return 1;
}

const OSSL_PARAM* KeyImportTypes(int selection) {
  static const OSSL_PARAM types[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
                                     OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
                                     OSSL_PARAM_END};
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 ? types : nullptr;
}

bool SetInt(OSSL_PARAM params[], const char* name, int value) {
  OSSL_PARAM* const p = OSSL_PARAM_locate(params, name);
  return p == nullptr || OSSL_PARAM_set_int(p, value) == 1;
}
bool SetText(OSSL_PARAM params[], const char* name, const char* value) {
  OSSL_PARAM* const p = OSSL_PARAM_locate(params, name);
  return p == nullptr || OSSL_PARAM_set_utf8_string(p, value) == 1;
}
bool SetOctets(OSSL_PARAM params[], const char* name, ByteView value) {
  OSSL_PARAM* const p = OSSL_PARAM_locate(params, name);
  return p == nullptr || OSSL_PARAM_set_octet_string(p, value.data(), value.size()) == 1;
}

int KeyGetParams(void* data, OSSL_PARAM params[]) {
  const Bytes& point = ToKey(data)->key->point;
  return SetInt(params, OSSL_PKEY_PARAM_BITS, kBits) &&
                 SetInt(params, OSSL_PKEY_PARAM_SECURITY_BITS, kSecurityBits) &&
                 SetInt(params, OSSL_PKEY_PARAM_MAX_SIZE, kSignatureBytesMax) &&
                 SetText(params, OSSL_PKEY_PARAM_GROUP_NAME, kGroup) &&
                 SetText(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256") &&
                 SetOctets(params, OSSL_PKEY_PARAM_PUB_KEY, point) &&
                 SetOctets(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point)
             ? 1
             : 0;
}

const OSSL_PARAM* KeyGettableParams(void* /*provider*/) {
  static const OSSL_PARAM params[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, nullptr, 0),
      OSSL_PARAM_END};
  return params;
}

const char* KeyOperationName(int operation) {
  return operation == OSSL_OP_SIGNATURE ? "ECDSA" : nullptr;
}

const OSSL_DISPATCH kKeyManagement[] = {
    Entry(OSSL_FUNC_KEYMGMT_NEW, KeyNew),
    Entry(OSSL_FUNC_KEYMGMT_FREE, KeyFree),
    Entry(OSSL_FUNC_KEYMGMT_LOAD, KeyLoad),
    Entry(OSSL_FUNC_KEYMGMT_HAS, KeyHas),
    Entry(OSSL_FUNC_KEYMGMT_MATCH, KeyMatch),
    Entry(OSSL_FUNC_KEYMGMT_IMPORT, KeyImport),
    Entry(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, KeyImportTypes),
    Entry(OSSL_FUNC_KEYMGMT_GET_PARAMS, KeyGetParams),
    Entry(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, KeyGettableParams),
    Entry(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, KeyOperationName),
    {0, nullptr}};

// ---- Signature

struct SignContext {
  KeyPtr key;
  Bytes message;  // TLS signs less than a kilobyte; keeping it makes dupctx trivial
};
SignContext* ToSign(void* context) { return static_cast<SignContext*>(context); }

void* SignNew(void* /*provider*/, const char* /*properties*/) { return new SignContext; }
void SignFree(void* context) { delete ToSign(context); }
void* SignDup(void* context) { return new SignContext(*ToSign(context)); }

int SignInit(void* context, const char* digest, void* key, const OSSL_PARAM /*params*/[]) {
  if (digest != nullptr && std::strcmp(digest, "SHA256") != 0 &&
      std::strcmp(digest, "SHA2-256") != 0)
    return 0;
  SignContext& sign = *ToSign(context);
  if (key != nullptr) sign.key = ToKey(key)->key;
  sign.message.clear();
  return sign.key != nullptr && sign.key->sign ? 1 : 0;
}

int SignUpdate(void* context, const unsigned char* data, size_t size) {
  Append(ToSign(context)->message, ByteView(data, size));
  return 1;
}

int SignFinal(void* context, unsigned char* out, size_t* size, size_t capacity) {
  if (out == nullptr) {
    *size = kSignatureBytesMax;
    return 1;
  }
  const SignContext& sign = *ToSign(context);
  const Result<Bytes> signature = sign.key->sign(pki::Sha256(sign.message));
  if (!signature) {
    Log(LogLevel::kError, "tls_key_sign_failed", {{"reason", signature.error().ToString()}});
    return 0;
  }
  if (signature->size() > capacity) return 0;
  std::ranges::copy(*signature, out);
  *size = signature->size();
  return 1;
}

int SignOnce(void* context, unsigned char* out, size_t* size, size_t capacity,
             const unsigned char* data, size_t data_size) {
  if (out != nullptr) ToSign(context)->message = ToBytes(ByteView(data, data_size));
  return SignFinal(context, out, size, capacity);
}

const OSSL_DISPATCH kSignature[] = {Entry(OSSL_FUNC_SIGNATURE_NEWCTX, SignNew),
                                    Entry(OSSL_FUNC_SIGNATURE_FREECTX, SignFree),
                                    Entry(OSSL_FUNC_SIGNATURE_DUPCTX, SignDup),
                                    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, SignInit),
                                    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, SignUpdate),
                                    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, SignFinal),
                                    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, SignOnce),
                                    {0, nullptr}};

// ---- Decoder: PEM text -> key

// BIO_new_from_core_bio fails in a built-in provider, so the core's own reader is called.
OSSL_FUNC_BIO_read_ex_fn* core_read =
    nullptr;  // set once by TlsKeyProviderInit, before any decoding

void* DecoderNew(void* provider) { return provider; }
void DecoderFree(void* /*context*/) {}

std::string ReadPem(OSSL_CORE_BIO* bio) {
  std::string text(kPemBytesMax, '\0');
  size_t size = 0;
  while (size < text.size()) {
    size_t got = 0;
    if (core_read(bio, text.data() + size, text.size() - size, &got) != 1 || got == 0) break;
    size += got;
  }
  text.resize(size);
  return text;
}

std::optional<uint64_t> IdFromPem(std::string_view text) {
  const size_t begin = text.find(kTlsKeyPemBegin);
  if (begin == std::string_view::npos) return std::nullopt;
  std::string_view body = text.substr(begin + kTlsKeyPemBegin.size());
  const size_t end = body.find(kTlsKeyPemEnd);
  if (end == std::string_view::npos) return std::nullopt;
  std::string base64;
  for (const char c : body.substr(0, end))
    if (c != '\n' && c != '\r') base64 += c;
  const Result<Bytes> bytes = Base64Decode(base64);
  if (!bytes) return std::nullopt;
  ByteReader reader(*bytes, "TLS key reference");
  const Result<uint64_t> id = reader.BigU64();
  return id && reader.End() ? std::optional(*id) : std::nullopt;
}

// 1 without a call of `give` means: not mine, let other decoders try.
int Decode(void* /*context*/, OSSL_CORE_BIO* bio, int /*selection*/, OSSL_CALLBACK* give,
           void* give_argument, OSSL_PASSPHRASE_CALLBACK* /*passphrase*/,
           void* /*passphrase_argument*/) {
  const std::optional<uint64_t> id = IdFromPem(ReadPem(bio));
  if (!id) return 1;
  KeyPtr key = FindProviderKey(*id);
  if (key == nullptr) return 1;
  KeyData* data = new KeyData{std::move(key)};
  int object_type = OSSL_OBJECT_PKEY;
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &object_type),
      OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE,
                                       const_cast<char*>(kAlgorithmKey), 0),
      OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &data, sizeof data),
      OSSL_PARAM_construct_end()};
  const int taken = give(params, give_argument);
  delete data;  // null once KeyLoad has taken it
  return taken;
}

const OSSL_DISPATCH kDecoder[] = {Entry(OSSL_FUNC_DECODER_NEWCTX, DecoderNew),
                                  Entry(OSSL_FUNC_DECODER_FREECTX, DecoderFree),
                                  Entry(OSSL_FUNC_DECODER_DECODE, Decode),
                                  {0, nullptr}};

// ---- Provider

constexpr char kProperties[] = "provider=sallyport-tpm";
const OSSL_ALGORITHM kKeyManagements[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", kProperties, kKeyManagement, nullptr},
    {nullptr, nullptr, nullptr, nullptr}};
const OSSL_ALGORITHM kSignatures[] = {{"ECDSA", kProperties, kSignature, nullptr},
                                      {nullptr, nullptr, nullptr, nullptr}};
const OSSL_ALGORITHM kDecoders[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=sallyport-tpm,input=pem", kDecoder, nullptr},
    {nullptr, nullptr, nullptr, nullptr}};

const OSSL_ALGORITHM* Query(void* /*provider*/, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_KEYMGMT: return kKeyManagements;
    case OSSL_OP_SIGNATURE: return kSignatures;
    case OSSL_OP_DECODER: return kDecoders;
    default: return nullptr;
  }
}

const OSSL_DISPATCH kProvider[] = {Entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, Query), {0, nullptr}};

}  // namespace

extern "C" int TlsKeyProviderInit(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in,
                                  const OSSL_DISPATCH** out, void** provider_context) {
  for (; in->function_id != 0; ++in)
    if (in->function_id == OSSL_FUNC_BIO_READ_EX) core_read = OSSL_FUNC_BIO_read_ex(in);
  *out = kProvider;
  *provider_context = const_cast<OSSL_CORE_HANDLE*>(handle);
  return core_read != nullptr ? 1 : 0;
}

}  // namespace sallyport::device
